"""The check before signing: the finished archive is unpacked and its actors are imported, in a process of their own.

What lives here: what may be imported there, and the words for what fails. `hatch_thespian.probe` does the importing.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from director.tls.archive import read_archive
from hatch_thespian import probe
from hatch_thespian.problems import Problems
from hatch_thespian.signing import without_keys

_NO_MODULES = (".dist-info", ".egg-info", ".pth")
#: Seconds that importing all actors of a source may take.
LIMIT = 120


@dataclass(frozen=True)
class Present:
    """What of the external distributions is installed here: module names, distribution names, directories.

    ``absent`` are those that are not, ``unfit`` sentences about those that are not quite what is expected.
    """

    tops: tuple[str, ...]
    names: tuple[str, ...]
    places: tuple[str, ...]
    absent: tuple[str, ...]
    unfit: tuple[str, ...] = ()


def present(external: Sequence[str]) -> Present:
    """Look up external distributions, with everything they need.

    Args:
        external: requirements.
    """
    tops: set[str] = set()
    names: set[str] = set()
    places: set[str] = set()
    absent: list[str] = []
    unfit: list[str] = []
    queue = deque((Requirement(text), True) for text in external)
    while queue:
        wanted, asked = queue.popleft()
        name = canonicalize_name(wanted.name)
        if name in names or (
            wanted.marker is not None and not wanted.marker.evaluate({"extra": ""})
        ):
            continue
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            if asked:  # what an external one lacks of its own is not this source's business
                absent.append(wanted.name)
            continue
        if asked and not wanted.specifier.contains(found.version, prereleases=True):
            unfit.append(f"{wanted} is expected on hosts, and the check ran with {found.version}.")
        names.add(name)
        places.add(str(found.locate_file("")))
        mine = {
            file.parts[0].partition(".")[0]
            for file in found.files or ()
            if file.parts[0] != ".." and not file.parts[0].endswith(_NO_MODULES)
        }
        for place in linked(
            found
        ):  # an editable installation: what RECORD names is a part, or nothing
            modules = _modules(place)
            mine |= modules
            places.add(str(place))
            if asked and modules:
                unfit.append(f"{wanted.name} is linked to {place}, and the check ran with that.")
        if asked and not mine:  # one that is found by a hook of its own
            absent.append(wanted.name)
        tops |= mine
        queue.extend((Requirement(text), False) for text in found.requires or ())
    return Present(
        tuple(sorted(tops)),
        tuple(sorted(names)),
        tuple(sorted(places)),
        tuple(absent),
        tuple(unfit),
    )


def linked(found: importlib.metadata.Distribution) -> list[Path]:
    """The directories outside that a distribution's own .pth files put on the path (site)."""
    places = []
    for file in found.files or ():
        if file.suffix == ".pth":
            with contextlib.suppress(OSError, UnicodeDecodeError):
                for line in Path(str(found.locate_file(file))).read_text("utf-8").splitlines():
                    place = Path(str(found.locate_file("")), line.strip())
                    if line.strip() and not line.startswith(("#", "import")) and place.is_dir():
                        places.append(place)
    return list(dict.fromkeys(places))


def _modules(place: Path) -> set[str]:
    """The names of the packages and modules that lie in a directory."""
    packages = {path.parent.name for path in place.glob("*/__init__.py")}
    return packages | {path.stem for path in place.glob("*.py")}


def may_bring(distribution: str, top: str) -> bool:
    """Whether a distribution that is not here may bring a top-level module, by its name alone.

    True where the names are equal or one holds the other, as PyYAML holds yaml and python-dateutil dateutil.
    """
    name, module = canonicalize_name(distribution), canonicalize_name(top)
    return bool(module) and (module in name or name in module)


def check_archive(
    archive: bytes,
    actors: Sequence[str],
    external: Sequence[str],
    environ: Mapping[str, str],
    *,
    project: str = "",
    stripped: Mapping[str, str] | None = None,
) -> list[str]:
    """Import every actor class from the finished archive.

    Args:
        archive: the ZIP that is to be signed.
        actors: dotted paths of classes.
        external: requirements that hosts meet; what of them is not installed here stays unchecked.
        environ: the build's environment; the sources see it without the signing key.
        project: the name of the project whose own metadata is in the archive; empty: there is none.
        stripped: compiled modules that were left out, with whose they were.

    Returns:
        warnings: what could not be checked.

    Raises:
        SeveralProblems: each class that does not import, with the author's own traceback.
    """
    if not actors:
        return []
    here = present(external)
    with tempfile.TemporaryDirectory(prefix="hatch-thespian-") as folder:
        source = Path(folder) / "source"
        for entry, data in read_archive(archive).iter_data():
            path = source / entry.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        results, ended = _run(source, actors, here, environ)
    tops = {name.partition("/")[0].partition(".")[0] for name in read_archive(archive).names}
    problems, warnings = Problems(), list(here.unfit)
    warnings += [
        f"{name} is not installed here: what it brings is unchecked." for name in here.absent
    ]
    for actor in actors:
        told = results.get(actor)
        if told is None:
            if ended:
                problems.add(
                    f"{actor} does not work from the finished archive: {ended}", code="check"
                )
                ended = ""  # those behind it were not reached
            continue
        missing = str(told["missing"])
        top = missing.partition(".")[0]
        owners = [name for name in here.absent if may_bring(name, top)] if top not in tops else []
        how = f"imports {missing}, of"
        if told["kind"] == "metadata":
            key = canonicalize_name(missing)
            owners = [name for name in here.absent if canonicalize_name(name) == key]
            how = "asks for the metadata of"
        if told["kind"] and owners:
            warnings.append(f"{actor} is unchecked: it {how} {', '.join(owners)}.")
        elif told["kind"]:
            text = str(told["text"]).replace(f"{source}/", "").strip()
            problems.add(
                f"{actor} does not work from the finished archive:\n{text}\n",
                hint=_stripped(missing, text, stripped or {})
                or _remedy(str(told["kind"]), missing, project),
                code="check",
            )
    problems.check()
    return warnings


def _stripped(missing: str, text: str, stripped: Mapping[str, str]) -> str:
    """A hint where what is missing is a part that a strip took away."""
    for module, owner in stripped.items():
        package, _, name = module.rpartition(".")
        # What `from package import name` says of a module that is not there.
        said = rf"cannot import name '{re.escape(name)}' from [a-z ]*'{re.escape(package)}'"
        if missing == module or re.search(said, text):
            return (
                f'{module} is a compiled part of {owner}, which native = "strip" left out: it does not work without. '
                'Set native to "allow" for it, or name it in external, where hosts have it.'
            )
    return ""


def _remedy(kind: str, missing: str, project: str) -> str:
    if kind == "metadata" and project:
        return (
            f"Add {missing} to deps, or to external where hosts have it. "
            f"The project's own metadata is there, under the name {project}."
        )
    if kind == "metadata":
        return (
            f"Add {missing} to deps, or to external where hosts have it. Is it the project itself? "
            "hatch and setuptools ship its metadata; gensrc knows none."
        )
    if missing.partition(".")[0] in {"director", "hatch_thespian"}:
        return 'Hosts have it: name its distribution, external = ["hatch-thespian"].'
    if missing:
        return (
            f"Add what brings {missing} to deps or sources; if it is one of external, install that here, "
            "where it is checked."
        )
    if kind == "import":
        return "Bundle what is missing (deps), name what hosts have (external), or mend the source."
    return "Mend the source."


def _run(
    source: Path, actors: Sequence[str], here: Present, environ: Mapping[str, str]
) -> tuple[dict[str, dict[str, Any]], str]:
    """Run the probe; results by actor, and how it ended where one has none."""
    job, result = source.parent / "job.json", source.parent / "result.jsonl"
    told = {
        "source": str(source),
        "actors": list(actors),
        "tops": here.tops,
        "names": here.names,
        "places": here.places,
        "result": str(result),
    }
    job.write_text(json.dumps(told), encoding="utf-8")
    told_here = source.parent / "told"
    # Files, not pipes: a process that an import leaves running would hold a pipe open.
    with told_here.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", probe.__file__, str(job)],
            cwd=source.parent,
            env=without_keys(environ),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(LIMIT)
            last = told_here.read_bytes().decode(errors="replace").strip()[-2000:]
            ended = f"Its import ended the process with {code}. {last}"
        except subprocess.TimeoutExpired:
            ended = f"Its import took more than {LIMIT} s."
        finally:
            _end(process)
    results = {}
    if result.is_file():
        for line in result.read_text(encoding="utf-8").splitlines():
            one = json.loads(line)
            if "actor" in one:
                results[one["actor"]] = one
    return results, ended


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the probe and everything that the imports started in its session."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):  # it left nothing
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
