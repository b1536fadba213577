"""Requirements → resolved distributions: what a source brings along, as pip resolves it, once.

pip puts wheels of everything into a private directory: what happens to be installed in the build environment is never
bundled. Where it took a wheel with compiled parts, the pure wheel of the same version is taken instead, if it exists.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from director.errors import BuildError
from hatch_thespian.distributions import EXTERNAL, Bundle, Dist, apply_native, bundle, reach
from hatch_thespian.problems import Problems
from hatch_thespian.signing import without_keys
from hatch_thespian.table import TABLE, is_path
from hatch_thespian.wheels import read_wheel

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
    ``place`` is the table's TOML path.
    """

    deps: Sequence[str]
    external: Sequence[str] = ()
    native: Mapping[str, str] = field(default_factory=dict)
    place: str = TABLE


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
        known = {one.key: one for one in pip.wheels(arguments)}
        reached = reach(known.get, roots, [one.name for one in outside])
        kept = {key: known[key] for key in reached.why}
        kept |= pip.pure_instead([one for one in kept.values() if not one.pure])
    problems = Problems()
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
    return bundle(finished, reached.why, told)


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
        arguments.append(_as_url(roots[-1], path))
    problems.check()
    return roots, arguments


def _as_url(requirement: Requirement, path: Path) -> str:
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
        self.root = root
        self.environ = {k: v for k, v in without_keys(environ).items() if k not in _MISLEADING}
        self.place = place

    def wheels(self, arguments: Sequence[str]) -> list[Dist]:
        """Wheels of these requirements and of everything they need."""
        target = self.folder / "wheels"
        done = self._run("wheel", "--only-binary=:all:", "--wheel-dir", target, "--", *arguments)
        if done.returncode:
            told = (done.stderr or done.stdout).strip()
            raise BuildError(
                f"{self.place}.deps: {', '.join(arguments)} cannot be resolved. pip says:\n{told}\n",
                hint="Only what has a wheel can be bundled; wheels of your own: PIP_FIND_LINKS.",
                code="deps",
            )
        return [read_wheel(path) for path in sorted(target.glob("*.whl"))]

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

    def _run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [
            *(sys.executable, "-P", "-m", "pip", words[0], "--no-input", "--quiet"),
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
