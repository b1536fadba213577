"""Key pairs: what is taken, what is refused and why, and that no message holds key material."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from director.errors import KeyProblem
from director.tls.keys import (
    SigningKey,
    contains_private_key,
    generate_key,
    load_public_key,
    load_signing_key,
)

Private = (
    rsa.RSAPrivateKey | dsa.DSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
)


def public_pem(private: Private) -> bytes:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(private: Private, kind: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return private.private_bytes(Encoding.PEM, kind, NoEncryption())


WEAK = rsa.generate_private_key(65537, 1024)  # noqa: S505 - it has to be refused
SMALL_EXPONENT = rsa.generate_private_key(3, 2048)


def test_a_generated_pair_signs_and_validates(key: SigningKey) -> None:
    public = load_public_key(key.public_pem, name="k")
    assert public.fingerprint == key.public.fingerprint and public.bits == 2048
    signature = key.sign(b"data")
    assert public.verify(signature, b"data")
    assert not public.verify(signature, b"Data")
    assert not public.verify(signature[:-1], b"data")
    assert not public.verify(b"", b"data")
    assert not generate_key(2048).public.verify(signature, b"data")


@pytest.mark.parametrize("kind", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_both_pem_forms_of_a_private_key_are_read(kind: PrivateFormat) -> None:
    private = rsa.generate_private_key(65537, 2048)
    loaded = load_signing_key(private_pem(private, kind), name="k")
    assert loaded.public_pem == public_pem(private)


def test_an_encrypted_key_opens_with_its_passphrase_only(key: SigningKey) -> None:
    pem = key.private_pem(b"secret words")
    opened = load_signing_key(pem, name="k", passphrase=b"secret words")
    assert opened.public.fingerprint == key.public.fingerprint
    for passphrase in (None, b"wrong"):
        with pytest.raises(KeyProblem) as caught:
            load_signing_key(pem, name="k", passphrase=passphrase)
        assert caught.value.code == "key-passphrase"
        assert "secret" not in str(caught.value) and "wrong" not in str(caught.value)


def test_a_passphrase_that_is_not_needed_does_no_harm(key: SigningKey) -> None:
    assert load_signing_key(key.private_pem(None), name="k", passphrase=b"x")


@pytest.mark.parametrize(
    ("pem", "code"),
    [
        (b"", "key-unreadable"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "key-unreadable"),
        (public_pem(WEAK), "key-weak"),
        (public_pem(SMALL_EXPONENT), "key-weak"),
        (public_pem(ec.generate_private_key(ec.SECP384R1())), "key-unsupported"),
        (public_pem(dsa.generate_private_key(2048)), "key-unsupported"),
        (private_pem(WEAK), "key-private"),
        (private_pem(WEAK) + public_pem(WEAK), "key-private"),
    ],
)
def test_public_keys_that_are_refused(pem: bytes, code: str) -> None:
    with pytest.raises(KeyProblem) as caught:
        load_public_key(pem, name="sourcekey_tls.key")
    assert caught.value.code == code and "sourcekey_tls.key" in str(caught.value)
    assert caught.value.hint


def test_the_floor_of_strength_may_be_lowered_but_not_the_exponent() -> None:
    assert load_public_key(public_pem(WEAK), name="k", min_bits=1024).bits == 1024
    with pytest.raises(KeyProblem):
        load_public_key(public_pem(SMALL_EXPONENT), name="k", min_bits=1024)


@pytest.mark.parametrize(
    ("pem", "code"),
    [
        (b"", "key-unreadable"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "key-unreadable"),
        (public_pem(WEAK), "key-public"),
        (private_pem(WEAK), "key-weak"),
        (private_pem(SMALL_EXPONENT), "key-weak"),
        (private_pem(ec.generate_private_key(ec.SECP384R1())), "key-unsupported"),
    ],
)
def test_signing_keys_that_are_refused(pem: bytes, code: str) -> None:
    with pytest.raises(KeyProblem) as caught:
        load_signing_key(pem, name="sign.pem")
    assert caught.value.code == code and "sign.pem" in str(caught.value)


def test_nothing_that_is_printed_holds_the_key(key: SigningKey) -> None:
    body = key.private_pem(None).splitlines()[1].decode()
    assert body not in repr(key) and body not in repr(key.public) and body not in str(vars(key))


@pytest.mark.parametrize(
    "kind", ["RSA PRIVATE", "PRIVATE", "ENCRYPTED PRIVATE", "EC PRIVATE", "OPENSSH PRIVATE"]
)
def test_private_keys_are_noticed_wherever_they_stand(kind: str) -> None:
    assert contains_private_key(f"x = '''\n-----BEGIN {kind} KEY-----\nMII".encode())


def test_public_keys_and_words_about_keys_are_no_private_keys(key: SigningKey) -> None:
    assert not contains_private_key(key.public_pem)
    assert not contains_private_key(b"the PRIVATE KEY is secret")
