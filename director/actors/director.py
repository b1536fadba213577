"""The Director actor: performs what the activation state machine decides.

A thin shell around `director.actors.groups`: it turns Thespian's messages and the requests of
`director.actors.messages` into events, and actions into Thespian's calls. It never imports a loaded source.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import time
from datetime import datetime, timedelta
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

from director.actors import groups as g
from director.actors import versions as m
from director.actors.known import forget
from director.actors.messages import PROTOCOL, REFUSED, Message, reply
from director.actors.words import last_words
from director.errors import DirectorError
from director.settings.tli import Tli, tli_from_definition
from director.store import Store
from director.tls.naming import split_file_name

log = logging.getLogger("director")


class Director(ActorTypeDispatcher):
    """Keeps groups of loaded sources running; found under the global name ``Director``."""

    def __init__(self) -> None:
        super().__init__()
        self.groups = g.Groups()
        self.store: Store | None = None
        self.definitions: dict[str, Tli] = {}
        self.bytes: dict[str, tuple[bytes, str]] = {}
        self.unpacked: dict[str, str] = {}
        self.addresses: dict[int, Any] = {}
        self.started: dict[int, datetime] = {}
        self.requests: dict[str, tuple[Any, Message]] = {}
        self.notify: list[Any] = []
        self.serial = 0

    # ---- requests --------------------------------------------------------------------------------

    def receiveMsg_dict(self, message: Message, sender: Any) -> None:
        """A request of `director.actors.messages`, or a word of the Source Authority."""
        if message.get("AuthorityOp") == "Verdict":
            self._verdict(message)
            return
        if "AuthorityResponse" in message:
            return
        operation = str(message.get("DirectorOp", ""))
        handler = {
            "Startup": self._startup,
            "Identify": self._identify,
            "DefineGroup": self._define,
            "LoadSource": self._load,
            "UnloadSource": self._unload,
            "RetrieveAll": self._retrieve_all,
            "RetrieveRole": self._retrieve_role,
            "RequestNotification": self._request_notification,
        }.get(operation)
        if handler is None:
            text = f"the Director knows no operation {operation!r}"
            self.send(sender, reply("Unknown", message, False, Message=text))
            return
        try:
            handler(message, sender)
        except (DirectorError, OSError, KeyError, TypeError, ValueError) as problem:
            # Thespian would deliver the message again and then return it as poison.
            log.warning("%s failed: %s", operation, problem, exc_info=True)
            text = f"{operation}: {type(problem).__name__}: {problem}"
            code = getattr(problem, "code", "malformed")
            self.send(sender, reply("Failed", message, False, Code=code, Message=text))

    def _startup(self, message: Message, sender: Any) -> None:
        if self.store is None:
            self.store = Store(Path(message["Directory"]), Path(message["State"]))
            self.notifyOnSourceAvailability()
        self._identify(message, sender)

    def _identify(self, message: Message, sender: Any) -> None:
        directory = str(self.store.directory) if self.store else ""
        self.send(
            sender,
            reply(
                "Identity",
                message,
                True,
                Protocol=PROTOCOL,
                AdminPid=os.getppid(),
                Session=os.getsid(0),
                Directory=directory,
            ),
        )

    def _define(self, message: Message, sender: Any) -> None:
        self.definitions[message["Group"]] = _tli(message)
        self.send(sender, reply("DeclaredGroup", message, True))

    def _load(self, message: Message, sender: Any) -> None:
        path = Path(message["Source"])
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
        request = self._remember(message, sender)
        self.send(sender, reply("SourceLoading", message, True, SourceHash=source_hash))
        wanted = m.Version(source_hash, group, version, str(path), tli)
        self._perform(self.groups.load(request, wanted, time.monotonic()))

    def _unload(self, message: Message, sender: Any) -> None:
        request = self._remember(message, sender)
        self._perform(self.groups.unload(request, str(message["SourceHash"]), time.monotonic()))

    def _retrieve_all(self, message: Message, sender: Any) -> None:
        names = sorted({version.group for version in self.groups.versions.values()})
        wanted = message.get("Group")
        found = {}
        for name in names:
            if wanted and name != wanted:
                continue
            versions = self.groups.of_group(name)
            found[name] = {
                "ActiveHash": self.groups.active.get(name),
                "Loaded": [v.source_hash for v in versions],
                "Running": {
                    v.source_hash: [self._describe(actor) for actor in v.actors] for v in versions
                },
                "Versions": {
                    v.source_hash: {
                        "Version": v.version,
                        "File": v.file,
                        "State": v.state.value,
                    }
                    for v in versions
                },
            }
        self.send(sender, reply("AllAddresses", message, True, Groups=found))

    def _retrieve_role(self, message: Message, sender: Any) -> None:
        role, group = message.get("Role"), message.get("Group")
        for name in sorted(self.groups.active):
            version = self.groups.active_version(name)
            if version is None or (group and name != group):
                continue
            for actor in version.actors:
                if actor.spec.role == role and actor.id:
                    fields: Message = {"Group": name, "SourceHash": version.source_hash}
                    fields |= self._describe(actor)
                    self.send(sender, reply("RoleAddress", message, True, **fields))
                    return
        nothing = dict.fromkeys(("SourceHash", "ActorClass", "ActorAddress", "StartTime"))
        fields = {"Group": group, "Role": role, **nothing}
        text = f"no active actor has the role {role!r}"
        self.send(sender, reply("RoleAddress", message, False, Message=text, **fields))

    def _request_notification(self, message: Message, sender: Any) -> None:
        if sender not in self.notify:
            self.notify.append(sender)

    def _describe(self, actor: m.RoleActor) -> Message:
        return {
            "ActorClass": actor.spec.class_name,
            "Role": actor.spec.role,
            "ActorAddress": self.addresses.get(actor.id),
            "StartTime": self.started.get(actor.id),
        }

    # ---- what Thespian and the authority tell ----------------------------------------------------

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
        actor_id = self._id_of(sender)
        if actor_id:
            source_hash = getattr(message, "sourceHash", None)
            self._perform(self.groups.actor_ready(actor_id, source_hash, time.monotonic()))

    def receiveMsg_ChildActorExited(self, message: ChildActorExited, sender: Any) -> None:
        """An actor ended, or could not be created at all."""
        actor_id = self._id_of(message.childAddress)
        if actor_id:
            found = self.groups.find(actor_id)
            reason = ""
            if found:
                reason = last_words(self.unpacked.get(found[0].source_hash, os.devnull))
            self.addresses.pop(actor_id, None)
            self.started.pop(actor_id, None)
            self._perform(self.groups.actor_exited(actor_id, reason, time.monotonic()))

    def receiveMsg_WakeupMessage(self, message: WakeupMessage, sender: Any) -> None:
        """A timer of the state machine fired."""
        self._perform(self.groups.timer(message.payload, time.monotonic()))

    def receiveMsg_PoisonMessage(self, message: PoisonMessage, sender: Any) -> None:
        """A message of ours made its receiver fail twice, or the receiver never came to life."""
        log.warning("a message came back: %s", str(getattr(message, "details", ""))[:2000])

    # ---- performing ------------------------------------------------------------------------------

    def _perform(self, actions: list[m.Action]) -> None:
        for action in actions:
            match action:
                case m.LoadSource(source_hash):
                    data, name = self.bytes[source_hash]
                    source = io.BytesIO(data)
                    source.name = name
                    self.loadActorSource(source)
                case m.UnloadSource(source_hash):
                    self.unloadActorSource(source_hash)
                    self._forget(source_hash)
                case m.Create(actor, class_name, source_hash, global_name):
                    self.addresses[actor] = self.createActor(
                        class_name, globalName=global_name, sourceHash=source_hash
                    )
                    self.started[actor] = datetime.now()
                case m.Send(actor, message):
                    self.send(self.addresses[actor], message)
                case m.AskReady(actor):
                    self.send(self.addresses[actor], Thespian_StatusReq())
                case m.End(actor):
                    self.send(self.addresses[actor], ActorExitRequest())
                case m.Timer(key, seconds):
                    self.wakeupAfter(timedelta(seconds=seconds), payload=key)
                case m.Finished():
                    self._finished(action)
                case m.Changed():
                    waiting, self.notify = self.notify, []
                    for watcher in waiting:
                        self.send(
                            watcher, {"DirectorResponse": "NotificationOfUpdate", "Success": True}
                        )

    def _finished(self, action: m.Finished) -> None:
        sender, message = self.requests.pop(action.request)
        (log.info if action.success else log.warning)("%s: %s", action.code, action.text)
        self.bytes.pop(action.source_hash, None)
        fields = {
            "SourceHash": action.source_hash,
            "Code": action.code,
            "Message": action.text,
        }
        if message["DirectorOp"] == "UnloadSource":
            self.send(sender, reply("SourceUnloaded", message, action.success, **fields))
            return
        if action.success:
            self._keep_limit(action.source_hash)
        if message.get("Wait"):
            self.send(sender, reply("LoadResult", message, action.success, **fields))

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

    def _id_of(self, address: Any) -> int:
        """The incarnation of an address, 0 for a stranger (addresses cannot be hashed)."""
        return next((key for key, known in self.addresses.items() if known == address), 0)


def _tli(definition: Message) -> Tli:
    wanted = ("Actors", "AutoUnload", "TLS_Keep_Limit", "Drain")
    return tli_from_definition({key: definition[key] for key in wanted if key in definition})
