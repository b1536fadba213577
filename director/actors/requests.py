"""The requests that the Director answers: one method for each operation of `director.actors.messages`.

What lives here: checking a request, handling it, replying. What does not: performing what the state machine decides,
and what Thespian tells (`director.actors.director`).
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from thespian.actors import ActorTypeDispatcher

import director
from director.actors import answers
from director.actors import groups as g
from director.actors import versions as m
from director.actors.bytecode import Compilers
from director.actors.doors import NOTEBOOK_CLASS, disown
from director.actors.messages import (
    PIN,
    PROTOCOL,
    Message,
    malformed,
    operation_of,
    reply,
)
from director.actors.notebook import NOTEBOOK_NAME
from director.errors import DirectorError
from director.files import read_regular
from director.history import Event, History, nothing_to_undo, undo_target
from director.pins import Pin, Pins
from director.settings.tli import GROUP_KEYS, Tli, tli_from_definition
from director.store import Store
from director.tls.limits import Limits
from director.tls.naming import check_group, file_name, split_file_name

log = logging.getLogger("director")

#: Seconds after which a system that was about to be shut down, and was not, is supervised again.
CLOSING_LIMIT = 60.0
#: Longest tentative period, seconds.
LONGEST_SETTLE = 3600.0


class Requests(ActorTypeDispatcher):
    """What a Director knows, and how it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.groups = g.Groups()
        self.actors = answers.Actors()
        self.store: Store | None = None
        self.definitions: dict[str, Tli] = {}
        self.bytes: dict[str, tuple[bytes, str]] = {}
        self.unpacked: dict[str, str] = {}
        self.requests: dict[str, tuple[Any, Message]] = {}
        #: Sources that wait for the Source Authority's sign of life.
        self.waiting: list[str] = []
        #: What the Source Authority was asked and has not answered, by the question's number.
        self.asked: dict[int | str, Message] = {}
        #: Whether the system is about to be shut down; which time it was told so; what waits until it is clear that it
        #: was not.
        self.closing = False
        self.closings = 0
        self.deferred: list[Callable[[], None]] = []
        #: Who waits until the note of a predecessor has come.
        self.starters: list[tuple[Any, Message]] = []
        self.notebook: Any = None
        self.noted: Any = None
        #: Incarnations that are a dead Director's children: their end is told to nobody.
        self.adopted: set[int] = set()
        self.looking = False
        self.compilers = Compilers()
        self.serial = 0
        self.born = datetime.now(UTC)
        #: When this Director took up what one that died left; None where it is the system's first.
        self.took_over: datetime | None = None

    def _perform(self, actions: list[m.Action]) -> None:
        """Do what the state machine wants done."""
        raise NotImplementedError

    def _keep_note(self) -> None:
        """Tell a successor."""
        raise NotImplementedError

    def _ask_may_run(self, **question: Any) -> None:
        """Ask the Source Authority."""
        raise NotImplementedError

    def _convene(self) -> None:
        """Find out about other hosts."""
        raise NotImplementedError

    def _forget(self, source_hash: str) -> None:
        """A source is not used any more."""
        raise NotImplementedError

    def _prepare(self, wanted: m.Version) -> None:
        """A version is about to be loaded: whether it may wait for hosts."""
        raise NotImplementedError

    def _leader_told(self) -> Message | None:
        """What Status tells of the leader of the convention."""
        raise NotImplementedError

    # ---- requests --------------------------------------------------------------------------------

    def _request(self, message: Message, sender: Any) -> None:
        operation = operation_of(message)
        if operation is None:
            text = f"the Director knows no operation {message.get('DirectorOp')!r}"
            self.send(sender, reply("Unknown", message, False, Code="unknown", Message=text))
            return
        wrong = malformed(operation, message)
        if wrong:
            self.send(sender, reply("Malformed", message, False, Code="malformed", Message=wrong))
            return
        self._do(operation.name, message, sender)

    def _do(self, name: str, message: Message, sender: Any) -> None:
        try:
            getattr(self, f"_do_{name}")(message, sender)
        except (DirectorError, OSError, ValueError) as problem:
            log.warning("%s failed: %s", name, problem)
            code, text = _why(problem)
            text = f"{name}: {text}"
            self.send(sender, reply("Failed", message, False, Code=code, Message=text))

    def _do_Startup(self, message: Message, sender: Any) -> None:
        if self.noted is not None:
            self._do_Identify(message, sender)
            return
        self.starters.append((sender, message))
        if self.store is None:
            disown(self)
            self.store = Store(Path(message["Directory"]), Path(message["State"]))
            self.notifyOnSourceAvailability()
            self._convene()
            self.notebook = self.createActor(NOTEBOOK_CLASS, globalName=NOTEBOOK_NAME)
            self.send(self.notebook, {"NotebookOp": "Recall"})

    def _do_Identify(self, message: Message, sender: Any) -> None:
        told = reply("Identity", message, True, **self._identity())
        self.send(sender, told | {"AdminPid": os.getppid(), "Session": os.getsid(0)})

    def _identity(self) -> Message:
        return {
            "Protocol": PROTOCOL,
            "PackageVersion": director.__version__,
            "Pid": os.getpid(),
            "Told": self.store is not None,
            "Directory": str(self.store.directory) if self.store and not self.starters else "",
        }

    def _do_DefineGroup(self, message: Message, sender: Any) -> None:
        check_group(message["Group"])
        self.definitions[message["Group"]] = _tli(message)
        self.send(sender, reply("DeclaredGroup", message, True))

    def _do_LoadSource(self, message: Message, sender: Any) -> None:
        path = Path(message["Source"])
        if not 0 <= message.get("Settle", 0) <= LONGEST_SETTLE:
            raise DirectorError(f"Settle is a number of seconds from 0 to {LONGEST_SETTLE:.0f}")
        expected = message.get("SHA256", "")
        try:
            data = read_regular(path, Limits().max_bytes)
        except OSError:
            if not expected:
                raise
            data = b""  # whoever decided a moment ago did read it
        if expected not in ("", hashlib.sha256(data).hexdigest()):
            text = f"{path} was replaced while it was being loaded; load it again"
            self.send(sender, reply("SourceLoading", message, False, Code="changed", Message=text))
            return
        if not data:
            # To Thespian's Admin a source without bytes is a wish to unload (adminCore.h_ValidateSource).
            text = f"{path} is empty"
            fields = {"Code": "envelope-empty", "Message": text}
            self.send(sender, reply("SourceLoading", message, False, **fields))
            return
        # Thespian's name of the source: MD5 of the bytes (systemBase.loadActorSource). SHA-256 and
        # the signature are what is trusted.
        source_hash = hashlib.md5(data, usedforsecurity=False).hexdigest()
        named_group, version = split_file_name(path.name)
        group = message.get("Group") or named_group
        check_group(group)
        self._store()
        if "Definition" in message:
            tli = replace(_tli(message["Definition"]), override=message.get("Override", ""))
        elif group in self.definitions:
            tli = self.definitions[group]
        elif (known := self.groups.versions.get(source_hash)) and known.state in m.LOADING:
            tli = known.tli
        else:
            digest = hashlib.sha256(data).hexdigest()
            number = self._remember({**message, "SHA256": digest}, sender)
            question = {"File": str(path), "SHA256": digest, "Define": group}
            self._ask_may_run(Number=number, Asked="authority", **question)
            return
        self.bytes[source_hash] = (data, str(path))
        request = self._remember({**message, "SourceHash": source_hash}, sender)
        self.send(sender, reply("SourceLoading", message, True, SourceHash=source_hash))
        wanted = m.Version(source_hash, group, version, str(path), tli)
        settled = "Settle" in message
        wanted.settle = float(message.get("Settle", wanted.settle))
        self._prepare(wanted)
        self._perform(self.groups.load(request, wanted, time.monotonic(), settled=settled))

    def _defined(self, request: str, word: Message) -> None:
        """The authority has told the TLI that counts for a file whose group nobody declared.

        Args:
            word: ``Definition`` and ``Override``, or ``Code`` and ``Message`` of why there is none.
        """
        sender, message = self.requests.pop(request)
        if word.get("Code"):
            fields = {"Code": word["Code"], "Message": word["Message"]}
            self.send(sender, reply("SourceLoading", message, False, **fields))
            return
        told = {"Definition": word["Definition"], "Override": word.get("Override", "")}
        self._do("LoadSource", {**message, **told}, sender)

    def _do_UnloadSource(self, message: Message, sender: Any) -> None:
        request = self._remember(message, sender)
        self._perform(self.groups.unload(request, message["SourceHash"], time.monotonic()))

    def _do_RetrieveAll(self, message: Message, sender: Any) -> None:
        found = answers.all_addresses(self.groups, self.actors, message.get("Group"))
        self.send(sender, reply("AllAddresses", message, True, Groups=found))

    def _do_RetrieveRole(self, message: Message, sender: Any) -> None:
        role, group = message["Role"], message.get("Group")
        found, fields = answers.role_address(self.groups, self.actors, role, group)
        told = reply("RoleAddress", message, found)
        self.send(sender, told | fields)

    def _do_Status(self, message: Message, sender: Any) -> None:
        store = self._store()
        pins: dict[str, Pin] = {}
        with contextlib.suppress(DirectorError):  # the command, which reads them too, tells of it
            pins = Pins(store.state).read()
        wanted = message.get("Group")
        found = answers.status(self.groups, self.actors, pins, wanted, time.monotonic())
        told = reply("Status", message, True, **self._identity(), Groups=found)
        more = {"State": str(store.state), "Started": self.born, "Blocked": self.groups.blocked}
        more |= {"TookOver": self.took_over, "Leader": self._leader_told()}
        self.send(sender, told | more)

    def _do_Undo(self, message: Message, sender: Any) -> None:
        group = message["Group"]
        events = History(self._store().state).read(group)
        target = undo_target(events, group)
        if target is None:
            text = nothing_to_undo(events, group)
            told = reply("UndoResult", message, False, Code="nothing-to-undo", Message=text)
            self.send(sender, told)
            return
        known = self.groups.versions.get(target.source_hash)
        if known is None or known.state is not m.State.RETIRED:
            text = f"{target.file} is not loaded any more"
            told = reply("UndoResult", message, False, Code="not-loaded", Message=text)
            self.send(sender, told | {"File": target.file, "SourceHash": target.source_hash})
            return
        more = {"Undo": True, "SourceHash": known.source_hash, "File": known.file}
        request = self._remember({**message, **more}, sender)
        self._perform(self.groups.load(request, known.again(), time.monotonic()))

    def _do_Pin(self, message: Message, sender: Any) -> None:
        """Only what the authority would let run now is pinned: the file, or where that is gone, what is loaded."""
        group, version, wanted = message["Group"], message["Version"], message.get("SourceHash")
        path = self._store().directory / file_name(group, version)
        versions = [v.source_hash for v in self.groups.of_group(group) if v.version == version]
        loaded = [one for one in versions if wanted in (None, one)]
        question: Message = {"Sources": loaded[:1]}
        if wanted is None and path.is_file():
            question = {"File": str(path)}
        elif not loaded:
            text = f"there is no {path}, and it is not loaded"
            self.send(sender, reply("Pinned", message, False, Code="not-found", Message=text))
            return
        self._ask_may_run(Number=self._remember(message, sender), Asked="pin", **question)

    def _answered(self, request: str, word: Message) -> None:
        """The authority's word about what a request that waits for it names; ``Refused`` as for MayRun."""
        _, message = self.requests.get(request, (None, {}))
        if message.get("DirectorOp") == "LoadSource":
            self._defined(request, word)
        elif message.get("DirectorOp") == "Pin":
            self._pinned(request, word)

    def _pinned(self, request: str, word: Message) -> None:
        """The authority has spoken about what is to be pinned."""
        sender, message = self.requests.pop(request)
        code, text = word["Refused"].get(PIN, ("", ""))
        if not code:
            code, text = self._try_pin(message["Group"], message["Version"], word.get("SHA256"))
        fields = {"Code": code, "Message": text} if code else {}
        self.send(sender, reply("Pinned", message, not code, **fields))

    def _try_pin(self, group: str, version: str | None, sha256: str | None) -> tuple[str, str]:
        """Pin to these bytes; code and text of what prevents it, "" where nothing does."""
        try:
            self._pin(group, version, sha256)
        except (DirectorError, OSError) as problem:
            code, why = _why(problem)
            log.warning("%s was not pinned: %s", group, why)
            return code, f"{group!r} was not pinned: {why}"
        return "", ""

    def _pin(self, group: str, version: str | None, sha256: str | None) -> None:
        state = self._store().state
        name = file_name(group, version)
        Pins(state).put(Pin(group, version, name, now(), sha256))
        self._write_down(Event(now(), group, "pinned", version, "", name, ""))

    def _do_Unpin(self, message: Message, sender: Any) -> None:
        group = message["Group"]
        if Pins(self._store().state).remove(group):
            self._write_down(Event(now(), group, "unpinned", None, "", "", ""))
            self.send(sender, reply("Unpinned", message, True))
        else:
            text = f"the group {group!r} is not pinned"
            self.send(sender, reply("Unpinned", message, False, Code="not-found", Message=text))

    def _do_Closing(self, message: Message, sender: Any) -> None:
        self.closing = True
        self.closings += 1
        self.wakeupAfter(timedelta(seconds=CLOSING_LIMIT), payload=("open", "", self.closings))
        self.send(sender, reply("Closing", message, True))

    def _unless_closing(self, act: Callable[[], None]) -> None:
        """Do this now; or, where actors may end by a shutdown and not die, when that has come to nothing."""
        if self.closing:
            self.deferred.append(act)
        else:
            act()

    # ---- small things ----------------------------------------------------------------------------

    def _write_down(self, event: Event) -> None:
        """History must not stop what it tells of: a full disk is logged."""
        if self.store is not None:
            try:
                History(self.store.state).append(event)
            except OSError as problem:
                log.warning("the history could not be written: %s", problem)

    def _remember(self, message: Message, sender: Any) -> str:
        self.serial += 1
        self.requests[str(self.serial)] = (sender, message)
        return str(self.serial)

    def _store(self) -> Store:
        if self.store is None:
            raise DirectorError(
                "this Director is new and was not told its directories yet",
                hint="Run `director status`, which does.",
                code="not-started",
            )
        return self.store


def _tli(definition: Message) -> Tli:
    """What a message defines; unlike a TLI file it need not name actors."""
    told = {key: definition[key] for key in GROUP_KEYS if key in definition}
    return tli_from_definition({"Actors": {}, **told})


def _why(problem: Exception) -> tuple[str, str]:
    """Code and text of what went wrong, for a reply."""
    if not isinstance(problem, OSError):
        return getattr(problem, "code", "operation-failed"), str(problem)
    place = f"{problem.filename}: " if problem.filename else ""
    code = "not-found" if isinstance(problem, FileNotFoundError) else "os-error"
    return code, f"{place}{problem.strerror or problem}"


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
