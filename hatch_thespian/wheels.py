"""A wheel file → a distribution with its members, by its RECORD (the wheel specification, PEP 427).

What lives here: reading, and nothing that decides. Scripts, headers and data for other directories are not taken: a
source has modules only, and what lies beside them.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from email.parser import BytesHeaderParser
from pathlib import Path, PurePosixPath

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from director.errors import BuildError
from director.tls.archive import Member
from hatch_thespian.distributions import (
    Dist,
    left_out,
)


def read_wheel(path: Path) -> Dist:
    """Read a wheel.

    Raises:
        BuildError: code ``wheel``; it is damaged, or its bytes differ from its RECORD.
    """
    try:
        parse_wheel_filename(path.name)
        with zipfile.ZipFile(path) as archive:
            return _read(path, archive)
    except InvalidWheelFilename as problem:
        raise _damaged(path, str(problem)) from None
    except (zipfile.BadZipFile, KeyError, StopIteration, UnicodeDecodeError, OSError) as problem:
        raise _damaged(path, str(problem) or type(problem).__name__) from None


def _read(path: Path, archive: zipfile.ZipFile) -> Dist:
    names = archive.namelist()
    info = next(
        name.partition("/")[0]
        for name in names
        if name.endswith(".dist-info/METADATA") and name.count("/") == 1
    )
    metadata = BytesHeaderParser().parsebytes(archive.read(f"{info}/METADATA"))
    members = []
    rows = csv.reader(io.StringIO(archive.read(f"{info}/RECORD").decode("utf-8")))
    for row in rows:
        if not row or row[0].endswith("/"):
            continue
        data = archive.read(row[0])
        _check_digest(path, row, data)
        name = _place(row[0], info)
        if name is not None and not left_out(name, info):
            members.append(Member(name, data))
    return Dist.described(metadata, info, members, "-".join(path.stem.split("-")[-3:]))


def _place(name: str, info: str) -> str | None:
    """Where a file lies when the wheel is installed, beside the modules; None: elsewhere."""
    path = PurePosixPath(name)
    if ".." in path.parts or path.is_absolute():
        return None
    if path.parts[0] == info.removesuffix(".dist-info") + ".data":
        if len(path.parts) > 2 and path.parts[1] in {"purelib", "platlib"}:
            return "/".join(path.parts[2:])
        return None  # scripts, headers, data: the host's business
    return str(path)


def _check_digest(path: Path, row: list[str], data: bytes) -> None:
    kind, _, told = row[1].partition("=")
    if kind == "sha256":
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        if digest != told:
            raise _damaged(path, f"{row[0]} differs from its RECORD")


def _damaged(path: Path, why: str) -> BuildError:
    return BuildError(
        f"The wheel {path.name} is damaged: {why}.", hint="Get or build it again.", code="wheel"
    )
