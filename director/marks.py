"""What this host has accepted: the highest version seen per key and group, and the bytes themselves.

What lives here: the book (pure), the rule that guards files that arrive, and ``marks.json`` in the state directory.
The rule follows python-tuf's rollback and fast-forward attacks: a mark belongs to a key, so one that a stolen key
raised ends with it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Container, Mapping, Set
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from director.errors import NotValidated
from director.files import (
    LONGEST_STATE,
    locked,
    make_private,
    owner_for,
    read_regular,
    write_atomically,
)
from director.store import MARKS
from director.tls.rules import Rule, Source, bare
from director.tls.version import date_of, is_outsized, version_key

#: Files of a group that are remembered; the oldest are forgotten first.
REMEMBERED = 500
#: Seconds to wait for another process that writes the marks.
LOCK_LIMIT = 30.0
_SCHEMA = 1


@dataclass(frozen=True)
class Accepted:
    """A file that was accepted.

    ``key`` is its signer's fingerprint, ``source_hash`` Thespian's name of it (MD5), ``when`` RFC 3339 UTC, ``why`` is
    ``arrived``, or what the operator allowed: ``downgrade`` or ``replace``. ``manifested`` and ``expires`` are what is
    asked about when it is loaded still, and its bytes may have gone; ``tli`` is the SHA-256 of its signed TLI, hex.
    """

    group: str
    version: str | None
    key: str
    source_hash: str
    file: str
    when: str
    why: str
    manifested: bool = True
    expires: str | None = None
    tli: str | None = None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Accepted:
        """From a file (TypeError, ValueError: it is not of that form)."""
        made = cls(**told)
        optional = (made.version, made.expires, made.tli)
        texts = [made.group, made.key, made.source_hash, made.file, made.when, made.why]
        texts += [one for one in optional if one is not None]
        if not all(isinstance(one, str) for one in texts) or type(made.manifested) is not bool:
            raise TypeError("a value of an accepted file is of a wrong type")
        if made.expires is not None:
            datetime.fromisoformat(made.expires)
        return made


@dataclass(frozen=True)
class MarkBook:
    """All marks of a host. ``accepted`` is by SHA-256 (hex), in the order of arrival."""

    accepted: Mapping[str, Accepted] = field(default_factory=dict)
    #: (fingerprint, group, "release" or "date") → the highest version seen.
    highest: Mapping[tuple[str, str, str], str] = field(default_factory=dict)

    def of_source(self, source_hash: str) -> tuple[str, Accepted] | None:
        """SHA-256 and entry of the file that Thespian calls so (MD5), the one accepted last."""
        found = [pair for pair in self.accepted.items() if pair[1].source_hash == source_hash]
        return found[-1] if found else None

    def mark(self, key: str, group: str, version: str, *, manifested: bool = True) -> str | None:
        """The highest version seen of a group under a key, among those of this version's kind."""
        return self.highest.get((key, group, kind_of(version, manifested=manifested)))

    def with_accepted(
        self, sha256: str, told: Accepted, keep: Container[str] = frozenset()
    ) -> MarkBook:
        """The book after this file was accepted; the same book where it was before.

        So no other name that a file without a manifest is given raises a mark, for its version is a word of its name.

        Args:
            keep: SHA-256 of files that are not forgotten, however many come after them.
        """
        if sha256 in self.accepted:
            return self
        highest = dict(self.highest)
        if told.version is not None:
            kind = kind_of(told.version, manifested=told.manifested)
            mark = highest.get((told.key, told.group, kind))
            if mark is None or version_key(told.version) > version_key(mark):
                highest[told.key, told.group, kind] = told.version
        accepted = {**self.accepted, sha256: told}
        of_group = [one for one, other in accepted.items() if other.group == told.group]
        for surplus in of_group[:-REMEMBERED]:
            if surplus not in keep:
                del accepted[surplus]
        return replace(self, accepted=accepted, highest=highest)

    def to_bytes(self) -> bytes:
        """The text of ``marks.json``."""
        marks = [
            {"key": key, "group": group, "kind": kind, "version": version}
            for (key, group, kind), version in sorted(self.highest.items())
        ]
        accepted = {sha256: asdict(told) for sha256, told in self.accepted.items()}
        document = {"schema": _SCHEMA, "marks": marks, "accepted": accepted}
        return json.dumps(document, indent=1).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> MarkBook:
        """Read ``marks.json``; ValueError, KeyError or TypeError where it is not of that form."""
        told: Any = json.loads(data)
        if told["schema"] != _SCHEMA:
            raise ValueError(f"its schema is {told['schema']}, not {_SCHEMA}")
        accepted = {sha256: Accepted.of(fields) for sha256, fields in told["accepted"].items()}
        highest = {
            (str(one["key"]), str(one["group"]), str(one["kind"])): str(one["version"])
            for one in told["marks"]
        }
        return cls(accepted, highest)


@dataclass(frozen=True)
class Arrivals(Rule):
    """A file that this host has not accepted before must not be older than what it has, nor take a version's place.

    Args:
        book: what was accepted.
        revoked: hashes that do not count any more; a version under a revoked key may be taken again.
        allowed: ``downgrade`` and ``replace``, where the operator said so.
    """

    book: MarkBook
    revoked: Set[str] = frozenset()
    allowed: Set[str] = frozenset()

    def source(self, source: Source) -> None:
        """Codes ``downgrade`` and ``version-taken``. A file without a version has no such rule."""
        if source.version is None or source.sha256 in self.book.accepted:
            return
        if is_outsized(source.version):
            raise NotValidated(
                f"Its version {source.version} is no time (YYYYMMDDHHMM, UTC), and no release either: its first number "
                "has twelve digits or more, and every later release would count as older.",
                hint='Build it again with another version, or with version = "date".',
                code="version",
            )
        taken, mark = self._taken(source, source.version), self._above(source, source.version)
        # Where it needs both words, each refusal names both: one alone would only lead to the other refusal.
        both = "`director install FILE --replace --allow-downgrade` takes it all the same."
        if taken and "replace" not in self.allowed:
            older = f", and it is older than {mark}, which this host has seen" if mark else ""
            way = both if mark else "`director install FILE --replace` takes it all the same."
            raise NotValidated(
                f"This host has accepted other bytes as {source.group} {taken.version} (on {taken.when}){older}.",
                hint=f'Give it a new version; while developing, build with version = "date". {way}',
                code="version-taken",
            )
        if mark and "downgrade" not in self.allowed:
            raise NotValidated(
                f"It is {source.group} {source.version}, older than {mark}, which this host has seen.",
                hint=both
                if taken
                else "`director load FILE --allow-downgrade` loads it all the same; on a member of a convention "
                "`director install FILE --allow-downgrade` lets it come.",
                code="downgrade",
            )

    def _taken(self, source: Source, version: str) -> Accepted | None:
        """Other bytes that were accepted as this version."""
        own = version_key(version)
        for sha256, other in self.book.accepted.items():
            if other.group != source.group or other.version is None:
                continue
            if {sha256, bare(other.key)} & self.revoked:
                continue
            if source.manifested and not other.manifested:
                continue  # its version is a word of its name, which nobody signed
            if version_key(other.version) == own:
                return other
        return None

    def _above(self, source: Source, version: str) -> str | None:
        """The mark that is higher than this version."""
        key = source.key.fingerprint
        mark = self.book.mark(key, source.group, version, manifested=source.manifested)
        return mark if mark is not None and version_key(version) < version_key(mark) else None


@dataclass(frozen=True)
class Marks:
    """``marks.json`` of a state directory."""

    state: Path

    @property
    def path(self) -> Path:
        """The file."""
        return self.state / MARKS

    def read(self) -> MarkBook:
        """What was accepted so far.

        Raises:
            NotValidated: code ``marks``: it does not read; an older file could be any file then.
        """
        try:
            return MarkBook.from_bytes(read_regular(self.path, LONGEST_STATE))
        except FileNotFoundError:
            return MarkBook()
        except (
            *(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError),
        ) as problem:
            told = problem.strerror if isinstance(problem, OSError) else problem
            raise NotValidated(
                f"{self.path} does not read ({told}), so nothing new is accepted.",
                hint="Run as the user of the actor system; or, where it is damaged, restore it from a backup or "
                "remove it: every version then counts as new.",
                code="marks",
            ) from None

    def accept(
        self,
        sha256: str,
        told: Accepted,
        check: Callable[[MarkBook], None],
        keep: Callable[[MarkBook], Container[str]] = lambda book: frozenset(),
    ) -> None:
        """Note that a file was accepted, unless what another process accepted meanwhile forbids it.

        Args:
            sha256: of the file, hex.
            check: called with the book under the lock; what it raises stops this.
            keep: tells which files of the book (SHA-256, hex) are not to be forgotten.
        """
        make_private(self.state)
        with locked(self.state / "marks.lock", LOCK_LIMIT):
            book = self.read()
            check(book)
            after = book.with_accepted(sha256, told, keep(book))
            if after is not book:
                write_atomically(
                    self.path, after.to_bytes(), mode=0o600, owner=owner_for(self.state)
                )


def note_origin(state: Path, sha256: str, told: Accepted) -> None:
    """Keep what a loaded source is, apart from the marks: they may be lost, or forget it while it runs.

    Args:
        state: the state directory.
        sha256: of the file, hex.
        told: its entry.
    """
    path = _origin(state, told.source_hash)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(path, json.dumps({"sha256": sha256, **asdict(told)}).encode(), mode=0o600)


def with_origins(state: Path, book: MarkBook) -> MarkBook:
    """The book with what the present actor system has loaded, whatever the marks remember of it."""
    known = {told.source_hash for told in book.accepted.values()}
    found: dict[str, Accepted] = {}
    for source_hash in loaded_here(state) - known:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            told = json.loads(read_regular(_origin(state, source_hash), LONGEST_STATE))
            sha256 = str(told.pop("sha256"))
            found[sha256] = Accepted.of(told)
    return replace(book, accepted={**found, **book.accepted}) if found else book


def loaded_here(state: Path) -> set[str]:
    """Thespian's hashes of the sources that the present actor system has loaded."""
    return {path.stem for path in (state / "sources").glob("*.origin")}


def _origin(state: Path, source_hash: str) -> Path:
    return state / "sources" / f"{source_hash}.origin"


def kind_of(version: str, *, manifested: bool = True) -> str:
    """Dates have a mark of their own: a host that ran development builds takes release 2.0.

    So have files without a manifest, whose versions nobody signed: a copy under a high one would shut out releases.
    """
    kind = "date" if date_of(version) else "release"
    return kind if manifested else f"unsigned-{kind}"
