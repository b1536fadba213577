"""Patterns → files: which of the project's files a source consists of.

What lives here: the walk, the patterns and what may not be among the files. The files are read, and never imported.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pathspec import GitIgnoreSpec

from director.errors import BuildError
from director.escape import shown
from director.tls.archive import Member, check_member_name
from director.tls.keys import contains_private_key
from hatch_thespian.problems import Problems, SeveralProblems
from hatch_thespian.table import Table

#: Never shipped, whatever the patterns say: made anew on the host, for its own Python.
_BYTE_CODE = (".pyc", ".pyo")
#: Examples of what the walk leaves out itself.
_NEVER = ("x.pyc", "x.pyo", "__pycache__/x", ".venv/x", ".git/x", "venv/x", "dist/x", "build/x")
#: Bytes; an RSA key of 16,384 bits has some 13,000 as PEM.
_LARGEST_KEY = 16 << 10


@dataclass(frozen=True)
class Selected:
    """The members of a source, sorted by name, the directory that their names begin in, and what selected each.

    ``whole`` is False where a selected file could not be taken, so that missing members are no news. ``idle`` are
    patterns of ``exclude`` that keep no file of the project out, with a sentence about each.
    """

    directory: Path
    members: tuple[Member, ...]
    why: Mapping[str, str] = field(default_factory=dict)
    whole: bool = True
    idle: Mapping[str, str] = field(default_factory=dict)


def sources_directory(table: Table, root: Path) -> Path:
    """The directory that patterns and member names begin in: the table's, else ``src``, else the project."""
    if table.sources_dir is not None:
        return root / table.sources_dir
    return root / "src" if (root / "src").is_dir() else root


def select(table: Table, root: Path, problems: Problems, *, skip: Sequence[Path] = ()) -> Selected:
    """Choose and read the files.

    Args:
        table: the checked table.
        root: the project.
        problems: told everything that is wrong, with the TOML path or the file; what can be taken is taken.
        skip: directories that are never looked into (the build's output).
    """
    directory = sources_directory(table, root)
    if not directory.is_dir():
        text = f"{table.path}.sources-dir: there is no directory {_printable(directory)}."
        problems.add(text, code="sources")
        return Selected(directory, (), whole=False)
    linked = dict(_walk(directory, {path.resolve() for path in skip}))
    names = sorted(linked)
    before = len(problems.found)
    why: dict[str, str] = {}
    for number, pattern in enumerate(table.sources):
        place = f"{table.path}.sources[{number}]"
        spec = GitIgnoreSpec.from_lines([pattern.removeprefix("!")])
        matched = (
            [] if pattern.startswith("!") else [name for name in names if spec.match_file(name)]
        )
        why |= dict.fromkeys(matched, f"{place} {pattern}")
        if not matched and not pattern.startswith("!"):
            text = f"{place}: {pattern!r} matches no file in {_printable(directory)}."
            problems.add(text, hint=_without_dot(pattern), code="sources")
    wanted = GitIgnoreSpec.from_lines(table.sources)
    unwanted = GitIgnoreSpec.from_lines(table.exclude)
    members = []
    taken = len(problems.found)
    for name in names:
        if wanted.match_file(name) and not unwanted.match_file(name):
            with problems.kept():
                members.append(Member(name, read_source(directory, name, linked=linked[name])))
    whole = len(problems.found) == taken
    if not members and len(problems.found) == before:
        if any(wanted.match_file(name) for name in names):
            text = f"{table.path}.exclude: it leaves no file of those that sources selects."
        else:
            text = f"{table.path}.sources: its patterns with ! leave no file of those that others select."
        problems.add(text, hint="Name the files to ship.", code="sources")
    return Selected(directory, tuple(members), why, whole, dict(_idle(table, names)))


def _idle(table: Table, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What is never shipped anyway may well be excluded: it is not told."""
    for number, pattern in enumerate(table.exclude):
        spec = GitIgnoreSpec.from_lines([pattern.removeprefix("!")])
        if not any(spec.match_file(name) for name in (*names, *_NEVER)):
            told = f"{table.path}.exclude[{number}]: {pattern!r} matches no file."
            yield pattern, f"{told} {_without_dot(pattern)}".rstrip()


def _without_dot(pattern: str) -> str:
    """A hint for a pattern that is written as a shell's."""
    bare = re.sub(r"^(\./+)+", "", pattern)
    return f"Patterns begin without ./: write {bare!r}." if bare != pattern else ""


def matches(patterns: Sequence[str], name: str) -> bool:
    """Whether gitignore patterns select a name."""
    return GitIgnoreSpec.from_lines(patterns).match_file(name)


def refuse_private_keys(table: Table, root: Path, *, output: Path) -> None:
    """Stop for a private key among the selected files, and for nothing else.

    A build without a signing key ships no source, so that its other mistakes can wait: ``pip install .`` of an sdist
    that lacks a file has to work.

    Raises:
        SeveralProblems: each file that holds one.
    """
    problems = Problems()
    select(table, root, problems, skip=[output])
    keys = [one for one in problems.found if one.code == "private-key"]
    if keys:
        raise SeveralProblems(keys)


def _printable(path: Path) -> str:
    """A path that fits in a line of any stream: bytes that are no UTF-8 as ``\\xNN``, control characters as escapes."""
    return shown(os.fsencode(path).decode("utf-8", "backslashreplace"))


def is_key_file(path: Path) -> bool:
    """Whether a file is a private key, and not merely some text about one."""
    try:
        if not path.is_file() or path.stat().st_size >= _LARGEST_KEY:
            return False
        data = path.read_bytes()
    except OSError:
        return False  # whoever needs the file tells it
    pem = data.lstrip().startswith(b"-----BEGIN ") and contains_private_key(data)
    return pem or _is_der_key(data)


def _is_der_key(data: bytes) -> bool:
    """Whether the bytes are a private key in DER form (PKCS#1, PKCS#8, SEC 1)."""
    if not data.startswith(b"\x30") or len(data) >= _LARGEST_KEY:  # a SEQUENCE, or text with 0
        return False
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    try:
        load_der_private_key(data, password=None)
    except (ValueError, UnsupportedAlgorithm):
        return False
    except TypeError:  # it is encrypted
        return True
    return True


def _walk(directory: Path, skip: set[Path]) -> Iterator[tuple[str, bool]]:
    """Names, with ``/``, of all files below, and whether a link led there.

    Hidden directories, environments and caches are left out. Links to directories are followed, as hatchling does for
    the wheel, and rings of them are cut.
    """
    above = {directory: (frozenset({directory.resolve()}), False)}  # what each lies in, really
    for folder, folders, files in os.walk(directory, followlinks=True):
        here = Path(folder)
        ancestors, linked = above.pop(here)
        kept = []
        for name in folders:
            real = (here / name).resolve()
            hidden = name.startswith(".") or name == "__pycache__"
            ring = real in skip or real in ancestors
            if not hidden and not ring and not (real / "pyvenv.cfg").exists():
                above[here / name] = (ancestors | {real}, linked or (here / name).is_symlink())
                kept.append(name)
        folders[:] = kept
        prefix = "" if here == directory else f"{here.relative_to(directory).as_posix()}/"
        for name in files:
            if not name.endswith(_BYTE_CODE):
                yield f"{prefix}{name}", linked


def read_source(directory: Path, name: str, *, linked: bool = True) -> bytes:
    """The bytes of one file that is to be shipped.

    Args:
        directory: where member names begin.
        name: the member's name, with ``/``.
        linked: whether a link may lead to its folder.

    Raises:
        BuildError: codes member-name, link, sources, private-key.
    """
    path = directory / name
    told = _printable(path)
    wrong = check_member_name(name)
    if wrong:
        raise BuildError(
            f"{told}: its name {wrong}.",
            hint="Rename it or exclude it.",
            code="member-name",
        )
    try:
        mode = path.lstat().st_mode
        if linked or stat.S_ISLNK(mode):
            if not path.resolve().is_relative_to(directory.resolve()):
                raise BuildError(
                    f"{told}: it is a link to {_printable(path.resolve())}, outside of {_printable(directory)}.",
                    hint="Copy the file, or exclude it.",
                    code="link",
                )
            mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # opening a FIFO would wait for ever
            raise BuildError(
                f"{told}: it is not a regular file.", hint="Exclude it.", code="sources"
            )
        data = path.read_bytes()
    except OSError as problem:
        raise BuildError(
            f"{told}: {problem.strerror}.", hint="Mend or exclude it.", code="sources"
        ) from None
    if contains_private_key(data) or _is_der_key(data):
        raise BuildError(
            f"{told}: it holds a private key, which must never be shipped.",
            hint="Move it out of the sources, or exclude it.",
            code="private-key",
        )
    return data
