"""Requirements → resolved distributions: what a source brings along, as pip resolves it, once.

pip puts wheels of everything into a private directory: what happens to be installed in the build environment is never
bundled. Where it took a wheel with compiled parts, the pure wheel of the same version is taken instead, if it exists.
What is external is not fetched (`hatch_thespian.stand_ins`). Projects among the requirements are built first, each as
its own build system wants it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename

from director.errors import BuildError
from hatch_thespian.distributions import (
    EXTERNAL,
    Bundle,
    Dist,
    apply_native,
    bundle,
    reach,
    without,
)
from hatch_thespian.problems import Problems
from hatch_thespian.pythons import lacks
from hatch_thespian.signing import without_keys
from hatch_thespian.sources import matches
from hatch_thespian.stand_ins import versions, write_stand_in
from hatch_thespian.table import TABLE, is_path
from hatch_thespian.wheels import read_wheel

#: This project: hosts run it, and a source cannot bring it.
OWN = "hatch-thespian"
_OWN_HINT = f'Name it in external: external = ["{OWN}"].'
#: What pip tells of a conflict on stdout.
_CONFLICT = re.compile(r"^The conflict is caused by:\n(.+\n)*", re.MULTILINE)
#: Seconds that pip may take.
PIP_LIMIT = 600
#: pip settings that would send the files elsewhere, or take others than were asked for.
_MISLEADING = frozenset(
    f"PIP_{name}"
    for name in (
        *("TARGET", "USER", "PREFIX", "ROOT", "DRY_RUN", "REPORT", "NO_DEPS", "REQUIREMENT"),
        *("PLATFORM", "PYTHON_VERSION", "IMPLEMENTATION", "ABI", "EDITABLE", "NO_BINARY"),
        *("WHEEL_DIR", "DEST", "DESTINATION_DIRECTORY"),
    )
)


@dataclass(frozen=True)
class Wanted:
    """What a table wants to bring along.

    ``deps`` are PEP 508 requirements or paths of wheels, ``external`` requirements, ``native`` the policies by key.
    ``place`` is the table's TOML path. ``exclude`` are gitignore patterns; here they reach files only that several
    distributions bring with other bytes each.
    """

    deps: Sequence[str]
    external: Sequence[str] = ()
    native: Mapping[str, str] = field(default_factory=dict)
    place: str = TABLE
    exclude: Sequence[str] = ()


def resolve(
    wanted: Wanted, root: Path, environ: Mapping[str, str], say: Callable[[str], None]
) -> Bundle:
    """Resolve and fetch requirements with everything they need.

    Args:
        wanted: what the table says.
        root: the project; relative paths begin there.
        environ: pip's environment (indexes, proxies).
        say: told what is bundled, and what is not.

    Raises:
        BuildError: pip's own words, or each distribution at fault.
    """
    roots, arguments = _requested(wanted, root)
    outside = [
        Requirement(f"{one.name}{one.specifier}")
        for one in map(Requirement, wanted.external)
        if one.marker is None or one.marker.evaluate({"extra": ""})
    ]
    told = tuple(sorted({*EXTERNAL, *map(str, outside)}))
    if not arguments:
        return Bundle(external=told)
    with tempfile.TemporaryDirectory(prefix="hatch-thespian-") as folder:
        pip = Pip(Path(folder), root, environ, wanted.place)
        pip.stand_in(outside)
        known = {one.key: one for one in pip.wheels(arguments)}
        reached = reach(known.get, roots, [one.name for one in outside])
        kept = {key: known[key] for key in reached.why}
        kept |= pip.pure_instead([one for one in kept.values() if not one.pure])
    problems = Problems()
    if (way := reached.why.get(OWN)) is not None:
        raise BuildError(
            f"{wanted.place}.deps: {' → '.join(way)} needs {OWN}, which hosts have: it cannot be bundled.",
            hint=_OWN_HINT,
            code="deps",
        )
    for key, way in reached.missing.items():
        problems.add(
            f"{wanted.place}.deps: {' → '.join(way)} needs {key}, which pip did not bring.",
            code="deps",
        )
    finished = []
    for key, dist in kept.items():
        way = reached.why[key]
        finished.append(apply_native(dist, wanted.native, way, problems, f"{wanted.place}.native"))
        say(f"bundled {dist.name} {dist.version} ({' → '.join(way)})")
    for name in reached.external:
        say(f"{name} is expected on the host and is not bundled")
    problems.check()
    lacking = lacks(kept.get, roots, [one.name for one in outside])
    made = bundle(finished, reached.why, told, lacking)
    unwanted = [name for name in made.clashes if matches(wanted.exclude, name)]
    for name in unwanted:
        say(f"{name} is left out of all that bring it, as exclude says")
    return without(made, unwanted)


def _requested(wanted: Wanted, root: Path) -> tuple[list[Requirement], list[str]]:
    """The requirements to start from, and how pip is asked for them."""
    roots, arguments = [], []
    problems = Problems()
    for number, text in enumerate(wanted.deps):
        place = f"{wanted.place}.deps[{number}]"
        if is_path(text):
            path = root / text
            try:
                name = parse_wheel_filename(path.name)[0]
            except ValueError as problem:
                problems.add(f"{place}: {problem}.", code="deps")
                continue
            roots.append(Requirement(name))
        else:
            roots.append(requirement := Requirement(text))
            if canonicalize_name(requirement.name) in EXTERNAL:
                continue
            if requirement.url is None or "://" in requirement.url:
                arguments.append(text)
                continue
            path = root / requirement.url.removeprefix("file:")
        if not path.exists():
            problems.add(f"{place}: there is no {path}.", code="deps")
        arguments.append(as_url(roots[-1], path))
    problems.check()
    return roots, arguments


def named_in(text: str, name: str) -> bool:
    """Whether a text names a distribution."""
    spelled = re.escape(name).replace(r"\-", "[-_.]+")
    return re.search(rf"(?<![\w./-]){spelled}(?![\w/-])", text, re.IGNORECASE) is not None


def as_url(requirement: Requirement, path: Path) -> str:
    """A requirement that is met by a file or directory."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return f"{requirement.name}{extras} @ {path.resolve().as_uri()}{marker}"


class Pip:
    """pip, as it is run here: by this Python, in the project, with the user's indexes and no other setting.

    Args:
        folder: a private directory for wheels.
        root: the project.
        environ: pip's environment.
        place: the table's TOML path, for messages.
    """

    def __init__(self, folder: Path, root: Path, environ: Mapping[str, str], place: str) -> None:
        self.folder = folder
        self.shelf = folder / "stand-ins"
        self.limits = folder / "limits.txt"
        self.stood_in: dict[str, list[str]] = {}
        self.root = root
        self.environ = {k: v for k, v in without_keys(environ).items() if k not in _MISLEADING}
        self.place = place

    def stand_in(self, external: Sequence[Requirement]) -> None:
        """Let pip find stand-ins of what is external, in place of the real wheels.

        Args:
            external: names and versions, beside `EXTERNAL`.
        """
        wanted = dict.fromkeys(EXTERNAL, SpecifierSet())
        for one in external:
            key = canonicalize_name(one.name)
            wanted[key] = wanted.get(key, SpecifierSet()) & one.specifier
        self.stood_in = {
            name: versions(specifier, self._known(name)) for name, specifier in wanted.items()
        }
        self.shelf.mkdir()
        limits = []
        for name, chosen in self.stood_in.items():
            limits.append(f"{name}{wanted[name]}")
            if len(chosen) == 1:
                limits.append(f"{name}=={chosen[0]}")
            for version in chosen:
                write_stand_in(self.shelf, name, version)
        self.limits.write_text("\n".join(limits), encoding="utf-8")

    def _known(self, name: str) -> list[str]:
        """The versions of an external distribution that are known of here."""
        found = []
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(importlib.metadata.version(name))
        if name in EXTERNAL and found:
            return found  # it is this project's own requirement: hosts have one like it
        done = self._run("index", "versions", name, quiet=False)
        for line in done.stdout.splitlines():
            if line.startswith("Available versions:"):
                found += line.partition(":")[2].replace(",", " ").split()
        return found

    def wheels(self, arguments: Sequence[str]) -> list[Dist]:
        """Wheels of these requirements and of everything they need."""
        target = self.folder / "wheels"
        asked = [
            self._built(one, number)
            for number, one in enumerate(map(Requirement, arguments))
            if one.marker is None or one.marker.evaluate({"extra": ""})
        ]
        if not asked:
            return []
        options = ("--only-binary=:all:", "--find-links", self.shelf, "--constraint", self.limits)
        done = self._run("wheel", *options, "--wheel-dir", target, "--", *asked, quiet=False)
        if done.returncode:
            why = _CONFLICT.search(done.stdout)  # the rest is what it did on the way
            told = (why[0] if why else "") + (done.stderr or done.stdout)
            raise self._failed(f"{', '.join(arguments)} cannot be resolved", told, self._hint(told))
        return [read_wheel(path) for path in sorted(target.glob("*.whl"))]

    def _built(self, wanted: Requirement, number: int) -> str:
        """A requirement as pip is asked for it: a project, or an archive of one, is built first.

        What a project needs to be built may have no wheel: only what is bundled has to. What pip cannot bring for
        that may be installed here.
        """
        if wanted.url is None or urlsplit(wanted.url).path.endswith(".whl"):
            return str(wanted)
        target = self.folder / "built" / str(number)
        words = ("wheel", "--no-deps", "--wheel-dir", target)
        asked = f"{wanted.name} @ {wanted.url}"
        done = self._run(*words, "--", asked)
        if done.returncode:
            here = ("--no-build-isolation", "--check-build-dependencies")
            again = self._run(*words, *here, "--", asked)
            if again.returncode:
                hint = (
                    "What it needs to be built has to be on an index, in a directory that PIP_FIND_LINKS names, or "
                    "installed in this build environment (build-system.requires)."
                )
                told = f"{done.stderr}\nAnd with what is installed here:\n{again.stderr}"
                raise self._failed(f"{wanted} cannot be built", told, hint)
        return as_url(wanted, next(target.glob("*.whl")))

    def _hint(self, told: str) -> str:
        if named_in(told, OWN) and OWN not in self.stood_in:
            return f"Hosts have {OWN}. {_OWN_HINT}"
        for name, chosen in self.stood_in.items():
            if named_in(told, name):
                return (
                    f"{name} is expected on hosts, and what they have is taken for {', '.join(chosen[:3])}. "
                    f'Where it is another version, name it in external, as in "{name}==1.2.3".'
                )
        return "Only what has a wheel can be bundled; wheels of your own: PIP_FIND_LINKS."

    def _failed(self, what: str, told: str, hint: str) -> BuildError:
        text = f"{self.place}.deps: {what}. pip says:\n{told.strip()}\n"
        return BuildError(text, hint=hint, code="deps")

    def pure_instead(self, native: Sequence[Dist]) -> dict[str, Dist]:
        """Pure wheels of the same versions, of those that have one."""
        found: dict[str, Dist] = {}
        for dist in native:
            target = self.folder / "pure" / dist.key
            options = ("--no-deps", "--only-binary=:all:", "--platform", "any")
            wanted = f"{dist.name}=={dist.version}"
            self._run("download", *options, "--dest", target, "--", wanted)
            for path in sorted(target.glob("*.whl")):
                pure = read_wheel(path)
                if pure.pure:
                    found[dist.key] = pure
        return found

    def _run(self, *words: str | Path, quiet: bool = True) -> subprocess.CompletedProcess[str]:
        command = [
            *(sys.executable, "-P", "-m", "pip", words[0], "--no-input"),
            *(("--quiet",) if quiet else ()),
            *("--disable-pip-version-check", *map(str, words[1:])),
        ]
        try:
            done = subprocess.run(
                command,
                cwd=self.root,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PIP_LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            text = f"{self.place}.deps: pip took more than {PIP_LIMIT} s."
            raise BuildError(text, code="deps") from None
        if done.returncode and "No module named pip" in done.stderr:
            raise BuildError(
                f"{self.place}.deps: there is no pip beside {sys.executable}, which resolves them.",
                hint="Install it there: python -m ensurepip, or your package manager.",
                code="no-pip",
            )
        return done
