"""The table in ``pyproject.toml``, read into a checked model; all mistakes at once, each with its TOML path.

What lives here: keys, types, and what can be said of a value alone. Whether files and requirements exist is the
business of `hatch_thespian.sources` and `hatch_thespian.dependencies`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from pathspec import GitIgnoreSpec

from director.errors import BuildError, DirectorError
from director.tls.naming import check_group, normalise_group
from director.tls.version import check_version

#: Where the table stands.
TABLE = "tool.hatch.build.hooks.thespian"
KEYS = ("group", "sources", "exclude", "sources-dir", "tli", "version", "deps", "require-key")
#: Keys of hatch itself that may stand in any hook's table.
_HATCH_KEYS = frozenset(
    {
        "dependencies",
        "require-runtime-dependencies",
        "require-runtime-features",
        "enable-by-default",
    }
)
#: Keys of the design that this release does not know yet.
_LATER = frozenset({"external", "native", "groups"})


class TableError(BuildError):
    """The table does not read.

    Args:
        problems: a sentence each, led by the TOML path.
    """

    code = "table"
    exit_status = 8

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True)
class Table:
    """What is to be packaged.

    ``sources`` and ``exclude`` are gitignore patterns rooted at ``sources_dir`` (relative to the project, with ``/``;
    None: ``src`` where that is a directory, else the project). ``tli`` is a file of the project. ``version`` is
    ``project``, ``date``, ``none`` or the version itself. ``deps`` are PEP 508 requirements.
    """

    group: str
    sources: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    sources_dir: str | None = None
    tli: str | None = None
    version: str = "project"
    deps: tuple[str, ...] = ()
    require_key: bool = False


def read_table(told: Mapping[str, Any], *, project_name: str, path: str = TABLE) -> Table:
    """Check the table.

    Args:
        told: the table as TOML gives it.
        project_name: the project's name, the group's where the table names none.
        path: where the table stands, for messages.

    Raises:
        TableError: everything that is wrong.
    """
    reader = _Reader(told, path)
    reader.known()
    table = Table(
        group=reader.group(project_name),
        sources=reader.patterns("sources", required=True),
        exclude=reader.patterns("exclude"),
        sources_dir=reader.place("sources-dir"),
        tli=reader.place("tli"),
        version=reader.version(),
        deps=reader.requirements(),
        require_key=reader.flag("require-key"),
    )
    if reader.problems:
        raise TableError(reader.problems)
    return table


class _Reader:
    def __init__(self, told: Mapping[str, Any], path: str) -> None:
        self.told = told
        self.path = path
        self.problems: list[str] = []

    def wrong(self, key: str, what: str) -> None:
        self.problems.append(f"{self.path}.{key}: {what}")

    def known(self) -> None:
        for key in self.told:
            if key in _LATER:
                self.wrong(key, "this release does not support it yet; remove it")
            elif key not in KEYS and key not in _HATCH_KEYS:
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
            return normalise_group(project_name)
        self.check("group", check_group, group)
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
        if isinstance(self.told.get(key), dict):
            self.wrong(key, "this release takes the name of a file only, not a table")
            return None
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

    def requirements(self) -> tuple[str, ...]:
        good = []
        for place, text in self.texts("deps"):
            try:
                Requirement(text)
            except InvalidRequirement as problem:
                reason = str(problem).partition("\n")[0]
                self.wrong(place, f"{text!r} is no requirement (PEP 508): {reason}")
                continue
            good.append(text)
        return tuple(good)

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
