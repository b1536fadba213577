"""The table in ``pyproject.toml``, read into a checked model; all mistakes at once, each with its TOML path.

What lives here: keys, types, and what can be said of a value alone. Whether files and requirements exist is the
business of `hatch_thespian.sources` and `hatch_thespian.dependencies`.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from pathspec import GitIgnoreSpec

from director.errors import BuildError, DirectorError, SettingsError
from director.settings.tli import tli_from_definition
from director.tls.naming import check_new_group, normalise_group
from director.tls.version import check_version

#: Where the table stands.
TABLE = "tool.hatch.build.hooks.thespian"
KEYS = (
    *("group", "sources", "exclude", "sources-dir", "tli", "version", "deps", "external", "native"),
    *("expires", "require-key", "groups"),
)
#: What is done with a distribution that has compiled parts and no pure wheel.
POLICIES = ("refuse", "strip", "allow")
_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
#: Keys of hatch itself that may stand in any hook's table.
_HATCH_KEYS = frozenset(
    {
        "dependencies",
        "require-runtime-dependencies",
        "require-runtime-features",
        "enable-by-default",
    }
)


class TableError(BuildError):
    """The table does not read.

    Args:
        problems: a sentence each, led by the TOML path.
        tables: those that read far enough that their files can be looked at.
    """

    code = "table"
    exit_status = 8

    def __init__(self, problems: Sequence[str], tables: Sequence[Table] = ()) -> None:
        self.problems = tuple(problems)
        self.tables = tuple(tables)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True)
class Table:
    """What is to be packaged.

    ``sources`` and ``exclude`` are gitignore patterns rooted at ``sources_dir`` (relative to the project, with ``/``;
    None: ``src`` where that is a directory, else the project). ``tli`` is a file of the project, ``inline_tli`` the
    same written as a table. ``version`` is ``project``, ``date``, ``none`` or the version itself. ``deps`` are PEP 508
    requirements or paths of wheels; ``external`` requirements that hosts are expected to have. ``native`` gives the
    policy of each distribution, ``*`` standing for all others. ``expires`` is RFC 3339 UTC or None. ``path`` is where
    the table stands, for messages.
    """

    group: str
    sources: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    sources_dir: str | None = None
    tli: str | None = None
    version: str = "project"
    deps: tuple[str, ...] = ()
    require_key: bool = False
    external: tuple[str, ...] = ()
    native: Mapping[str, str] = field(default_factory=dict)
    inline_tli: Mapping[str, Any] | None = None
    expires: str | None = None
    path: str = TABLE


def read_tables(
    told: Mapping[str, Any], *, project_name: str, path: str = TABLE
) -> tuple[Table, ...]:
    """Check the table; one of several groups (``groups.NAME``) gives one each.

    Args:
        told: the table as TOML gives it.
        project_name: the project's name, the group's where the table names none.
        path: where the table stands, for messages.

    Raises:
        TableError: everything that is wrong, in all groups.
    """
    if "groups" not in told:
        return (read_table(told, project_name=project_name, path=path),)
    reader = _Reader(told, path)
    reader.known()
    required = reader.flag("require-key")
    for key in told:
        if key in KEYS and key not in {"groups", "require-key"}:
            reader.wrong(key, "with groups it stands in the table of each group")
    groups = told["groups"]
    if not isinstance(groups, dict) or not groups:
        reader.wrong("groups", "it has to be a table with a table for each group")
        groups = {}
    tables = []
    for name, inner in groups.items():
        place = f"{path}.groups.{name}"
        if not isinstance(inner, dict) or {"group", "groups"} & set(inner):
            reader.problems.append(
                f"{place}: it has to be a table, without group: {name} is the group"
            )
            continue
        try:
            one = read_table(
                {"require-key": required, **inner, "group": name}, project_name=name, path=place
            )
            tables.append(one)
        except TableError as problem:
            reader.problems += problem.problems
            tables += problem.tables
    folded: dict[str, str] = {}
    for name in groups:
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            reader.wrong(f"groups.{name}", f"it differs from {other} only by case")
    if reader.problems:
        raise TableError(reader.problems, tables)
    return tuple(tables)


def read_table(told: Mapping[str, Any], *, project_name: str, path: str = TABLE) -> Table:
    """Check the table of one group.

    Args:
        told: the table as TOML gives it.
        project_name: the project's name, the group's where the table names none.
        path: where the table stands, for messages.

    Raises:
        TableError: everything that is wrong.
    """
    reader = _Reader(told, path)
    reader.known()
    inline = isinstance(told.get("tli"), dict)
    table = Table(
        group=reader.group(project_name),
        sources=reader.patterns("sources", required=True),
        exclude=reader.patterns("exclude"),
        sources_dir=reader.place("sources-dir"),
        tli=None if inline else reader.place("tli"),
        version=reader.version(),
        deps=reader.requirements("deps", paths=True),
        require_key=reader.flag("require-key"),
        external=reader.requirements("external"),
        native=reader.native(),
        inline_tli=reader.definition() if inline else None,
        expires=reader.moment("expires"),
        path=path,
    )
    if reader.problems:
        files = (f"{path}.sources", f"{path}.exclude")
        known = not any(one.startswith(files) for one in reader.problems)
        raise TableError(reader.problems, [table] if known else [])
    return table


def is_path(dep: str) -> bool:
    """Whether an item of ``deps`` is the path of a wheel, and no requirement."""
    return dep.endswith(".whl") and "@" not in dep


class _Reader:
    def __init__(self, told: Mapping[str, Any], path: str) -> None:
        self.told = told
        self.path = path
        self.problems: list[str] = []

    def wrong(self, key: str, what: str) -> None:
        self.problems.append(f"{self.path}.{key}: {what}")

    def known(self) -> None:
        for key in self.told:
            if key not in KEYS and key not in _HATCH_KEYS:
                near = difflib.get_close_matches(key, KEYS, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(KEYS)}"
                self.wrong(key, f"there is no such key; {hint}")

    def text(self, key: str) -> str | None:
        value = self.told.get(key)
        if value is None or (isinstance(value, str) and value.strip()):
            return value
        self.wrong(key, f"it has to be a text that is not empty, not {value!r}")
        return None

    def texts(self, key: str) -> list[tuple[str, str]]:
        value = self.told.get(key, [])
        if not isinstance(value, list):
            self.wrong(key, f"it has to be a list of texts, not {value!r}")
            return []
        good = []
        for number, item in enumerate(value):
            if isinstance(item, str) and item.strip():
                good.append((f"{key}[{number}]", item))
            else:
                self.wrong(
                    f"{key}[{number}]", f"it has to be a text that is not empty, not {item!r}"
                )
        return good

    def group(self, project_name: str) -> str:
        group = self.text("group")
        if group is None:
            group = normalise_group(project_name)
        self.check("group", check_new_group, group)
        return group

    def patterns(self, key: str, *, required: bool = False) -> tuple[str, ...]:
        if required and not self.told.get(key):
            self.wrong(key, 'it is missing; name the files to ship, as in ["myapp/**/*.py"]')
            return ()
        good = []
        for place, pattern in self.texts(key):
            if any(part == ".." for part in pattern.split("/")) or "\\" in pattern:
                self.wrong(place, f"{pattern!r} leaves sources-dir; set sources-dir instead")
                continue
            try:
                GitIgnoreSpec.from_lines([pattern])
            except ValueError as problem:
                self.wrong(place, f"{pattern!r} is no pattern: {problem}")
                continue
            good.append(pattern)
        return tuple(good)

    def place(self, key: str) -> str | None:
        value = self.text(key)
        if value is None:
            return None
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or "\\" in value:
            self.wrong(key, f"{value!r} has to lie in the project, as a relative path with /")
            return None
        return str(path)

    def version(self) -> str:
        version = self.text("version") or "project"
        if version not in {"project", "date", "none"}:
            self.check("version", check_version, version)
        return version

    def requirements(self, key: str, *, paths: bool = False) -> tuple[str, ...]:
        good = []
        for place, text in self.texts(key):
            try:
                if not (paths and is_path(text)):
                    Requirement(text)
            except InvalidRequirement as problem:
                reason = str(problem).partition("\n")[0]
                if paths and "/" in text and "@" not in text:
                    near = PurePosixPath(text)
                    reason = f'write a project\'s path behind its name, as in "{near.name or "name"} @ {near}"'
                self.wrong(place, f"{text!r} is no requirement (PEP 508): {reason}")
                continue
            good.append(text)
        return tuple(good)

    def native(self) -> dict[str, str]:
        value = self.told.get("native", {})
        told = {"*": value} if isinstance(value, str) else value
        if not isinstance(told, dict):
            self.wrong("native", f"it has to be a text or a table, not {value!r}")
            return {}
        for name, policy in told.items():
            if policy not in POLICIES:
                place = "native" if isinstance(value, str) else f"native.{name}"
                self.wrong(place, f"it has to be one of {', '.join(POLICIES)}, not {policy!r}")
        return {name if name == "*" else canonicalize_name(name): told[name] for name in told}

    def definition(self) -> Mapping[str, Any] | None:
        value: dict[str, Any] = self.told["tli"]
        before = len(self.problems)
        try:
            tli_from_definition(value, place=partial(_toml_path, f"{self.path}.tli"))
        except SettingsError as problem:
            self.problems.append(str(problem))
        for place, kind in _not_python(value, f"{self.path}.tli"):
            self.problems.append(f"{place}: a {kind} cannot stand in a TLI")
        return value if len(self.problems) == before else None

    def moment(self, key: str) -> str | None:
        """A date-time of TOML, or the same as text; without an offset it is UTC, a date alone is its midnight."""
        value = self.told.get(key)
        if value is None:
            return None
        try:
            found = datetime.fromisoformat(value if isinstance(value, str) else value.isoformat())
            aware = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except (AttributeError, ValueError, OverflowError):  # in UTC it may be of no year
            self.wrong(key, f"it has to be a date or date-time such as 2027-06-30, not {value!r}")
            return None
        # Not strftime, which writes a year before 1000 with fewer digits.
        return aware.replace(microsecond=0, tzinfo=None).isoformat() + "Z"

    def flag(self, key: str) -> bool:
        value = self.told.get(key, False)
        if not isinstance(value, bool):
            self.wrong(key, f"it has to be true or false, not {value!r}")
        return value is True

    def check(self, key: str, function: Any, value: str) -> None:
        try:
            function(value)
        except DirectorError as problem:
            self.wrong(key, str(problem))


def _toml_path(base: str, *steps: Any) -> str:
    """A place below a table, with the keys quoted that TOML wants quoted."""
    for step in steps:
        if isinstance(step, int):
            base += f"[{step}]"
        else:
            base += f".{step if _BARE.fullmatch(step) else json.dumps(step, ensure_ascii=False)}"
    return base


def _not_python(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """What TOML has and a Python literal has not: dates and times, nan and inf."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _not_python(item, _toml_path(place, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _not_python(item, f"{place}[{number}]")
    elif not isinstance(value, (str, int, float)):
        yield place, type(value).__name__
    elif isinstance(value, float) and not math.isfinite(value):
        yield place, str(value)
