"""A tree of many small files: made, and held against what it should hold, with few steps of the file system.

What lives here: how `director.cache` writes and reads. What does not: when, and what is trusted. Nothing is flushed to
the disk here: what a power cut makes of it, `mend` finds.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import sys
from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path

from director.files import write_atomically

_ALWAYS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _ALWAYS
#: A link is not followed, and what only looks like a file (a FIFO) does not hold the reader up.
_READ = os.O_RDONLY | _ALWAYS | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
#: FS_IOC_GETFLAGS, FS_IOC_SETFLAGS and FS_TOPDIR_FL, which is ``chattr +T`` (linux/fs.h, asm-generic/ioctl.h).
_LONG = struct.calcsize("l")
_GET_FLAGS = 2 << 30 | _LONG << 16 | ord("f") << 8 | 1
_SET_FLAGS = 1 << 30 | _LONG << 16 | ord("f") << 8 | 2
_TOP_OF_TREES = 0x20000


@dataclass(frozen=True)
class Survey:
    """What lies in a tree: ``files`` by their names with ``/``; ``others``, paths of links and of what is no file."""

    files: frozenset[str]
    others: tuple[str, ...]


def spread(directory: str) -> None:
    """Tell the file system, where it listens (ext4), that the trees in this directory have nothing to do with another.

    Each then begins in a part of the disk of its own. Otherwise all share one, where ext4 passes over every inode
    that was freed in the last minutes, one by one, for each new file: that costs up to 1 ms a file after many were
    removed, which is what unloading does.
    """
    if sys.platform != "linux":
        return
    import fcntl

    with contextlib.suppress(OSError):
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            told = fcntl.ioctl(handle, _GET_FLAGS, bytes(_LONG))
            flags = struct.unpack("l", told)[0] & 0xFFFFFFFF
            if not flags & _TOP_OF_TREES:
                fcntl.ioctl(handle, _SET_FLAGS, struct.pack("l", flags | _TOP_OF_TREES))
        finally:
            os.close(handle)


def write(root: str, members: Iterable[tuple[str, bytes]]) -> None:
    """Make all members below an empty directory, for its owner alone.

    Args:
        members: names with ``/``, and bytes.
    """
    made = {""}
    for name, data in members:
        parent = name.rpartition("/")[0]
        if parent not in made:
            _make_parents(root, name)
            made.add(parent)
        handle = os.open(f"{root}/{name}", _NEW, 0o600)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(handle, left) :]
        finally:
            os.close(handle)


def survey(root: str) -> Survey | None:
    """What lies in a tree, byte code in ``__pycache__`` aside; None where somebody else could have written into it."""
    files: set[str] = set()
    others: list[str] = []
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        here = f"{root}/{prefix}"
        if not _is_private(os.lstat(here)):
            return None
        with os.scandir(here) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != "__pycache__":
                        waiting.append(f"{prefix}{entry.name}/")
                    elif not _is_private(entry.stat(follow_symlinks=False)):
                        return None
                elif entry.is_file(follow_symlinks=False):
                    files.add(prefix + entry.name)
                else:
                    others.append(entry.path)
    return Survey(frozenset(files), tuple(others))


def mend(root: str, found: Survey, members: Iterable[tuple[str, bytes]], own: Set[str]) -> None:
    """See that a tree holds these members and nothing else; a wrong file is put right in its place.

    Args:
        found: its survey.
        members: names with ``/``, and bytes.
        own: names of other files that may be there.
    """
    for other in found.others:
        Path(other).unlink()
    names = set(own)
    for name, data in members:
        names.add(name)
        path = f"{root}/{name}"
        if not _holds(path, data):
            if Path(path).is_dir():
                import shutil

                shutil.rmtree(path)
            _make_parents(root, name)
            write_atomically(Path(path), data, mode=0o600)
    for name in found.files - names:
        stranger = Path(root, name)
        if not stranger.is_dir():  # as which it was made again, for a member
            stranger.unlink(missing_ok=True)


def _is_private(told: os.stat_result) -> bool:
    return os.name != "posix" or (told.st_uid == os.geteuid() and not told.st_mode & 0o022)


def _make_parents(root: str, name: str) -> None:
    """The directories of a member; a file that stands in the place of one goes."""
    path = Path(root)
    for part in name.split("/")[:-1]:
        path /= part
        if not path.is_dir():
            path.unlink(missing_ok=True)
            path.mkdir(mode=0o700)


def _holds(path: str, data: bytes) -> bool:
    try:
        handle = os.open(path, _READ)
    except OSError:
        return False
    try:
        told = os.fstat(handle)
        if not stat.S_ISREG(told.st_mode) or told.st_size != len(data):
            return False
        place = 0
        while place < len(data):
            piece = os.read(handle, min(len(data) - place, 1 << 20))
            if not piece or data[place : place + len(piece)] != piece:
                return False
            place += len(piece)
        return True
    finally:
        os.close(handle)


def discard(path: str | Path) -> None:
    """Remove a directory with all that is in it, as far as that can be."""
    import shutil  # some milliseconds, which commands that only read do not pay

    shutil.rmtree(path, ignore_errors=True)
