"""Where built sources are published to: a directory, or any URL that fsspec reaches.

A reader finds the whole file or none. A file that is there already is never replaced: a version, once published, keeps
its bytes.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from director.errors import DirectorError
from director.files import open_temporary, sync_directory
from director.tls.archive import read_parts
from director.tls.container import open_envelope
from director.tls.naming import split_file_name


def publish_file(url: str, name: str, data: bytes) -> bool:
    """Publish one file.

    Args:
        url: a directory's path, ``file://…``, or a URL of fsspec.
        name: ``GROUP[-VERSION].tls``.
        data: its bytes.

    Returns:
        False where exactly these bytes were there already.

    Raises:
        DirectorError: codes ``exists`` (other bytes of the same version are there), ``publish``.
    """
    split_file_name(name)
    parts = urlsplit(url)
    try:
        if parts.scheme in {"", "file"}:
            path = Path(url if not parts.scheme else unquote(parts.path)).expanduser()
            return _to_directory(path, name, data)
        return _to_filesystem(url, name, data)
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
        raise DirectorError(
            f"{name} was not published to {_shown(url)}: {reason}.", code="publish"
        ) from None


def check_whole(name: str, data: bytes) -> None:
    """Whether a file is a whole .tls: its envelope, and each byte of its archive. Who signed it is the hosts' business.

    Args:
        name: the file's, for the message.
        data: its bytes.

    Raises:
        DirectorError: what is wrong with it.
    """
    try:
        envelope = open_envelope(data)
        for _ in read_parts(envelope.body, envelope.end_record).iter_data():
            pass
    except DirectorError as problem:
        raise DirectorError(
            f"{name} was not published, since it is damaged: {problem.message}",
            hint="Build it again.",
            code=problem.code,
        ) from None


def _to_directory(folder: Path, name: str, data: bytes) -> bool:
    if not folder.is_dir():
        raise DirectorError(
            f"{name} was not published: there is no directory {folder}.",
            hint=f"Make it: mkdir -p {shlex.quote(str(folder))}",
            code="publish",
        )
    target = folder / name
    handle, part = open_temporary(target)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.chmod(0o644)
        try:
            os.link(part, target)  # unlike a rename it never replaces, even in a race
        except FileExistsError:
            return _same(target.read_bytes(), data, str(target))
        sync_directory(folder)
        return True
    finally:
        part.unlink(missing_ok=True)


def _to_filesystem(url: str, name: str, data: bytes) -> bool:
    try:
        import fsspec
    except ImportError:
        raise DirectorError(
            f"{_shown(url)} is reached by fsspec, which is not installed beside hatch.",
            hint="Install it there: pip install 'hatch-thespian[publish]', and what the scheme needs.",
            code="publish",
        ) from None
    try:
        filesystem, folder = fsspec.core.url_to_fs(url)
    except ImportError as problem:
        raise DirectorError(f"{_shown(url)}: {problem}", code="publish") from None
    target = f"{folder.rstrip('/')}/{name}"
    if filesystem.exists(target):
        return _same(filesystem.cat_file(target), data, f"{_shown(url)}/{name}")
    filesystem.makedirs(folder, exist_ok=True)
    part = f"{folder.rstrip('/')}/.{name}.{os.getpid()}.part"
    filesystem.pipe_file(part, data)
    return _moved(filesystem, part, target, data, f"{_shown(url)}/{name}")


def _moved(filesystem: Any, part: str, target: str, data: bytes, shown: str) -> bool:
    """Move the whole file to its place; another one that came meanwhile stays."""
    if filesystem.exists(target):
        filesystem.rm_file(part)
        return _same(filesystem.cat_file(target), data, shown)
    filesystem.mv(part, target)
    return True


def _same(there: bytes, data: bytes, shown: str) -> bool:
    if there != data:
        raise DirectorError(
            f"{shown} is there already, with other bytes; it was left as it is.",
            hint="Publish another version.",
            code="exists",
        )
    return False


def _shown(url: str) -> str:
    """The URL without a user's name and password."""
    parts = urlsplit(url)
    return url.replace(f"{parts.netloc.rpartition('@')[0]}@", "", 1) if "@" in parts.netloc else url
