"""Whether this host is one that a source was built for: its compiled parts run here, and what it expects is here.

What lives here: comparing the manifest's tags and external distributions with what a host has, at a cost that the
signer cannot choose. What does not: the required Python (`director.tls.verify`), reading the manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set

from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import Tag
from packaging.version import InvalidVersion

from director.errors import NotValidated

#: Tag sets, and external distributions, of one source; no application seen has a tenth of that.
MOST = 1000
_LONGEST_TAGS = 500


def check_tags(told: Iterable[str], supported: Callable[[], Set[Tag]]) -> None:
    """Each tag set has to hold a tag that this host supports: compiled parts run nowhere else.

    A compressed set (PEP 425) is never expanded: three components of some hundred characters stand for half a million
    tags. It is asked instead for each of the some thousand tags of the host whether it is in there.

    Args:
        told: compressed tag sets of the manifest.
        supported: the host's tags; asked for only where the source has compiled parts.

    Raises:
        NotValidated: codes ``tags``, and ``manifest`` for what is no tag set, or too many of them.
    """
    needed = sorted({tags for tags in told if not tags.endswith("-none-any")})
    if len(needed) > MOST:
        raise _wrong(f"it has {len(needed)} tag sets, and {MOST} are too many")
    here = supported() if needed else frozenset()
    for tags in needed:
        parts = [frozenset(part.lower().split(".")) for part in tags.split("-")]
        if len(parts) != 3 or any("" in part for part in parts):
            raise _wrong(f"its tag {tags!r} is none")
        interpreters, abis, platforms = parts
        if len(tags) >= _LONGEST_TAGS or not any(
            one.platform in platforms and one.abi in abis and one.interpreter in interpreters
            for one in here
        ):
            raise NotValidated(
                f"It has compiled parts for {tags}, which this host cannot run.",
                hint="Build it on a machine like this host, or without compiled parts.",
                code="tags",
            )


def check_external(told: Sequence[str], installed: Callable[[str], str | None]) -> None:
    """Every distribution that it expects on the host has to be there, in a version that fits.

    Args:
        told: requirements of the manifest: a name, maybe with versions; markers and addresses are no part of one.
        installed: the version of a distribution that this host has, or None.

    Raises:
        NotValidated: codes ``external``, and ``manifest`` for what is no such requirement, or too many of them.
    """
    if len(told) > MOST:
        raise _wrong(f"it expects {len(told)} distributions, and {MOST} are too many")
    lacking = []
    for text in told:
        wanted = _requirement(text)
        found = installed(wanted.name)
        if found is None:
            lacking.append(text)
        elif not _fits(wanted, found):
            lacking.append(f"{text} (it has {found})")
    if lacking:
        raise NotValidated(
            f"It expects on this host: {', '.join(lacking)}.",
            hint="Install that beside the director, or bundle it (deps).",
            code="external",
        )


def _requirement(text: str) -> Requirement:
    # A marker is what packaging before 26.4 reads by recursion, as deep as its parentheses.
    if not {";", "@"} & {*text}:
        try:
            return Requirement(text)
        except (InvalidRequirement, RecursionError):
            pass
    raise _wrong(f"its external {text!r} is no name with versions")


def _fits(wanted: Requirement, found: str) -> bool:
    try:
        return wanted.specifier.contains(found, prereleases=True)
    except InvalidVersion:  # a distributor's own way of counting: only "any version" fits
        return not wanted.specifier


def _wrong(what: str) -> NotValidated:
    return NotValidated(
        f"Its manifest does not read: {what}.", hint="Build the file again.", code="manifest"
    )
