"""One bootstart or bootstop at a time on a host.

What lives here: their lock. It is a directory that only its owner can open: anybody who can open a file can hold a
lock on it, and so `flock /etc` of any user would hold up root.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from director.errors import BootError

#: Where root makes it for the time it is needed; only root can make anything there.
PLACES = (Path("/run"), Path("/var/run"))
#: Seconds to wait for another one.
LIMIT = 60.0


@contextlib.contextmanager
def alone(limit: float = LIMIT) -> Iterator[None]:
    """Hold the lock; it goes with the process. Who is not root works on an image of their own, and needs none.

    Raises:
        BootError: another process held it all that time, or something else is in its place.
    """
    place = next((one for one in PLACES if one.is_dir()), None)
    if os.name != "posix" or os.geteuid() != 0 or place is None:
        yield
        return
    path = place / "director-bootstart"
    handle = _take(path, limit)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.rmdir()  # who waits for it sees that it is another one by now
        os.close(handle)


def _take(path: Path, limit: float) -> int:
    import fcntl

    deadline = time.monotonic() + limit
    while True:
        handle = _open(path)
        try:
            if handle >= 0:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(handle, path):
                    return handle
        except BlockingIOError:
            pass
        if handle >= 0:
            os.close(handle)
        if time.monotonic() >= deadline:
            raise BootError(
                f"Another bootstart or bootstop has held {path} for {limit:.0f} s.",
                hint="Wait for it; `fuser` tells which process it is.",
            )
        time.sleep(0.05)


def _open(path: Path) -> int:
    """A descriptor of the directory, made where it is missing; -1 where it was removed at this moment."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
    except OSError as problem:
        raise BootError(
            f"{path} is no directory of root's: {problem.strerror}.", hint="Remove it."
        ) from None
    found = os.fstat(handle)
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        os.close(handle)
        raise BootError(f"{path} is open to other users.", hint="Remove it.")
    return handle


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False
