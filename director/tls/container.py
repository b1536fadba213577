"""The envelope of a .tls file: FMT1, byte-compatible with Thespian's own director (SourceEncoding).

    ThespianDirectorFMT1-sha256 LF
    length of the signature, decimal LF
    offset of the ZIP's end record, decimal LF
    the ZIP without the four bytes PK\\5\\6 of its end record, so that nothing reads it before it is validated
    the RSA PKCS#1 v1.5 SHA-256 signature of the whole ZIP

What does not live here: deciding (`director.tls.verify`) and the ZIP itself (`director.tls.archive`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from director.errors import NotValidated
from director.tls.keys import SigningKey

FMT1 = "ThespianDirectorFMT1-sha256"
_END_RECORD = b"PK\5\6"
_NUMBER = re.compile(rb"0|[1-9][0-9]{0,11}")
_REMEDY = "Get the file again from where it was built, or build it again."


@dataclass(frozen=True)
class Envelope:
    """What an envelope holds: its format, the signature, and the whole ZIP that was signed."""

    format: str
    signature: bytes
    archive: bytes


def seal(archive: bytes, key: SigningKey) -> bytes:
    """Sign a ZIP that `director.tls.archive.write_archive` made and put it into its envelope."""
    place = archive.rindex(_END_RECORD)
    signature = key.sign(archive)
    header = f"{FMT1}\n{len(signature)}\n{place}\n".encode("ascii")
    return b"".join((header, archive[:place], archive[place + 4 :], signature))


def open_envelope(data: bytes) -> Envelope:
    """Take an envelope apart; nothing in it is trusted yet.

    Raises:
        NotValidated: codes envelope-empty, envelope-format, envelope-header, envelope-length.
    """
    if not data:
        raise NotValidated("The file is empty.", hint=_REMEDY, code="envelope-empty")
    name, newline, _ = data[:64].partition(b"\n")
    if not newline or name != FMT1.encode():
        told = "an untouched ZIP" if data[:4] == b"PK\3\4" else "not a .tls file of a known format"
        raise NotValidated(f"It is {told}.", hint=_REMEDY, code="envelope-format")
    lines = data[: len(name) + 32].split(b"\n", 3)
    if len(lines) < 4 or not all(_NUMBER.fullmatch(line) for line in lines[1:3]):
        raise NotValidated("Its header is damaged.", hint=_REMEDY, code="envelope-header")
    length, place = int(lines[1]), int(lines[2])
    start = sum(len(line) + 1 for line in lines[:3])
    body_end = len(data) - length
    if length == 0 or start + place > body_end:
        raise NotValidated(
            "Its header does not fit its length: it is truncated or was changed.",
            hint=_REMEDY,
            code="envelope-length",
        )
    view = memoryview(data)
    archive = b"".join((view[start : start + place], _END_RECORD, view[start + place : body_end]))
    return Envelope(FMT1, data[body_end:], archive)
