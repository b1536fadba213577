"""The Director actor: performs what the activation state machine decides.

A thin shell around `director.actors.groups`: it turns Thespian's messages and the requests of
`director.actors.messages` into events, and actions into Thespian's calls. What it replies about groups is composed in
`director.actors.answers`; what it writes down in `director.history`. It never imports a loaded source.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from thespian.actors import (
    ActorExitRequest,
    ActorTypeDispatcher,
    ChildActorExited,
    LoadedSource,
    PoisonMessage,
    UnloadedSource,
    WakeupMessage,
)
from thespian.system.messages.status import Thespian_ActorStatus, Thespian_StatusReq

import director
from director.actors import answers
from director.actors import groups as g
from director.actors import versions as m
from director.actors.known import forget
from director.actors.messages import (
    AUTHORITY_NAME,
    PROTOCOL,
    REFUSED,
    Message,
    malformed,
    operation_of,
    reply,
)
from director.actors.words import last_words
from director.errors import DirectorError
from director.history import Event, History, Pin, Pins, undo_target
from director.logs import MET
from director.settings.tli import GROUP_KEYS, Tli, tli_from_definition
from director.store import Store
from director.tls.naming import file_name, split_file_name

log = logging.getLogger("director")

#: Seconds after which a system that was about to be shut down, and was not, is supervised again.
CLOSING_LIMIT = 60.0
#: Longest tentative period, seconds.
LONGEST_SETTLE = 3600.0


class Director(ActorTypeDispatcher):
    """Keeps groups of loaded sources running; found under the global name ``Director``."""

    def __init__(self) -> None:
        super().__init__()
        self.groups = g.Groups()
        self.actors = answers.Actors()
        self.store: Store | None = None
        self.definitions: dict[str, Tli] = {}
        self.bytes: dict[str, tuple[bytes, str]] = {}
        self.unpacked: dict[str, str] = {}
        self.requests: dict[str, tuple[Any, Message]] = {}
        self.once: list[Any] = []
        self.watchers: list[tuple[Any, str | None]] = []
        #: Sources that wait for the Source Authority's sign of life.
        self.waiting: list[str] = []
        self.closing = False
        self.serial = 0
        self.born = datetime.now(UTC)

    # ---- requests --------------------------------------------------------------------------------

    def receiveMessage(self, message: Any, sender: Any) -> Any:
        """What role actors say is an answer to their Ready question; the rest goes by its type."""
        request = isinstance(message, dict) and "DirectorOp" in message
        actor_id = self.actors.id_of(sender)
        if actor_id and type(message).__module__ == "builtins" and not request:
            self._perform(self.groups.actor_answered(actor_id, message, time.monotonic()))
            return None
        if type(message).__module__ == "builtins" and not isinstance(message, dict):
            text = f"a request is a dictionary with DirectorOp, not {type(message).__name__}"
            self.send(sender, reply("Malformed", {}, False, Code="malformed", Message=text))
            return None
        return super().receiveMessage(message, sender)

    def receiveMsg_dict(self, message: Message, sender: Any) -> None:
        """A request of `director.actors.messages`, or a word of the Source Authority."""
        if message.get("AuthorityOp") == "Verdict":
            self._verdict(message)
        elif message.get("AuthorityResponse") == "Standing":
            self._load_waiting()
        elif "DirectorOp" in message or not {"DirectorResponse", "AuthorityOp"} & set(message):
            self._request(message, sender)

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
        try:
            getattr(self, f"_do_{operation.name}")(message, sender)
        except (DirectorError, OSError, ValueError) as problem:
            log.warning("%s failed: %s", operation.name, problem)
            code = getattr(problem, "code", "operation-failed")
            told = reply(
                "Failed", message, False, Code=code, Message=f"{operation.name}: {problem}"
            )
            self.send(sender, told)

    def _do_Startup(self, message: Message, sender: Any) -> None:
        if self.store is None:
            self.store = Store(Path(message["Directory"]), Path(message["State"]))
            self.notifyOnSourceAvailability()
        self._do_Identify(message, sender)

    def _do_Identify(self, message: Message, sender: Any) -> None:
        told = reply("Identity", message, True, **self._identity())
        self.send(sender, told | {"AdminPid": os.getppid(), "Session": os.getsid(0)})

    def _identity(self) -> Message:
        return {
            "Protocol": PROTOCOL,
            "PackageVersion": director.__version__,
            "Pid": os.getpid(),
            "Directory": str(self.store.directory) if self.store else "",
        }

    def _do_DefineGroup(self, message: Message, sender: Any) -> None:
        self.definitions[message["Group"]] = _tli(message)
        self.send(sender, reply("DeclaredGroup", message, True))

    def _do_LoadSource(self, message: Message, sender: Any) -> None:
        path = Path(message["Source"])
        if not 0 <= message.get("Settle", 0) <= LONGEST_SETTLE:
            raise DirectorError(f"Settle is a number of seconds from 0 to {LONGEST_SETTLE:.0f}")
        data = path.read_bytes()
        if message.get("SHA256", "") not in ("", hashlib.sha256(data).hexdigest()):
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
        if "Definition" in message:
            tli = _tli(message["Definition"])
        else:
            tli = self.definitions.get(group) or tli_from_definition({"Actors": {}})
        self.bytes[source_hash] = (data, str(path))
        request = self._remember({**message, "SourceHash": source_hash}, sender)
        self.send(sender, reply("SourceLoading", message, True, SourceHash=source_hash))
        wanted = m.Version(source_hash, group, version, str(path), tli)
        settled = "Settle" in message
        wanted.settle = float(message.get("Settle", wanted.settle))
        self._perform(self.groups.load(request, wanted, time.monotonic(), settled=settled))

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

    def _do_RequestNotification(self, message: Message, sender: Any) -> None:
        if sender not in self.once:
            self.once.append(sender)

    def _do_Watch(self, message: Message, sender: Any) -> None:
        group = message.get("Group") or None
        self._unwatch(sender)
        self.watchers.append((sender, group))
        names = [name for name in self.groups.active if group in (None, name)]
        told = {n: answers.update(self.groups, self.actors, n, "active") for n in sorted(names)}
        self.send(sender, reply("Watching", message, True, Groups=told))

    def _do_Unwatch(self, message: Message, sender: Any) -> None:
        self._unwatch(sender)
        self.send(sender, reply("Unwatched", message, True))

    def _unwatch(self, sender: Any) -> None:
        self.watchers = [(one, group) for one, group in self.watchers if one != sender]

    def _do_Status(self, message: Message, sender: Any) -> None:
        store = self._store()
        pins = Pins(store.state).read()
        found = answers.status(self.groups, self.actors, pins, message.get("Group"))
        told = reply("Status", message, True, **self._identity(), Groups=found)
        more = {"State": str(store.state), "Started": self.born, "Blocked": self.groups.blocked}
        self.send(sender, told | more)

    def _do_Undo(self, message: Message, sender: Any) -> None:
        group = message["Group"]
        target = undo_target(History(self._store().state).read(group), group)
        if target is None:
            text = f"no version of {group!r} was active before"
            told = reply("UndoResult", message, False, Code="nothing-to-undo", Message=text)
            self.send(sender, told)
            return
        known = self.groups.versions.get(target.source_hash)
        if known is None or known.state is not m.State.RETIRED:
            text = f"{target.file} is not loaded any more"
            told = reply("UndoResult", message, False, Code="not-loaded", Message=text)
            self.send(sender, told | {"File": target.file, "SourceHash": target.source_hash})
            return
        self._pin(group, known.version)
        more = {"Undo": True, "SourceHash": known.source_hash, "File": known.file}
        request = self._remember({**message, **more}, sender)
        self._perform(self.groups.load(request, known, time.monotonic()))

    def _do_Pin(self, message: Message, sender: Any) -> None:
        self._pin(message["Group"], message["Version"])
        self.send(sender, reply("Pinned", message, True))

    def _pin(self, group: str, version: str | None) -> None:
        state = self._store().state
        name = file_name(group, version)
        Pins(state).put(Pin(group, version, name, _now()))
        self._write_down(Event(_now(), group, "pinned", version, "", name, ""))

    def _do_Unpin(self, message: Message, sender: Any) -> None:
        group = message["Group"]
        if Pins(self._store().state).remove(group):
            self._write_down(Event(_now(), group, "unpinned", None, "", "", ""))
            self.send(sender, reply("Unpinned", message, True))
        else:
            text = f"the group {group!r} is not pinned"
            self.send(sender, reply("Unpinned", message, False, Code="not-found", Message=text))

    def _do_Closing(self, message: Message, sender: Any) -> None:
        self.closing = True
        self.wakeupAfter(timedelta(seconds=CLOSING_LIMIT), payload=None)
        self.send(sender, reply("Closing", message, True))

    # ---- what Thespian and the authority tell ----------------------------------------------------

    def receiveMsg_ActorExitRequest(self, message: ActorExitRequest, sender: Any) -> None:
        """The system goes down; Thespian ends our children after us."""
        self.closing = True

    def _verdict(self, message: Message) -> None:
        source_hash = message["SourceHash"]
        if message["Valid"]:
            self.unpacked[source_hash] = message["Unpacked"]
        else:
            self._perform(
                self.groups.source_refused(
                    source_hash, message["Code"], message["Message"], time.monotonic()
                )
            )

    def receiveMsg_LoadedSource(self, message: LoadedSource, sender: Any) -> None:
        """A source was validated; one that was refused is told with its reason as information."""
        if not str(message.sourceInfo).startswith(REFUSED):
            self._perform(self.groups.source_loaded(message.sourceHash, time.monotonic()))

    def receiveMsg_UnloadedSource(self, message: UnloadedSource, sender: Any) -> None:
        """A source is gone from the Admin."""
        self._perform(self.groups.source_unloaded(message.sourceHash, time.monotonic()))

    def receiveMsg_Thespian_ActorStatus(self, message: Thespian_ActorStatus, sender: Any) -> None:
        """The answer to AskReady: Thespian gives it once ``__init__`` is done, in message order."""
        actor_id = self.actors.id_of(sender)
        if actor_id:
            source_hash = getattr(message, "sourceHash", None)
            found = self.groups.find(actor_id)
            if found and not found[1].ready:  # `director logs` knows its lines by this
                names = {"group": found[0].group, "class_name": found[1].spec.class_name}
                log.info("%s", MET.format(address=sender, **names))
            self._perform(self.groups.actor_ready(actor_id, source_hash, time.monotonic()))

    def receiveMsg_ChildActorExited(self, message: ChildActorExited, sender: Any) -> None:
        """An actor ended, or could not be created at all."""
        actor_id = self.actors.id_of(message.childAddress)
        if actor_id and not self.closing:
            found = self.groups.find(actor_id)
            reason = ""
            if found:
                reason = last_words(self.unpacked.get(found[0].source_hash, os.devnull))
            self.actors.forget(actor_id)
            self._perform(self.groups.actor_exited(actor_id, reason, time.monotonic()))

    def receiveMsg_WakeupMessage(self, message: WakeupMessage, sender: Any) -> None:
        """A timer of the state machine fired."""
        if message.payload is None:
            self.closing = False
        elif not self.closing:
            self._perform(self.groups.timer(message.payload, time.monotonic()))

    def receiveMsg_PoisonMessage(self, message: PoisonMessage, sender: Any) -> None:
        """A message of ours made its receiver fail twice, or the receiver never came to life."""
        log.warning("a message came back: %s", str(getattr(message, "details", ""))[:2000])

    # ---- performing ------------------------------------------------------------------------------

    def _perform(self, actions: list[m.Action]) -> None:
        for action in actions:
            match action:
                case m.LoadSource(source_hash):
                    self._ask_authority(source_hash)
                case m.UnloadSource(source_hash):
                    self.unloadActorSource(source_hash)
                    self._forget(source_hash)
                case m.Create(actor, class_name, source_hash, global_name):
                    self.actors.addresses[actor] = self.createActor(
                        class_name, globalName=global_name, sourceHash=source_hash
                    )
                    self.actors.started[actor] = datetime.now()
                case m.Send(actor, message):
                    self.send(self.actors.addresses[actor], message)
                case m.AskReady(actor):
                    self.send(self.actors.addresses[actor], Thespian_StatusReq())
                case m.End(actor):
                    self.send(self.actors.addresses[actor], ActorExitRequest())
                case m.Timer(key, seconds):
                    self.wakeupAfter(timedelta(seconds=seconds), payload=key)
                case m.Finished():
                    self._finished(action)
                case m.Changed(group, what):
                    self._tell_watchers(group, what)
                case m.Record():
                    self._record(action)

    def _ask_authority(self, source_hash: str) -> None:
        """Load when the authority has given a sign of life; one that died is created again by this."""
        self.waiting.append(source_hash)
        authority = self.createActor(
            "director.actors.authority.SourceAuthority", globalName=AUTHORITY_NAME
        )
        store = self._store()
        places = {"Directory": str(store.directory), "State": str(store.state)}
        self.send(authority, {"AuthorityOp": "Startup", "Director": self.myAddress, **places})

    def _load_waiting(self) -> None:
        waiting, self.waiting = self.waiting, []
        for source_hash in waiting:
            if source_hash in self.bytes:
                data, name = self.bytes[source_hash]
                source = io.BytesIO(data)
                source.name = name
                self.loadActorSource(source)

    def _tell_watchers(self, group: str, what: str) -> None:
        if what == "active":
            once, self.once = self.once, []
            for watcher in once:
                told = {"DirectorResponse": "NotificationOfUpdate", "Success": True}
                self.send(watcher, told)
        told = answers.update(self.groups, self.actors, group, what)
        for watcher, wanted in self.watchers:
            if wanted in (None, group):
                self.send(watcher, {"DirectorResponse": "Update", "Success": True, **told})

    def _finished(self, action: m.Finished) -> None:
        sender, message = self.requests.pop(action.request)
        (log.info if action.success else log.warning)("%s: %s", action.code, action.text)
        fields = {
            "SourceHash": action.source_hash,
            "Code": action.code,
            "Message": action.text,
        }
        if message["DirectorOp"] == "UnloadSource":
            self.send(sender, reply("SourceUnloaded", message, action.success, **fields))
            return
        if not any(
            told.get("SourceHash") == action.source_hash for _, told in self.requests.values()
        ):
            self.bytes.pop(action.source_hash, None)
        if action.success:
            self._keep_limit(action.source_hash)
        if message["DirectorOp"] == "Undo":
            fields["File"] = message["File"]
            self.send(sender, reply("UndoResult", message, action.success, **fields))
        elif message.get("Wait"):
            self.send(sender, reply("LoadResult", message, action.success, **fields))

    def _record(self, action: m.Record) -> None:
        undone = action.event == "active" and any(
            told.get("Undo") and told.get("SourceHash") == action.source_hash
            for _, told in self.requests.values()
        )
        event = "undone" if undone else action.event
        told = (action.version, action.source_hash, action.file, action.text)
        self._write_down(Event(_now(), action.group, event, *told))

    def _write_down(self, event: Event) -> None:
        """History must not stop what it tells of: a full disk is logged."""
        if self.store is not None:
            try:
                History(self.store.state).append(event)
            except OSError as problem:
                log.warning("the history could not be written: %s", problem)

    def _keep_limit(self, source_hash: str) -> None:
        version = self.groups.versions.get(source_hash)
        if version is None or self.store is None or not version.tli.keep_limit:
            return
        keep = Path(version.file)
        try:
            for path in self.store.keep_newest(version.group, version.tli.keep_limit, keep):
                log.info("TLS_Keep_Limit: deleted %s", path)
        except OSError as problem:
            log.warning("TLS_Keep_Limit of %s: %s", version.group, problem)

    def _forget(self, source_hash: str) -> None:
        place = self.unpacked.pop(source_hash, "")
        if place and self.store is not None:
            forget(self.store.state, source_hash)
            self.store.forget(Path(place).name)

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
    return tli_from_definition({key: definition[key] for key in GROUP_KEYS if key in definition})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
