"""The pipeline: select → resolve → describe → archive → check → sign.

What lives here is their order. No source is imported in this process: the check runs in one of its own.
"""

from __future__ import annotations

import codecs
import importlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from director.errors import BuildError, DirectorError
from director.files import write_atomically
from director.settings.tli import Tli, parse_tli
from director.tls.archive import Member, write_archive
from director.tls.container import seal
from director.tls.keys import SigningKey
from director.tls.manifest import MANIFEST_NAME, SBOM_NAME, TLI_NAME, Manifest, describe
from director.tls.naming import file_name
from director.tls.verify import Policy, verify
from director.tls.version import is_pep440
from hatch_thespian.checks import check_sources
from hatch_thespian.distributions import Bundle, Dist, idle_policies
from hatch_thespian.literal import literal
from hatch_thespian.own import shipped
from hatch_thespian.parts import Parts, check_parts
from hatch_thespian.problems import Problems
from hatch_thespian.progress import Steps
from hatch_thespian.provenance import provenance
from hatch_thespian.pythons import narrowed
from hatch_thespian.sources import Selected, matches, select
from hatch_thespian.table import Table


@dataclass(frozen=True)
class Project:
    """What of the project the package needs: its directory, version, ``requires-python`` and own distribution."""

    root: Path
    version: str
    requires_python: str
    dist: Dist | None = None


@dataclass(frozen=True)
class Package:
    """A finished source: the name and bytes of its .tls file, and its TLI (None: it has none)."""

    group: str
    version: str | None
    name: str
    data: bytes
    tli: bytes | None
    warnings: tuple[str, ...]

    def write(self, directory: Path) -> list[Path]:
        """Place GROUP-VERSION.tls and GROUP.tli; the paths written."""
        directory.mkdir(parents=True, exist_ok=True)
        written = [directory / self.name]
        write_atomically(written[0], self.data, mode=0o644)
        if self.tli is not None:
            written.append(directory / f"{self.group}.tli")
            write_atomically(written[1], self.tli, mode=0o644)
        return written


def make_package(
    table: Table,
    project: Project,
    key: SigningKey,
    environ: Mapping[str, str],
    *,
    output: Path,
    steps: Steps | None = None,
) -> Package:
    """Make a signed source from a table.

    Args:
        table: the checked table.
        project: whose table it is.
        key: what signs.
        environ: SOURCE_DATE_EPOCH, CI's variables, and what pip needs.
        output: the build's output directory, which is no source.
        steps: where its words go.

    Raises:
        SeveralProblems: what is wrong with the sources, the TLI or the dependencies; nothing was written.
    """
    steps = steps or Steps()
    problems = Problems()
    epoch = source_date_epoch(environ)
    parts, selected = _own_parts(table, project, epoch, problems, output)
    bundle = Bundle()
    with problems.kept():
        bundle = _bundle(table, project.root, environ, steps)
    dist, warnings = shipped(project.dist, parts.own, bundle, table.external)
    parts = replace(parts, bundle=bundle, dist=dist)
    complete = selected.whole and bool(bundle.distributions or not table.deps)
    check(parts, problems, steps, complete=complete)
    idle = [
        told
        for pattern, told in selected.idle.items()
        if not any(matches([pattern], name) for name in bundle.dropped)
    ]
    warnings += [*idle, *idle_policies(table.native, bundle, f"{table.path}.native.")]
    if parts.tli_data is None and (project.root / f"{table.group}.tli").is_file():
        warnings.append(
            f"{table.group}.tli is not signed, since {table.path}.tli does not name it; "
            "the group starts no actor."
        )
    return finish(parts, key, environ, steps=steps, warnings=warnings)


def look(table: Table, project: Project, problems: Problems, *, output: Path) -> None:
    """Tell what is wrong with a table's files; its dependencies are not resolved.

    Args:
        table: it may lack what did not read.
        project, output: as for `make_package`.
        problems: told.
    """
    parts, selected = _own_parts(table, project, None, problems, output)
    check_sources(parts.own, problems)
    check_parts(parts, problems, complete=selected.whole and not table.deps)


def _own_parts(
    table: Table, project: Project, epoch: int | None, problems: Problems, output: Path
) -> tuple[Parts, Selected]:
    """The parts without their dependencies, and the selection that they were made of."""
    tli, tli_data = Tli(), None
    selected = select(table, project.root, problems, skip=[output])
    with problems.kept():
        tli, tli_data = _tli(table, project.root)
    parts = Parts(
        group=table.group,
        version=version_of(table.version, project.version, epoch),
        requires_python=project.requires_python,
        sources=selected.members,
        why=selected.why,
        tli=tli,
        tli_data=tli_data,
        tli_name=table.tli or f"{table.path}.tli",
        native=table.native.get("*", "refuse"),
        place=table.path,
        expires=table.expires,
    )
    return parts, selected


def check(parts: Parts, problems: Problems, steps: Steps, *, complete: bool) -> None:
    """Check syntax, names, compiled parts and actors, and stop for everything that was found.

    Args:
        problems: what is wrong already.
        complete: as for `hatch_thespian.parts.check_parts`.

    Raises:
        SeveralProblems: everything that is wrong.
    """
    count = sum(one.name.endswith(".py") for one in parts.own)
    with steps.step("checking syntax") as step:
        check_sources(parts.own, problems)
        step.told = f"checked the syntax of {count} files"
    check_parts(parts, problems, complete=complete)
    problems.check()


def finish(
    parts: Parts,
    key: SigningKey,
    environ: Mapping[str, str],
    *,
    steps: Steps,
    warnings: list[str] | None = None,
) -> Package:
    """Describe, archive, check and sign parts that fit together.

    Args:
        parts: checked by `hatch_thespian.parts.check_parts`.
        key: what signs.
        environ: SOURCE_DATE_EPOCH and CI's variables; what the check's process sees, without the key.
        steps: where words go.
        warnings: told already.

    Raises:
        BuildError: an actor does not import from the archive, or a host would not accept it.
    """
    told = list(warnings or [])
    required, lacking = narrowed(parts.requires_python, parts.bundle.lacks)
    parts = replace(parts, requires_python=required)
    told += lacking
    name = file_name(parts.group, parts.version)
    for size, member, why in parts.listing():
        steps.detail(f"added {member} ({size} bytes): {why}")
    with steps.step("archiving") as step:
        archive = _archive(parts, key, environ)
        step.told = f"archived {len(parts.members)} members, {len(archive):,} bytes"
    actors = [actor.class_name for actor in parts.tli.actors]
    if actors:
        with steps.step("checking") as step:
            from hatch_thespian.check import check_archive

            told += check_archive(
                archive,
                actors,
                parts.bundle.external,
                environ,
                project=parts.dist.name if parts.dist else "",
                stripped=parts.stripped,
            )
            step.told = f"checked that {len(actors)} actors import from it"
    with steps.step("signing") as step:
        data = seal(archive, key)
        told += _check_result(data, key, name)
        step.told = f"signed {name} with {key.public.fingerprint}"
    if parts.version is not None and not is_pep440(parts.version):
        told.append(f"{parts.version} is no PEP 440 version; it is ordered by its leading numbers.")
    return Package(parts.group, parts.version, name, data, parts.tli_data, tuple(told))


def source_date_epoch(environ: Mapping[str, str]) -> int | None:
    """SOURCE_DATE_EPOCH, seconds since 1970 UTC, or None where it is not set."""
    text = environ.get("SOURCE_DATE_EPOCH", "").strip()
    if not text:
        return None
    if not text.isdecimal() or len(text) > 11:  # up to the year 5138: datetime ends at 9999
        raise BuildError(
            f"SOURCE_DATE_EPOCH is {text!r}, not a number of seconds.",
            hint="Mend or unset it.",
            code="epoch",
        )
    return int(text)


def version_of(wanted: str, project_version: str, epoch: int | None) -> str | None:
    """The version of the source: ``none``, ``project``, ``date`` (UTC), or the one that is given."""
    if wanted == "none":
        return None
    if wanted == "project":
        return project_version
    if wanted == "date":
        moment = datetime.now(UTC) if epoch is None else datetime.fromtimestamp(epoch, UTC)
        return moment.strftime("%Y%m%d%H%M")
    return wanted


def read_tli(path: Path, *, name: str, place: str) -> tuple[Tli, bytes]:
    """A TLI file, checked, and the bytes that are shipped of it.

    Args:
        name: what people know it by. place: what names it, for messages.

    Raises:
        BuildError, SettingsError: it is missing or does not read.
    """
    try:
        # A byte order mark is an editor's, not the author's: hosts read the TLI without it.
        data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
        text = data.decode("utf-8")
    except OSError as problem:
        hint = ""
        if (path.parent / "PKG-INFO").is_file():
            includes = "[tool.hatch.build.targets.sdist]"
            if place.startswith("tool.setuptools"):
                includes = "MANIFEST.in"
            hint = f"This is an unpacked sdist: see that {includes} includes it."
        raise BuildError(f"{place}: {path}: {problem.strerror}.", hint=hint, code="tli") from None
    except UnicodeDecodeError:
        raise BuildError(f"{place}: {path} is not UTF-8 text.", code="tli") from None
    return parse_tli(text, name=name, environ=_AnyEnvironment()), data


class _AnyEnvironment(dict[str, str]):
    """Stands for the environment of a host not yet known: any variable may be set there."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> str:
        # Not empty, and another for each variable: two Roles may come from two variables.
        return key


def _tli(table: Table, root: Path) -> tuple[Tli, bytes | None]:
    place = f"{table.path}.tli"
    if table.inline_tli is not None:
        text = literal(table.inline_tli)
        return parse_tli(text, name=place, environ=_AnyEnvironment()), text.encode()
    if table.tli is None:
        return Tli(), None
    return read_tli(root / table.tli, name=table.tli, place=place)


def _bundle(table: Table, root: Path, environ: Mapping[str, str], steps: Steps) -> Bundle:
    if not table.deps and not table.external:
        return Bundle()
    from hatch_thespian.dependencies import Wanted, resolve  # most of what it needs is pip's

    wanted = Wanted(table.deps, table.external, table.native, table.path, table.exclude)
    if not table.deps:
        return resolve(wanted, root, environ, steps.detail)
    # While pip works this process waits: it imports meanwhile what writes the bill of materials.
    with steps.step("resolving") as step, ThreadPoolExecutor(1) as meanwhile:
        meanwhile.submit(importlib.import_module, "cyclonedx.output.json")
        bundle = resolve(wanted, root, environ, steps.detail)
        step.told = f"resolved {len(bundle.distributions)} distributions"
    return bundle


def _archive(parts: Parts, key: SigningKey, environ: Mapping[str, str]) -> bytes:
    epoch = source_date_epoch(environ)
    described = [] if parts.tli_data is None else [Member(TLI_NAME, parts.tli_data)]
    if parts.bundle.distributions:
        from hatch_thespian.sbom import sbom

        described.append(Member(SBOM_NAME, sbom(parts.group, parts.version, parts.bundle, epoch)))
    described += parts.members
    built = provenance(environ)
    created = None
    if epoch is not None:
        created = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    manifest = Manifest(
        group=parts.group,
        version=parts.version,
        created=created,
        requires_python=parts.requires_python,
        tags=parts.tags,
        key_fingerprint=key.public.fingerprint,
        key_algorithm=key.public.algorithm,
        members=describe(described),
        bundled=parts.bundle.described,
        external=parts.bundle.external,
        actors=tuple(actor.class_name for actor in parts.tli.actors),
        expires=parts.expires,
        builder=built.builder,
        commit=built.commit,
        pipeline=built.pipeline,
    )
    members = [Member(MANIFEST_NAME, manifest.to_bytes()), *described]
    try:
        return write_archive(members, epoch=epoch)
    except DirectorError as problem:
        raise BuildError(str(problem), code=problem.code) from None


def _check_result(data: bytes, key: SigningKey, name: str) -> list[str]:
    """Verify what was made, as a host would."""
    verdict = verify(data, [key.public], Policy(), datetime.now(UTC), file_name=name)
    if verdict.code == "requires-python":
        return [f"The dependencies were resolved for this Python. {verdict.message}"]
    if verdict.code in {"tags", "external"}:
        return []  # decided by what this machine has; the hosts are others
    if not verdict.valid:
        raise BuildError(f"{name} would not be accepted by a host: {verdict.message}")
    return []
