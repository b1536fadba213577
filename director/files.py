"""Writing files so that the old or the new bytes are there whenever the machine stops.

What lives here: the one way in which this project, build side and run side, replaces a file.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_atomically(target: Path, data: bytes, *, mode: int) -> None:
    """Write a file: to a temporary one beside it, flushed to the disk, then put in its place.

    Args:
        target: the file; its directory exists.
        mode: permission bits of the new file.
    """
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(mode)
        Path(name).replace(target)
        sync_directory(target.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def sync_directory(path: Path) -> None:
    """Make a rename in this directory last (POSIX; elsewhere a directory cannot be opened)."""
    if os.name == "posix":
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
