"""What a source is made of, before it is an archive, and whether the parts fit together.

What lives here: one description for the hook, gensrc and setuptools, and every check that needs no process.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from packaging.tags import sys_tags

from director.settings.tli import Tli
from director.tls.archive import Member
from director.tls.naming import reserved_names
from director.tls.version import is_outsized
from hatch_thespian.checks import check_actors
from hatch_thespian.distributions import PURE, Bundle, Dist, is_native, module_of, record
from hatch_thespian.problems import Problems

_SOURCES = "the sources"


@dataclass(frozen=True)
class Parts:
    """Everything that goes into a source.

    ``why`` says for each member of the project what selected it. ``tli_data`` is None where there is no TLI;
    ``tli_name`` is what people know it by. ``native`` is the policy for compiled parts among the project's own files.
    ``place`` is where options stand, for messages (a TOML path). ``expires`` is RFC 3339 UTC or None. ``dist`` is the
    project's own distribution (`hatch_thespian.own`), None where its metadata is not shipped.
    """

    group: str
    version: str | None
    requires_python: str
    sources: tuple[Member, ...]
    why: Mapping[str, str] = field(default_factory=dict)
    tli: Tli = field(default_factory=Tli)
    tli_data: bytes | None = None
    tli_name: str = ""
    bundle: Bundle = field(default_factory=Bundle)
    native: str = "refuse"
    place: str = ""
    expires: str | None = None
    dist: Dist | None = None

    @property
    def own(self) -> tuple[Member, ...]:
        """The project's members that are shipped."""
        if self.native == "strip":
            return tuple(one for one in self.sources if not is_native(one.name))
        return self.sources

    @cached_property
    def info(self) -> tuple[Member, ...]:
        """The project's own .dist-info, with a RECORD of what this source has of the project (PEP 376)."""
        if self.dist is None:
            return ()
        mine = sorted([*self.own, *self.dist.members], key=lambda one: one.name)
        return (*self.dist.members, record(self.dist.info, mine))

    @property
    def stripped(self) -> dict[str, str]:
        """The compiled modules that were left out, with whose they were."""
        gone = {module_of(one.name): _SOURCES for one in self.sources if one not in self.own}
        for dist in self.bundle.distributions:
            gone |= {module_of(name): dist.name for name in dist.stripped}
        return gone

    @property
    def members(self) -> tuple[Member, ...]:
        """All members, sorted by name; what is brought twice with the same bytes is one."""
        members = {*self.own, *self.info, *self.bundle.members}
        return tuple(sorted(members, key=lambda one: (one.name, one.data)))

    @property
    def tags(self) -> tuple[str, ...]:
        """What a host has to support (see `director.tls.manifest.Manifest`)."""
        tags = set(self.bundle.tags)
        if any(is_native(one.name) for one in self.own):
            tags.add(str(next(sys_tags())))  # compiled here, as far as anyone knows
        return tuple(sorted(tags)) or (PURE,)

    def listing(self) -> list[tuple[int, str, str]]:
        """Size, name and reason of each member: what selected it, or which distribution brings it."""
        told = []
        for member in self.own:
            told.append((len(member.data), member.name, self.why.get(member.name, "")))
        told += [(len(one.data), one.name, "the project's own metadata") for one in self.info]
        for dist in self.bundle.distributions:
            way = " → ".join(self.bundle.why.get(dist.key, ()))
            reason = f"{dist.name} {dist.version}, asked for by {way}"
            told += [(len(member.data), member.name, reason) for member in dist.members]
        return sorted(told, key=lambda one: one[1])


def check_parts(parts: Parts, problems: Problems, *, complete: bool = True) -> None:
    """Tell everything that does not fit; the syntax is `hatch_thespian.checks.check_sources`' business.

    Args:
        problems: told.
        complete: False where the bundle or the selection is not what it should be, and missing members are no news.
    """
    _check_version(parts, problems)
    _check_native(parts, problems)
    _check_names(parts, problems)
    _check_modules(parts, problems)
    members = {one.name: one for one in parts.members}
    check_actors(parts.tli, members, parts.tli_name, problems, complete=complete)


def _check_version(parts: Parts, problems: Problems) -> None:
    """What every host would refuse (`director.marks.Arrivals`) is not built."""
    if parts.version is not None and is_outsized(parts.version):
        where = "version:" if parts.place == "gensrc" else f"{parts.place}.version"
        problems.add(
            f"{where}: hosts refuse {parts.version}: its first number has twelve digits or more, and it is no time "
            "(YYYYMMDDHHMM, UTC, from 2000 on).",
            hint="Give it another version. Where it is a date of SOURCE_DATE_EPOCH, give that a later time.",
            code="version",
        )


def _check_native(parts: Parts, problems: Problems) -> None:
    if parts.native != "refuse":
        return
    for member in parts.own:
        if is_native(member.name):
            problems.add(
                f"{member.name}: it is compiled code, which runs on hosts of one kind only.",
                hint='Exclude it, or set native to "strip" or "allow".',
                code="native",
            )


def _check_names(parts: Parts, problems: Problems) -> None:
    names = Counter(member.name for member in parts.members)
    mine = {member.name for member in parts.own}
    for name in sorted(name for name, count in names.items() if count > 1):
        whose = [one.name for one in parts.bundle.distributions if name in _names(one.members)]
        brought = " and ".join([*([_SOURCES] if name in mine else []), *whose])
        if name in mine:
            hint = "Exclude it from the sources, or leave the distribution out."
        elif parts.place == "gensrc":
            hint = "Leave one distribution out, by external:, where hosts have it."
        else:
            hint = (
                f'If none of them needs it, add "/{name}" to {parts.place}.exclude, which leaves it out of all; '
                "else leave one distribution out, by external, where hosts have it."
            )
        problems.add(
            f"{name} is brought twice, by {brought}, with other bytes each.",
            hint=hint,
            code="collision",
        )
    folded: dict[str, str] = {}
    for name in sorted(names):
        other = folded.setdefault(_folded(name), name)
        if other != name:
            problems.add(
                f"{name} differs from {other} only by case or by its accents' form.",
                hint="Rename one: some file systems cannot hold both.",
                code="case",
            )
    for name in reserved_names(names):
        problems.add(
            f"A source cannot bring the top-level name {name}: it is the host's own.",
            hint="Rename it, put it into a package, or exclude it.",
            code="reserved-name",
        )
    for name in sorted(names):
        if name.casefold().startswith("tls-inf/"):
            problems.add(
                f"{name}: TLS-INF is this format's own.", hint="Rename it.", code="reserved-name"
            )


def _check_modules(parts: Parts, problems: Problems) -> None:
    """A module beside a package of its name: Python finds one of them only.

    Where one distribution brings both, its authors know what they do.
    """
    whose = {
        member.name: f"{dist.name} {dist.version}"
        for dist in parts.bundle.distributions
        for member in dist.members
    }
    whose |= dict.fromkeys(_names(parts.own), _SOURCES)
    modules = sorted(name for name in whose if name.endswith(".py"))
    packages: dict[str, str] = {}
    loose: dict[str, dict[str, str]] = {}  # without __init__.py: a module hides all of it
    for name in modules:
        folder, _, base = name.rpartition("/")
        if base == "__init__.py":
            packages[folder] = name
        elif folder:
            loose.setdefault(folder.partition("/")[0], {}).setdefault(whose[name], name)
    for module in modules:
        stem = module.removesuffix(".py")
        others = [name for owner, name in loose.get(stem, {}).items() if owner != whose[module]]
        package = packages.get(stem)
        if package and (whose[module] == _SOURCES or whose[module] != whose[package]):
            others = [package]
        for other in others[:1]:
            problems.add(
                f"{stem.replace('/', '.')} is there twice: {module}, of {whose[module]}, and {other}, "
                f"of {whose[other]}. Python finds one of them only.",
                hint="Rename or exclude one of them.",
                code="collision",
            )


def _names(members: Iterable[Member]) -> set[str]:
    return {one.name for one in members}


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def reasons(sources: Sequence[tuple[str, str]]) -> dict[str, str]:
    """For each member name the first reason given."""
    why: dict[str, str] = {}
    for name, reason in sources:
        why.setdefault(name, reason)
    return why
