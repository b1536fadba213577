"""Stand-ins for external distributions: wheels without content, so that pip resolves without fetching what hosts have.

An external distribution is left out with all that only it needs, so that its own wheel is not wanted: it may have none
(thespian has an sdist only), be large, or be on no index. pip finds a stand-in of each version that hosts may have, and
chooses among them as the bundled distributions' requirements say. What lives here: the versions, and the wheels' bytes.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, canonicalize_version
from packaging.version import InvalidVersion, Version

#: Marks a stand-in's version, which sorts just behind the real one and fits the same specifiers (PEP 440, local
#: versions), so that pip takes it before the real wheel.
_MARK = "stand.in"
#: Of a distribution that nobody knows a version of: low and high ones of each release number that is in use.
_UNKNOWN = tuple(
    f"{first}.{second}" for first in (*range(31), *range(2015, 2041)) for second in (0, 999)
)


def versions(specifier: SpecifierSet, known: Iterable[str]) -> list[str]:
    """The versions that stand-ins of a distribution are made for.

    Args:
        specifier: what its entry in ``external`` says of it.
        known: versions of it that are known of: installed, or on an index.

    Returns:
        those that fit; where none is known, those that the specifier names and some of each release number.
    """
    readable = [one for one in known if _is_version(one)]
    fit = _fitting(readable, specifier)
    return fit or _fitting([*_named(specifier), *_UNKNOWN], specifier)


def _fitting(told: Iterable[str], specifier: SpecifierSet) -> list[str]:
    return [one for one in dict.fromkeys(told) if specifier.contains(one, prereleases=True)]


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _named(specifier: SpecifierSet) -> Iterator[str]:
    """Versions at and beside those that a specifier names."""
    for one in specifier:
        text = one.version.removesuffix(".*")
        if not _is_version(text):
            continue
        yield text
        release = Version(text).release
        yield ".".join(map(str, (*release, 1)))  # just above
        for place in reversed(range(len(release))):  # just below
            if release[place]:
                yield ".".join(map(str, (*release[:place], release[place] - 1, 999)))
                break


def write_stand_in(folder: Path, name: str, version: str) -> Path:
    """Write the wheel: its metadata, and nothing else.

    Args:
        folder: an existing directory.
        name: the distribution's.
        version: the one that it stands for.
    """
    told = Version(version)
    local = f"{told.local}.{_MARK}" if told.local else _MARK
    marked = f"{canonicalize_version(told.public, strip_trailing_zero=False)}+{local}"
    stem = f"{canonicalize_name(name).replace('-', '_')}-{marked}"
    info = f"{stem}.dist-info"
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {marked}\n"
        archive.writestr(f"{info}/METADATA", metadata)
        wheel = "Wheel-Version: 1.0\nGenerator: hatch-thespian\nRoot-Is-Purelib: true\n"
        archive.writestr(f"{info}/WHEEL", f"{wheel}Tag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path
