"""The signing key, from the environment: it never stands in the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from director.errors import KeyProblem
from director.tls.keys import SigningKey, load_signing_key

TEXT, FILE, PASSPHRASE, MIN_BITS = (
    "THESPIAN_SIGNING_KEY",
    "THESPIAN_SIGNING_KEY_FILE",
    "THESPIAN_SIGNING_KEY_PASSPHRASE",
    "THESPIAN_SIGNING_MIN_BITS",
)
HOW = f"Make a key pair with `director keygen NAME` and set {FILE} to the path of NAME.pem."


#: The floor of an RSA key's strength, and the lowest that MIN_BITS may set it to.
FLOOR, LOWEST = 2048, 1024


def signing_key(
    environ: Mapping[str, str], root: Path, *, warn: Callable[[str], None]
) -> SigningKey | None:
    """The key that signs, or None where none is set (an empty variable counts as not set).

    Args:
        environ: the variables THESPIAN_SIGNING_KEY (PEM text) or THESPIAN_SIGNING_KEY_FILE (path),
            THESPIAN_SIGNING_KEY_PASSPHRASE and THESPIAN_SIGNING_MIN_BITS.
        root: the project; a relative path that is not there from the working directory is meant from here.
        warn: told of a key that is weaker than the floor, and allowed.

    Raises:
        KeyProblem: a key is set but unusable.
    """
    text, file = environ.get(TEXT, ""), environ.get(FILE, "")
    if text.strip() and file:
        raise KeyProblem(f"{TEXT} and {FILE} are both set.", hint="Set one of them only.")
    if text.strip():
        return open_key(text.encode(), TEXT, environ, warn=warn)
    if not file:
        return None
    path = Path(file).expanduser()
    if not path.is_absolute() and not path.exists():
        path = root / path
    return read_key(path, environ, warn=warn)


def read_key(path: Path, environ: Mapping[str, str], *, warn: Callable[[str], None]) -> SigningKey:
    """The key in a file.

    Raises:
        KeyProblem: it is missing or unusable.
    """
    try:
        pem = path.read_bytes()
    except OSError as problem:
        raise KeyProblem(
            f"The signing key {path}: {problem.strerror}.",
            hint=f"{FILE} and gensrc take a path; give an absolute one.",
            code="key-missing",
        ) from None
    return open_key(pem, str(path), environ, warn=warn)


def open_key(
    pem: bytes, name: str, environ: Mapping[str, str], *, warn: Callable[[str], None]
) -> SigningKey:
    """The key in PEM text, with the passphrase and the floor that the environment sets.

    Raises:
        KeyProblem: it is unusable.
    """
    passphrase = environ.get(PASSPHRASE, "").encode() or None
    floor = _floor(environ)
    try:
        key = load_signing_key(pem, name=name, passphrase=passphrase, min_bits=floor)
    except KeyProblem as problem:
        if floor == FLOOR and _is_merely_short(pem, problem, passphrase):
            hint = f"{problem.hint} Where old hosts need this one, set {MIN_BITS}={LOWEST}."
            raise KeyProblem(problem.message, hint=hint, code=problem.code) from None
        raise
    if key.public.algorithm.startswith("rsa") and key.public.bits < FLOOR:
        warn(
            f"{name} is an RSA key of {key.public.bits} bits, allowed by {MIN_BITS}; "
            "make a stronger one and place its public half on the hosts."
        )
    return key


def _is_merely_short(pem: bytes, problem: KeyProblem, passphrase: bytes | None) -> bool:
    """Whether a lower floor would let a key pass; an exponent of 3 or a small order stays what it is."""
    if problem.code != "key-weak":
        return False
    try:
        load_signing_key(pem, name="", passphrase=passphrase, min_bits=LOWEST)
    except KeyProblem:
        return False
    return True


def _floor(environ: Mapping[str, str]) -> int:
    text = environ.get(MIN_BITS, "").strip()
    if not text:
        return FLOOR
    if not text.isdecimal() or not LOWEST <= int(text[:6]) <= FLOOR:
        raise KeyProblem(
            f"{MIN_BITS} is {text!r}, not a number from {LOWEST} to {FLOOR}.",
            hint="Mend or unset it.",
        )
    return int(text)


def without_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment for other programs, which need no key of ours: pip's builds and the sources under check."""
    return {name: value for name, value in environ.items() if name not in {TEXT, FILE, PASSPHRASE}}
