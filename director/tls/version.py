"""Ordering of versions. What lives here: one key that orders all of them, and what a version may look like.

PEP 440 versions are ordered by ``packaging.version``. One that is not PEP 440 takes its leading numeric release and
sorts just after that release and its post-releases, then by its text and number fields. No version sorts lowest.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from packaging.version import InvalidVersion, Version

from director.errors import DirectorError

_ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*", re.ASCII)
_RELEASE = re.compile(r"[vV]?(\d+(?:\.\d+)*)", re.ASCII)
_FIELD = re.compile(r"\d+|[^\d.]+", re.ASCII)
_DATE = re.compile(r"\d{12}", re.ASCII)
#: From here on a release's first number is no count of releases: a date that was mistyped, or has seconds.
_TOO_MANY = 10**11
_LONGEST = 100
_NO_VERSION = Version("0")


def is_pep440(version: str) -> bool:
    """Whether the version is one that PEP 440 orders."""
    try:
        Version(version)
    except InvalidVersion:
        return False
    return True


def date_of(version: str) -> datetime | None:
    """The time of a development build's version, None for any other.

    Such a version is twelve digits that are a time of this millennium, UTC YYYYMMDDHHMM (guide 2.3.4,
    ``version:date``).
    """
    if not _DATE.fullmatch(version) or version < "2000":
        return None
    try:
        return datetime.strptime(version, "%Y%m%d%H%M").replace(tzinfo=UTC)
    except ValueError:
        return None


def is_outsized(version: str) -> bool:
    """Whether its first number has twelve digits or more, and it is no date: no release could ever follow it."""
    number = _RELEASE.match(version.partition("!")[2] or version)
    first = number[1].partition(".")[0] if number else ""
    return len(first.lstrip("0")) >= len(str(_TOO_MANY)) and date_of(version) is None


def check_version(version: str) -> None:
    """Raise DirectorError (code ``version``) for what cannot stand in a file name."""
    if len(version) > _LONGEST or not _ALLOWED.fullmatch(version):
        raise DirectorError(
            f"{version!r} cannot be a version.",
            hint=f"Use letters, digits and . _ + ! -, at most {_LONGEST} characters.",
            code="version",
        )


def version_key(version: str | None) -> tuple[Any, ...]:
    """A key that sorts versions, oldest first; equal versions (1.0, 1.0.0) have equal keys.

    Args:
        version: as in the file name; None for a file without one.
    """
    if version is None:
        return (0,)
    try:
        known = Version(version)
    except InvalidVersion:
        found = _RELEASE.match(version)
        release = tuple(int(part) for part in found[1].split(".")) if found else ()
        rest = version[found.end() :] if found else version
        fields = tuple(
            (0, int(field), "") if field.isdigit() else (1, 0, field)
            for field in _FIELD.findall(rest)
        )
        return (1, 0, _stripped(release), 1, _NO_VERSION, fields)
    return (1, known.epoch, _stripped(known.release), 0, known, ())


def _stripped(release: tuple[int, ...]) -> tuple[int, ...]:
    while release and release[-1] == 0:
        release = release[:-1]
    return release
