"""The signing key, from the environment: it never stands in the table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from director.errors import KeyProblem
from director.tls.keys import SigningKey, load_signing_key

TEXT, FILE, PASSPHRASE = (
    "THESPIAN_SIGNING_KEY",
    "THESPIAN_SIGNING_KEY_FILE",
    "THESPIAN_SIGNING_KEY_PASSPHRASE",
)
HOW = f"Make a key pair with `director keygen NAME` and set {FILE} to the path of NAME.pem."


def signing_key(environ: Mapping[str, str], root: Path) -> SigningKey | None:
    """The key that signs, or None where none is set (an empty variable counts as not set).

    Args:
        environ: the variables THESPIAN_SIGNING_KEY (PEM text) or THESPIAN_SIGNING_KEY_FILE (path), and
            THESPIAN_SIGNING_KEY_PASSPHRASE.
        root: the project; a relative path that is not there from the working directory is meant from here.

    Raises:
        KeyProblem: a key is set but unusable.
    """
    text, file = environ.get(TEXT, ""), environ.get(FILE, "")
    passphrase = environ.get(PASSPHRASE, "").encode() or None
    if text.strip() and file:
        raise KeyProblem(f"{TEXT} and {FILE} are both set.", hint="Set one of them only.")
    if text.strip():
        return load_signing_key(text.encode(), name=TEXT, passphrase=passphrase)
    if not file:
        return None
    path = Path(file).expanduser()
    if not path.is_absolute() and not path.exists():
        path = root / path
    try:
        pem = path.read_bytes()
    except OSError as problem:
        raise KeyProblem(
            f"{FILE}: {path}: {problem.strerror}.",
            hint="Give an absolute path.",
            code="key-missing",
        ) from None
    return load_signing_key(pem, name=str(path), passphrase=passphrase)
