"""This host's word about a source: its keys, settings and marks as they are now, put before the pure decision.

What lives here: what the Source Authority and the commands share, so that both decide alike. What does not: the
decision (`director.tls.verify`), the rules (`director.tls.rules`, `director.marks`), reading settings
(`director.settings.config`).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from director import audit
from director.decisions import Decisions, foreseen
from director.errors import DirectorError, KeyProblem, NotFound, NotValidated, SettingsError
from director.files import read_regular
from director.marks import (
    Accepted,
    Arrivals,
    MarkBook,
    Marks,
    loaded_here,
    note_origin,
    with_origins,
)
from director.policy import note_of, rules_of
from director.settings.config import Trust, read_trust
from director.settings.tli import digest as tli_digest
from director.store import Store
from director.tls.keys import RSA, PublicKey
from director.tls.limits import RSA_FLOOR, Limits
from director.tls.rules import Source, bare, moment
from director.tls.verify import Members, Policy, Verdict, signed_tli, verify_again, verify_into


@dataclass(frozen=True)
class Keyring:
    """The keys that may validate now, what is wrong with other key files, and what the operator should know."""

    keys: tuple[PublicKey, ...]
    problems: tuple[KeyProblem, ...]
    warnings: tuple[str, ...]


class HostTrust:
    """Decides for a director directory, with what lies there now.

    Args:
        store: the director directory and its state.
        asked: what asks: ``load``, ``install``, ``tlsinfo``, ``authority``.
        environ: what expressions in settings see.
        who: who asked; default: the user of this process, and on whose behalf.
        warn: told what an operator should know.
        say: told each key that is tried.
    """

    def __init__(
        self,
        store: Store,
        asked: str,
        *,
        environ: Mapping[str, str] | None = None,
        who: str | None = None,
        warn: Callable[[str], None] = lambda line: None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.store = store
        self.asked = asked
        self.environ = os.environ if environ is None else environ
        self.warn = warn
        self.say = say
        self.marks = Marks(store.state)
        #: What is decided is written down by this.
        self.decisions = Decisions(store.state, asked, audit.who() if who is None else who, warn)

    def keyring(self, trust: Trust) -> Keyring:
        """Every key file, read now (guide 2.2); a bad one never hides a good one."""
        keys, problems = self.store.keys(min_bits=trust.min_key_bits)
        warnings = [
            f"{key.name} is an RSA key of {key.bits} bits only; minkeybits.cfg lets it validate. Replace it."
            for key in keys
            if key.algorithm == RSA and key.bits < RSA_FLOOR
        ]
        here = {bare(key.fingerprint) for key in keys}
        warnings += [
            f"keygroups.cfg names sha256:{one}, which is no key of this host."
            for one in trust.key_groups
            if one not in here
        ]
        return Keyring(tuple(keys), tuple(problems), tuple(warnings))

    def look(self, data: bytes, name: str) -> Verdict:
        """Decide about a file without noting that it was accepted.

        Args:
            data: the whole file.
            name: its base name, which has to agree with what is in it.

        Raises:
            DirectorError: settings or marks do not read, which is audited.
        """
        try:
            trust, book = read_trust(*self._place), self._book()
        except DirectorError as problem:
            self.decisions.append(
                name, hashlib.sha256(data).hexdigest(), "refused", problem.code, ""
            )
            raise
        with foreseen(name):
            return self._decide(data, name, _nothing, trust, book, ())

    def admit(
        self,
        data: bytes,
        name: str,
        receive: Callable[[str, Members], None] | None = None,
        *,
        allowed: Iterable[str] = (),
    ) -> Verdict:
        """Decide about a file; one that is valid counts as accepted from now on. The decision is audited.

        Args:
            data, name: as for `look`.
            receive: as for `director.tls.verify.verify_into`.
            allowed: ``downgrade`` or ``replace``, where the operator said so.

        Raises:
            DirectorError: settings or marks do not read; or nobody foresaw what happened (code ``internal``). OSError:
                what ``receive`` raises. All are audited.
        """
        digest = hashlib.sha256(data).hexdigest()
        allowed = tuple(allowed)
        try:
            with foreseen(name):
                trust, book = read_trust(*self._place), self._book()
                verdict = self._decide(data, name, receive or _nothing, trust, book, allowed)
                note = note_of(verdict, book, allowed)
                if verdict.valid:
                    return self._accept(verdict, data, name, trust, allowed, note)
        except DirectorError as problem:
            self.decisions.append(name, digest, "refused", problem.code, "")
            raise
        except OSError as problem:
            self.decisions.append(name, digest, "failed", "unpack", problem.strerror or "")
            raise
        self.decisions.verdict(verdict, name, note=note)
        return verdict

    def inspect(self, path: Path, data: bytes | None = None) -> Verdict:
        """Decide about a file as `look` does; the decision is audited.

        Raises:
            DirectorError: it cannot be read, or as for `look`.
        """
        data = self.read(path) if data is None else data
        verdict = self.look(data, path.name)
        self.decisions.verdict(verdict, path.name)
        return verdict

    def read(self, path: Path) -> bytes:
        """The bytes of a .tls file.

        Raises:
            NotValidated: code ``too-large``, which is audited. DirectorError: code ``unreadable``.
        """
        limit = Limits().max_bytes
        try:
            return read_regular(path, limit)
        except OSError as problem:
            if problem.errno == errno.EFBIG:
                self.decisions.append(path.name, None, "refused", "too-large", "")
                raise NotValidated(
                    f"{path} is larger than this host accepts.",
                    hint=f"It takes files of up to {limit >> 20} MiB; ship less data in it.",
                    code="too-large",
                ) from None
            family = NotFound if isinstance(problem, FileNotFoundError) else DirectorError
            text = problem.strerror or str(problem)
            raise family(
                f"{path}: {text}.",
                hint="Name a .tls file that this user may read.",
                code="unreadable",
            ) from None

    def has_signed(self, group: str, text: str) -> bool:
        """Whether a text is the signed TLI of a version of this group, which this host accepted or that lies here.

        A version that may not run any more, or has gone, counts too: its TLI is no operator's.
        """
        with contextlib.suppress(DirectorError):  # marks that do not read are others' matter
            digest = tli_digest(text)
            known = self._book().accepted.values()
            if any(one.group == group and one.tli == digest for one in known):
                return True
        with contextlib.suppress(SettingsError):
            keys = self.keyring(read_trust(*self._place)).keys
            for one in self.store.available().get(group, []):
                with contextlib.suppress(OSError):
                    data = read_regular(one.path, Limits().max_bytes)
                    if signed_tli(data, keys, Limits()) == text:
                        return True
        return False

    def again(self, source_hash: str, note: str) -> Verdict:
        """Decide whether a loaded source (Thespian's hash) that was idle may run again; the decision is audited.

        The bytes were found right when they came and may have gone from the disk since; their key, the settings and
        the time are those of now.

        Args:
            note: why that is asked, for the audit log.

        Raises:
            DirectorError: settings or marks do not read, which is audited.
        """
        try:
            trust, book = read_trust(*self._place), self._book()
            known = book.of_source(source_hash)
            if known is None:
                raise NotValidated(
                    f"This host does not remember {source_hash}.",
                    hint="Load its file.",
                    code="marks",
                )
        except DirectorError as problem:
            self.decisions.append("", None, "refused", problem.code, f"{note}: {source_hash}")
            raise
        sha256, told = known
        verdict = self._again(sha256, told, trust, book)
        below = note_of(verdict, book)
        self.decisions.verdict(verdict, told.file, note=", ".join(filter(None, (note, below))))
        return verdict

    def _again(self, sha256: str, told: Accepted, trust: Trust, book: MarkBook) -> Verdict:
        ring = self.keyring(trust)
        key = next((one for one in ring.keys if one.fingerprint == told.key), None)
        source = None
        try:
            if key is None:
                raise NotValidated(
                    f"The key that signed it, {told.key}, may not validate on this host now.",
                    hint="Place it there again, or load a version that another key signed.",
                    code="signature" if ring.keys else "no-keys",
                )
            source = Source(
                *(sha256, key, told.group, told.version, told.manifested, datetime.now(UTC)),
                expires=told.expires,
            )
            verify_again(source, rules_of(trust, book, frozenset()))
        except NotValidated as problem:
            return Verdict(False, problem.code, str(problem), sha256, key, None, None, 7, source)
        text = f"accepted on {told.when}"
        return Verdict(True, "active-again", text, sha256, key, None, None, 0, source)

    def audit_return(self, verdict: Verdict, name: str) -> None:
        """Note that bytes which were accepted before, and are older than the mark, are asked for again."""
        note = note_of(verdict, self._book())
        if note:
            self.decisions.verdict(verdict, name, note=note)

    def revoked(self, source_hashes: Iterable[str]) -> dict[str, str]:
        """Those of these loaded sources (Thespian's hashes) whose file or key is revoked by now, with the reason."""
        trust, book = read_trust(*self._place), self._book()
        wanted = set(source_hashes)
        found = {}
        for sha256, told in book.accepted.items():
            for one in (sha256, bare(told.key)):
                if told.source_hash in wanted and one in trust.revoked:
                    found[told.source_hash] = trust.revoked[one] or "it is listed in revoked.cfg"
        return found

    def times(self) -> dict[str, tuple[str | None, bool]]:
        """When the time of each known source (Thespian's hash) ends, None for never, and whether it has.

        Raises:
            DirectorError: the marks do not read.
        """
        now = datetime.now(UTC)
        return {
            told.source_hash: (
                told.expires,
                told.expires is not None and moment(told.expires, "expires") <= now,
            )
            for told in self._book().accepted.values()
        }

    def note_loaded(self, source_hash: str) -> None:
        """Keep what was accepted as this source (Thespian's hash) as long as it is loaded (OSError)."""
        found = self.marks.read().of_source(source_hash)
        if found is not None:
            note_origin(self.store.state, *found)

    def _book(self) -> MarkBook:
        return with_origins(self.store.state, self.marks.read())

    def accepted(self) -> Set[str]:
        """SHA-256 (hex) of the files that this host accepted and has not revoked.

        None where marks or settings do not read, which others tell.
        """
        try:
            revoked, known = read_trust(*self._place).revoked, self.marks.read().accepted
        except DirectorError:
            return frozenset()
        return {
            one for one, told in known.items() if revoked.keys().isdisjoint({one, bare(told.key)})
        }

    def known_as(self, source_hash: str) -> dict[str, Accepted]:
        """The entries of a loaded source (Thespian's hash) by SHA-256; asked before it is unloaded and forgotten."""
        known = self._book().accepted.items()
        return {sha256: told for sha256, told in known if told.source_hash == source_hash}

    @property
    def _place(self) -> tuple[Path, Mapping[str, str]]:
        return self.store.directory, self.environ

    def _decide(
        self,
        data: bytes,
        name: str,
        receive: Callable[[str, Members], None],
        trust: Trust,
        book: MarkBook,
        allowed: Iterable[str],
    ) -> Verdict:
        ring = self.keyring(trust)
        for problem in ring.problems:
            self.warn(f"skipped a key file: {problem}")
        for line in ring.warnings:
            self.warn(line)
        for key in ring.keys:
            self.say(f"key {key.name} ({key.fingerprint})")
        policy = Policy(rules=rules_of(trust, book, frozenset(allowed)))
        return verify_into(
            data, ring.keys, policy, datetime.now(UTC), receive, file_name=name or None
        )

    def _accept(
        self,
        verdict: Verdict,
        data: bytes,
        name: str,
        trust: Trust,
        allowed: Iterable[str],
        note: str,
    ) -> Verdict:
        assert verdict.source is not None  # noqa: S101 - it is valid
        source = verdict.source

        def check(book: MarkBook) -> None:
            known = with_origins(self.store.state, book)
            Arrivals(known, trust.revoked.keys(), frozenset(allowed)).source(source)
            # Before the mark is made: who is killed between them leaves a decision of which the log tells.
            self.decisions.verdict(verdict, name, note=note)

        told = Accepted(
            manifested=source.manifested,
            expires=source.expires,
            group=source.group,
            version=source.version,
            key=source.key.fingerprint,
            source_hash=hashlib.md5(data, usedforsecurity=False).hexdigest(),
            file=name,
            when=source.now.isoformat(timespec="seconds"),
            why=",".join(allowed) or "arrived",
            tli=None if verdict.tli is None else tli_digest(verdict.tli),
        )
        try:
            self.marks.accept(verdict.sha256, told, check, self._kept)
        except NotValidated as problem:  # another process accepted something meanwhile
            refused = replace(
                verdict,
                valid=False,
                code=problem.code,
                message=str(problem),
                archive=None,
                exit_status=7,
            )
            self.decisions.verdict(refused, name)
            return refused
        return verdict

    def _kept(self, book: MarkBook) -> Set[str]:
        """What is loaded, or lies here still, is not forgotten."""
        here = {path.name for path in self.store.directory.glob("*.tls")}
        loaded = loaded_here(self.store.state)
        return {
            sha256
            for sha256, told in book.accepted.items()
            if told.file in here or told.source_hash in loaded
        }


def _nothing(sha256: str, members: Members) -> None:
    """For decisions after which nothing is unpacked."""
