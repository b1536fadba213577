"""Requirements → resolved distributions → members: what a source brings along.

pip resolves them, once, into a private directory: what happens to be installed in the build environment is never
bundled. Members are taken by each distribution's RECORD, with its metadata and licences, so that
``importlib.metadata`` finds them on the host too. Only pure wheels (``…-none-any``) are taken.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from director.errors import BuildError
from director.tls.archive import Member
from director.tls.manifest import Distribution
from hatch_thespian.table import TABLE

#: Expected on every host, never bundled.
EXTERNAL = ("thespian",)
#: Seconds that pip may take.
PIP_LIMIT = 600
_NATIVE = (".so", ".pyd", ".dylib", ".dll")
#: Of a .dist-info: what tells of this very installation, and would differ from build to build.
_LOCAL = frozenset({"INSTALLER", "REQUESTED", "RECORD", "direct_url.json"})
#: pip settings that would send the files elsewhere, or take others than were asked for.
_MISLEADING = frozenset(
    f"PIP_{name}"
    for name in (
        *("TARGET", "USER", "PREFIX", "ROOT", "DRY_RUN", "REPORT", "NO_DEPS", "REQUIREMENT"),
        *("PLATFORM", "PYTHON_VERSION", "IMPLEMENTATION", "ABI", "EDITABLE", "NO_BINARY"),
    )
)


@dataclass(frozen=True)
class Bundle:
    """Resolved distributions and their members, both sorted by name."""

    distributions: tuple[Distribution, ...] = ()
    members: tuple[Member, ...] = ()


def resolve(
    deps: Sequence[str], root: Path, environ: Mapping[str, str], say: Callable[[str], None]
) -> Bundle:
    """Resolve and fetch requirements with everything they need.

    Args:
        deps: PEP 508 requirements.
        root: the project; pip runs there.
        environ: pip's environment (indexes, proxies).
        say: told what is bundled.

    Raises:
        BuildError: pip's own words, or the distribution at fault.
    """
    wanted = []
    for text in deps:
        if canonicalize_name(Requirement(text).name) in EXTERNAL:
            say(f"{text} is on every host and is not bundled")
        else:
            wanted.append(text)
    if not wanted:
        return Bundle()
    with tempfile.TemporaryDirectory(prefix="hatch-thespian-") as folder:
        target = Path(folder) / "deps"
        _pip(wanted, target, root, environ)
        return collect(target, say)


def _pip(wanted: Sequence[str], target: Path, root: Path, environ: Mapping[str, str]) -> None:
    command = [
        *(sys.executable, "-P", "-m", "pip", "install", "--target", str(target)),
        *("--only-binary=:all:", "--platform", "any", "--no-compile", "--no-input", "--quiet"),
        *("--disable-pip-version-check", "--no-warn-script-location", "--no-warn-conflicts"),
        "--",
        *wanted,
    ]
    environment = {k: v for k, v in environ.items() if k not in _MISLEADING}
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PIP_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"{TABLE}.deps: pip took more than {PIP_LIMIT} s.") from None
    if done.returncode:
        told = (done.stderr or done.stdout).strip()
        if "No module named pip" in told:
            raise BuildError(
                f"{TABLE}.deps: there is no pip beside {sys.executable}, which resolves them.",
                hint="Install it there: python -m ensurepip, or your package manager.",
                code="no-pip",
            )
        raise BuildError(
            f"{TABLE}.deps: {', '.join(wanted)} cannot be resolved to pure wheels. pip says:\n{told}\n",
            hint="Only wheels without compiled parts can be bundled by this release.",
            code="deps",
        )


def collect(target: Path, say: Callable[[str], None] = lambda line: None) -> Bundle:
    """The distributions that lie in a directory, and their members by RECORD.

    Args:
        target: what ``pip install --target`` filled.
        say: told each distribution.
    """
    distributions, members = [], []
    for info in sorted(target.glob("*.dist-info")):
        try:
            distribution = _describe(info)
            if canonicalize_name(distribution.name) in EXTERNAL:
                say(f"{distribution.name} is on every host and is not bundled")
                continue
            taken = _members(target, info, distribution)
        except OSError as problem:
            raise BuildError(
                f"{TABLE}.deps: {info.name}: {problem.filename}: {problem.strerror}.",
                hint="Its wheel is damaged; get it again.",
                code="deps",
            ) from None
        say(f"bundled {distribution.name} {distribution.version}")
        distributions.append(distribution)
        members += taken
    return Bundle(
        tuple(sorted(distributions, key=lambda one: canonicalize_name(one.name))),
        tuple(sorted(members, key=lambda one: one.name)),
    )


def _describe(info: Path) -> Distribution:
    told = BytesHeaderParser().parsebytes((info / "METADATA").read_bytes())
    licence = told.get("License-Expression") or told.get("License") or ""
    if not licence or "\n" in licence:  # some put the whole text there
        classifiers = [
            str(line).rpartition("::")[2].strip()
            for line in told.get_all("Classifier", [])
            if str(line).startswith("License ::")
        ]
        licence = " AND ".join(sorted(classifiers)) or "unknown"
    return Distribution(str(told["Name"]), str(told["Version"]), str(licence))


def _members(target: Path, info: Path, distribution: Distribution) -> list[Member]:
    taken = []
    record = (info / "RECORD").read_text(encoding="utf-8")
    for row in csv.reader(io.StringIO(record)):
        name = row[0].replace(os.sep, "/")
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or path.suffix in {".pyc", ".pyo"}:
            continue  # console scripts and byte code are the host's business
        if path.parts[0] == "bin" and not (target / "bin" / "__init__.py").exists():
            continue
        if path.parts[0] == info.name and path.name in _LOCAL and len(path.parts) == 2:
            continue
        if path.suffix in _NATIVE:
            raise BuildError(
                f"{TABLE}.deps: {distribution.name} {distribution.version} has a compiled part, {name}.",
                hint="Only distributions of pure Python can be bundled by this release.",
                code="native",
            )
        taken.append(Member(name, (target / name).read_bytes()))
    taken.append(_record(info.name, taken))
    return taken


def _record(info: str, members: Sequence[Member]) -> Member:
    """A RECORD of exactly what is bundled (PEP 376, PEP 627)."""
    name = f"{info}/RECORD"
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    for member in sorted(members, key=lambda one: one.name):
        digest = base64.urlsafe_b64encode(hashlib.sha256(member.data).digest()).rstrip(b"=")
        writer.writerow([member.name, f"sha256={digest.decode()}", len(member.data)])
    writer.writerow([name, "", ""])
    return Member(name, stream.getvalue().encode())
