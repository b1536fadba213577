"""Writing files so that the old or the new bytes are there whenever the machine stops.

What lives here: the one way in which this project, build side and run side, replaces a file, and the one in which it
makes files that must not be there yet.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from director.errors import DirectorError


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


def create_files(files: Sequence[tuple[Path, bytes, int]]) -> None:
    """Create all of these files, or none; nothing is ever overwritten, even in a race.

    Args:
        files: path, content and permission bits, which hold from the first moment.

    Raises:
        DirectorError: code ``exists``.
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
        raise


def sync_directory(path: Path) -> None:
    """Make a rename in this directory last (POSIX; elsewhere a directory cannot be opened)."""
    if os.name == "posix":
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
