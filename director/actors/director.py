"""The Director actor: performs what the activation state machine decides.

A thin shell around `director.actors.groups`: it turns Thespian's messages into events, and actions into Thespian's
calls. Requests are handled in `director.actors.requests`; what it replies about groups is composed in
`director.actors.answers`, what a successor has to know in `director.actors.notebook`. It never imports a loaded source.
"""

from __future__ import annotations

import logging
import os
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from thespian.actors import (
    ActorAddress,
    ActorExitRequest,
    ActorSystemException,
    ChildActorExited,
    LoadedSource,
    PoisonMessage,
    UnloadedSource,
    WakeupMessage,
)
from thespian.system.messages.status import Thespian_ActorStatus, Thespian_StatusReq

from director.actors import answers, leftovers, notebook, pids, silence
from director.actors import versions as m
from director.actors.known import forget
from director.actors.messages import (
    PROBED,
    REFUSED,
    Message,
    reply,
)
from director.actors.noting import Noting
from director.actors.requests import now
from director.errors import DirectorError
from director.history import Event
from director.logs import MET
from director.system import MEANT_END

log = logging.getLogger("director")

#: What one action may come to, while the others are done all the same.
UNDONE = (
    ActorSystemException, DirectorError, OSError, AttributeError, LookupError, TypeError, ValueError
)  # fmt: skip
#: Seconds between two looks at actors that were taken over from a Director that died.
PULSE = 0.5


class Director(Noting):
    """Keeps groups of loaded sources running; found under the global name ``Director``."""

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
        """A request of `director.actors.messages`, or a word of the Source Authority; what is neither is answered."""
        try:
            self._take(message, sender)
        except (ActorSystemException, AttributeError, KeyError, TypeError, ValueError) as problem:
            log.exception("a message was not understood")
            text = f"the message does not read: {type(problem).__name__}: {problem}"
            self.send(sender, reply("Malformed", message, False, Code="malformed", Message=text))

    def _take(self, message: Message, sender: Any) -> None:
        if message.get("AuthorityOp") == "Verdict":
            self._verdict(message)
        elif message.get("AuthorityOp") == "Unloaded":
            self.refusals.pop(message["SourceHash"], None)
        elif message.get("AuthorityResponse") == "Standing":
            self._authority_stands(sender)
            self._load_waiting()
        elif message.get("AuthorityResponse") == "Word":
            self._word(message)
        elif "NotebookResponse" in message:
            self._note_came(message, sender)
        elif "MemberOp" in message:
            self._member_op(message, sender)
        elif self._left_to_leader(message, sender):
            pass
        elif "DirectorOp" in message and "ReplyTo" in message:  # passed on by a member's Director
            if not isinstance(message["ReplyTo"], ActorAddress):
                raise TypeError("ReplyTo is no actor's address")
            if "Pass" in message:
                self.send(sender, {"MemberOp": "Heard", "Pass": message["Pass"]})
            asked = {key: value for key, value in message.items() if key not in {"ReplyTo", "Pass"}}
            self._request(asked, message["ReplyTo"])
        elif "DirectorOp" in message or "DirectorResponse" not in message:
            self._request(message, sender)

    def _take_up(self, told: Message | None) -> None:
        """The note of a predecessor has come, None where there was none."""
        self.noted = []
        self.wakeupAfter(timedelta(seconds=silence.LOOK), payload="silence")
        if told:
            self.took_over = self.born
            versions = told["Versions"]
            dead = notebook.take_up(
                versions, self.groups, self.actors, self.members, time.monotonic()
            )
            for number, (source_hash, place) in enumerate(dead, 1):
                pids.kill_all(place or os.devnull, source_hash)
                # Nobody tells this Director what became of the other's actors: one may wait at a member still.
                self.open[-number] = (source_hash, time.monotonic())
            self.unpacked |= {one["SourceHash"]: one["Unpacked"] for one in told["Versions"]}
            new = self.watchers
            self.watchers = [(one, group) for one, group in told["Watchers"]] + new
            self.adopted = set(self.actors.addresses)
            for address in self.actors.addresses.values():
                self.send(address, Thespian_StatusReq())  # tells on which host it is
            self.wakeupAfter(timedelta(seconds=PULSE), payload="pulse")
            self._perform(self.groups.after_adoption())
            self._inherit(told)
            for group in sorted(self.groups.active):  # they asked when nothing was known yet
                self._update(new, group, "actor")
        self._introduce_unmet()
        starters, self.starters = self.starters, []
        for sender, message in starters:
            self._do_Identify(message, sender)

    def _pulse(self) -> None:
        self.adopted &= set(self.actors.addresses)
        ended = notebook.gone(self.actors.addresses[one] for one in self.adopted)
        for actor_id in sorted(self.adopted):
            if self.actors.addresses[actor_id] in ended:
                self._exited(actor_id)
        if self.adopted:
            self.wakeupAfter(timedelta(seconds=PULSE), payload="pulse")

    def _look_for_silence(self) -> None:
        self.wakeupAfter(timedelta(seconds=silence.LOOK), payload="silence")
        self.compilers.reap()
        self._forget_dead_watchers()
        self._look_after_notebook()
        ports = {one: leftovers.port_of(address) for one, address in self.actors.met.items()}
        ports = {one: port for one, port in ports.items() if port}
        found = list(leftovers.sockets(set(ports.values()))) if ports else []
        self.actors.silence.look(ports, found, time.monotonic())

    def _look_soon(self) -> None:
        if not self.looking:
            self.looking = True
            self.wakeupAfter(timedelta(seconds=PULSE), payload="look")

    def _look(self) -> None:
        """Find actors whose process ended before they were heard of; again while there are such to come."""
        for actor_id in sorted(set(self.actors.addresses) - set(self.actors.met)):
            found = self.groups.find(actor_id)
            if found:
                directory = self.unpacked.get(found[0].source_hash, os.devnull)
                started = self.actors.started[actor_id].timestamp()
                if pids.died_since(directory, found[1].spec.class_name, started):
                    self._exited(actor_id)
                self._look_soon()

    # ---- what Thespian and the authority tell ----------------------------------------------------

    def receiveMsg_ActorExitRequest(self, message: ActorExitRequest, sender: Any) -> None:
        """The system goes down; Thespian ends our children after us. Leave word that this end is meant."""
        self.closing = True
        self.closings += 1  # no earlier word of it ends this
        self.compilers.stop_all()
        if self.store is not None:
            try:
                (self.store.state / MEANT_END).touch(mode=0o600)
            except OSError as problem:
                log.warning("the word of a meant end was not written: %s", problem)

    def receiveMsg_LoadedSource(self, message: LoadedSource, sender: Any) -> None:
        """A source was validated; one that was refused is told with its reason as information."""
        if not str(message.sourceInfo).startswith((REFUSED, PROBED)):
            self._perform(self.groups.source_loaded(message.sourceHash, time.monotonic()))

    def receiveMsg_UnloadedSource(self, message: UnloadedSource, sender: Any) -> None:
        """A source is gone from the Admin; at a member nobody else takes note."""
        self.members.refused.pop(message.sourceHash, None)
        if self.member and message.sourceHash not in self.groups.versions:
            self._forget(message.sourceHash)
        self._perform(self.groups.source_unloaded(message.sourceHash, time.monotonic()))

    def receiveMsg_Thespian_ActorStatus(self, message: Thespian_ActorStatus, sender: Any) -> None:
        """The answer to AskReady: Thespian gives it once ``__init__`` is done, in message order."""
        self._order_came(sender)
        self._scout_told(sender, message.adminAddress)
        actor_id = self.actors.id_of(sender)
        if actor_id:
            source_hash = getattr(message, "sourceHash", None)
            self._met(actor_id, message.adminAddress)
            self.actors.met[actor_id] = sender
            found = self.groups.find(actor_id)
            if found and not found[1].ready:  # `director logs` knows its lines by this
                names = {"group": found[0].group, "class_name": found[1].spec.class_name}
                log.info("%s", MET.format(address=sender, **names))
            self._perform(self.groups.actor_ready(actor_id, source_hash, time.monotonic()))

    def receiveMsg_ChildActorExited(self, message: ChildActorExited, sender: Any) -> None:
        """An actor ended, or could not be created at all."""
        actor_id = self.actors.id_of(message.childAddress)
        self._order_ended(message.childAddress)
        self._scout_ended(message.childAddress)
        self.open.pop(actor_id, None)
        if actor_id:
            self._unless_closing(partial(self._exited, actor_id))

    def receiveMsg_WakeupMessage(self, message: WakeupMessage, sender: Any) -> None:
        """A timer of the state machine fired."""
        if message.payload == "silence":
            self._look_for_silence()
        elif message.payload == "pulse":
            self._pulse()
        elif message.payload == "look":
            self.looking = False
            self._look()
        elif message.payload == "astray":
            self._give_up_astray()
        elif message.payload == "beat":
            self._beat()
        elif message.payload == "late":
            self._answer_late()
        elif message.payload == "parting":
            self._part(late=True)
        elif message.payload == "ending":
            self._look_at_ending()
        elif message.payload == "held":
            self._release_held()
        elif message.payload[0] == "authority":
            if message.payload[1] in self.waiting and message.payload[1] in self.groups.versions:
                self._ask_authority(message.payload[1])
        elif message.payload[0] == "unload":
            if message.payload[1] in self.postponed:
                self._unload(message.payload[1])
        elif message.payload[0] == "asked":
            self._ask_again(*message.payload[1:])
        elif message.payload[0] == "strays":
            self._strays(*message.payload[1:])
        elif message.payload[0] == "why":
            self._why_due(message.payload[2])
        elif message.payload[0] == "passed":
            self._unheard(message.payload[2])
        elif message.payload[0] == "doubt":
            self._doubt(message.payload[1])
        elif message.payload[0] == "again":
            self._create_again(message.payload[2])
        elif message.payload[0] == "open":
            if message.payload[2] == self.closings:
                self._reopen()
        else:
            self._unless_closing(partial(self._timer, message.payload))

    def _timer(self, key: tuple[str, str, int]) -> None:
        self._perform(self.groups.timer(key, time.monotonic()))

    def _reopen(self) -> None:
        """The shutdown came to nothing: what ended meanwhile did die, and what was due is done."""
        self.closing = False
        deferred, self.deferred = self.deferred, []
        for act in deferred:
            try:
                act()
            except UNDONE:
                log.exception("this was not done: %s", act)

    def receiveMsg_PoisonMessage(self, message: PoisonMessage, sender: Any) -> None:
        """A message of ours made its receiver fail twice, or the receiver never came to life."""
        details = str(getattr(message, "details", ""))[:2000]
        log.warning("a message came back: %s", details)
        actor_id = self.actors.id_of(sender)
        if actor_id:
            self._perform(self.groups.message_failed(actor_id, details, time.monotonic()))

    # ---- performing ------------------------------------------------------------------------------

    def _perform(self, actions: list[m.Action]) -> None:
        self._keep_note()  # before: an OnDeactivate that nobody knew of would leave its role dead
        for action in actions:
            try:
                self._act(action)
            except UNDONE:  # what the others are to do does not depend on it
                log.exception("this was not done: %s", action)
        self._keep_note()

    def _act(self, action: m.Action) -> None:
        match action:
            case m.LoadSource(source_hash) if source_hash not in self.bytes:
                self._perform(self.groups.source_missing(source_hash, time.monotonic()))
            case m.LoadSource(source_hash):
                self._ask_authority(source_hash)
            case m.AskTrust(number, sources, asked, note):
                undo = any(told.get("Undo") for told in self._requests_of(sources[0]))
                asked = "undo" if asked == "load" and undo else asked
                self._ask_may_run(Number=number, Sources=list(sources), Asked=asked, Note=note)
            case m.UnloadSource(source_hash):
                self._unload(source_hash)
            case m.Create():
                self._create(action)
                self._look_soon()
            case m.Send(actor, message):
                self._say(actor, message)
            case m.AskReady(actor):
                self._say(actor, Thespian_StatusReq())
            case m.End(actor):
                self._say(actor, ActorExitRequest())
            case m.KillActor(actor):
                self._kill_actor(actor)
            case m.Kill(source_hash):
                self._kill_source(source_hash)
                for member in self.members.met():
                    order = {"MemberOp": "Kill", "SourceHash": source_hash}
                    self.send(member.director, order)
            case m.Timer(key, seconds):
                self.wakeupAfter(timedelta(seconds=seconds), payload=key)
            case m.Finished():
                self._finished(action)
            case m.Changed(group, what):
                self._tell_watchers(group, what)
            case m.Record():
                self._record(action)

    def _finished(self, action: m.Finished) -> None:
        sender, message = self.requests.pop(action.request)
        (log.info if action.success else log.warning)("%s: %s", action.code, action.text)
        fields: Message = {
            "SourceHash": action.source_hash,
            "Code": action.code,
            "Message": action.text,
        }
        if message["DirectorOp"] == "UnloadSource":
            self.send(sender, reply("SourceUnloaded", message, action.success, **fields))
            return
        known = self.groups.versions.get(action.source_hash)
        if known and action.code == "no-host":
            fields["Waiting"] = answers.waiting(known)
        if not self._requests_of(action.source_hash):
            self.bytes.pop(action.source_hash, None)
        if action.success:
            self._keep_limit(action.source_hash)
            if action.source_hash in self.unpacked:
                self.compilers.start(self.unpacked[action.source_hash])
        if message["DirectorOp"] == "Undo":
            fields["File"] = message["File"]
            if action.success and known:
                place = self.unpacked.get(known.source_hash)  # it is named by its SHA-256
                told = self._try_pin(
                    known.group, known.version, Path(place).name if place else None
                )
                fields["PinCode"], fields["PinMessage"] = told
            self.send(sender, reply("UndoResult", message, action.success, **fields))
        elif message.get("Wait"):
            self.send(sender, reply("LoadResult", message, action.success, **fields))

    def _record(self, action: m.Record) -> None:
        undone = action.event == "active" and any(
            told.get("Undo") for told in self._requests_of(action.source_hash)
        )
        event = "undone" if undone else action.event
        told = (action.version, action.source_hash, action.file, action.text)
        self._write_down(Event(now(), action.group, event, *told))

    def _requests_of(self, source_hash: str) -> list[Message]:
        """The open requests about a source."""
        found = (told for _, told in self.requests.values())
        return [told for told in found if told.get("SourceHash") == source_hash]

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
            self.compilers.stop(place)
            forget(self.store.state, source_hash)
            self.store.forget(Path(place).name)
