"""Every way to trick the Source Authority that we know of, as one table: what it is, how it is made, what must be said.

All bad inputs are built here with ``struct`` and ``cryptography``; none is a stored blob. The table is gone through
at three depths: `tests/tls/test_trust_table.py` (verify, tlsinfo) and `tests/system/test_trust.py` (load beside a
running version).
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from director.tls.archive import Member, write_archive
from director.tls.container import FMT1, seal
from director.tls.keys import SigningKey, generate_ed25519, generate_key, generate_p256
from director.tls.manifest import MANIFEST_NAME, TLI_NAME, Manifest, describe

TLI = b"{'Actors': {'app.echo.Echo': {'OnLoad': {'Role': 'Echo'}}}}"
ECHO = b"""
import os
from thespian.actors import ActorTypeDispatcher

class Echo(ActorTypeDispatcher):
    def receiveMsg_dict(self, message, sender):
        if message.get("die"):
            os._exit(1)
        self.send(sender, {"version": "VERSION"})
"""
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


@dataclass(frozen=True)
class Workshop:
    """What the bad files are made with: the key that the host trusts, and its directory."""

    key: SigningKey
    directory: Path

    def members(self, version: str = "2.0") -> list[Member]:
        """The members of a good file, without its manifest."""
        return [
            Member(TLI_NAME, TLI),
            Member("app/__init__.py", b""),
            Member("app/echo.py", ECHO.replace(b"VERSION", version.encode())),
        ]

    def manifest(self, key: SigningKey | None = None, **changes: Any) -> Manifest:
        """The manifest of a good file of version 2.0, with changes."""
        signer = key or self.key
        made = Manifest(
            group="app",
            version="2.0",
            created=None,
            requires_python=">=3.11",
            tags=("py3-none-any",),
            key_fingerprint=signer.public.fingerprint,
            key_algorithm=signer.public.algorithm,
            members=describe(self.members()),
            bundled=(),
            external=("thespian",),
            actors=("app.echo.Echo",),
        )
        return replace(made, **changes)

    def archive(self, key: SigningKey | None = None, **changes: Any) -> bytes:
        """The ZIP of a good file, with changes of its manifest."""
        manifest = self.manifest(key, **changes).to_bytes()
        version = str(changes.get("version") or "2.0")
        members = self.members(version)
        if version != "2.0":
            manifest = self.manifest(key, members=describe(members), **changes).to_bytes()
        return write_archive([Member(MANIFEST_NAME, manifest), *members])

    def good(self, key: SigningKey | None = None, **changes: Any) -> bytes:
        """A good file, with changes of its manifest."""
        return seal(self.archive(key, **changes), key or self.key)

    def told(self, text: bytes) -> bytes:
        """A file with this text as its manifest."""
        return seal(write_archive([Member(MANIFEST_NAME, text), *self.members()]), self.key)

    def settings(self, **files: str) -> None:
        """Write .cfg files."""
        for name, text in files.items():
            (self.directory / f"{name}.cfg").write_text(text)

    def trusted(self, pem: bytes, name: str = "other") -> None:
        """Place a further key file."""
        (self.directory / f"{name}_tls.key").write_bytes(pem)

    def untrust(self) -> None:
        """Take all keys away."""
        for path in self.directory.glob("*_tls.key"):
            path.unlink()


@dataclass(frozen=True)
class Case:
    """One way to trick: ``make`` builds the file (and prepares the host), ``code`` is the verdict that must come."""

    name: str
    code: str
    make: Callable[[Workshop], bytes]
    file: str = "app-2.0.tls"
    #: The exit status of `tlsinfo` and `load`.
    status: int = field(default=7)


# ---- the envelope ------------------------------------------------------------------------------------


def header(number: int, text: bytes) -> Callable[[Workshop], bytes]:
    """A good file with another header line."""

    def make(shop: Workshop) -> bytes:
        lines = shop.good().split(b"\n", 3)
        lines[number] = text
        return b"\n".join(lines)

    return make


def offset(change: int) -> Callable[[Workshop], bytes]:
    """A good file whose offset is off by so much."""

    def make(shop: Workshop) -> bytes:
        lines = shop.good().split(b"\n", 3)
        lines[2] = str(int(lines[2]) + change).encode()
        return b"\n".join(lines)

    return make


def crlf(shop: Workshop) -> bytes:
    lines = shop.good().split(b"\n", 3)
    return b"\r\n".join(lines[:3]) + b"\r\n" + lines[3]


def big(shop: Workshop) -> bytes:
    body = [Member("app/big.bin", os.urandom(11 << 20)), *shop.members()]
    data = bytearray(seal(write_archive(body), shop.key))
    data[len(data) // 2] ^= 1
    return bytes(data)


def with_comment(shop: Workshop) -> bytes:
    archive = shop.archive()
    place = len(archive) - 22
    return sealed(archive[:-2] + struct.pack("<H", 4) + b"PK\5\6", shop.key, place)


def sealed(archive: bytes, key: SigningKey, place: int | None = None) -> bytes:
    """An FMT1 envelope around anything, properly signed; ``place`` is where its end record is said to be."""
    at = len(archive) - 22 if place is None else place
    signature = key.sign(archive)
    head = f"{FMT1}\n{len(signature)}\n{at}\n".encode()
    return head + archive[:at] + archive[at + 4 :] + signature


ENVELOPE = [
    Case("empty", "envelope-empty", lambda s: b""),
    Case("one byte", "envelope-format", lambda s: b"T"),
    Case("text", "envelope-format", lambda s: b"Hello, I am a source.\n" * 20),
    Case("header only", "envelope-length", lambda s: FMT1.encode() + b"\n256\n100\n"),
    Case("half a header", "envelope-header", lambda s: FMT1.encode() + b"\n256"),
    Case("non-ASCII header", "envelope-format", header(0, "ThespianDirectörFMT1-sha256".encode())),
    Case("unknown format", "envelope-format", header(0, b"ThespianDirectorFMT3-sha256")),
    Case("older format", "envelope-format", header(0, b"ViceroyFMT2-sha256")),
    Case("unknown hash", "envelope-format", header(0, b"ThespianDirectorFMT1-sha1")),
    Case("FMT2 without a key type", "envelope-format", header(0, b"ThespianDirectorFMT2-sha256")),
    Case("signature length 0", "envelope-length", header(1, b"0")),
    Case("signature length negative", "envelope-header", header(1, b"-256")),
    Case("signature length huge", "envelope-length", header(1, b"99999999999")),
    Case("signature length beyond all", "envelope-header", header(1, b"9" * 30)),
    Case("signature length +256", "envelope-header", header(1, b"+256")),
    Case("signature length led by a space", "envelope-header", header(1, b" 256")),
    Case("signature length led by a zero", "envelope-header", header(1, b"0256")),
    Case("signature length with _", "envelope-header", header(1, b"2_56")),
    Case("Unicode digits", "envelope-header", header(1, "２５６".encode())),
    Case("signature one shorter", "envelope-length", header(1, b"255")),
    Case("offset past the end", "envelope-length", header(2, b"99999999")),
    Case("offset negative", "envelope-header", header(2, b"-1")),
    Case("offset led by a space", "envelope-header", header(2, b" 512")),
    Case("offset in Unicode digits", "envelope-header", header(2, "５１２".encode())),
    Case("offset one more", "envelope-length", offset(1)),
    Case("offset one less", "envelope-length", offset(-1)),
    Case("CRLF header", "envelope-format", crlf),
    Case("an untouched ZIP", "envelope-format", lambda s: s.archive()),
    Case("11 MB with one changed bit", "signature", big),
    Case("PK 5 6 in the comment", "envelope-length", with_comment),
]


# ---- the signature -----------------------------------------------------------------------------------

_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")
_NO_NULL = bytes.fromhex("302f300b0609608648016503040201")  # + 0420 …
_BER = bytes.fromhex("30813130810d060960864801650304020105000420")
_SHA1 = bytes.fromhex("3021300906052b0e03021a05000414")


def private(key: SigningKey) -> rsa.RSAPrivateNumbers:
    """The numbers of an RSA key of the tests."""
    assert isinstance(key._key, rsa.RSAPrivateKey)
    return key._key.private_numbers()


def raw_signature(key: SigningKey, info: bytes, *, pad: int | None = None) -> bytes:
    """An RSA signature of any DigestInfo, with padding of the right length or of ``pad`` bytes and rubbish behind."""
    numbers = private(key)
    size = (numbers.public_numbers.n.bit_length() + 7) // 8
    length = size - 3 - len(info) if pad is None else pad
    block = b"\0\1" + b"\xff" * length + b"\0" + info
    number = int.from_bytes(block.ljust(size, b"\x55"), "big")
    return pow(number, numbers.d, numbers.public_numbers.n).to_bytes(size, "big")


def resigned(make: Callable[[SigningKey, bytes], bytes]) -> Callable[[Workshop], bytes]:
    """A good file whose signature is made from the key and the ZIP by something else."""

    def build(shop: Workshop) -> bytes:
        data, archive = shop.good(), shop.archive()
        signature = make(shop.key, archive)
        lines = data[: -len(shop.key.sign(b""))].split(b"\n", 3)
        lines[1] = str(len(signature)).encode()
        return b"\n".join(lines) + signature

    return build


def digest(archive: bytes) -> bytes:
    return hashlib.sha256(archive).digest()


def flipped(place: float) -> Callable[[Workshop], bytes]:
    """A good file with one bit changed, at this fraction of its length."""

    def make(shop: Workshop) -> bytes:
        data = bytearray(shop.good())
        data[int(place * (len(data) - 1))] ^= 4
        return bytes(data)

    return make


def beyond_modulus(key: SigningKey, archive: bytes) -> bytes:
    """Signature + N, which is the same number modulo N, where it still fits."""
    numbers = private(key)
    n = numbers.public_numbers.n
    number = int.from_bytes(key.sign(archive), "big") + n
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def cube_root_forgery(shop: Workshop) -> bytes:
    """A signature made without the private key of an e = 3 key: a cube whose head is right (CVE-2006-4339)."""
    key = exponent_3()
    archive = shop.archive()
    n = private(key).public_numbers.n
    size = (n.bit_length() + 7) // 8
    block = b"\0\1\xff\xff\xff\xff\xff\xff\xff\xff\0" + _PREFIX + digest(archive)
    number = int.from_bytes(block.ljust(size, b"\0"), "big")
    root = 1 << ((number.bit_length() + 2) // 3 + 1)
    while root**3 > number:  # Newton, from above
        root = (2 * root + number // root**2) // 3
    forged = (root + 1).to_bytes(size, "big")
    cube = ((root + 1) ** 3).to_bytes(size, "big")
    assert cube.startswith(block[:40]), "the forgery itself has to be one"
    shop.untrust()
    shop.trusted(key.public_pem)
    head = f"{FMT1}\n{size}\n{len(archive) - 22}\n".encode()
    return head + archive[:-22] + archive[-18:] + forged


@cache
def exponent_3() -> SigningKey:
    """An RSA key with the exponent 3."""
    return SigningKey(rsa.generate_private_key(3, 2048), "e3")


@cache
def stranger() -> SigningKey:
    """A key that no host trusts."""
    return generate_key(2048)


def second_s(shop: Workshop) -> bytes:
    key = generate_p256()
    shop.trusted(key.public_pem)
    data = shop.good(key)
    s = P256_ORDER - int.from_bytes(data[-32:], "big")
    return data[:-32] + s.to_bytes(32, "big")


def all_zero(shop: Workshop) -> bytes:
    """r = s = 0, which a careless implementation takes for any payload's (CVE-2022-21449)."""
    key = generate_p256()
    shop.trusted(key.public_pem)
    return shop.good(key)[:-64] + bytes(64)


def der_signature(shop: Workshop) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    key = generate_p256()
    shop.trusted(key.public_pem)
    data = shop.good(key)
    r, s = (int.from_bytes(part, "big") for part in (data[-64:-32], data[-32:]))
    der = encode_dss_signature(r, s)
    return data[:-64].replace(b"\n64\n", f"\n{len(der)}\n".encode(), 1) + der


def big_s(shop: Workshop) -> bytes:
    key = generate_ed25519()
    shop.trusted(key.public_pem)
    data = shop.good(key)
    s = ED25519_ORDER + int.from_bytes(data[-32:], "little")
    return data[:-32] + s.to_bytes(32, "little")


def header_of_another(shop: Workshop) -> bytes:
    key = generate_ed25519()
    shop.trusted(key.public_pem)
    return shop.good(key).replace(b"FMT2-ed25519", b"FMT2-ecdsa-p256-sha256", 1)


def as_fmt1(shop: Workshop) -> bytes:
    """An Ed25519 signature of the bare ZIP under FMT1's header."""
    key = generate_ed25519()
    shop.trusted(key.public_pem)
    return sealed(shop.archive(key), key)


SIGNATURE = [
    *(
        Case(f"one bit changed at {place:.2f} of the file", "signature", flipped(place))
        for place in (0.08, 0.25, 0.5, 0.75, 0.95, 1.0)
    ),
    Case("truncated by one", "envelope-length", lambda s: s.good()[:-1]),
    Case("extended by one", "envelope-length", lambda s: s.good() + b"\0"),
    Case("no signature", "signature", resigned(lambda k, a: b"\0" * 256)),
    Case("another key", "signature", lambda s: s.good(stranger())),
    Case(
        "another key that calls itself ours", "signature", lambda s: seal(s.archive(), stranger())
    ),
    Case("another payload's", "signature", resigned(lambda k, a: k.sign(a + b"x"))),
    Case(
        "without NULL",
        "signature",
        resigned(lambda k, a: raw_signature(k, _NO_NULL + b"\4\x20" + digest(a))),
    ),
    Case("BER lengths", "signature", resigned(lambda k, a: raw_signature(k, _BER + digest(a)))),
    Case(
        "SHA-1",
        "signature",
        resigned(lambda k, a: raw_signature(k, _SHA1 + hashlib.sha1(a).digest())),  # noqa: S324
    ),
    Case("a bare hash", "signature", resigned(lambda k, a: raw_signature(k, digest(a)))),
    Case(
        "short padding, rubbish behind",
        "signature",
        resigned(lambda k, a: raw_signature(k, _PREFIX + digest(a), pad=8)),
    ),
    Case("PSS", "signature", resigned(lambda k, a: _pss(k, a))),
    Case("not less than N", "signature", resigned(beyond_modulus)),
    Case("forged for e = 3", "no-keys", cube_root_forgery),
    Case("ECDSA, the second S", "signature", second_s),
    Case("ECDSA, r = s = 0", "signature", all_zero),
    Case("ECDSA in DER", "envelope-length", der_signature),
    Case("Ed25519, S beyond the order", "signature", big_s),
    Case("FMT2 that names another algorithm", "signature", header_of_another),
    Case("Ed25519 under FMT1's header", "signature", as_fmt1),
]


def _pss(key: SigningKey, archive: bytes) -> bytes:
    assert isinstance(key._key, rsa.RSAPrivateKey)
    return key._key.sign(archive, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())


# ---- the keys ----------------------------------------------------------------------------------------


@cache
def small_key(bits: int) -> SigningKey:
    """An RSA key that the library would not generate any more."""
    while True:
        p, q = _prime(bits // 2), _prime(bits // 2)
        n, phi = p * q, (p - 1) * (q - 1)
        if p != q and n.bit_length() == bits and phi % 65537:
            break
    d = pow(65537, -1, phi)
    public = rsa.RSAPublicNumbers(65537, n)
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), public
    )
    return SigningKey(numbers.private_key(), "small")


def _prime(bits: int) -> int:
    while True:
        number = int.from_bytes(os.urandom(bits // 8), "big") | 1 | 3 << (bits - 2)
        if all(pow(base, number - 1, number) == 1 for base in (2, 3, 5, 7, 11)):
            return number


def only(key: Callable[[], SigningKey]) -> Callable[[Workshop], bytes]:
    """The host has only this key, and it signed."""

    def make(shop: Workshop) -> bytes:
        shop.untrust()
        shop.trusted(key().public_pem)
        return shop.good(key())

    return make


def keys_are(*pems: bytes | None) -> Callable[[Workshop], bytes]:
    """The host has only these key files; None stands for a directory, b"FIFO" for a FIFO."""

    def make(shop: Workshop) -> bytes:
        shop.untrust()
        for number, pem in enumerate(pems):
            path = shop.directory / f"odd{number}_tls.key"
            if pem is None:
                path.mkdir()
            elif pem == b"FIFO":
                os.mkfifo(path)
            elif pem == b"LINK":
                path.symlink_to("/nowhere/at/all")
            elif pem == b"EIO":
                path.symlink_to("/proc/self/mem")  # a regular file that even root cannot read at 0
            else:
                path.write_bytes(pem)
        return shop.good()

    return make


def private_on_host(shop: Workshop) -> bytes:
    shop.untrust()
    shop.trusted(shop.key.private_pem(None), "private")
    return shop.good()


def revoked(what: str) -> Callable[[Workshop], bytes]:
    def make(shop: Workshop) -> bytes:
        data = shop.good()
        fingerprint = shop.key.public.fingerprint
        shop.settings(revoked=fingerprint if what == "key" else hashlib.sha256(data).hexdigest())
        return data

    return make


def other_group(shop: Workshop) -> bytes:
    shop.settings(keygroups=repr({shop.key.public.fingerprint: ["payroll"]}))
    return shop.good()


def broken_settings(**files: str) -> Callable[[Workshop], bytes]:
    def make(shop: Workshop) -> bytes:
        shop.settings(**files)
        return shop.good()

    return make


def small_order(shop: Workshop) -> bytes:
    """Under the neutral point as key, R = S·B is a signature of everything: S = 0, R = the neutral point."""
    import base64

    neutral = (1).to_bytes(32, "little")
    der = bytes.fromhex("302a300506032b6570032100") + neutral
    body = base64.b64encode(der).decode()
    shop.untrust()
    shop.trusted(f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n".encode())
    data = shop.good(generate_ed25519())
    return data[:-64] + neutral + b"\0" * 32


KEYS = [
    Case("no key", "no-keys", keys_are()),
    Case("an empty key file", "no-keys", keys_are(b"")),
    Case(
        "garbage for a key", "no-keys", keys_are(b"\0\xff garbage", b"-----BEGIN PUBLIC KEY-----\n")
    ),
    Case("a directory, a FIFO and a dead link", "no-keys", keys_are(None, b"FIFO", b"LINK")),
    Case("a key file that cannot be read", "no-keys", keys_are(b"EIO")),
    Case("only the private key", "no-keys", private_on_host),
    Case("RSA of 512 bits", "no-keys", only(lambda: small_key(512))),
    Case("RSA of 1024 bits", "no-keys", only(lambda: small_key(1024))),
    Case("RSA with e = 3", "no-keys", only(exponent_3)),
    Case("Ed25519 of small order", "no-keys", small_order),
    Case("a revoked key", "revoked-key", revoked("key")),
    Case("a revoked file", "revoked-file", revoked("file")),
    Case("the right key for another group", "key-group", other_group),
    Case(
        "a revoked.cfg that does not read",
        "settings",
        broken_settings(revoked="sha256:12"),
        status=8,
    ),
    Case(
        "a keygroups.cfg that does not read", "settings", broken_settings(keygroups="{"), status=8
    ),
]


# ---- the binding -------------------------------------------------------------------------------------


def json_with(text: str) -> Callable[[Workshop], bytes]:
    """A manifest whose first key is this text."""

    def make(shop: Workshop) -> bytes:
        told = shop.manifest().to_bytes().decode()
        return shop.told(told.replace("{", "{" + text, 1).encode())

    return make


def members_are(change: Callable[[list[Member]], Sequence[Member]]) -> Callable[[Workshop], bytes]:
    """Other members than the manifest names."""

    def make(shop: Workshop) -> bytes:
        told = Member(MANIFEST_NAME, shop.manifest().to_bytes())
        return seal(write_archive([told, *change(shop.members())]), shop.key)

    return make


def unmanifested(shop: Workshop) -> bytes:
    shop.settings(requiremanifest="True")
    return seal(write_archive(shop.members()[1:]), shop.key)


def swapped(shop: Workshop) -> bytes:
    told = json.loads(shop.manifest().to_bytes())
    told["members"][1], told["members"][2] = told["members"][2], told["members"][1]
    return shop.told(json.dumps(told).encode())


BINDING = [
    Case("renamed version", "renamed", lambda s: s.good(), "app-3.0.tls"),
    Case("renamed group", "renamed", lambda s: s.good(), "pay-2.0.tls"),
    Case("a name without version", "renamed", lambda s: s.good(), "app.tls"),
    Case(
        "older than the highest seen", "downgrade", lambda s: s.good(version="0.9"), "app-0.9.tls"
    ),
    Case(
        "a pre-release of what was seen",
        "downgrade",
        lambda s: s.good(version="1.0rc1"),
        "app-1.0rc1.tls",
    ),
    Case(
        "equal version, other bytes",
        "version-taken",
        lambda s: s.good(version="1.0", actors=()),
        "app-1.0.tls",
    ),
    Case(
        "equal version, written otherwise",
        "version-taken",
        lambda s: s.good(version="1.0.0"),
        "app-1.0.0.tls",
    ),
    Case(
        "a version that is no time and no release",
        "version",
        lambda s: s.good(version="202613241159"),
        "app-202613241159.tls",
    ),
    Case("expired", "expired", lambda s: s.good(expires="2020-01-01T00:00:00Z")),
    Case("expires at no time", "manifest", lambda s: s.good(expires="never")),
    Case("from the future", "from-future", lambda s: s.good(created="2999-01-01T00:00:00Z")),
    Case("another Python", "requires-python", lambda s: s.good(requires_python=">=4")),
    Case("a Python that does not read", "manifest", lambda s: s.good(requires_python="new")),
    Case("tags of another platform", "tags", lambda s: s.good(tags=("cp27-cp27m-win32",))),
    Case("what this host lacks", "external", lambda s: s.good(external=("no-such-thing>=1",))),
    Case(
        "another key in the manifest", "manifest-key", lambda s: s.good(key_fingerprint="sha256:00")
    ),
    Case(
        "another algorithm in the manifest",
        "manifest-key",
        lambda s: s.good(key_algorithm="ed25519"),
    ),
    Case(
        "the signed TLI changed",
        "manifest-members",
        members_are(lambda m: [Member(TLI_NAME, b"{}"), *m[1:]]),
    ),
    Case(
        "a member of other bytes",
        "manifest-members",
        members_are(lambda m: [*m[:2], Member(m[2].name, m[2].data.replace(b"2.0", b"6.6"))]),
    ),
    Case(
        "a member not in the manifest",
        "manifest-members",
        members_are(lambda m: [*m, Member("app/evil.py", b"")]),
    ),
    Case("a member that is not there", "manifest-members", members_are(lambda m: m[:2])),
    Case("members in another order", "manifest-members", swapped),
    Case("a key twice in the manifest", "manifest", json_with('"group": "app",')),
    Case("NaN in the manifest", "manifest", json_with('"size": NaN,')),
    Case("deep nesting in the manifest", "manifest", lambda s: s.told(b"[" * 200_000)),
    Case("an unknown key in the manifest", "manifest", json_with('"trusted": true,')),
    Case("an empty manifest", "manifest", lambda s: s.told(b"")),
    Case(
        "a TLI without a manifest",
        "manifest-missing",
        lambda s: seal(write_archive(s.members()), s.key),
    ),
    Case("no manifest where one is required", "unmanifested", unmanifested),
]


# ---- the ZIP -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Raw:
    """A member as it is to stand in a ZIP, with what is to be wrong about it."""

    name: bytes
    data: bytes = b"x = 1\n"
    flags: int = 0x800
    method: int = 0
    mode: int = 0o100644
    extra: bytes = b""
    stored: bytes | None = None
    size: int | None = None
    central: dict[str, Any] = field(default_factory=dict)
    at: int | None = None
    listed: bool = True


def zip_of(*members: Raw, between: bytes = b"", end: dict[str, int] | None = None) -> bytes:
    """A ZIP built byte by byte."""
    body, directory = bytearray(), bytearray()
    for member in members:
        place = len(body) if member.at is None else member.at
        stored = member.data if member.stored is None else member.stored
        size = len(member.data) if member.size is None else member.size
        crc = zlib.crc32(member.data)
        if member.at is None:
            body += struct.pack(
                "<4s5H3I2H", b"PK\3\4", 20, member.flags, member.method, 0, 33,
                crc, len(stored), size, len(member.name), len(member.extra),
            )  # fmt: skip
            body += member.name + member.extra + stored
        if not member.listed:
            continue
        told: dict[str, Any] = {"name": member.name, "flags": member.flags}
        told |= {"crc": crc, "size": size} | member.central
        directory += struct.pack(
            "<4s6H3I5H2I", b"PK\1\2", 0x314, 20, told["flags"], member.method, 0, 33,
            told["crc"], len(stored), told["size"], len(told["name"]), 0, 0, 0, 0,
            member.mode << 16, place,
        )  # fmt: skip
        directory += told["name"]
    told_end = {"count": len(members), "size": len(directory), "at": len(body) + len(between)}
    told_end |= end or {}
    count = told_end["count"]
    last = struct.pack(
        "<4s4H2IH", b"PK\5\6", 0, 0, count, count, told_end["size"], told_end["at"], 0
    )
    return bytes(body + between + directory + last)


A = Raw(b"app/a.py")


def zipped(*members: Raw, **changes: Any) -> Callable[[Workshop], bytes]:
    return lambda shop: sealed(zip_of(*members, **changes), shop.key)


def named(name: bytes) -> Callable[[Workshop], bytes]:
    return zipped(A, Raw(name))


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def many(shop: Workshop) -> bytes:
    return sealed(zip_of(*(Raw(b"app/m%d.py" % n, b"") for n in range(60_001))), shop.key)


def ratio(shop: Workshop) -> bytes:
    zeros = bytes(70 << 20)
    return sealed(zip_of(Raw(b"app/z.bin", zeros, method=8, stored=deflated(zeros))), shop.key)


def two_ends(shop: Workshop) -> bytes:
    archive = zip_of(A)
    return sealed(archive + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0, 0, 0, 0, 0), shop.key)


def zip64_end(shop: Workshop) -> bytes:
    """ZIP64's end record and its locator before the usual one; readers differ in which of them they believe."""
    archive = zip_of(A)
    size, at = struct.unpack_from("<II", archive, len(archive) - 10)
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, size, at)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, at + size, 1)
    return sealed(archive[:-22] + record + locator + archive[-22:], shop.key)


def nested(shop: Workshop) -> bytes:
    """A second, whole ZIP in front of the one that the end record tells of."""
    inner, outer = zip_of(Raw(b"app/evil.py")), zip_of(A)
    at = struct.unpack_from("<I", outer, len(outer) - 6)[0] + len(inner)
    return sealed(inner + outer[:-6] + struct.pack("<IH", at, 0), shop.key)


ZIP = [
    Case("duplicate names", "zip-duplicate", zipped(A, A), status=6),
    Case("names equal after case folding", "zip-duplicate", zipped(A, Raw(b"APP/A.py")), status=6),
    Case(
        "names equal after NFC",
        "zip-duplicate",
        zipped(Raw("é.py".encode()), Raw("e\u0301.py".encode())),
        status=6,
    ),
    Case("../", "zip-name", named(b"../evil.py"), status=6),
    Case("app/../../", "zip-name", named(b"app/../../evil.py"), status=6),
    Case("absolute", "zip-name", named(b"/etc/evil.py"), status=6),
    Case("a drive", "zip-name", named(b"C:evil.py"), status=6),
    Case("a backslash", "zip-name", named(b"..\\evil.py"), status=6),
    Case("NUL", "zip-name", named(b"app/a.py\0.txt"), status=6),
    Case("a control character", "zip-name", named(b"app/\x1b[2J.py"), status=6),
    Case("a C1 control character", "zip-name", named("app/\x9b2J.py".encode()), status=6),
    Case("a separator of lines", "zip-name", named("app/a\u2028b.py".encode()), status=6),
    Case("an override of direction", "zip-name", named("app/\u202egnp.py".encode()), status=6),
    Case("a part that no disk takes", "zip-name", named(b"app/" + b"x" * 256), status=6),
    Case("an empty name", "zip-name", named(b""), status=6),
    Case("not UTF-8", "zip-name", named(b"app/\xff.py"), status=6),
    Case(
        "a file and a directory of one name",
        "zip-duplicate",
        zipped(Raw(b"app"), Raw(b"app/", b"", mode=0o40755)),
        status=6,
    ),
    Case("a file where a directory must be", "zip-name", zipped(Raw(b"app"), A), status=6),
    Case(
        "a symlink", "zip-mode", zipped(A, Raw(b"app/l", b"/etc/passwd", mode=0o120777)), status=6
    ),
    Case("a FIFO", "zip-mode", zipped(A, Raw(b"app/f", b"", mode=0o10600)), status=6),
    Case("a socket", "zip-mode", zipped(A, Raw(b"app/s", b"", mode=0o140600)), status=6),
    Case("a device", "zip-mode", zipped(A, Raw(b"app/d", b"", mode=0o60600)), status=6),
    Case(
        "another name in the directory",
        "zip-directory",
        zipped(Raw(b"app/a.py", central={"name": b"app/b.py"})),
        status=6,
    ),
    Case(
        "another CRC in the directory",
        "zip-directory",
        zipped(Raw(b"app/a.py", central={"crc": 1})),
        status=6,
    ),
    Case(
        "another size in the directory",
        "zip-directory",
        zipped(Raw(b"app/a.py", central={"size": 1})),
        status=6,
    ),
    Case(
        "other flags in the directory",
        "zip-directory",
        zipped(Raw(b"app/a.py", central={"flags": 0})),
        status=6,
    ),
    Case(
        "not in the directory", "zip-directory", zipped(A, Raw(b"app/b.py", listed=False)), status=6
    ),
    Case("not in the count", "zip-end", zipped(A, Raw(b"app/b.py"), end={"count": 1}), status=6),
    Case("data between members and directory", "zip-directory", zipped(A, between=b"x"), status=6),
    Case("data before", "zip-end", lambda s: sealed(b"#!/bin/sh\n" + zip_of(A), s.key), status=6),
    Case("a ZIP before the ZIP", "zip-suffix", nested, status=6),
    Case(
        "data behind",
        "envelope-length",
        lambda s: sealed(zip_of(A) + b"x", s.key, len(zip_of(A)) - 22),
    ),
    Case("two end records", "zip-suffix", two_ends, status=6),
    Case("a wrong count", "zip-end", zipped(A, end={"count": 7}), status=6),
    Case("ZIP64's count", "zip-end", zipped(A, end={"count": 0xFFFF}), status=6),
    Case(
        "ZIP64's extra field",
        "zip-feature",
        zipped(Raw(b"app/a.py", extra=struct.pack("<HHQQ", 1, 16, 6, 6))),
        status=6,
    ),
    Case("ZIP64's end record", "zip-end", zip64_end, status=6),
    Case(
        "another name in the extra field",
        "zip-feature",
        zipped(Raw(b"app/a.py", extra=struct.pack("<HHBI", 0x7075, 13, 1, 0) + b"evil.py" + b"x")),
        status=6,
    ),
    Case("a data descriptor", "zip-feature", zipped(Raw(b"app/a.py", flags=0x808)), status=6),
    Case("encrypted", "zip-feature", zipped(Raw(b"app/a.py", flags=0x801)), status=6),
    Case("bzip2", "zip-feature", zipped(Raw(b"app/a.py", method=12)), status=6),
    Case("two sizes of a stored member", "zip-size", zipped(Raw(b"app/a.py", size=99)), status=6),
    Case("an overlap", "zip-end", zipped(A, Raw(b"app/b.py", at=0)), status=6),
    Case("a bomb by ratio", "zip-bomb", ratio, status=6),
    Case("a bomb by count", "zip-count", many, status=6),
    Case(
        "a bomb that lies about its size",
        "zip-deflate",
        zipped(Raw(b"app/a.py", method=8, stored=deflated(bytes(1 << 20)), size=9)),
        status=6,
    ),
    Case(
        "what does not inflate",
        "zip-deflate",
        zipped(Raw(b"app/a.py", method=8, stored=b"\xff\xff\xff")),
        status=6,
    ),
    Case(
        "rubbish behind a deflated member",
        "zip-deflate",
        zipped(Raw(b"app/a.py", method=8, stored=deflated(b"x = 1\n") + b"xx")),
        status=6,
    ),
    Case("a wrong CRC", "zip-crc", zipped(Raw(b"app/a.py", stored=b"y = 2\n")), status=6),
    Case("no ZIP", "zip-end", lambda s: sealed(b"PK\5\6" + b"x" * 18, s.key), status=6),
    Case("a .pth file", "reserved-name", zipped(A, Raw(b"evil.pth", b"import os\n"))),
    Case("usercustomize", "reserved-name", zipped(A, Raw(b"usercustomize/__init__.py"))),
    Case("sitecustomize", "reserved-name", zipped(A, Raw(b"sitecustomize.py"))),
    Case("its own thespian", "reserved-name", zipped(A, Raw(b"thespian/__init__.py"))),
    Case("its own director", "reserved-name", zipped(A, Raw(b"director.py"))),
    Case("the cache's mark", "reserved-name", zipped(A, Raw(b".unloaded"))),
    Case("below the cache's mark", "reserved-name", zipped(A, Raw(b".Complete/x"))),
    Case("a module of the standard library", "reserved-name", zipped(A, Raw(b"json/__init__.py"))),
]

CASES = [*ENVELOPE, *SIGNATURE, *KEYS, *BINDING, *ZIP]
assert len({case.name for case in CASES}) == len(CASES)
