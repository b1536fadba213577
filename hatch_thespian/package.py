"""The pipeline: select → resolve → describe → archive → sign.

What lives here is their order and what must fit together. No source is imported: syntax and the classes that
the TLI names are checked on the syntax tree.
"""

from __future__ import annotations

import ast
import codecs
import itertools
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from director.errors import BuildError, DirectorError
from director.files import write_atomically
from director.settings.tli import Tli, parse_tli
from director.tls.archive import Member, write_archive
from director.tls.container import seal
from director.tls.keys import SigningKey
from director.tls.manifest import MANIFEST_NAME, TLI_NAME, Manifest, describe
from director.tls.naming import file_name, reserved_names
from director.tls.verify import Policy, verify
from director.tls.version import is_pep440
from hatch_thespian.dependencies import EXTERNAL, Bundle, resolve
from hatch_thespian.problems import Problems
from hatch_thespian.sources import Selected, select
from hatch_thespian.table import TABLE, Table

_MEND = "Mend or exclude it."
_TLI_HINT = "Mend the TLI or the sources."


@dataclass(frozen=True)
class Project:
    """What of the project the package needs: its directory, version and ``requires-python``."""

    root: Path
    version: str
    requires_python: str


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
    say: Callable[[str], None] = lambda line: None,
) -> Package:
    """Make a signed source.

    Args:
        table: the checked table.
        project: whose table it is.
        key: what signs.
        environ: SOURCE_DATE_EPOCH, and what pip needs.
        output: the build's output directory, which is no source.
        say: told each file added and each step.

    Raises:
        BuildError: what is wrong with the sources, the TLI or the dependencies; nothing was written.
    """
    epoch = source_date_epoch(environ)
    version = version_of(table, project, epoch)
    tli, tli_text, selected = _read(table, project.root, output)
    for member in selected.members:
        say(f"added {member.name} ({len(member.data)} bytes)")
    bundle = resolve(table.deps, project.root, environ, say)
    members = join(selected.members, bundle)
    _check_actors(tli, members, table.tli or "")
    data = _signed(table, project, key, version, epoch, tli, tli_text, members, bundle)
    name = file_name(table.group, version)
    warned = _check_result(data, key, name)
    say(f"signed {name} with {key.public.fingerprint}")
    return Package(
        table.group, version, name, data, tli_text, (*warned, *_warnings(table, project, version))
    )


def source_date_epoch(environ: Mapping[str, str]) -> int | None:
    """SOURCE_DATE_EPOCH, seconds since 1970 UTC, or None where it is not set."""
    text = environ.get("SOURCE_DATE_EPOCH", "").strip()
    if not text:
        return None
    if not text.isdecimal() or len(text) > 12:
        raise BuildError(
            f"SOURCE_DATE_EPOCH is {text!r}, not a number of seconds.", hint="Mend or unset it."
        )
    return int(text)


def version_of(table: Table, project: Project, epoch: int | None) -> str | None:
    """The version of the source, as the table wants it; None for none."""
    if table.version == "none":
        return None
    if table.version == "project":
        return project.version
    if table.version == "date":
        moment = datetime.now(UTC) if epoch is None else datetime.fromtimestamp(epoch, UTC)
        return moment.strftime("%Y%m%d%H%M")
    return table.version


def join(sources: Sequence[Member], bundle: Bundle) -> list[Member]:
    """All members, sorted by name; two of one name are an error."""
    taken = {member.name for member in sources}
    both = sorted(taken & {member.name for member in bundle.members})
    if both:
        raise BuildError(
            f"{TABLE}.sources and {TABLE}.deps both bring {', '.join(both[:5])}.",
            hint="Exclude it from the sources, or leave the dependency out.",
            code="collision",
        )
    members = sorted([*sources, *bundle.members], key=lambda one: one.name)
    doubled = {a.name for a, b in itertools.pairwise(members) if a.name == b.name}
    if doubled:
        raise BuildError(f"{TABLE}.deps: two distributions bring {', '.join(sorted(doubled)[:5])}.")
    reserved = reserved_names(member.name for member in members)
    reserved += tuple(m.name for m in members if m.name.casefold().startswith("tls-inf/"))
    if reserved:
        raise BuildError(
            f"A source cannot bring the top-level name {', '.join(reserved)}: it is the host's own.",
            hint="Rename it, put it into a package, or exclude it.",
            code="reserved-name",
        )
    return members


def _read(table: Table, root: Path, output: Path) -> tuple[Tli, bytes | None, Selected]:
    """Everything that the project itself must bring; all mistakes in it at once."""
    problems = Problems()
    tli, text, selected = Tli(), None, Selected(root, ())
    with problems.kept():
        selected = select(table, root, skip=[output])
        check_sources(selected.members)
    with problems.kept():
        tli, text = _tli(table, root)
    problems.check()
    return tli, text, selected


def check_sources(members: Iterable[Member]) -> None:
    """Every Python file has to be Python; nothing is imported.

    Raises:
        SeveralProblems: all files that are not, with line and column.
    """
    problems = Problems()
    for member in members:
        if member.name.endswith(".py"):
            try:
                _tree(member)
            except SyntaxError as problem:
                place = f"{member.name}:{problem.lineno or 1}:{problem.offset or 1}"
                problems.add(f"{place}: {problem.msg}.", hint=_MEND, code="syntax")
            except (ValueError, RecursionError) as problem:
                problems.add(f"{member.name}: {problem}.", hint=_MEND, code="syntax")
    problems.check()


def _tree(member: Member) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(member.data, filename=member.name)


def _tli(table: Table, root: Path) -> tuple[Tli, bytes | None]:
    if table.tli is None:
        return Tli(), None
    path = root / table.tli
    try:
        # A byte order mark is an editor's, not the author's: hosts read the TLI without it.
        data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
        text = data.decode("utf-8")
    except OSError as problem:
        hint = ""
        if (root / "PKG-INFO").is_file():
            hint = (
                "This is an unpacked sdist: see that [tool.hatch.build.targets.sdist] includes it."
            )
        raise BuildError(
            f"{TABLE}.tli: {path}: {problem.strerror}.", hint=hint, code="tli"
        ) from None
    except UnicodeDecodeError:
        raise BuildError(f"{TABLE}.tli: {path} is not UTF-8 text.", code="tli") from None
    return parse_tli(text, name=table.tli, environ=_AnyEnvironment()), data


class _AnyEnvironment(dict[str, str]):
    """Stands for the environment of a host not yet known: any variable may be set there."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> str:
        return (
            key  # not empty, and another for each variable: two Roles may come from two variables
        )


def _check_actors(tli: Tli, members: Sequence[Member], file: str) -> None:
    """Each class that the TLI names has to be in a module of the source."""
    by_name = {member.name: member for member in members}
    problems = Problems()
    for actor in tli.actors:
        module, _, class_name = actor.class_name.rpartition(".")
        path = module.replace(".", "/")
        found = by_name.get(f"{path}.py") or by_name.get(f"{path}/__init__.py")
        where = f"{file}: {actor.class_name}"
        if found is None:
            problems.add(
                f"{where}: no member {path}.py is selected.", hint=_TLI_HINT, code="actors"
            )
            continue
        names = top_names(_tree(found))
        if class_name not in names and not names & {"*", "__getattr__"}:
            text = f"{where}: {found.name} defines no {class_name}."
            problems.add(text, hint=_TLI_HINT, code="actors")
    problems.check()


def top_names(tree: ast.Module) -> set[str]:
    """The names that a module may define at its top level; ``*`` where another module decides."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                found.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found |= {alias.asname or alias.name.partition(".")[0] for alias in names}
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
    return found


def _signed(
    table: Table,
    project: Project,
    key: SigningKey,
    version: str | None,
    epoch: int | None,
    tli: Tli,
    tli_text: bytes | None,
    members: Sequence[Member],
    bundle: Bundle,
) -> bytes:
    described = ([Member(TLI_NAME, tli_text)] if tli_text is not None else []) + list(members)
    created = None
    if epoch is not None:
        created = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    manifest = Manifest(
        group=table.group,
        version=version,
        created=created,
        requires_python=project.requires_python,
        tags=("py3-none-any",),
        key_fingerprint=key.public.fingerprint,
        key_algorithm=key.public.algorithm,
        members=describe(described),
        bundled=bundle.distributions,
        external=EXTERNAL,
        actors=tuple(actor.class_name for actor in tli.actors),
    )
    try:
        archive = write_archive(
            [Member(MANIFEST_NAME, manifest.to_bytes()), *described], epoch=epoch
        )
    except DirectorError as problem:
        raise BuildError(str(problem), code=problem.code) from None
    return seal(archive, key)


def _check_result(data: bytes, key: SigningKey, name: str) -> list[str]:
    """Verify what was made, as a host would."""
    verdict = verify(data, [key.public], Policy(), datetime.now(UTC), file_name=name)
    if verdict.code == "requires-python":
        return [f"The dependencies were resolved for this Python. {verdict.message}"]
    if not verdict.valid:
        raise BuildError(f"{name} would not be accepted by a host: {verdict.message}")
    return []


def _warnings(table: Table, project: Project, version: str | None) -> list[str]:
    told = []
    if version is not None and not is_pep440(version):
        told.append(f"{version} is no PEP 440 version; it is ordered by its leading numbers.")
    if table.tli is None and (project.root / f"{table.group}.tli").is_file():
        told.append(
            f"{table.group}.tli is not signed, since {TABLE}.tli does not name it; "
            "the group starts no actor."
        )
    return told
