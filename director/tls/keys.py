"""Key pairs: load, generate, the floor of strength, fingerprints. The algorithm comes from the key.

Only RSA here: FMT1 is signed with RSA PKCS#1 v1.5 and SHA-256 (RFC 8017, section 8.2). No error and no repr contains
key material. What a signature means is `director.tls.container`'s and `director.tls.verify`'s business.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from director.errors import KeyProblem

ALGORITHM = "rsa-pkcs1v15-sha256"
_REMEDY = "Make a key pair with `director keygen NAME`."
_PRIVATE_MARKS = (b"PRIVATE KEY-----",)


@dataclass(frozen=True)
class PublicKey:
    """A key that can validate. ``fingerprint`` is the SHA-256 of its DER SubjectPublicKeyInfo."""

    name: str
    fingerprint: str
    algorithm: str
    bits: int
    _key: rsa.RSAPublicKey = field(repr=False, compare=False)

    def verify(self, signature: bytes, data: bytes | memoryview) -> bool:
        """Whether the signature is this key's over exactly these bytes; never raises."""
        try:
            self._key.verify(signature, bytes(data), padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True


class SigningKey:
    """A private key, which signs. Its repr shows the fingerprint only."""

    def __init__(self, key: rsa.RSAPrivateKey, name: str) -> None:
        self._key = key
        self.public = _public(key.public_key(), name)

    def __repr__(self) -> str:
        return f"<SigningKey {self.public.fingerprint}>"

    def sign(self, data: bytes) -> bytes:
        """The signature of these bytes; the same bytes always give the same one."""
        return self._key.sign(data, padding.PKCS1v15(), hashes.SHA256())

    @property
    def public_pem(self) -> bytes:
        """The public half as PEM text, for ``*_tls.key``."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def private_pem(self, passphrase: bytes | None) -> bytes:
        """The private half as PKCS#8 PEM, encrypted where a passphrase is given."""
        protection = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)


def generate_key(bits: int = 3072) -> SigningKey:
    """A new RSA key pair of so many bits, with the exponent 65537."""
    return SigningKey(rsa.generate_private_key(public_exponent=65537, key_size=bits), "generated")


def load_public_key(pem: bytes, *, name: str, min_bits: int = 2048) -> PublicKey:
    """A validating key from PEM text.

    Args:
        pem: the text of a ``*_tls.key`` file.
        name: where it came from, for messages.
        min_bits: weaker RSA keys are refused.

    Raises:
        KeyProblem: codes key-unreadable, key-private, key-weak, key-unsupported.
    """
    if contains_private_key(pem):
        raise KeyProblem(
            f"{name} holds a private key, which must never lie on a host.",
            hint="Remove it there, treat it as disclosed, and place the public key instead.",
            code="key-private",
        )
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyProblem(
            f"{name} is not a public key in PEM form.", hint=_REMEDY, code="key-unreadable"
        ) from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise KeyProblem(_unsupported(name), hint=_REMEDY, code="key-unsupported")
    _check_strength(key, name, min_bits)
    return _public(key, name)


def load_signing_key(
    pem: bytes, *, name: str, passphrase: bytes | None = None, min_bits: int = 2048
) -> SigningKey:
    """A signing key from PEM text, PKCS#1 or PKCS#8.

    Raises:
        KeyProblem: codes key-unreadable, key-passphrase, key-public, key-weak, key-unsupported.
    """
    if b"PUBLIC KEY-----" in pem and not contains_private_key(pem):
        raise KeyProblem(
            f"{name} is a public key, which cannot sign.",
            hint="Give the private key of the pair.",
            code="key-public",
        )
    if b"ENCRYPTED" not in pem:
        passphrase = None  # one set for another key is no reason to refuse this one
    try:
        key = load_pem_private_key(pem, passphrase)
    except TypeError:
        raise KeyProblem(
            f"{name} is encrypted.",
            hint="Set THESPIAN_SIGNING_KEY_PASSPHRASE.",
            code="key-passphrase",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        if passphrase is not None:
            raise KeyProblem(
                f"{name} does not open with this passphrase.",
                hint="Check THESPIAN_SIGNING_KEY_PASSPHRASE.",
                code="key-passphrase",
            ) from None
        raise KeyProblem(
            f"{name} is not a private key in PEM form.", hint=_REMEDY, code="key-unreadable"
        ) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise KeyProblem(_unsupported(name), hint=_REMEDY, code="key-unsupported")
    _check_strength(key.public_key(), name, min_bits)
    return SigningKey(key, name)


def contains_private_key(data: bytes) -> bool:
    """Whether the bytes hold a private key in PEM form, of any kind."""
    return any(b"-----BEGIN " in data and mark in data for mark in _PRIVATE_MARKS)


def _public(key: rsa.RSAPublicKey, name: str) -> PublicKey:
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(
        name, "sha256:" + hashlib.sha256(der).hexdigest(), ALGORITHM, key.key_size, key
    )


def _check_strength(key: rsa.RSAPublicKey, name: str, min_bits: int) -> None:
    if key.key_size < min_bits:
        text = f"{name} is an RSA key of {key.key_size} bits; at least {min_bits} are needed."
    elif key.public_numbers().e != 65537:
        # With e = 3 a sloppy padding check lets signatures be forged (CVE-2006-4339).
        text = f"{name} is an RSA key with the exponent {key.public_numbers().e}, not 65537."
    else:
        return
    raise KeyProblem(text, hint=_REMEDY, code="key-weak")


def _unsupported(name: str) -> str:
    return f"{name} is not an RSA key; this release signs and validates with RSA keys only."
