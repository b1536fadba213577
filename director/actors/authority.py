"""The Source Authority: decides for this host which sources may run, and makes them ready to.

What lives here: the actor. What it decides by is `director.trust`; the stub that Thespian
gets instead of the source is `director.actors.stub`.
"""

from __future__ import annotations

import hashlib
import io
import logging
import multiprocessing
import os
import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from thespian.actors import (
    LoadedSource,
    UnloadedSource,
    ValidatedSource,
    ValidateSource,
    WakeupMessage,
)

from director import convention
from director.actors.declared import Installed, Reading, Text
from director.actors.known import KnownSource, forget, recall, remember
from director.actors.messages import PIN, PROBED, REFUSED, Message
from director.actors.stub import refusal_archive, stub_archive
from director.actors.succession import WATCH, WATCHING, Succession
from director.audit import account
from director.errors import DirectorError
from director.escape import shown
from director.loading import Definitions
from director.settings.config import read_convention
from director.store import Available, Store
from director.tls.archive import Member, write_archive
from director.tls.naming import split_file_name, top_level_names
from director.tls.verify import Members, Verdict, installed_version, refusal
from director.trust import HostTrust

log = logging.getLogger("director.authority")

#: Loaded by the authority itself when it starts: it comes back only to the authority that the Admin has registered,
#: and Thespian gives no other sign of that. Each is another: an unload goes to the whole convention, and
#: one of a source that is pending elsewhere ends the Admin there (adminCore.unloadActorSource).
PROBE = b"hatch-thespian: does the Source Authority stand? "
#: Seconds after an unload until the cache is swept, and the longest until it is tried again.
SWEEP_FIRST, SWEEP_LAST = 0.5, 300.0
#: Words about what may run that are kept: the Director asks again where one is slow, and means the same decision.
WORDS_KEPT = 100


class SourceAuthority(Succession):
    """Validates loaded sources for the Admin of its host, with the keys that lie there now."""

    def __init__(self) -> None:
        super().__init__()
        self.store: Store | None = None
        self.installed = Installed()
        self.refused: set[str] = set()
        #: Which sweep is the one that goes on; each unload begins one.
        self.sweeps = 0
        self.starters: list[Any] = []
        self.admin: Any = None
        #: Whether the Admin has us for its authority.
        self.standing = False
        self.probe = PROBE + uuid.uuid4().hex.encode()
        self.probe_hash = _md5(self.probe)
        self.member = False
        self.remote: str | None = None
        #: Who asked the Director to load a source that is on its way here, by its hash.
        self.askers: dict[str, str] = {}
        #: What was said about what may run, by who asked and the question's number, the oldest first.
        self.words: dict[tuple[str, Any], Message] = {}

    def receiveMsg_dict(self, message: Message, sender: Any) -> None:
        """``{"AuthorityOp": "Startup", "Directory": …, "State": …, "Director": address}``."""
        if message.get("AuthorityOp") == "Startup":
            place = Store(Path(message["Directory"]), Path(message["State"]))
            if self.store is not None and _places(place) != _places(self.store):
                text = "%s told this authority of another directory, %s; it keeps its own"
                log.error(text, sender, shown(str(place.directory)))
                return
            first, self.store = self.store is None, self.store or place
            self._directed_by(message["Director"], int(message.get("Pid", 0)))
            if first:
                self.places = {key: message[key] for key in ("Directory", "State")}
                self.wakeupAfter(timedelta(seconds=WATCH), payload=WATCHING)
                self._tidy()
                leader, port, own = read_convention(self.store.directory, os.environ)
                leading = convention.leaders(leader, port)
                self.member = convention.is_member(leading[:1], port)
                self.remote = own.get(convention.REMOTE_SOURCES)
                self.registerSourceAuthority()
                self.notifyOnSourceAvailability()
            if self.standing:
                self.send(sender, {"AuthorityResponse": "Standing", "Success": True})
                return
            self.starters.append(sender)
            if first:
                self.loadActorSource(io.BytesIO(self.probe))
                installed_version("thespian")  # the first look for it is slow, and each source asks
        elif message.get("DirectorResponse") == "Identity":
            self._identified(message, sender)
        elif message.get("AuthorityOp") == "Judge":
            name, data = str(message["Name"]), bytes(message["Data"])
            verdict, stub = self._verdict(message["SourceHash"], data, name)
            if message.get("Pending") and self.admin is not None:
                told = name if verdict.valid else REFUSED + verdict.message
                self.send(self.admin, ValidatedSource(message["SourceHash"], stub, told))
        elif message.get("AuthorityOp") == "Sweep" and self.store is not None:
            self._sweep_soon()
        elif message.get("AuthorityOp") == "Asker":
            self.askers[message["SourceHash"]] = str(message["Who"])
        elif message.get("AuthorityOp") == "MayRun":
            self._may_run(message, sender)

    def receiveMsg_ValidateSource(self, message: ValidateSource, sender: Any) -> None:
        """Answer the Admin, always, exactly once, and always with an archive that it can read.

        Thespian's own way to refuse, an empty answer, ends the Admin when it comes for a source that
        is not pending any more (adminCore.h_ValidatedSource).
        """
        source_hash = message.sourceHash
        self.admin = sender
        if source_hash == self.probe_hash:
            for starter in self.starters:
                self.send(starter, {"AuthorityResponse": "Standing", "Success": True})
            self.starters.clear()
            self.standing = True
            if self.remote is None:  # the operator's own word wins
                self.updateCapability(convention.REMOTE_SOURCES, "LeaderOnly")
            self.refused.add(source_hash)
            self.send(sender, ValidatedSource(source_hash, refusal_archive("a trial"), PROBED))
            return
        # The simple system base tells no name (its loadActorSource); there is none to compare then.
        name = "" if _simple() and message.sourceInfo is None else str(message.sourceInfo)
        verdict, stub = self._verdict(source_hash, bytes(message.sourceData), name)
        self.send(
            sender,
            ValidatedSource(
                source_hash, stub, name if verdict.valid else REFUSED + verdict.message
            ),
        )

    def _verdict(self, source_hash: str, data: bytes, name: str) -> tuple[Verdict, bytes]:
        """Decide, make known what was decided, and tell the Director; returns what the Admin gets."""
        verdict, stub, place = self._decide(source_hash, data, name)
        if verdict.valid:
            self.refused.discard(source_hash)
            log.info("%s validated with %s", shown(name), verdict.key.name if verdict.key else "")
        else:
            self.refused.add(source_hash)
            log.warning("%s refused (%s): %s", shown(name), verdict.code, shown(verdict.message))
        self.send(
            self.director,
            {
                "AuthorityOp": "Verdict",
                "SourceHash": source_hash,
                "Valid": verdict.valid,
                "Code": verdict.code,
                "Message": verdict.message,
                "Unpacked": place,
            },
        )
        return verdict, stub

    def _may_run(self, message: Message, sender: Any) -> None:
        """Say what may run now, or with ``Define`` what TLI counts for a file: see `_allowed` and `_definition`."""
        assert self.store is not None  # noqa: S101 - told by Startup, which the Director sends first
        question = (f"{self.director_pid} {sender}", message["Number"])
        if question in self.words:  # asked again while it was decided
            self.send(sender, self.words[question])
            return
        asker = str(message.get("Who") or account())
        trust = HostTrust(self.store, message["Asked"], who=asker, warn=log.warning)
        told = _definition(trust, message) if "Define" in message else _allowed(trust, message)
        word = {"AuthorityResponse": "Word", "Number": message["Number"], **told}
        self.words[question] = word
        if len(self.words) > WORDS_KEPT:
            del self.words[next(iter(self.words))]
        self.send(sender, word)

    def _tidy(self) -> None:
        """What an earlier system left unpacked, and nobody can load again, goes."""
        assert self.store is not None  # noqa: S101 - called by Startup
        try:
            self.store.tidy()
        except (OSError, DirectorError) as problem:
            log.warning("the unpacked cache was not tidied: %s", problem)

    def receiveMsg_LoadedSource(self, message: LoadedSource, sender: Any) -> None:
        """A refused source is unloaded as soon as Thespian took note of it, not before.

        Not by a member: its unload would reach the leader, and end for all what this host alone refuses. The reason
        stays known here instead (`director.actors.known`), and so the creator hears it.
        """
        source_hash = message.sourceHash
        if source_hash in self.refused and (not self.member or source_hash == self.probe_hash):
            self.refused.discard(source_hash)
            self.unloadActorSource(source_hash)
            if self.store is not None:
                forget(self.store.state, source_hash)
        elif self.store is not None and source_hash not in self.refused:
            known = recall(self.store.state, source_hash)
            if known is None or known.refused:
                log.error("%s came past this authority; none of it is run here", source_hash)

    def receiveMsg_UnloadedSource(self, message: UnloadedSource, sender: Any) -> None:
        """Its last process may need a moment to end: what it was unpacked to goes then.

        The Director hears from us that a refusal is over, for what Thespian tells may overtake our word of it.
        """
        self.refused.discard(message.sourceHash)
        known = recall(self.store.state, message.sourceHash) if self.store else None
        if self.store and known and known.refused:
            forget(self.store.state, message.sourceHash)
        self.send(self.director, {"AuthorityOp": "Unloaded", "SourceHash": message.sourceHash})
        self._sweep_soon()

    def _sweep_soon(self) -> None:
        self.sweeps += 1
        self._sweep_in(SWEEP_FIRST)

    def _sweep_in(self, seconds: float) -> None:
        self.wakeupAfter(timedelta(seconds=seconds), payload=(self.sweeps, seconds))

    def receiveMsg_WakeupMessage(self, message: WakeupMessage, sender: Any) -> None:
        """Remove unloaded sources that no process uses any more; look again, ever later, while one is used.

        Or see whether the Director lives.
        """
        assert self.store is not None  # noqa: S101 - woken only after Startup
        if message.payload == WATCHING:
            self._watch_director(self.store.state)
            return
        number, seconds = message.payload
        if number != self.sweeps:
            return  # another unload began anew
        try:
            left = self.store.cache.sweep()
        except (OSError, DirectorError) as problem:
            log.warning("the unpacked cache was not swept: %s", problem)
            left = True
        if left:
            self._sweep_in(min(2 * seconds, SWEEP_LAST))

    def _decide(self, source_hash: str, data: bytes, name: str) -> tuple[Verdict, bytes, str]:
        assert self.store is not None  # noqa: S101 - registered only after Startup
        store, known, read = self.store, KnownSource(source_hash), Text()

        def unpack(sha256: str, members: Members) -> None:
            nonlocal known, read
            reading = Reading(members)
            known = replace(known, directory=str(store.cache.fill(sha256, iter(reading))))
            read = reading.text

        asker = self.askers.pop(source_hash, "") or account()
        trust = HostTrust(store, "authority", who=asker, warn=log.warning)
        try:
            if _md5(data) == source_hash:
                verdict = trust.admit(data, Path(name).name, unpack)
                if verdict.archive is not None:
                    tops = top_level_names(verdict.archive.names)
                    # A class may inherit from what the host has.
                    places = read.found or self.installed.say(read.imported - {*tops})
                    known = replace(known, tops=tops, places=places)
                    remember(store.state, known)
                    trust.note_loaded(source_hash)
            else:
                text = f"{name} came with the hash of other bytes. Load it again."
                verdict = refusal(data, "hash", text, 7)
                trust.decisions.verdict(verdict, Path(name).name)
        except DirectorError as problem:
            verdict = refusal(data, problem.code, str(problem), problem.exit_status)
        except OSError as problem:
            text = f"{name} cannot be unpacked under {store.state}: {problem.strerror}."
            hint = "Make room or mend the permissions there, then load it again."
            verdict = refusal(data, "unpack", f"{text} {hint}", 1)
        if not verdict.valid or verdict.archive is None:
            if _md5(data) == source_hash or recall(store.state, source_hash) is None:
                self._remember_refusal(source_hash, verdict.message)
            return verdict, refusal_archive(verdict.message), ""
        if _simple():  # Thespian's own importer has to do there
            members = [Member(entry.name, body) for entry, body in verdict.archive.iter_data()]
            return verdict, write_archive(members), known.directory
        return verdict, stub_archive(known.tops), known.directory

    def _remember_refusal(self, source_hash: str, reason: str) -> None:
        assert self.store is not None  # noqa: S101 - registered only after Startup
        try:
            remember(self.store.state, KnownSource(source_hash, refused=reason))
        except OSError as problem:
            log.warning("why %s was refused could not be kept: %s", source_hash, problem)


def _allowed(trust: HostTrust, message: Message) -> Message:
    """Of ``Sources`` that are loaded, or a ``File``: the first that may run now, and why those before it may not."""
    told: Message = {"May": "", "Refused": {}}
    for wanted in message.get("Sources") or [message["File"]]:
        try:
            by_file, note = "File" in message, message.get("Note", "")
            verdict = trust.inspect(Path(wanted)) if by_file else trust.again(wanted, note)
            code = "" if verdict.valid else verdict.code
            text = verdict.about(Path(wanted)) if by_file else verdict.message
        except DirectorError as problem:
            code, text = problem.code, str(problem)
        if not code:
            told |= {"May": wanted, "SHA256": verdict.sha256}
            break
        log.warning("%s may not run now (%s): %s", shown(wanted), code, shown(text))
        told["Refused"][PIN if message["Asked"] == PIN else wanted] = (code, text)
    return told


def _definition(trust: HostTrust, message: Message) -> Message:
    """The TLI that counts for ``File`` of the group ``Define``, as `DirectorControl.load` would find it.

    Nothing is decided or audited by this: of a file that is not valid it is empty, and its load will be refused.
    """
    told: Message = {"May": "", "Refused": {}, "Code": "", "Message": ""}
    path, group = Path(message["File"]), message["Define"]
    try:
        verdict = trust.look(trust.read(path), path.name)
        if verdict.sha256 != message["SHA256"]:
            text = f"{path} was replaced while it was being loaded; load it again"
            return told | {"Code": "changed", "Message": text}
        if not verdict.valid:
            return told | {"Definition": {"Actors": {}}, "Override": ""}
        chosen = Available(path, group, split_file_name(path.name)[1])
        tli, warnings = Definitions(trust.store, os.environ, trust.has_signed).of(chosen, verdict)
    except DirectorError as problem:
        return told | {"Code": problem.code, "Message": str(problem)}
    for line in warnings:
        log.warning("%s", line)
    return told | {"Definition": tli.definition(), "Override": tli.override}


def _places(store: Store) -> tuple[str, str]:
    """Where a director directory and its state are, whatever links lead there."""
    return os.path.realpath(store.directory), os.path.realpath(store.state)


def _md5(data: bytes) -> str:
    """Thespian's name of a source."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _simple() -> bool:
    """Whether this is the simple system base, whose actors are all in one process that is not an actor's own."""
    return not multiprocessing.current_process().name.startswith("Actor_")
