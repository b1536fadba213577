"""Patterns → files: which of the project's files a source consists of.

What lives here: the walk, the patterns and what may not be among the files. The files are read, and never imported.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pathspec import GitIgnoreSpec

from director.errors import BuildError
from director.tls.archive import Member, check_member_name
from director.tls.keys import contains_private_key
from hatch_thespian.table import TABLE, Table

#: Never shipped, whatever the patterns say: made anew on the host, for its own Python.
_BYTE_CODE = {".pyc", ".pyo"}


@dataclass(frozen=True)
class Selected:
    """The members of a source, sorted by name, and the directory that their names begin in."""

    directory: Path
    members: tuple[Member, ...]


def sources_directory(table: Table, root: Path) -> Path:
    """The directory that patterns and member names begin in: the table's, else ``src``, else the project."""
    if table.sources_dir is not None:
        return root / table.sources_dir
    return root / "src" if (root / "src").is_dir() else root


def select(table: Table, root: Path, *, skip: Sequence[Path] = ()) -> Selected:
    """Choose and read the files.

    Args:
        table: the checked table.
        root: the project.
        skip: directories that are never looked into (the build's output).

    Raises:
        BuildError: everything that is wrong, with the TOML path or the file.
    """
    directory = sources_directory(table, root)
    if not directory.is_dir():
        raise BuildError(f"{TABLE}.sources-dir: there is no directory {directory}.")
    names = sorted(_walk(directory, {path.resolve() for path in skip}))
    problems = []
    for number, pattern in enumerate(table.sources):
        spec = GitIgnoreSpec.from_lines([pattern.removeprefix("!")])
        if not pattern.startswith("!") and not any(spec.match_file(name) for name in names):
            problems.append(
                f"{TABLE}.sources[{number}]: {pattern!r} matches no file in {directory}."
            )
    wanted = GitIgnoreSpec.from_lines(table.sources)
    unwanted = GitIgnoreSpec.from_lines(table.exclude)
    members = []
    for name in names:
        if wanted.match_file(name) and not unwanted.match_file(name):
            try:
                members.append(Member(name, _read(directory, name)))
            except BuildError as problem:
                problems.append(str(problem))
    if not members and not problems:
        problems.append(f"{TABLE}.exclude: it leaves no file of those that sources selects.")
    if problems:
        raise BuildError("\n".join(problems), code="sources")
    return Selected(directory, tuple(members))


def _walk(directory: Path, skip: set[Path]) -> Iterator[str]:
    """Names, with ``/``, of all files below; not those of hidden directories, environments and caches."""
    for folder, folders, files in os.walk(directory):
        here = Path(folder)
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name != "__pycache__"
            and not (here / name / "pyvenv.cfg").exists()
            and (here / name).resolve() not in skip
        ]
        for name in files:
            if Path(name).suffix not in _BYTE_CODE:
                yield PurePosixPath((here / name).relative_to(directory)).as_posix()


def _read(directory: Path, name: str) -> bytes:
    path = directory / name
    wrong = check_member_name(name)
    if wrong:
        raise BuildError(f"{path}: its name {wrong}.", hint="Rename it or exclude it.")
    if not path.resolve().is_relative_to(directory.resolve()):
        raise BuildError(
            f"{path}: it is a link to {path.resolve()}, outside of {directory}.",
            hint="Copy the file, or exclude it.",
        )
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a FIFO would wait for ever
            raise BuildError(f"{path}: it is not a regular file.", hint="Exclude it.")
        data = path.read_bytes()
    except OSError as problem:
        raise BuildError(f"{path}: {problem.strerror}.", hint="Mend or exclude it.") from None
    if contains_private_key(data):
        raise BuildError(
            f"{path}: it holds a private key, which must never be shipped.",
            hint="Move it out of the sources, or exclude it.",
            code="private-key",
        )
    return data
