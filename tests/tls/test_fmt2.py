"""FMT2: keys that are not RSA, the header under the signature, one form only, and the vectors of docs/format.md."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from director.tls.archive import Member, write_archive
from director.tls.container import open_envelope, seal
from director.tls.keys import (
    ED25519,
    P256,
    RSA,
    SigningKey,
    generate_ed25519,
    generate_p256,
    load_public_key,
    load_signing_key,
)
from director.tls.verify import Policy, verify

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ARCHIVE = write_archive([Member("foo/__init__.py", b""), Member("foo/bar.py", b"x = 1\n" * 99)])
FORMAT = (Path(__file__).parent.parent.parent / "docs" / "format.md").read_text(encoding="utf-8")
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
L25519 = 2**252 + 27742317777372353535851937790883648493

#: RFC 8032, 7.1, test 1, and RFC 6979, A.2.5: known to everybody.
KNOWN: dict[str, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey] = {
    "FMT2, Ed25519": ed25519.Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    ),
    "FMT2, ECDSA P-256": ec.derive_private_key(
        0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721, ec.SECP256R1()
    ),
}


@pytest.fixture(params=[generate_ed25519, generate_p256], ids=["ed25519", "p256"])
def other(request: pytest.FixtureRequest) -> SigningKey:
    make: Callable[[], SigningKey] = request.param
    return make()


def valid(data: bytes, *keys: SigningKey) -> bool:
    return verify(data, [key.public for key in keys], Policy(), NOW).valid


def test_what_was_sealed_is_valid_and_the_same_every_time(other: SigningKey) -> None:
    data = seal(ARCHIVE, other)
    assert data == seal(ARCHIVE, other)
    envelope = open_envelope(data)
    assert envelope.archive == ARCHIVE and envelope.is_by(other.public)
    assert envelope.header.startswith(f"ThespianDirectorFMT2-{other.public.algorithm}\n".encode())
    assert valid(data, other)


def test_no_zip_tool_reads_it_before_it_is_validated(other: SigningKey) -> None:
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(seal(ARCHIVE, other)))


def test_keys_come_back_from_their_pem(other: SigningKey) -> None:
    public = load_public_key(other.public_pem, name="k_tls.key")
    assert public.fingerprint == other.public.fingerprint and public.bits == 256
    for passphrase in (None, b"secret"):
        pem = other.private_pem(passphrase)
        loaded = load_signing_key(pem, name="k.pem", passphrase=passphrase)
        assert seal(ARCHIVE, loaded) == seal(ARCHIVE, other)


def test_every_kind_of_key_validates_only_its_own(key: SigningKey) -> None:
    kinds = {RSA: key, ED25519: generate_ed25519(), P256: generate_p256()}
    for algorithm, signer in kinds.items():
        assert signer.public.algorithm == algorithm
        for judge in kinds.values():
            assert valid(seal(ARCHIVE, signer), judge) is (judge is signer)
        assert valid(seal(ARCHIVE, signer), *kinds.values())
        assert not valid(seal(ARCHIVE, signer), generate_ed25519(), generate_p256())


def test_every_byte_of_the_header_is_signed(other: SigningKey) -> None:
    data = seal(ARCHIVE, other)
    for place in range(data.index(b"PK\3\4")):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        assert not valid(changed, other), place


def test_a_file_that_names_another_algorithm_than_its_keys_is_not_by_that_key() -> None:
    key = generate_ed25519()
    opened = open_envelope(seal(ARCHIVE, key))
    assert opened.is_by(key.public)
    assert not replace(opened, algorithm=P256).is_by(key.public)
