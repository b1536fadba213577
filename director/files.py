"""Writing files so that the old or the new bytes are there whenever the machine stops.

What lives here: the one way in which this project, build side and run side, replaces a file, the one in which it
makes files that must not be there yet, and the locks where two processes could meet.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any

from director.errors import DirectorError

#: Bytes of a file that a person wrote: settings, a TLI, a key.
LONGEST_TEXT = 4 << 20
#: How the name of a temporary file ends, whatever it is to become: nobody else's file is taken for one.
UNFINISHED = ".unfinished"
_TEMPORARY = re.compile(rf"\..+\.[a-z0-9_]{{8}}{re.escape(UNFINISHED)}", re.ASCII | re.DOTALL)
#: Bytes of a name that leave room for what a temporary file's has more.
_ROOM = 255 - len(f"..12345678{UNFINISHED}")
#: Bytes of a file of the state directory; marks of 500 files of each of some hundred groups stay below.
LONGEST_STATE = 256 << 20


def read_regular(path: Path, limit: int) -> bytes:
    """The bytes of a regular file; nothing else is opened for long, so that no FIFO or device can hold up its reader.

    Args:
        limit: bytes; a larger file is not read.

    Raises:
        OSError: it cannot be read; EINVAL where it is no regular file, EFBIG where it is larger.
    """
    with _open_regular(path, limit) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:  # it grew
        raise _too_large(path, limit)
    return data


def digest_regular(path: Path, limit: int, digest: Callable[[], Any]) -> str:
    """The hex digest of a regular file, which is never held as a whole (OSError as above)."""
    import hashlib  # not for the processes of actors

    with _open_regular(path, limit) as stream:
        return hashlib.file_digest(stream, digest).hexdigest()


@contextlib.contextmanager
def _open_regular(path: Path, limit: int) -> Iterator[BufferedReader]:
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    irregular = OSError(errno.EINVAL, "it is no regular file", str(path))
    if not stat.S_ISREG(path.stat().st_mode):  # merely to open a device may do something
        raise irregular
    handle = os.open(path, flags | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as stream:
        told = os.fstat(handle)
        if not stat.S_ISREG(told.st_mode):
            raise irregular
        if told.st_size > limit:
            raise _too_large(path, limit)
        yield stream


def _too_large(path: Path, limit: int) -> OSError:
    return OSError(errno.EFBIG, f"it is larger than {limit} bytes", str(path))


def open_to_append(path: Path, mode: int) -> int:
    """A descriptor for reading and appending to a regular file, made where it is missing (OSError as above)."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0), mode)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return handle


def append_line(handle: int, line: bytes, path: Path) -> None:
    """Append a line, whole, and flush it to the disk; what a machine that stopped left of the last one stands apart.

    Args:
        handle: opened for reading and appending; nobody else writes meanwhile.
        line: without its end.
        path: of the file, for the error.

    Raises:
        OSError: it cannot be written; no part of the line is there then.
    """
    size = os.fstat(handle).st_size
    torn = size and os.lseek(handle, size - 1, os.SEEK_SET) >= 0 and os.read(handle, 1) != b"\n"
    data = (b"\n" if torn else b"") + line + b"\n"
    try:
        if os.write(handle, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    except OSError:
        os.ftruncate(handle, size)
        raise
    os.fsync(handle)


def read_text(path: Path, limit: int = LONGEST_TEXT) -> str:
    """The text of a regular file in UTF-8, with or without a mark of byte order (UnicodeDecodeError; see above)."""
    return read_regular(path, limit).decode("utf-8-sig")


def write_atomically(
    target: Path, data: bytes, *, mode: int, owner: tuple[int, int] | None = None
) -> None:
    """Write a file: to a temporary one beside it, flushed to the disk, then put in its place.

    Args:
        target: the file; its directory exists.
        mode: permission bits of the new file.
        owner: user and group that the new file is given to; None leaves it to the writing process.
    """
    handle, temporary = open_temporary(target)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            if owner is not None:
                os.fchown(stream.fileno(), *owner)
            if hasattr(os, "fchmod"):
                os.fchmod(stream.fileno(), mode)  # not by its name, which may be another's by now
            os.fsync(stream.fileno())
        if not hasattr(os, "fchmod"):
            temporary.chmod(mode)
        temporary.replace(target)
        sync_directory(target.parent)
    except BaseException as problem:
        temporary.unlink(missing_ok=True)
        if isinstance(problem, OSError):  # a full disk is told by the descriptor, which has no name
            problem.filename = str(target)
        raise


def open_temporary(target: Path) -> tuple[int, Path]:
    """A new temporary file beside a file that is to be written: its descriptor and path (OSError)."""
    import tempfile  # not for commands that only read

    name = target.name if len(os.fsencode(target.name)) <= _ROOM else target.name[:40]
    handle, path = tempfile.mkstemp(prefix=f".{name}.", suffix=UNFINISHED, dir=target.parent)
    return handle, Path(path)


def is_temporary(name: str) -> bool:
    """Whether `open_temporary` gave a file this base name; where none is at work, it was killed."""
    return bool(_TEMPORARY.fullmatch(name))


def create_files(files: Sequence[tuple[Path, bytes, int]]) -> None:
    """Create all of these files, or none; nothing is ever overwritten, even in a race.

    Args:
        files: path, content and permission bits, which hold from the first moment.

    Raises:
        DirectorError: code ``exists``. OSError: it names the file that could not be written.
    """
    made: list[Path] = []
    try:
        for path, data, mode in files:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            made.append(path)
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            sync_directory(path.parent)
    except OSError as problem:
        for path in made:
            path.unlink(missing_ok=True)
        if isinstance(problem, FileExistsError):
            raise DirectorError(
                f"{problem.filename} exists; it was left as it is.",
                hint="Choose another name, or move it away.",
                code="exists",
            ) from None
        problem.filename = str(path)  # a full disk is told by the descriptor, which has no name
        raise


def make_private(directory: Path) -> None:
    """Make a directory that only its owner can enter, unless it is there.

    Root makes it for the owner of the directory above: what an operator's command makes first, the service writes
    later.
    """
    if directory.is_dir():
        return
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        owner = owner_for(directory.parent)
        if owner is not None:
            os.chown(directory, *owner)
    except OSError as problem:
        raise DirectorError(
            f"The directory {directory} cannot be made: {problem.strerror}.",
            hint="Make it for the user of the actor system, or set THESPIAN_DIRECTOR_STATE to another place.",
            code="state",
        ) from None


def owner_for(directory: Path) -> tuple[int, int] | None:
    """Whom a file in this directory belongs to, where this process has to give it away for that; else None."""
    if os.name != "posix" or os.geteuid() != 0:
        return None
    told = directory.stat()
    return None if told.st_uid == 0 else (told.st_uid, told.st_gid)


def open_private(path: Path, flags: int) -> int:
    """Open a file of a private directory, made where it is missing; the file is the directory's owner's.

    That owner may be a service's user and this process root: a link that the service laid there would have root write
    to another file, or give it away.

    Args:
        path: the file.
        flags: of open(2); what makes it, and keeps it from children, is added.

    Returns:
        the descriptor.

    Raises:
        DirectorError: code ``state``: something else than a plain file of that owner's is there. OSError: as open(2).
    """
    more = os.O_CREAT
    for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"):
        more |= getattr(os, name, 0)
    owner = owner_for(path.parent)
    try:
        handle = os.open(path, flags | more, 0o600)
    except OSError as problem:
        if problem.errno == errno.ELOOP:
            raise _not_plain(path) from None
        raise
    try:
        found = os.fstat(handle)
        # A second name is a backup's (`cp -al`), or leads to a file that the directory's owner may not write.
        foreign = found.st_nlink != 1 and found.st_uid != path.parent.stat().st_uid
        if not stat.S_ISREG(found.st_mode) or foreign:
            raise _not_plain(path)
        if owner is not None:
            os.fchown(handle, *owner)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _not_plain(path: Path) -> DirectorError:
    return DirectorError(
        f"{path} is a link, or no plain file; it was left as it is.",
        hint="Nothing of this package makes one there: find out who did, then remove it.",
        code="state",
    )


@contextlib.contextmanager
def locked(path: Path, limit: float) -> Iterator[None]:
    """Hold a lock file; the kernel gives it up when its holder ends, however it ends.

    Args:
        path: the lock file, made where it is missing.
        limit: seconds to wait for another holder.

    Raises:
        DirectorError: code ``locked``: another process held it all that time.
    """
    handle = open_private(path, os.O_RDWR)
    try:
        _lock(handle, path, limit)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, path: Path, limit: float) -> None:
    try:
        import fcntl
    except ImportError:  # Windows has no flock: the admin port decides there
        return
    deadline = time.monotonic() + limit
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise DirectorError(
                    f"Another process has held {path} for {limit:.0f} s.",
                    hint="Wait for the other command; `fuser` tells which process it is.",
                    code="locked",
                ) from None
            time.sleep(0.02)


def sync_directory(path: Path) -> None:
    """Make a rename in this directory last (POSIX; elsewhere a directory cannot be opened)."""
    if os.name == "posix":
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
