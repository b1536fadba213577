"""The ZIP: deterministic writing, and a reader that accepts nothing unusual."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from director.errors import DamagedArchive, DirectorError
from director.tls.archive import Member, read_archive, write_archive
from director.tls.limits import Limits

MEMBERS = [Member("a/__init__.py", b""), Member("a/b.py", b"x = 1\n" * 50), Member("ü.txt", b"u")]


def test_what_was_written_is_read_and_the_standard_library_agrees() -> None:
    data = write_archive(MEMBERS)
    archive = read_archive(data)
    assert archive.names == tuple(member.name for member in MEMBERS)
    assert [Member(entry.name, body) for entry, body in archive.iter_data()] == MEMBERS
    with zipfile.ZipFile(io.BytesIO(data)) as other:
        assert other.testzip() is None and other.read("a/b.py") == MEMBERS[1].data


def test_the_same_members_give_the_same_bytes_and_the_date_is_fixed() -> None:
    assert write_archive(MEMBERS) == write_archive(list(MEMBERS))
    with zipfile.ZipFile(io.BytesIO(write_archive(MEMBERS))) as other:
        assert {info.date_time for info in other.infolist()} == {(2020, 2, 2, 0, 0, 0)}
        assert {info.external_attr >> 16 for info in other.infolist()} == {0o100644}
        assert {info.create_system for info in other.infolist()} == {3}
    with zipfile.ZipFile(io.BytesIO(write_archive(MEMBERS, epoch=0))) as other:
        assert other.infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)


@pytest.mark.parametrize(
    "name",
    [
        *("", "/a", "a/../b", "./a", "a//b", "a\\b", "c:a", "a\nb", "a/", "x" * 513, "\udce9"),
        *("a/\x9b31m", "a\u2028b", "a\u202etxt.py", "a\u2066b", "\u200fa"),
        *("a/" + "x" * 256, "\u00e9" * 128 + "/a.py"),
    ],
)
def test_names_that_no_host_would_accept_are_not_written(name: str) -> None:
    with pytest.raises(DirectorError) as caught:
        write_archive([Member(name, b"")])
    assert caught.value.code == "member-name"


def test_the_longest_part_of_a_name_that_file_systems_take_is_written() -> None:
    name = "a/" + "\u00e9" * 127 + "x"
    assert read_archive(write_archive([Member(name, b"")])).names == (name,)


@pytest.mark.parametrize(("one", "other"), [("a", "a"), ("A.py", "a.py"), ("é", "e\u0301")])
def test_names_that_meet_on_some_file_system_are_not_written(one: str, other: str) -> None:
    with pytest.raises(DirectorError):
        write_archive([Member(one, b""), Member(other, b"")])


def test_a_member_may_hold_the_mark_of_an_end_record() -> None:
    body = b"PK\5\6" * 9 + zlib.compress(b"PK\5\6")
    assert read_archive(write_archive([Member("x", body)])).read("x") == body


def test_directories_are_no_members() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a/"), b"")
        archive.writestr("a/b.py", b"")
    found = read_archive(stream.getvalue())
    assert found.names == ("a/b.py",) and found.directories == ("a/",)


def craft(change: Callable[[zipfile.ZipFile], None]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        change(archive)
    return stream.getvalue()


def _link(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    archive.writestr(info, "/etc/passwd")


def _twice(archive: zipfile.ZipFile) -> None:
    archive.writestr("a.py", "1")
    archive.writestr("A.py", "2")


def _extra(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("a.py")
    info.extra = struct.pack("<HH4s", 0x7075, 4, b"evil")
    archive.writestr(info, "1")


def _comment(archive: zipfile.ZipFile) -> None:
    archive.writestr("a.py", "1")
    archive.comment = b"PK\3\4"


def _bzip(archive: zipfile.ZipFile) -> None:
    archive.writestr("a.py", "1", zipfile.ZIP_BZIP2)


def _slip(archive: zipfile.ZipFile) -> None:
    archive.writestr("../a.py", "1")


def _file_with_directory_name(archive: zipfile.ZipFile) -> None:
    archive.writestr("a/b", "1")
    archive.writestr("a/b/", "")


def _full_directory(archive: zipfile.ZipFile) -> None:
    archive.writestr(zipfile.ZipInfo("a/"), b"content")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_link, "zip-mode"),
        (_twice, "zip-duplicate"),
        (_extra, "zip-feature"),
        (_comment, "zip-suffix"),
        (_bzip, "zip-feature"),
        (_slip, "zip-name"),
        (_file_with_directory_name, "zip-duplicate"),
        (_full_directory, "zip-name"),
    ],
)
def test_unusual_archives_are_refused(change: Callable[[zipfile.ZipFile], None], code: str) -> None:
    with pytest.raises(DamagedArchive) as caught:
        read_archive(craft(change))
    assert caught.value.code == code


GOOD = write_archive(MEMBERS)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"x" + GOOD,
        GOOD + b"x",
        GOOD[:-1],
        GOOD[: len(GOOD) // 2],
        GOOD + GOOD,
        GOOD.replace(b"PK\1\2", b"PK\1\3", 1),
        GOOD.replace(b"a/b.py", b"a/c.py", 1),
    ],
)
def test_damaged_archives_are_refused(data: bytes) -> None:
    with pytest.raises(DamagedArchive):
        archive = read_archive(data)
        list(archive.iter_data())


def test_limits_hold() -> None:
    bomb = write_archive([Member("x", b"\0" * 1_000_000)])
    for limits in (Limits(max_unpacked=10_000), Limits(max_bytes=100)):
        with pytest.raises(DamagedArchive):
            read_archive(bomb, limits)
    with pytest.raises(DamagedArchive):
        read_archive(GOOD, Limits(max_members=2))


def test_a_member_that_inflates_to_more_than_it_says_is_refused_early() -> None:
    data = bytearray(write_archive([Member("x", b"\0" * 1_000_000)]))
    for mark, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        at = data.index(mark) + place
        data[at : at + 4] = struct.pack("<I", 10)
    with pytest.raises(DamagedArchive):
        read_archive(bytes(data)).read("x")


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
@settings(max_examples=500)
def test_a_changed_byte_gives_damaged_or_the_same_members(place: int, change: int) -> None:
    data = bytearray(GOOD)
    data[place] ^= change
    try:
        found = [Member(entry.name, body) for entry, body in read_archive(bytes(data)).iter_data()]
    except DamagedArchive:
        return
    # Dates, versions and attributes may differ: they decide nothing. Names and bytes may not.
    assert found == MEMBERS


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_but_read_or_raise_damaged(data: bytes) -> None:
    with pytest.raises(DamagedArchive):
        read_archive(data)
