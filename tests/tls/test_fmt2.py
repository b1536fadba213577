"""FMT2: keys that are not RSA, the header under the signature, one form only, and the vectors of docs/format.md."""

from __future__ import annotations

import base64
import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from director.errors import KeyProblem, NotValidated
from director.tls.archive import Member, write_archive
from director.tls.container import FMT1, open_envelope, seal
from director.tls.keys import (
    ED25519,
    P256,
    RSA,
    SigningKey,
    generate_ed25519,
    generate_key,
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


def test_a_file_that_names_another_algorithm_than_its_key_is_not_by_it(key: SigningKey) -> None:
    ed, p256 = generate_ed25519(), generate_p256()
    data = seal(ARCHIVE, ed)
    assert not valid(data.replace(b"ed25519", b"ecdsa-p256-sha256", 1), ed, p256)
    assert not valid(data.replace(b"FMT2-ed25519", b"FMT1-sha256", 1), ed, key)
    with pytest.raises(NotValidated):
        open_envelope(data.replace(b"FMT2-ed25519", b"FMT2-sha256", 1))


def test_a_file_that_names_another_algorithm_than_its_keys_is_not_by_that_key() -> None:
    key = generate_ed25519()
    opened = open_envelope(seal(ARCHIVE, key))
    assert opened.is_by(key.public)
    assert not replace(opened, algorithm=P256).is_by(key.public)


def test_a_signature_of_the_zip_alone_is_none_of_the_file(other: SigningKey) -> None:
    data = seal(ARCHIVE, other)
    assert not valid(data[:-64] + other.sign(ARCHIVE), other)


def test_the_second_valid_form_of_an_ecdsa_signature_does_not_count() -> None:
    signer = generate_p256()
    data = seal(ARCHIVE, signer)
    r, s = data[-64:-32], int.from_bytes(data[-32:], "big")
    assert s <= P256_ORDER // 2
    assert not valid(data[:-64] + r + (P256_ORDER - s).to_bytes(32, "big"), signer)


def test_an_ed25519_signature_with_s_beyond_the_order_does_not_count() -> None:
    signer = generate_ed25519()
    data = seal(ARCHIVE, signer)
    s = int.from_bytes(data[-32:], "little")
    assert not valid(data[:-32] + (s + L25519).to_bytes(32, "little"), signer)


def test_the_lower_s_of_rfc_6979s_own_example() -> None:
    signer = SigningKey(KNOWN["FMT2, ECDSA P-256"], "rfc6979")
    r = 0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
    s = 0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8
    assert signer.sign(b"sample") == r.to_bytes(32, "big") + (P256_ORDER - s).to_bytes(32, "big")


def _double(x: int, y: int) -> tuple[int, int]:
    """Twice a point of edwards25519 (RFC 8032, 5.1.4, in affine coordinates)."""
    p = 2**255 - 19
    d = -121665 * pow(121666, -1, p) % p
    t = d * x * x * y * y % p
    return 2 * x * y * pow(1 + t, -1, p) % p, (y * y + x * x) * pow(1 - t, -1, p) % p


def test_the_points_that_are_refused_are_those_whose_order_divides_eight() -> None:
    from director.tls import keys

    p = 2**255 - 19
    d = -121665 * pow(121666, -1, p) % p
    for y in keys._SMALL_ORDER:
        xx = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
        x = pow(xx, (p + 3) // 8, p)
        if (x * x - xx) % p:
            x = x * pow(2, (p - 1) // 4, p) % p
        assert (x * x - xx) % p == 0
        point = (x, y)
        for _ in range(3):
            point = _double(*point)
        assert point == (0, 1)


@pytest.mark.parametrize("y", [0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18])
@pytest.mark.parametrize("sign", [0, 1])
def test_an_ed25519_key_of_small_order_or_another_form_is_weak(y: int, sign: int) -> None:
    raw = (y | sign << 255).to_bytes(32, "little")
    der = bytes.fromhex("302a300506032b6570032100") + raw
    body = base64.b64encode(der).decode()
    pem = f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n".encode()
    with pytest.raises(KeyProblem) as caught:
        load_public_key(pem, name="k_tls.key")
    assert caught.value.code in {"key-weak", "key-unreadable"}


def vectors() -> dict[str, tuple[bytes, bytes]]:
    found = {}
    for part in FORMAT.split("\n### ")[1:]:
        pem, data = re.findall(r"```text\n(.*?)\n```", part, re.DOTALL)
        found[part.partition("\n")[0]] = (pem.encode(), base64.b64decode(data))
    return found


@pytest.mark.parametrize("title", ["FMT1, RSA 2048", "FMT2, Ed25519", "FMT2, ECDSA P-256"])
def test_the_vectors_of_the_format_page(title: str) -> None:
    pem, data = vectors()[title]
    public = load_public_key(pem, name="vector")
    verdict = verify(data, [public], Policy(), NOW, file_name="foo-1.0.tls")
    assert verdict.code == "valid-unmanifested", verdict.message
    assert verdict.archive is not None and verdict.archive.read("foo.py") == b"x = 1\n"
    if title in KNOWN:
        assert seal(open_envelope(data).archive, SigningKey(KNOWN[title], "v")) == data


def test_the_vectors_hold_the_same_zip() -> None:
    assert len({open_envelope(data).archive for _, data in vectors().values()}) == 1


def test_an_fmt1_file_has_one_form_only(key: SigningKey) -> None:
    inner = b"PK\5\6" * 3 + b"x"
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        archive.writestr(zipfile.ZipInfo("x.bin"), inner)
    whole = stored.getvalue()
    data = seal(whole, key)
    assert valid(data, key)
    # The same ZIP, the same signature, but another of its PK\5\6 taken out: other bytes, so not valid.
    place = whole.index(b"PK\5\6")
    twin = f"{FMT1}\n256\n{place}\n".encode() + whole[:place] + whole[place + 4 :] + data[-256:]
    assert not valid(twin, key)


def test_a_1024_bit_key_is_still_weak() -> None:
    with pytest.raises(KeyProblem):
        load_public_key(generate_key(1024).public_pem, name="old")
