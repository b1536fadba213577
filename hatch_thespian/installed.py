"""gensrc's dependencies: what is installed here, named by distribution or by import name (guide 2.3.3).

Nothing is downloaded and nothing imported. What is collected runs in other processes, so that its files have to be
those that were installed: a distribution without a list of its files, or one that is linked to a checkout, is refused.
"""

from __future__ import annotations

import csv
import importlib.metadata
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from email.message import Message
from pathlib import Path, PurePosixPath
from typing import cast

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from director.errors import BuildError
from director.tls.archive import Member
from hatch_thespian.distributions import (
    EXTERNAL,
    PURE,
    Bundle,
    Dist,
    apply_native,
    bundle,
    left_out,
    reach,
)
from hatch_thespian.problems import Problems
from hatch_thespian.pythons import lacks


def read_names(path: Path, option: str, problems: Problems) -> list[str]:
    """The names of a ``deps:`` or ``external:`` file, one a line; ``#`` begins a comment.

    Args:
        problems: told each line that is more than a name; versions are the business of what installs.

    Raises:
        BuildError: the file does not read.
    """
    names = []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8 text"
        raise BuildError(f"{option}{path}: {reason}.", code="deps") from None
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            problems.add(f"{path}:{number}: {text!r} is not a name.", code="deps")
            continue
        if wanted.specifier or wanted.url or wanted.marker:
            problems.add(
                f"{path}:{number}: {text!r} says more than a name.",
                hint="gensrc takes what is installed: leave versions to what installs it.",
                code="deps",
            )
            continue
        names.append(text)
    return names


def collect(
    names: Sequence[str],
    external: Sequence[str],
    native: Mapping[str, str],
    say: Callable[[str], None],
) -> Bundle:
    """Collect named distributions with everything they need, as installed here.

    Args:
        names: distribution or import names, in any case, each maybe with extras.
        external: what hosts have.
        native: policies of compiled parts by key.
        say: told what is bundled, and what is not.

    Raises:
        SeveralProblems: everything that is missing or cannot be taken.
    """
    problems = Problems()
    imports = _by_import_name()
    outside = [
        one for name in external for one in _resolve(name, imports) or [canonicalize_name(name)]
    ]
    roots = []
    for name in names:
        wanted = Requirement(name)
        found = _resolve(wanted.name, imports)
        if not found and canonicalize_name(wanted.name) not in EXTERNAL:
            problems.add(
                f"{name} is not installed here, neither as a distribution nor as an import name.",
                hint=f"Install it: {sys.executable} -m pip install {wanted.name}",
                code="deps",
            )
        extras = f"[{','.join(sorted(wanted.extras))}]" if wanted.extras else ""
        roots += [Requirement(f"{one}{extras}") for one in found]
    shelf = _Shelf(problems)
    reached = reach(shelf.find, roots, outside)
    for key, way in reached.missing.items():
        if key in shelf.unusable:
            continue  # told already
        problems.add(
            f"{' → '.join(way[1:])} needs {key}, which is not installed here.", code="deps"
        )
    kept = []
    for key, way in reached.why.items():
        dist = shelf.find(key)
        if dist is not None:
            kept.append(apply_native(dist, native, way, problems, "native:"))
            say(f"bundled {dist.name} {dist.version} ({' → '.join(way)})")
    for key in reached.external:
        say(f"{key} is expected on the host and is not bundled")
    problems.check()
    known = {one.key: one for one in kept}
    return bundle(kept, reached.why, outside, lacks(known.get, roots, outside))


class _Shelf:
    """Installed distributions, read when they are asked for."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.read: dict[str, Dist | None] = {}
        self.unusable: set[str] = set()

    def find(self, key: str) -> Dist | None:
        if key not in self.read:
            self.read[key] = None
            try:
                found = importlib.metadata.distribution(key)
            except importlib.metadata.PackageNotFoundError:
                return None
            self.unusable.add(key)
            with self.problems.kept():
                self.read[key] = read_installed(found)
                self.unusable.discard(key)
        return self.read[key]


def read_installed(found: importlib.metadata.Distribution) -> Dist:
    """An installed distribution by its RECORD.

    Raises:
        BuildError: code ``installed``; it has no list of files, lacks one, or is an editable installation.
    """
    name = f"{found.metadata['Name']} {found.version}"
    # Not `found.files`: since Python 3.12 it leaves out what is missing.
    record = csv.reader((found.read_text("RECORD") or "").splitlines())
    files = [PurePosixPath(row[0]) for row in record if row]
    info = next((one.parent.name for one in files if one.name == "METADATA"), "")
    if not info.endswith(".dist-info"):
        raise _unusable(name, "it was installed without a list of its files (RECORD)")
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        raise _unusable(name, "it is an editable installation, linked to a checkout")
    members = []
    for path in files:
        if path.parts[0] == ".." or path.is_absolute() or left_out(str(path), info):
            continue
        try:
            members.append(Member(str(path), Path(str(found.locate_file(path))).read_bytes()))
        except OSError as problem:
            raise _unusable(name, f"{path}: {problem.strerror}") from None
    # Which is the Message that it was parsed to.
    told = cast(Message, found.metadata)
    return Dist.described(told, info, members, _tag(found.read_text("WHEEL") or ""))


def _tag(wheel: str) -> str:
    """The compressed tag set of a WHEEL file's Tag lines."""
    tags = [
        line.partition(":")[2].strip() for line in wheel.splitlines() if line.startswith("Tag:")
    ]
    parts = [tag.split("-") for tag in tags if tag.count("-") == 2]
    if not parts:
        return PURE
    return "-".join(".".join(dict.fromkeys(one[place] for one in parts)) for place in range(3))


def _resolve(name: str, imports: Mapping[str, Sequence[str]]) -> list[str]:
    """The distributions that a name means: that of this name, else those that bring this import name."""
    try:
        return [canonicalize_name(importlib.metadata.distribution(name).metadata["Name"])]
    except importlib.metadata.PackageNotFoundError:
        return [canonicalize_name(one) for one in imports.get(name.casefold(), ())]


def _by_import_name() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, distributions in importlib.metadata.packages_distributions().items():
        found.setdefault(name.casefold(), []).extend(sorted(set(distributions)))
    return found


def _unusable(name: str, why: str) -> BuildError:
    return BuildError(
        f"{name} cannot be taken: {why}.", hint="Install it again with pip.", code="installed"
    )
