"""Names of groups and files: ``GROUP[-VERSION].tls`` and ``GROUP.tli``; the first ``-`` parts the two.

Also the top-level names that a source brings, and which of them it may not.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

from director.errors import DirectorError
from director.tls.version import check_version

#: Names in an unpacked source that are the cache's own (`director.cache` tells what they mean).
COMPLETE, UNLOADED = ".complete", ".unloaded"

#: Characters of the name of a group that is built. With a version of as many, the longest that hosts take, the file's
#: name stays below the 255 bytes of file systems, with room for what temporary files' names have more.
LONGEST_GROUP = 100
_GROUP = re.compile(r"[A-Za-z0-9_]+", re.ASCII)


def normalise_group(name: str) -> str:
    """A project's name as a group: casefolded, what is not a letter, digit or ``_`` becomes ``_``."""
    return re.sub(r"[^a-z0-9_]", "_", name.casefold(), flags=re.ASCII)


def check_group(group: str) -> None:
    """Raise DirectorError (code ``group``) for what cannot be a group's name."""
    if not _GROUP.fullmatch(group):
        raise DirectorError(
            f"{group!r} cannot be a group: only letters, digits and _ can.",
            hint=f"Call it {normalise_group(group) or 'app'!r}.",
            code="group",
        )


def check_new_group(group: str) -> None:
    """Raise DirectorError (code ``group``) for what cannot be the name of a group that is built."""
    check_group(group)
    if len(group) > LONGEST_GROUP:
        raise DirectorError(
            f"The group {group[:20]}… has {len(group)} characters, and its files' names have no room for them.",
            hint=f"Give it a name of at most {LONGEST_GROUP}.",
            code="group",
        )


def file_name(group: str, version: str | None) -> str:
    """The base name of the .tls file of a group's version."""
    check_group(group)
    if version is None:
        return f"{group}.tls"
    check_version(version)
    return f"{group}-{version}.tls"


def split_file_name(name: str) -> tuple[str, str | None]:
    """Group and version that a base name tells.

    Raises:
        DirectorError: code ``file-name`` for what is not such a name, with the reason.
    """
    why = "."
    stem, dot, ending = name.rpartition(".")
    if dot and ending in {"tls", "tli"}:
        group, dash, version = stem.partition("-")
        try:
            check_group(group)
            if dash:
                check_version(version)
            return group, version if dash else None
        except DirectorError as problem:
            why = f": {problem.message}"
    raise DirectorError(
        f"{name!r} is not the name of a loadable source{why}",
        hint="Such names are GROUP-VERSION.tls, GROUP.tls and GROUP.tli.",
        code="file-name",
    )


def top_level_names(members: Iterable[str]) -> tuple[str, ...]:
    """The importable top-level names of a source, sorted.

    Args:
        members: member names of the archive, with ``/``.
    """
    names = set()
    for member in members:
        first, slash, _ = member.partition("/")
        module = first.endswith((".py", ".pyc", ".so", ".pyd"))
        name = first if slash else first.partition(".")[0] if module else ""
        if name.isidentifier():
            names.add(name)
    return tuple(sorted(names))


def reserved_names(members: Iterable[str]) -> tuple[str, ...]:
    """Names at the top of a source that no source may have, sorted.

    A module of the standard library's name would break the library in the actor's process; ``director`` and
    ``thespian`` are the host's own there; a Python that such a process starts would run the ``customize`` modules. The
    cache's marks lie beside the members.
    """
    taken = sys.stdlib_module_names | {"director", "thespian", "sitecustomize", "usercustomize"}
    members = list(members)
    found = {name for name in top_level_names(members) if name in taken}
    firsts = {member.partition("/")[0] for member in members}
    found |= {first for first in firsts if first.casefold() in {COMPLETE, UNLOADED}}
    return tuple(sorted(found))
