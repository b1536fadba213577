"""A member's Director: what it does for its leader, and what it tells it that only a host itself can know.

What lives here: the member's part of what Directors of different hosts say to each other (``MemberOp``), and requests
that are the leader's business. What does not: the leader's part (`director.actors.convening`).
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from thespian.actors import ActorExitRequest

from director import convention
from director.actors import apart, leftovers, pids, reporting
from director.actors.doors import AUTHORITY_CLASS
from director.actors.known import KnownSource, everything, recall, remember
from director.actors.members import Members
from director.actors.messages import AUTHORITY_NAME, Message, operation_of, reply
from director.actors.notebook import gone
from director.actors.reaping import Reaping
from director.actors.words import last_words
from director.errors import DirectorError
from director.logs import MET
from director.settings.config import director_directory, read_convention

log = logging.getLogger("director")

#: Seconds between two Beats of the leader.
BEAT = 2.0
#: Seconds until a leader has to have said that a request came.
HEARD = 2.0
#: Seconds that a request waits at a member that is just starting for its leader to be met.
MEETING = 6.0
#: Seconds that an answer waits for the word of this host's authority, which has decided already.
LATE = 2.0
#: Seconds after which an orphan that was told to exit, and did not, is killed; and between two looks at the authority.
PATIENCE, LOOK = 10.0, 6.0
#: Seconds that Thespian keeps a source whose authority gives no word (adminCore.SOURCE_LOAD_TIMEOUT_PERIOD), and a few.
PENDING = 125.0
#: Requests that a member passes on to its leader, which answers the client itself; and those that it leaves to it.
PASSED_ON = {"RetrieveAll", "RetrieveRole", "RequestNotification", "Watch", "Unwatch", "Convention"}
LEADERS_ONLY = {"DefineGroup", "LoadSource", "UnloadSource", "Undo", "Pin", "Unpin"}


class Following(Reaping):
    """The part of the Director that another host's Director may lead."""

    def __init__(self) -> None:
        super().__init__()
        self.members = Members(time.monotonic())
        self.leading: list[str] = []
        #: Leaders that come before this host, if it may lead.
        self.before: list[str] = []
        #: Whether another host leads; its Director's address and system, and when it was heard last.
        self.member = False
        self.leader: Any = None
        self.leader_host = ""
        self.leader_heard = 0.0
        #: Why this host's authority refused sources, by source hash.
        self.refusals: dict[str, tuple[str, str]] = {}
        #: Whether the leader left a request that was passed on unanswered, and has not been heard since; such requests.
        self.leader_silent = False
        self.passed: dict[int, tuple[Message, Any, float]] = {}
        self.passes = 0
        #: Group and class of the leader's actors here, by their address in this host's log.
        self.told: dict[str, tuple[str, str]] = {}
        #: Requests that wait until the leader has met this host; and each standing Watch that was passed on.
        self.held: list[tuple[Message, Any]] = []
        self.watching: list[tuple[Message, Any]] = []
        #: Since when orphans were told to exit, by address as text; when the authority was looked after last.
        self.orphans: dict[str, float] = {}
        self.looked = 0.0
        #: The authority that stands, and since when another than before does.
        self.authority: Any = None
        self.renewed = 0.0
        self.own_keys = reporting.Keys()
        #: Questions of the leader that wait for the authority's word.
        self.late: list[tuple[Message, Any]] = []

    def _convene(self) -> None:
        """Read who leads, and have Thespian tell who is there."""
        told, port, _ = read_convention(self._store().directory, os.environ)
        self.leading = convention.leaders(told, port)
        self.member = convention.is_member(self.leading, port)
        if not self.member:
            self.before = convention.before(self.leading, port)
        if self.member:  # a predecessor's note tells of a leader's sources alone
            for one in everything(self._store().state):
                if one.refused:
                    self.refusals[one.source_hash] = ("refused", one.refused)
                else:
                    self.unpacked[one.source_hash] = one.directory
        self.notifyOnSystemRegistrationChanges(True)

    def _leads(self) -> bool:
        """Whether this host leads now: it may, and no host that is named before it is there."""
        if self.member:
            return False
        return not any(f"|{one})" in admin for one in self.before for admin in self.members.present)

    def _start_by_itself(self) -> None:
        """This Director is new, for its predecessor was killed, and no operator need look after it."""
        directory, state = director_directory(os.environ), os.environ.get("DIRECTOR_SYSTEM", "")
        if not state:
            return
        places = {"Directory": str(directory.absolute()), "State": state}
        self._do_Startup({"DirectorOp": "Startup", **places}, self.myAddress)
        self._look_after_authority()

    def _look_after_authority(self) -> None:
        """One that was killed is created again by this; a member loads nothing that would do it."""
        self.looked = time.monotonic()
        store = self._store()
        places = {"Directory": str(store.directory), "State": str(store.state)}
        told = {"AuthorityOp": "Startup", "Director": self.myAddress, "Pid": os.getpid()}
        self.send(self._authority(), told | places)

    def _authority(self) -> Any:
        return self.createActor(AUTHORITY_CLASS, globalName=AUTHORITY_NAME)

    # ---- what the leader says --------------------------------------------------------------------

    def _on_meet(self, message: Message, sender: Any) -> None:
        """The leader's Director makes itself known; what an earlier leader left here is ended."""
        if self._leads():
            return  # it takes no orders
        host, leader = str(message["LeaderHost"]), message["Leader"]
        if host != self.leader_host:
            for source_hash, directory in self.unpacked.items():
                if source_hash not in self.groups.versions:
                    ended = leftovers.end_older(directory, float(message["Age"]))
                    if ended:
                        log.warning("another leader left processes %s here; ended", ended)
        new, self.leader, self.leader_host = leader != self.leader, leader, host
        self._report(message)
        self._release_held()
        if new:
            # It knows nobody who watched its predecessor.
            self._forget_dead_watchers()
            for request, watcher in self.watching:
                self.send(self.leader, {**request, "ReplyTo": watcher})

    def _on_beat(self, message: Message, sender: Any) -> None:
        if sender != self.leader:
            return
        if time.monotonic() - self.looked > LOOK:
            self._look_after_authority()
        lacking = sorted(
            {told["SourceHash"] for told in message["Starting"] if self._waits_here(told)}
        )
        left = gone([*message["Lost"], *message["Actors"]])
        over = [one for one in message["Lost"] if one in left]
        ended = [one for one in message["Actors"] if one in left]
        self._note_met(message["Actors"], message.get("Names", []))
        for address in message["Lost"]:
            self._end_orphan(address, over)
        died = [told for one in message["Starting"] if (told := self._died(one))]
        self._report(message, Over=over, Gone=ended, Died=died, Lacking=lacking)

    def _note_met(self, actors: Sequence[Any], names: Sequence[Sequence[str]]) -> None:
        """Log whose the actors are that run here: `director logs` knows their lines by this."""
        told = {
            str(address): (group, class_name)
            for address, (group, class_name) in zip(actors, names, strict=False)
        }
        for address, (group, class_name) in told.items():
            if self.told.get(address) != (group, class_name):
                log.info("%s", MET.format(group=group, class_name=class_name, address=address))
        self.told = told

    def _authority_stands(self, authority: Any) -> None:
        if self.authority is not None and authority != self.authority:
            self.renewed = time.monotonic()
        self.authority = authority

    def _waits_here(self, told: Message) -> bool:
        """Whether an actor may wait here for the word of an authority that died; its successor is not asked."""
        age, source_hash = float(told["Age"]), told["SourceHash"]
        asked_before = self.renewed and time.monotonic() - age < self.renewed
        known = source_hash in self.unpacked or source_hash in self.refusals
        return bool(asked_before and not known and age < PENDING)

    def _end_orphan(self, address: Any, over: list[Any]) -> None:
        """See that an actor ends that was replaced while this host was away."""
        now, known = time.monotonic(), str(address)
        if address in over:
            self.orphans.pop(known, None)
        elif now - self.orphans.setdefault(known, now) > PATIENCE:
            log.warning("%s did not exit; killed: %s", known, leftovers.kill_at(address))
        else:
            self.send(address, ActorExitRequest())

    def _died(self, told: Message) -> Message | None:
        """An actor that ended while it started, by ``os._exit`` or a crash: Thespian tells that to nobody."""
        directory = self.unpacked.get(told["SourceHash"], "")
        since = time.time() - float(told["Age"]) - 0.2  # the question was on its way for a while
        if not directory or not pids.died_since(directory, told["ActorClass"], since):
            return None
        return {"Actor": told["Actor"], "Words": last_words(directory)}

    def _report(self, message: Message, **news: Any) -> None:
        self._leader_spoke()
        told = reporting.report(self._store(), self.unpacked, self.refusals)
        try:
            told["Keys"] = self._keys(str(told["Trust"]))
        except DirectorError as problem:
            told |= {"Keys": {}, "Problem": str(problem)}
        nothing: Message = {"Over": [], "Gone": [], "Died": [], "Lacking": []}
        nothing |= {"Leaving": self.closing, "Sent": message.get("Sent")}
        self.send(
            self.leader,
            {**told, **nothing, **news, "MemberOp": "Report", "Admin": message["Admin"]},
        )

    def _keys(self, token: str) -> dict[str, str]:
        return self.own_keys.read(self._store(), token, time.monotonic())

    def _on_bytes(self, message: Message, sender: Any) -> None:
        if sender == self.leader:
            self.send(self._authority(), {**message, "AuthorityOp": "Judge"})

    def _on_kill(self, message: Message, sender: Any) -> None:
        if sender == self.leader and message["SourceHash"] in self.unpacked:
            self._kill_source(message["SourceHash"])

    def _on_kill_actor(self, message: Message, sender: Any) -> None:
        if sender == self.leader:
            log.warning("did not exit; killed: %s", leftovers.kill_at(message["Address"]))

    def _on_why(self, message: Message, sender: Any) -> None:
        source_hash = message["SourceHash"]
        until = message.setdefault("Until", time.monotonic() + LATE)
        if time.monotonic() < until and self._verdict_is_due(source_hash):
            self.late.append((message, sender))
            self.wakeupAfter(timedelta(seconds=LATE), payload="late")
            return
        told = {
            "MemberOp": "Because",
            "Actor": message["Actor"],
            "Admin": message["Admin"],
            "Host": os.environ.get(convention.HOST_VARIABLE, ""),
            "Refused": self.refusals.get(source_hash),
            "Words": last_words(self.unpacked.get(source_hash, os.devnull)),
        }
        self.send(sender, told)

    def _do_Closing(self, message: Message, sender: Any) -> None:
        """This host is about to be shut down: its leader hears it before the actors here end."""
        if self.leader is not None and not self._leads():
            self.send(self.leader, {"MemberOp": "Leaving"})
        super()._do_Closing(message, sender)

    # ---- requests at a member --------------------------------------------------------------------

    def _left_to_leader(self, message: Message, sender: Any) -> bool:
        """Pass a request on that the leader answers, or say that it is its business."""
        known = operation_of(message)
        operation = known.name if known else ""
        if operation not in PASSED_ON | LEADERS_ONLY or self._leads():
            return False
        leader = ", ".join(self.leading)
        if operation in {"Watch", "Unwatch"}:
            self.watching = [one for one in self.watching if one[1] != sender]
        if operation == "Watch":
            self.watching.append((message, sender))
        if operation in LEADERS_ONLY:
            text = f"this host is a member of the convention led by {leader}; do it there"
            told = reply("AskLeader", message, False, Code="ask-leader", Message=text)
        elif self._may_be_met():
            self.held.append((message, sender))
            self.wakeupAfter(timedelta(seconds=MEETING), payload="held")
            return True
        elif self._leader_away():
            told = self._away(message)
        else:
            self.passes += 1
            self.passed[self.passes] = (message, sender, time.monotonic())
            self.send(self.leader, {**message, "ReplyTo": sender, "Pass": self.passes})
            self.wakeupAfter(timedelta(seconds=HEARD), payload=("passed", "", self.passes))
            return True
        self.send(sender, told)
        return True

    def _forget_dead_watchers(self) -> None:
        super()._forget_dead_watchers()
        dead = gone(one[1] for one in self.watching)
        self.watching = [one for one in self.watching if one[1] not in dead]
        for one in dead if self.leader is not None else []:
            self.send(self.leader, {"DirectorOp": "Unwatch", "ReplyTo": one})

    # ---- whether the leader is there -------------------------------------------------------------

    def _leader_away(self) -> bool:
        """Whether the leader is out of reach, as far as can be known now."""
        silent = time.monotonic() - self.leader_heard > 3 * BEAT
        return self.leader is None or self.leader_silent or silent

    def _leader_spoke(self) -> None:
        self.leader_heard, self.leader_silent = time.monotonic(), False

    def _on_heard(self, message: Message, sender: Any) -> None:
        """The leader has a request that was passed on, and answers it itself."""
        if sender == self.leader:
            self.passed.pop(message["Pass"], None)
            self._leader_spoke()

    def _unheard(self, number: int) -> None:
        """A request was passed on, and the leader has had its time to say that it came."""
        if number not in self.passed:
            return
        message, sender, since = self.passed[number]
        silent = time.monotonic() - self.leader_heard >= HEARD
        if not silent and time.monotonic() - since < PATIENCE:  # it lives: it is busy, or another
            self.wakeupAfter(timedelta(seconds=HEARD), payload=("passed", "", number))
            return
        del self.passed[number]
        self.leader_silent = silent
        self.send(sender, self._away(message))

    def _away(self, message: Message) -> Message:
        text = f"the leader of the convention, {', '.join(self.leading)}, is out of reach: "
        if self.leader is None:
            text += "it has not been heard since this host's Director started"
        else:
            seconds = time.monotonic() - self.leader_heard
            since = datetime.now() - timedelta(seconds=seconds)
            text += f"it has not answered since {since:%H:%M:%S}, for {seconds:.0f} s"
        return reply("AskLeader", message, False, Code="leader-away", Message=text)

    def _leader_told(self) -> Message | None:
        """What Status tells of the leader; None where this host may lead."""
        if not self.member:
            return None
        heard = None if self.leader is None else time.monotonic() - self.leader_heard
        away = self._leader_away() and not self._may_be_met()
        return {"Address": ", ".join(self.leading), "Heard": heard, "Away": away}

    # ---- requests that wait ----------------------------------------------------------------------

    def _may_be_met(self) -> bool:
        """Whether this host is so young that its leader may not have met it yet."""
        return self.leader is None and time.monotonic() - self.members.born < MEETING

    def _release_held(self) -> None:
        """The leader was met, or has had its time."""
        held, self.held = self.held, []
        for message, sender in held:
            if not self._left_to_leader(message, sender):  # this host leads now
                self._request(message, sender)

    def _verdict_is_due(self, source_hash: str) -> bool:
        """Whether the authority has decided what is not heard here yet.

        Its word is on its way since before Thespian told the leader that nothing was created; but of two messages that
        wait while a Director is busy, either may be read first.
        """
        if source_hash in self.unpacked or source_hash in self.refusals:
            return False
        return recall(self._store().state, source_hash) is not None

    def _answer_late(self) -> None:
        """Answer what waited for the authority's word: it has come, or had its time."""
        late, self.late = self.late, []
        for message, sender in late:
            self._on_why(message, sender)

    def _do_EndRevoked(self, message: Message, sender: Any) -> None:
        """An unload from here would reach the whole convention: what runs here ends, and nothing of it starts again."""
        store = self._store()
        found = {} if self._leads() else apart.revoked(store, self.unpacked)
        if found:
            try:
                apart.note_ended(store, found)
            except DirectorError as problem:
                log.warning("the end of what is revoked is not in the audit log: %s", problem)
        for source_hash, reason in found.items():
            text = f"It is revoked on this host: {reason}."
            self.refusals[source_hash] = ("revoked", text)
            directory = self.unpacked[source_hash]
            ended = [
                one.pid
                for one in leftovers.of_source(directory, source_hash)
                if one.signal(signal.SIGKILL)
            ]
            self._forget(source_hash)
            remember(store.state, KnownSource(source_hash, refused=text))
            log.warning("%s is revoked: %s; its processes %s ended", source_hash, reason, ended)
            self.send(self._authority(), {"AuthorityOp": "Sweep"})
        self.send(sender, reply("RevokedEnded", message, True, Ended=found))
