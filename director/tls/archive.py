"""The ZIP inside a .tls: written deterministically, read strictly by a forward walk.

The standard library's reader takes what the end record points to and is lenient about the rest (duplicate names,
local headers that differ from the directory, data before, between and behind). Here every byte has to be accounted for,
in order (APPNOTE.TXT 6.3; PyPI's archive checks). Nothing here decides about trust.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from director.errors import DamagedArchive, DirectorError
from director.tls.limits import DEFAULT_LIMITS, Limits

#: 2020-02-02 00:00 UTC, the date that hatchling gives members of reproducible archives.
DEFAULT_EPOCH = 1580601600
_FIRST, _LAST = 315532800, 4354819198  # 1980-01-01 and 2107-12-31 23:59:58, what ZIP can say
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_UTF8 = 0x800
#: C0, DEL and C1, and the separators of lines and paragraphs: they reach terminals and logs.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
#: Bidi_Control (UAX #9, table 4): a name that holds one is shown as another name.
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
#: Bytes that file systems take for one part of a path (NAME_MAX).
_LONGEST_PART = 255
#: What Python makes of a file name's bytes that are no UTF-8 (PEP 383); ZIP has no place for it.
_SURROGATE = re.compile("[\ud800-\udfff]")
_NO_PARTS = frozenset({"", ".", ".."})


@dataclass(frozen=True)
class Member:
    """A file to be written: its name with ``/``, and its bytes."""

    name: str
    data: bytes


class Entry(NamedTuple):
    """A member of an archive that was read; ``offset`` is where its compressed bytes begin."""

    name: str
    size: int
    compressed_size: int
    crc: int
    method: int
    offset: int


def check_member_name(name: str) -> str | None:
    """What is wrong with a member's name, or None (zip-slip, Windows names, control characters, no UTF-8)."""
    if not name or len(name) > 512:
        return "is empty or longer than 512 characters"
    if _CONTROL.search(name):
        return "has a control character"
    if _BIDI.search(name):
        return "has a character that turns the direction of writing"
    if _SURROGATE.search(name):
        return "is not UTF-8"
    if "\\" in name or ":" in name or name.startswith("/"):
        return "is absolute, names a drive or has a backslash"
    if not _NO_PARTS.isdisjoint(name.split("/")):
        return "has an empty, `.` or `..` part"
    if 4 * len(name) > _LONGEST_PART and any(  # of at most 4 bytes a character
        len(part.encode()) > _LONGEST_PART for part in name.split("/")
    ):
        return f"has a part of more than {_LONGEST_PART} bytes, which no file system takes"
    return None


def write_archive(members: Sequence[Member], *, epoch: int | None = None) -> bytes:
    """A ZIP of these members in this order; the same input gives the same bytes.

    Args:
        members: names must be valid and different.
        epoch: seconds since 1970 UTC for all dates (SOURCE_DATE_EPOCH), clamped to what ZIP can say.

    Raises:
        DirectorError: code ``member-name`` for a name that no host would accept.
    """
    for name in _files_as_directories(member.name for member in members):
        raise DirectorError(
            f"The member {name!r} is a file, and another lies in it.", code="member-name"
        )
    moment = DEFAULT_EPOCH if epoch is None else min(max(epoch, _FIRST), _LAST)
    date = time.gmtime(moment)[:6]
    seen: set[str] = set()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", allowZip64=False) as archive:
        for member in members:
            wrong = check_member_name(member.name)
            if _folded(member.name) in seen:
                wrong = "is there twice, or differs from another only by case"
            if wrong:
                raise DirectorError(f"The member {member.name!r} {wrong}.", code="member-name")
            seen.add(_folded(member.name))
            info = zipfile.ZipInfo(member.name, date)
            info.create_system = 3
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.data, compresslevel=6)
    return stream.getvalue()


class Archive:
    """A ZIP whose structure was checked; made by `read_archive`."""

    def __init__(
        self, body: memoryview, entries: tuple[Entry, ...], directories: tuple[str, ...] = ()
    ) -> None:
        self._body = body
        self.entries = entries
        #: Names, with ``/`` at the end, of entries that only name a directory; Thespian's gensrc writes such.
        self.directories = directories
        self._by_name = {entry.name: entry for entry in entries}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all members, in order."""
        return tuple(self._by_name)

    def read(self, name: str) -> bytes:
        """The bytes of a member, checked against its size and CRC-32."""
        if name not in self._by_name:
            _damaged("zip-missing", f"there is no member {name}")
        return self._inflate(self._by_name[name])

    def iter_data(self) -> Iterator[tuple[Entry, bytes]]:
        """Each member with its bytes, once, in order."""
        for entry in self.entries:
            yield entry, self._inflate(entry)

    def _inflate(self, entry: Entry) -> bytes:
        packed = self._body[entry.offset : entry.offset + entry.compressed_size]
        if entry.method == zipfile.ZIP_STORED:
            raw = bytes(packed)
        else:
            inflater = zlib.decompressobj(-15)
            try:
                raw = inflater.decompress(packed, entry.size + 1)
            except zlib.error:
                _damaged("zip-deflate", f"{entry.name} does not inflate")
            if not inflater.eof or inflater.unused_data or inflater.unconsumed_tail:
                _damaged("zip-deflate", f"{entry.name} does not end where it should")
        if len(raw) != entry.size or zlib.crc32(raw) != entry.crc:
            _damaged("zip-crc", f"{entry.name} differs from its size or checksum")
        return raw


def read_archive(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Archive:
    """Walk the whole ZIP forward, accept nothing unusual, and return what it holds.

    Raises:
        DamagedArchive: with a code ``zip-…`` and what is wrong.
    """
    view = memoryview(data)
    return read_parts(view[: -_END.size], bytes(view[-_END.size :]), limits)


def read_parts(body: memoryview, end_record: bytes, limits: Limits = DEFAULT_LIMITS) -> Archive:
    """Read a ZIP without having it in one piece, as it lies in an envelope.

    Args:
        body: all before the end record; the archive reads from it for as long as it is used.
        end_record: the last 22 bytes; a comment is not accepted.

    Raises:
        DamagedArchive: as `read_archive`.
    """
    if len(body) > limits.max_bytes:
        _damaged("zip-size", f"it is larger than {limits.max_bytes} bytes")
    entries, place, offsets = [], 0, []
    while bytes(body[place : place + 4]) == b"PK\3\4":
        offsets.append(place)
        entry = _local(body, place)
        entries.append(entry)
        place = entry.offset + entry.compressed_size
        if len(entries) > limits.max_members:
            _damaged("zip-count", f"it has more than {limits.max_members} members")
    directory = place
    for entry, offset in zip(entries, offsets, strict=True):
        place = _central(body, place, entry, offset)
    _end(body, end_record, place, directory, len(entries))
    unpacked = sum(entry.size for entry in entries)
    if unpacked > limits.max_unpacked:
        _damaged("zip-bomb", f"it unpacks to more than {limits.max_unpacked} bytes")
    if unpacked > limits.suspicious and unpacked > limits.max_ratio * len(body):
        _damaged("zip-bomb", f"it unpacks to more than {limits.max_ratio} times its size")
    folded = [_folded(entry.name.removesuffix("/")) for entry in entries]
    if len(set(folded)) != len(folded):
        _damaged("zip-duplicate", "two members have the same name, or differ only by case")
    for name in _files_as_directories(entry.name for entry in entries):
        _damaged("zip-name", f"{name} is a file, and another member lies in it")
    return Archive(
        body,
        tuple(entry for entry in entries if not entry.name.endswith("/")),
        tuple(entry.name for entry in entries if entry.name.endswith("/")),
    )


def _local(data: memoryview, place: int) -> Entry:
    if len(data) < place + _LOCAL.size:
        _damaged("zip-truncated", "it ends within a member")
    _, _, flags, method, _, _, crc, packed, size, name_length, extra = _LOCAL.unpack_from(
        data, place
    )
    if flags & ~_UTF8 or method not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} or extra:
        # Encryption, data descriptors, other methods, ZIP64 and other extra fields.
        _damaged("zip-feature", "a member uses a feature that is not accepted")
    start = place + _LOCAL.size
    raw = bytes(data[start : start + name_length])
    try:
        name = raw.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        _damaged("zip-name", "a member's name is not text")
    wrong = check_member_name(name.removesuffix("/"))
    if wrong:
        _damaged("zip-name", f"the member {name!r} {wrong}")
    if name.endswith("/") and (size or packed):
        _damaged("zip-name", f"{name} is a directory and has content")
    if method == zipfile.ZIP_STORED and packed != size:
        _damaged("zip-size", f"{name} has two sizes")
    if start + name_length + packed > len(data):
        _damaged("zip-truncated", f"it ends within {name}")
    return Entry(name, size, packed, crc, method, start + name_length)


def _central(data: memoryview, place: int, entry: Entry, offset: int) -> int:
    if len(data) < place + _CENTRAL.size or bytes(data[place : place + 4]) != b"PK\1\2":
        _damaged("zip-directory", "its directory does not list what it holds")
    fields = _CENTRAL.unpack_from(data, place)
    (
        _,
        made_by,
        _,
        flags,
        method,
        _,
        _,
        crc,
        packed,
        size,
        length,
        extra,
        comment,
        disk,
        _,
        mode,
        at,
    ) = fields
    name = data[place + _CENTRAL.size : place + _CENTRAL.size + length]
    local = (entry.method, entry.crc, entry.compressed_size, entry.size, offset)
    local_flags = struct.unpack_from("<H", data, offset + 6)[0]
    same = (method, crc, packed, size, at) == local and flags == local_flags
    if not same or name != entry.name.encode() or extra or comment or disk:
        _damaged("zip-directory", f"its directory tells of {entry.name} otherwise than the member")
    kind = stat.S_IFMT(mode >> 16)
    usual = stat.S_IFDIR if entry.name.endswith("/") else stat.S_IFREG
    if made_by >> 8 == 3 and kind not in {0, usual}:
        _damaged("zip-mode", f"{entry.name} is not a regular file")
    return place + _CENTRAL.size + int(length)


def _end(data: memoryview, record: bytes, place: int, directory: int, count: int) -> None:
    if place != len(data):
        if bytes(data[place : place + 4]) == b"PK\5\6":
            _damaged("zip-suffix", "there is data behind its end")
        _damaged("zip-end", "its end record is not where it should be")
    if len(record) != _END.size or record[:4] != b"PK\5\6":
        _damaged("zip-end", "it has no end record")
    if _END.unpack(record)[1:] != (0, 0, count, count, place - directory, directory, 0):
        _damaged("zip-end", "its end record does not fit")


def _files_as_directories(names: Iterable[str]) -> list[str]:
    """Names of files that other names take for a directory; on some file systems case does not count."""
    listed = list(names)
    directories = {_folded(name).rpartition("/")[0] for name in listed}
    for directory in list(directories):
        while directory:
            directory = directory.rpartition("/")[0]
            directories.add(directory)
    return [name for name in listed if _folded(name) in directories]


def _folded(name: str) -> str:
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _damaged(code: str, what: str) -> NoReturn:
    raise DamagedArchive(
        f"The archive is damaged: {what}.",
        hint="Get the file again from where it was built, or build it again.",
        code=code,
    )
