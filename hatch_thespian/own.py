"""The project's own distribution: what `importlib.metadata` finds of it in a loaded source, as in an installed wheel.

What lives here: its .dist-info, made of the texts that the build tool puts into the wheel, and when it is left out.
Pure: no I/O. RECORD is the business of `hatch_thespian.parts`, since each source has one of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from email.parser import HeaderParser
from pathlib import PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from director.tls.archive import Member
from hatch_thespian.distributions import Bundle, Dist

_KINDS = (".dist-info", ".egg-info")


def own_dist(
    identity: str,
    metadata: str,
    entry_points: str = "",
    licences: Mapping[str, bytes] | None = None,
) -> Dist:
    """The project as a distribution, without RECORD and without its modules.

    Args:
        identity: ``NAME-VERSION``, as the wheel's file name begins.
        metadata: the text of METADATA.
        entry_points: the text of entry_points.txt; empty: there is none.
        licences: licence files by their paths in the project, with ``/``; they stand below ``licenses/`` (PEP 639).
    """
    info = f"{identity}.dist-info"
    files = {"METADATA": metadata.encode()}
    if entry_points:
        files["entry_points.txt"] = entry_points.encode()
    for name, data in (licences or {}).items():
        # Of a file outside of the project only the name counts, as setuptools has it.
        path = PurePosixPath(name)
        files[f"licenses/{path.name if '..' in path.parts else path}"] = data
    members = [Member(f"{info}/{name}", files[name]) for name in sorted(files)]
    return Dist.described(HeaderParser().parsestr(metadata), info, members)


def shipped(
    dist: Dist | None, sources: Iterable[Member], bundle: Bundle, external: Iterable[str]
) -> tuple[Dist | None, list[str]]:
    """Whether the project's own metadata goes in: it never stands beside other metadata of its name.

    What the author put among the sources or into ``deps`` stays as it is; what hosts have (``external``) is theirs.

    Args:
        dist: the project's own, or None.
        sources: the selected members.
        bundle: what comes along.
        external: requirements that hosts meet.

    Returns:
        the distribution that is shipped, or None; and sentences about what stands in its place.
    """
    if dist is None:
        return None, []
    if dist.key in {canonicalize_name(Requirement(text).name) for text in external}:
        return None, []
    places = {top for one in sources if (top := one.name.partition("/")[0]) and _tells(top, dist)}
    if places:
        text = (
            f"{', '.join(sorted(places))}, among the sources, tells of {dist.name}; the build's own {dist.info} was "
            "left out. Exclude it to ship that."
        )
        return None, [text]
    for other in bundle.distributions:
        if other.key == dist.key:
            text = (
                f"deps brings {other.name} {other.version}; the project's own metadata, of version "
                f"{dist.version}, was left out."
            )
            return None, [] if other.version == dist.version else [text]
    return dist, []


def _tells(top: str, dist: Dist) -> bool:
    """Whether a top-level name is metadata of the distribution, as `importlib.metadata` reads the name."""
    stem, dot, kind = top.lower().rpartition(".")
    return f"{dot}{kind}" in _KINDS and canonicalize_name(stem.partition("-")[0]) == dist.key
