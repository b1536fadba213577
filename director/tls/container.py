"""The envelope of a .tls file; ``docs/format.md`` tells it byte for byte, with test vectors.

    ThespianDirectorFMT1-sha256 LF        or   ThespianDirectorFMT2-ALGORITHM LF
    length of the signature, decimal LF
    offset of the ZIP's end record, decimal LF
    the ZIP without the four bytes PK\\5\\6 of its end record, so that nothing reads it before it is validated
    the signature

FMT1 is that of Thespian's own director (SourceEncoding): RSA PKCS#1 v1.5 with SHA-256 over the whole ZIP. FMT2 serves
the other algorithms and signs the three header lines followed by the SHA-256 of the whole ZIP. An envelope has one form
only: no other bytes hold the same ZIP with the same signature.

What does not live here: deciding (`director.tls.verify`) and the ZIP itself (`director.tls.archive`).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from director.errors import NotValidated
from director.tls.keys import ED25519, P256, PAIR_LENGTH, RSA, PublicKey, SigningKey
from director.tls.limits import RSA_LARGEST

FMT1 = "ThespianDirectorFMT1-sha256"
FMT2 = "ThespianDirectorFMT2"
#: First line of a file → the algorithm of the key that signs it.
_ALGORITHMS = {FMT1: RSA} | {f"{FMT2}-{name}": name for name in (ED25519, P256)}
_END_RECORD = b"PK\5\6"
#: Bytes of an end record without a comment, the only one that is accepted.
_END_LENGTH = 22
_NUMBER = re.compile(rb"0|[1-9][0-9]{0,11}")
_REMEDY = "Get the file again from where it was built, or build it again."


@dataclass(frozen=True)
class Envelope:
    """What an envelope holds: its header lines, the signature, and the ZIP that was signed, in two parts.

    ``body`` is the ZIP up to its end record, a view of the file that was opened; ``digest`` the SHA-256 of the whole
    ZIP.
    """

    header: bytes
    algorithm: str
    signature: bytes
    body: memoryview
    end_record: bytes
    digest: bytes

    @property
    def archive(self) -> bytes:
        """A copy of the whole ZIP."""
        return bytes(self.body) + self.end_record

    def is_by(self, key: PublicKey) -> bool:
        """Whether this key signed it. The algorithm is the key's; a file that names another one is not by it."""
        if self.algorithm != key.algorithm:
            return False
        if self.algorithm == RSA:
            return key.verify_digest(self.signature, self.digest)
        return key.verify(self.signature, self.header + self.digest)


def seal(archive: bytes, key: SigningKey) -> bytes:
    """Sign a ZIP that `director.tls.archive.write_archive` made and put it into its envelope."""
    place = archive.rindex(_END_RECORD)
    if key.public.algorithm == RSA:
        signature = key.sign(archive)
        header = f"{FMT1}\n{len(signature)}\n{place}\n".encode("ascii")
    else:
        header = f"{FMT2}-{key.public.algorithm}\n{PAIR_LENGTH}\n{place}\n".encode("ascii")
        signature = key.sign(header + hashlib.sha256(archive).digest())
    return b"".join((header, archive[:place], archive[place + 4 :], signature))


def open_envelope(data: bytes) -> Envelope:
    """Take an envelope apart; nothing in it is trusted yet.

    Raises:
        NotValidated: codes envelope-empty, envelope-format, envelope-header, envelope-length.
    """
    if not data:
        raise NotValidated("The file is empty.", hint=_REMEDY, code="envelope-empty")
    name, newline, _ = data[:64].partition(b"\n")
    algorithm = _ALGORITHMS.get(name.decode("ascii", errors="replace"))
    if not newline or algorithm is None:
        told = "an untouched ZIP" if data[:4] == b"PK\3\4" else "not a .tls file of a known format"
        raise NotValidated(f"It is {told}.", hint=_REMEDY, code="envelope-format")
    lines = data[: len(name) + 32].split(b"\n", 3)
    if len(lines) < 4 or not all(_NUMBER.fullmatch(line) for line in lines[1:3]):
        raise NotValidated("Its header is damaged.", hint=_REMEDY, code="envelope-header")
    length, place = int(lines[1]), int(lines[2])
    start = sum(len(line) + 1 for line in lines[:3])
    body_end = len(data) - length
    longest = RSA_LARGEST // 8 if algorithm == RSA else PAIR_LENGTH
    # The end record is the last of the ZIP, and 22 bytes long: four of them are not there.
    if not 0 < length <= longest or start + place + _END_LENGTH - 4 != body_end:
        raise NotValidated(
            "Its header does not fit its length: it is truncated or was changed.",
            hint=_REMEDY,
            code="envelope-length",
        )
    body = memoryview(data)[start : start + place]
    end_record = _END_RECORD + data[start + place : body_end]
    digest = hashlib.sha256(body)
    digest.update(end_record)
    return Envelope(data[:start], algorithm, data[body_end:], body, end_record, digest.digest())
