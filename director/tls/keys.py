"""Key pairs: load, generate, the floor of strength, fingerprints. The algorithm comes from the key.

RSA (PKCS#1 v1.5 with SHA-256, RFC 8017 section 8.2), Ed25519 (RFC 8032) and ECDSA on P-256 with SHA-256 (FIPS 186-5,
nonces by RFC 6979). No error and no repr contains key material. What a signature means is the business of
`director.tls.container` and `director.tls.verify`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
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
from director.tls.limits import RSA_FLOOR, RSA_LARGEST

RSA, ED25519, P256 = "rsa-pkcs1v15-sha256", "ed25519", "ecdsa-p256-sha256"
#: Bytes of a signature that is not RSA's: R and S, 32 each.
PAIR_LENGTH = 64

_REMEDY = "Make a key pair with `director keygen NAME`."
_PRIVATE_MARK = b"PRIVATE KEY-----"
#: The order of P-256's base point (SEC 2, section 2.4.2).
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P25519 = 2**255 - 19
_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
#: y of the points whose order divides 8: with such a "key" anybody can make signatures (RFC 8032, section 8.9).
_SMALL_ORDER = frozenset({0, 1, _P25519 - 1, _ORDER_8, _P25519 - _ORDER_8})

_Public = rsa.RSAPublicKey | ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey
_Private = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class PublicKey:
    """A key that can validate. ``fingerprint`` is the SHA-256 of its DER SubjectPublicKeyInfo."""

    name: str
    fingerprint: str
    algorithm: str
    bits: int
    _key: _Public = field(repr=False, compare=False)

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Whether the signature is this key's over exactly these bytes; never raises."""
        try:
            if isinstance(self._key, rsa.RSAPublicKey):
                return self.verify_digest(signature, hashlib.sha256(data).digest())
            if len(signature) != PAIR_LENGTH:
                return False
            if isinstance(self._key, ed25519.Ed25519PublicKey):
                self._key.verify(signature, data)
            else:
                self._key.verify(_der(signature), data, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, ValueError):
            return False
        return True

    def verify_digest(self, signature: bytes, digest: bytes) -> bool:
        """Whether the signature is this RSA key's over the bytes with this SHA-256; never raises.

        One digest serves any number of keys. False for a key that is not RSA's.
        """
        if not isinstance(self._key, rsa.RSAPublicKey):
            return False
        try:
            self._key.verify(signature, digest, padding.PKCS1v15(), Prehashed(hashes.SHA256()))
        except (InvalidSignature, ValueError):
            return False
        return True


class SigningKey:
    """A private key, which signs. Its repr shows the fingerprint only."""

    def __init__(self, key: _Private, name: str) -> None:
        self._key = key
        self.public = _public(key.public_key(), name)

    def __repr__(self) -> str:
        return f"<SigningKey {self.public.fingerprint}>"

    def sign(self, data: bytes) -> bytes:
        """The signature of these bytes; the same bytes always give the same one."""
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(data)
        algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        r, s = decode_dss_signature(self._key.sign(data, algorithm))
        # (R, S) and (R, N − S) are both valid: only the lower one counts, so that a file has one signature.
        return r.to_bytes(32, "big") + min(s, _P256_ORDER - s).to_bytes(32, "big")

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


def generate_ed25519() -> SigningKey:
    """A new Ed25519 key pair."""
    return SigningKey(ed25519.Ed25519PrivateKey.generate(), "generated")


def generate_p256() -> SigningKey:
    """A new ECDSA key pair on the curve P-256."""
    return SigningKey(ec.generate_private_key(ec.SECP256R1()), "generated")


def load_public_key(pem: bytes, *, name: str, min_bits: int = RSA_FLOOR) -> PublicKey:
    """A validating key from PEM text.

    Args:
        pem: the text of a ``*_tls.key`` file.
        name: where it came from, for messages.
        min_bits: RSA keys of fewer bits are refused.

    Raises:
        KeyProblem: codes key-unreadable, key-private, key-several, key-weak, key-unsupported.
    """
    if contains_private_key(pem):
        raise KeyProblem(
            f"{name} holds a private key, which must never lie on a host.",
            hint="Remove it there, treat it as disclosed, and place the public key instead.",
            code="key-private",
        )
    if pem.count(b"-----BEGIN ") > 1:
        raise KeyProblem(
            f"{name} holds more than one key.",
            hint="Give each a file NAME_tls.key of its own.",
            code="key-several",
        )
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyProblem(
            f"{name} is not a public key in PEM form.", hint=_REMEDY, code="key-unreadable"
        ) from None
    if not isinstance(key, rsa.RSAPublicKey | ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey):
        raise _unsupported(name)
    _check_strength(key, name, min_bits)
    return _public(key, name)


def load_signing_key(
    pem: bytes, *, name: str, passphrase: bytes | None = None, min_bits: int = RSA_FLOOR
) -> SigningKey:
    """A signing key from PEM text, PKCS#1, SEC 1 or PKCS#8.

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
    if not isinstance(
        key, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
    ):
        raise _unsupported(name)
    _check_strength(key.public_key(), name, min_bits)
    return SigningKey(key, name)


def contains_private_key(data: bytes) -> bool:
    """Whether the bytes hold a private key in PEM form, of any kind."""
    return b"-----BEGIN " in data and _PRIVATE_MARK in data


def _public(key: _Public, name: str) -> PublicKey:
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    fingerprint = "sha256:" + hashlib.sha256(der).hexdigest()
    if isinstance(key, rsa.RSAPublicKey):
        return PublicKey(name, fingerprint, RSA, key.key_size, key)
    algorithm = ED25519 if isinstance(key, ed25519.Ed25519PublicKey) else P256
    return PublicKey(name, fingerprint, algorithm, 256, key)


def _check_strength(key: _Public, name: str, min_bits: int) -> None:
    if isinstance(key, rsa.RSAPublicKey):
        bits, exponent = key.key_size, key.public_numbers().e
        if bits < min_bits:
            text = f"{name} is an RSA key of {bits} bits; at least {min_bits} are needed."
        elif bits > RSA_LARGEST:
            text = f"{name} is an RSA key of {bits} bits; at most {RSA_LARGEST} are accepted."
        elif exponent != 65537:
            # With e = 3 a sloppy padding check lets signatures be forged (CVE-2006-4339).
            text = f"{name} is an RSA key with the exponent {exponent}, not 65537."
        else:
            return
    elif isinstance(key, ed25519.Ed25519PublicKey):
        encoded = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        y = int.from_bytes(encoded, "little") & (2**255 - 1)
        if y < _P25519 and y not in _SMALL_ORDER:
            return
        text = f"{name} is an Ed25519 key of small order, with which anybody could sign."
    elif isinstance(key.curve, ec.SECP256R1):
        return
    else:
        raise _unsupported(name)
    raise KeyProblem(text, hint=_REMEDY, code="key-weak")


def _der(pair: bytes) -> bytes:
    """R and S as the DER that the library takes; ValueError for the upper of the two possible S."""
    r, s = int.from_bytes(pair[:32], "big"), int.from_bytes(pair[32:], "big")
    if s > _P256_ORDER // 2:
        raise ValueError("the upper S")
    return encode_dss_signature(r, s)


def _unsupported(name: str) -> KeyProblem:
    return KeyProblem(
        f"{name} is neither an RSA, an Ed25519 nor an ECDSA P-256 key.",
        hint=_REMEDY,
        code="key-unsupported",
    )
