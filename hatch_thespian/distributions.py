"""Distributions and what they need: the graph from the requested ones to everything that comes along.

What lives here: a distribution as it is bundled, whatever it was read from (`hatch_thespian.wheels`,
`hatch_thespian.installed`), the walk along its requirements, and what is done with compiled parts. Pure: no I/O.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.message import Message
from typing import Self

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from director.tls.archive import Member
from director.tls.manifest import Distribution
from hatch_thespian.problems import Problems

#: Expected on every host, never bundled.
EXTERNAL = ("thespian",)
#: What `director.tls.manifest` says of a source that runs on every host.
PURE = "py3-none-any"
#: WHEEL of what is left of a compiled wheel: the tags, and the tool, of the one that was stripped differ from Python to
#: Python, and are not those of what remains.
_PURE_WHEEL = (
    f"Wheel-Version: 1.0\nGenerator: hatch-thespian\nRoot-Is-Purelib: true\nTag: {PURE}\n".encode()
)
_NATIVE = re.compile(r"\.(so|pyd|dylib|dll)(\.\d+)*$", re.IGNORECASE)
#: Of a .dist-info: what tells of one very installation, and would differ from build to build.
_LOCAL = frozenset(
    {"INSTALLER", "REQUESTED", "RECORD", "RECORD.jws", "RECORD.p7s", "direct_url.json"}
)


@dataclass(frozen=True)
class Dist:
    """A distribution with its files.

    ``info`` is the name of its ``.dist-info``; ``members`` lack RECORD, which `bundle` writes anew. ``tag`` is the
    compressed tag set of its wheel. ``homepage`` and ``summary`` may be empty. ``stripped`` are compiled parts that
    it had. ``python`` is its Requires-Python, which may be empty.
    """

    name: str
    version: str
    licence: str
    info: str
    requires: tuple[Requirement, ...]
    members: tuple[Member, ...]
    tag: str = PURE
    summary: str = ""
    homepage: str = ""
    stripped: tuple[str, ...] = ()
    python: str = ""

    @classmethod
    def described(
        cls, metadata: Message, info: str, members: Iterable[Member], tag: str = PURE
    ) -> Self:
        """A distribution as its METADATA describes it."""
        return cls(
            name=str(metadata["Name"]),
            version=str(metadata["Version"]),
            licence=licence_of(metadata),
            info=info,
            requires=requires_of(metadata),
            members=tuple(members),
            tag=tag,
            summary=str(metadata.get("Summary") or ""),
            homepage=homepage_of(metadata),
            python=str(metadata.get("Requires-Python") or ""),
        )

    @property
    def key(self) -> str:
        """Its name as it is compared (PEP 503)."""
        return canonicalize_name(self.name)

    @property
    def native(self) -> tuple[str, ...]:
        """Its compiled parts."""
        return tuple(one.name for one in self.members if is_native(one.name))

    @property
    def pure(self) -> bool:
        """Whether it runs on every host: its tag says so, and it has no compiled part."""
        return self.tag.endswith("-none-any") and not self.native


@dataclass(frozen=True)
class Bundle:
    """What comes along: distributions and members sorted by name.

    ``tags``: a host has to support each of them (empty: nothing but pure Python). ``why``: for each distribution's key
    the way from what was requested. ``external``: requirements that the host is expected to meet. ``lacks``: what other
    Pythons would need beside it (see `hatch_thespian.pythons`). ``dropped`` are names that were taken out of it. A file
    that several distributions bring with the same bytes is one member; with other bytes each it is there as often.
    """

    distributions: tuple[Dist, ...] = ()
    members: tuple[Member, ...] = ()
    tags: tuple[str, ...] = ()
    why: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    external: tuple[str, ...] = EXTERNAL
    lacks: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()

    @property
    def described(self) -> tuple[Distribution, ...]:
        """The distributions as the manifest binds them."""
        return tuple(Distribution(one.name, one.version, one.licence) for one in self.distributions)

    @property
    def clashes(self) -> tuple[str, ...]:
        """The names of files that several distributions bring with other bytes each."""
        counts = Counter(one.name for one in self.members)
        return tuple(name for name, count in counts.items() if count > 1)

    def owner(self, member: str) -> Dist | None:
        """The distribution that brings a member."""
        for one in self.distributions:
            if any(member == mine.name for mine in one.members):
                return one
        return None


def is_native(name: str) -> bool:
    """Whether a member is machine code, by its name."""
    return _NATIVE.search(name) is not None


def module_of(member: str) -> str:
    """The dotted name of the module that a member is, also a compiled one."""
    folder, _, base = member.rpartition("/")
    return (
        f"{folder}/{base.partition('.')[0]}".strip("/").removesuffix("/__init__").replace("/", ".")
    )


def left_out(name: str, info: str) -> bool:
    """Whether a file of a distribution is not for a source.

    Byte code is the host's business; some files of a .dist-info tell of one installation only; a ``.pth`` at the top
    would work in a site directory alone.
    """
    folder, _, base = name.rpartition("/")
    if base.endswith((".pyc", ".pyo")) or (not folder and base.endswith(".pth")):
        return True
    return folder == info and base in _LOCAL


def licence_of(metadata: Message) -> str:
    """The licence: the SPDX expression, else the field, else the classifiers, else ``unknown``."""
    licence = str(metadata.get("License-Expression") or metadata.get("License") or "").strip()
    if not licence or "\n" in licence:  # some put the whole text there
        classifiers = [
            str(line).rpartition("::")[2].strip()
            for line in metadata.get_all("Classifier", [])
            if str(line).startswith("License ::")
        ]
        licence = " AND ".join(sorted(classifiers)) or "unknown"
    return licence


def homepage_of(metadata: Message) -> str:
    """The address of its home page, or nothing."""
    for line in metadata.get_all("Project-URL", []):
        label, _, address = str(line).partition(",")
        if label.strip().casefold() in {"homepage", "home", "source", "repository"}:
            return address.strip()
    return str(metadata.get("Home-page") or "")


def requires_of(metadata: Message) -> tuple[Requirement, ...]:
    """Its requirements; one that does not read (old packages have such) is left to pip."""
    found = []
    for line in metadata.get_all("Requires-Dist", []):
        try:
            found.append(Requirement(str(line)))
        except InvalidRequirement:
            continue
    return tuple(found)


@dataclass(frozen=True)
class Reached:
    """What the walk found: ``why`` for each kept key, the way to it; what was external; what is missing.

    ``unmet`` tells each requirement that is missing or that another version would meet, and who has it; and, for
    another Python, what does not run there.
    """

    why: dict[str, tuple[str, ...]]
    external: tuple[str, ...]
    missing: dict[str, tuple[str, ...]]
    unmet: tuple[str, ...] = ()


def reach(
    find: Callable[[str], Dist | None],
    roots: Iterable[Requirement],
    external: Iterable[str] = (),
    *,
    python: str = "",
) -> Reached:
    """Walk from the requested requirements to everything they need.

    A distribution that is external is not entered: what only it needs stays out with it.

    Args:
        find: gives the distribution of a key, or None.
        roots: what was requested.
        external: names, beside `EXTERNAL`.
        python: the version (``3.12``) that markers are evaluated for; empty: this one.
    """
    about = {"python_version": python, "python_full_version": f"{python}.99"} if python else {}
    outside = {canonicalize_name(name) for name in (*EXTERNAL, *external)}
    why: dict[str, tuple[str, ...]] = {}
    missing: dict[str, tuple[str, ...]] = {}
    unmet: dict[str, None] = {}
    met: set[str] = set()
    seen: set[tuple[str, str]] = set()
    queue: deque[tuple[Requirement, str, tuple[str, ...]]] = deque()
    queue.extend((one, "", ("deps",)) for one in roots)
    while queue:
        wanted, extra, way = queue.popleft()
        if wanted.marker is not None and not wanted.marker.evaluate({**about, "extra": extra}):
            continue
        key = canonicalize_name(wanted.name)
        if key in outside:
            met.add(key)
            continue
        found = find(key)
        if found is None or not _meets(found, wanted):
            has = f"and {found.version} is bundled" if found else "which is not bundled"
            unmet[f"{way[-1]} needs {wanted.name}{wanted.specifier}, {has}"] = None
        if found is None:
            missing.setdefault(key, way)
            continue
        if python and not _runs(found, python):
            unmet[
                f"{found.name} {found.version} does not run, since it needs Python {found.python}"
            ] = None
        why.setdefault(key, way)
        for asked in ("", *sorted(wanted.extras)):
            if (key, asked) not in seen:
                seen.add((key, asked))
                queue.extend((one, asked, (*why[key], found.name)) for one in found.requires)
    return Reached(why, tuple(sorted(met)), missing, tuple(sorted(unmet)))


def _runs(dist: Dist, python: str) -> bool:
    try:
        return SpecifierSet(dist.python).contains(f"{python}.99")
    except InvalidSpecifier:  # as pip has it
        return True


def _meets(dist: Dist, wanted: Requirement) -> bool:
    try:
        return wanted.specifier.contains(dist.version, prereleases=True)
    except InvalidVersion:  # some old ones have such; what brought it took it
        return True


def apply_native(
    dist: Dist, native: Mapping[str, str], way: Sequence[str], problems: Problems, place: str
) -> Dist:
    """The distribution as the policy of compiled parts leaves it.

    Args:
        native: policy by key, ``*`` for all others; missing means ``refuse``.
        way: who asked for it.
        problems: told what is refused.
        place: the option's name, for the remedy.
    """
    policy = native.get(dist.key, native.get("*", "refuse"))
    if dist.pure or policy == "allow":
        return dist
    if policy == "strip":
        kept = tuple(
            Member(one.name, _PURE_WHEEL) if one.name == f"{dist.info}/WHEEL" else one
            for one in dist.members
            if not is_native(one.name)
        )
        return replace(dist, members=kept, tag=PURE, stripped=dist.native)
    part = ", ".join(dist.native[:3]) or f"a wheel for {dist.tag.rpartition('-')[2]} only"
    asked = " → ".join((*way, dist.name))
    problems.add(
        f"{dist.name} {dist.version} has compiled parts and no pure wheel: {part} (asked for by {asked}).",
        hint=(
            f'Name it in "external", where hosts have it; or set {place} to "strip" for it (ship it without; the check '
            'before signing shows whether it works so) or to "allow" (only hosts that its tags fit take the file).'
        ),
        code="native",
    )
    return dist


def idle_policies(native: Mapping[str, str], bundled: Bundle, place: str) -> list[str]:
    """Sentences about names with a policy that are not bundled.

    Args:
        native: policy by key, ``*`` for all others.
        bundled: what comes along.
        place: what stands before the name, for messages.
    """
    known = {"*", *(dist.key for dist in bundled.distributions)}
    return [
        f"{place}{name}: no distribution of this name is bundled."
        for name in sorted(native)
        if name not in known
    ]


def bundle(
    dists: Iterable[Dist],
    why: Mapping[str, tuple[str, ...]],
    external: Iterable[str] = (),
    lacks: Mapping[int, tuple[str, ...]] | None = None,
) -> Bundle:
    """Put distributions together, each with a RECORD of exactly what is bundled (PEP 376, PEP 627)."""
    whole = []
    for dist in sorted(dists, key=lambda one: one.key):
        members = sorted(dist.members, key=lambda one: one.name)
        whole.append(replace(dist, members=(*members, record(dist.info, members))))
    together = {member for dist in whole for member in dist.members}
    return Bundle(
        tuple(whole),
        tuple(sorted(together, key=lambda one: (one.name, one.data))),
        tuple(sorted({one.tag for one in whole if not one.pure})),
        dict(why),
        tuple(sorted({*EXTERNAL, *external})),
        dict(lacks or {}),
    )


def without(bundled: Bundle, names: Iterable[str]) -> Bundle:
    """A bundle whose distributions lack some files, also in their RECORD."""
    dropped = tuple(sorted(names))
    if not dropped:
        return bundled
    gone = frozenset(dropped)
    left = [
        replace(
            one,
            members=tuple(
                member
                for member in one.members
                if member.name not in gone and member.name != f"{one.info}/RECORD"
            ),
        )
        for one in bundled.distributions
    ]
    made = bundle(left, bundled.why, bundled.external, bundled.lacks)
    return replace(made, dropped=dropped)


def record(info: str, members: Iterable[Member]) -> Member:
    """A RECORD of these members and itself."""
    name = f"{info}/RECORD"
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    for member in members:
        digest = base64.urlsafe_b64encode(hashlib.sha256(member.data).digest()).rstrip(b"=")
        writer.writerow([member.name, f"sha256={digest.decode()}", len(member.data)])
    writer.writerow([name, "", ""])
    return Member(name, stream.getvalue().encode())
