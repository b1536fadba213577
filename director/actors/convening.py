"""A Director in a convention: the leader's looks after actors on all hosts, a member's tells it what only it can know.

What lives here: what Directors of different hosts say to each other (``MemberOp``), and what follows for actors. What
does not: the book of members (`director.actors.members`), the state machine, which knows nothing of hosts.

The leader's Director is told by Thespian who joins and leaves, sends an Introducer there, and from then on a Beat
every two seconds. Thespian tells nothing of actors on a host that died or was cut off: they are given up when their
host leaves, created again wherever a host takes them, and ended when it comes back.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from thespian.actors import ActorExitRequest, ActorSystemConventionUpdate

from director import convention
from director.actors import leftovers, reporting
from director.actors import versions as m
from director.actors.answers import Actors
from director.actors.groups import Groups
from director.actors.known import everything
from director.actors.members import SILENT, Member, Members
from director.actors.messages import AUTHORITY_NAME, Message, reply
from director.actors.notebook import gone
from director.actors.reaping import Reaping
from director.actors.words import last_words
from director.errors import DirectorError
from director.files import read_regular
from director.settings.config import director_directory, read_convention
from director.tls.archive import Limits

log = logging.getLogger("director")

#: Seconds between two Beats, until those asked why have to have answered, and between two tries to place an actor.
BEAT, WHY_LIMIT, AGAIN = 2.0, 1.5, 0.5
#: Seconds within which a member that was just heard may come back as if it had never been gone.
DOUBT = 4.0
#: Seconds that a request waits at a member that is just starting for its leader to be met.
MEETING = 6.0
#: Requests that a member passes on to its leader, which answers the client itself; and those that it leaves to it.
PASSED_ON = {"RetrieveAll", "RetrieveRole", "RequestNotification", "Watch", "Unwatch", "Convention"}
LEADERS_ONLY = {"DefineGroup", "LoadSource", "UnloadSource", "Undo", "Pin", "Unpin"}


class Convening(Reaping):
    """The part of the Director that knows of other hosts."""

    def __init__(self) -> None:
        super().__init__()
        self.members = Members(time.monotonic())
        self.leading: list[str] = []
        #: Leaders that come before this host, if it may lead.
        self.before: list[str] = []
        #: Since when this host leads, on a steady clock; None while it does not.
        self.led_since: float | None = None
        #: Whether another host leads; its Director's address and system, and when it was heard last.
        self.member = False
        self.leader: Any = None
        self.leader_host = ""
        self.leader_heard = 0.0
        #: Why this host's authority refused sources, by source hash.
        self.refusals: dict[str, tuple[str, str]] = {}
        #: How each actor was created, and what was sent to those that gave no sign of life yet.
        self.created: dict[int, m.Create] = {}
        self.sent: dict[int, list[Any]] = {}
        self.introducers: dict[str, Any] = {}
        self.beating = False
        #: Requests that wait until the leader has met this host.
        self.held: list[tuple[Message, Any]] = []
        self.own_keys: dict[str, str] = {}

    def _convene(self) -> None:
        """Read who leads, and have Thespian tell who is there."""
        told, port, _ = read_convention(self._store().directory, os.environ)
        self.leading = convention.leaders(told, port)
        self.member = convention.is_member(self.leading, port)
        if not self.member:
            self.before = convention.before(self.leading, port)
        self.notifyOnSystemRegistrationChanges(True)

    def _leads(self) -> bool:
        """Whether this host leads now: it may, and no host that is named before it is there."""
        if self.member:
            return False
        return not any(f"|{one})" in admin for one in self.before for admin in self.members.present)

    # ---- hosts come and go -----------------------------------------------------------------------

    def receiveMsg_ActorSystemConventionUpdate(
        self, message: ActorSystemConventionUpdate, sender: Any
    ) -> None:
        """Another system joined the convention, or left it, or is out of reach."""
        admin, told = str(message.remoteAdminAddress), message.remoteCapabilities or {}
        host, now = str(told.get(convention.HOST, "")), time.monotonic()
        known = self.members.present.get(admin)
        if message.remoteAdded and known and known.host == host:
            known.doubted = False
            return
        if known and not message.remoteAdded and now - known.heard < DOUBT and not self.closing:
            # It told of itself just now: a busy one that missed its registration, which comes again.
            known.doubted = True
            self.wakeupAfter(timedelta(seconds=DOUBT), payload=("doubt", admin, 0))
            return
        if known:
            self._left(known)
        if message.remoteAdded:
            log.info("%s joined: %s", admin, host or "not one of this package's")
            member = self.members.join(admin, host, dict(told), now)
        if not self._leads():
            self._step_down()
        else:
            if self.led_since is None:
                self.led_since = now if self.before else self.members.born
            for member in self.members.present.values():
                if not member.asked and member.director is None:  # another led until now
                    self._introduce(member)
            self._beat_soon()

    def _doubt(self, admin: str) -> None:
        """A member that was said to be gone has had its time to come back."""
        member = self.members.present.get(admin)
        if member is not None and member.doubted:
            self._left(member)

    def _step_down(self) -> None:
        """A leader that is named before this one is there: its groups are the ones that count, ours end.

        Nothing is unloaded, which would reach it too.
        """
        self.led_since = None
        if not self.actors.addresses and not self.groups.versions:
            return
        log.warning("%s leads again; the actors that were created from here end", self.leading[0])
        for address in self.actors.addresses.values():
            self.send(address, ActorExitRequest())
        self.groups, self.actors = Groups(), Actors()
        self.created.clear()
        self.sent.clear()
        self.members.places.clear()
        self.members.whys.clear()
        self._keep_note()

    def _left(self, member: Member) -> None:
        log.warning("%s left or is out of reach", member.admin)
        name = member.host.partition("/")[0]
        for actor_id in self.members.leave(member.admin):
            address = self.actors.met.get(actor_id)
            if address is not None and not self.closing:
                self.members.lost.setdefault(member.host, []).append(address)
                self._lost(actor_id, "host-lost", f"{name} ({member.admin}) is out of reach")
        for actor_id, why in list(self.members.whys.items()):
            if not why.waiting:
                self._conclude(actor_id)
        self.introducers.pop(member.admin, None)

    def _introduce(self, member: Member) -> None:
        if not member.host:
            return
        member.asked, member.director = time.monotonic(), None
        before = self.introducers.pop(member.admin, None)
        if before is not None:
            self.send(before, ActorExitRequest())
        introducer = self.createActor(
            "director.actors.introducer.Introducer", {convention.HOST: member.host}
        )
        self.introducers[member.admin] = introducer
        self.send(introducer, self._meeting(member))

    def _meeting(self, member: Member) -> Message:
        return {
            "MemberOp": "Meet",
            "Leader": self.myAddress,
            "LeaderHost": os.environ.get(convention.HOST_VARIABLE, ""),
            "Age": time.monotonic() - (self.led_since or self.members.born),
            "Admin": member.admin,
        }

    # ---- the leader's beat -----------------------------------------------------------------------

    def _beat_soon(self) -> None:
        if not self.beating:
            self.beating = True
            self.wakeupAfter(timedelta(seconds=BEAT), payload="beat")

    def _beat(self) -> None:
        self.beating = False
        now = time.monotonic()
        if not self._leads():
            return
        for member in self.members.present.values():
            if member.asked and now - member.asked > SILENT:
                self._introduce(member)
            elif member.director is not None and not member.asked:
                member.asked = now
                placed = {a: self.actors.met.get(a) for a in self.members.actors_at(member.admin)}
                serving = [one for one in placed.values() if one is not None]
                current = list(self.actors.addresses.values())
                lost = self.members.lost.pop(member.host, [])
                ending = [one for one in lost if one not in current]
                told = {"MemberOp": "Beat", "Actors": serving, "Lost": ending}
                self.send(member.director, {**told, "Admin": member.admin})
        if self.members.present:
            self._beat_soon()

    # ---- what Directors say to each other --------------------------------------------------------

    def _member_op(self, message: Message, sender: Any) -> None:
        handler = {
            "Meet": self._on_meet,
            "Beat": self._on_beat,
            "Why": self._on_why,
            "Kill": self._on_kill,
            "Bytes": self._on_bytes,
            "Report": self._on_report,
            "Because": self._on_because,
        }.get(str(message.get("MemberOp")))
        if message.get("MemberOp") == "Meet" and self.store is None:
            self._start_by_itself()
        if handler is not None and self.store is not None:
            handler(message, sender)

    def _start_by_itself(self) -> None:
        """At a member: this Director is new, for its predecessor was killed, and no operator need look after it."""
        directory, state = director_directory(os.environ), os.environ.get("DIRECTOR_SYSTEM", "")
        if not state:
            return
        places = {"Directory": str(directory.absolute()), "State": state}
        self._do_Startup({"DirectorOp": "Startup", **places}, self.myAddress)
        self.unpacked = {
            one.source_hash: one.directory for one in everything(Path(state)) if not one.refused
        }
        authority = self.createActor(
            "director.actors.authority.SourceAuthority", globalName=AUTHORITY_NAME
        )
        told = {"AuthorityOp": "Startup", "Director": self.myAddress, "Pid": os.getpid()}
        self.send(authority, {**told, **places})

    def _on_meet(self, message: Message, sender: Any) -> None:
        """At a member: the leader's Director makes itself known; what an earlier leader left here is ended."""
        if self._leads():
            return  # it takes no orders
        host, self.leader = str(message["LeaderHost"]), message["Leader"]
        if host != self.leader_host:
            for source_hash, directory in self.unpacked.items():
                if source_hash not in self.groups.versions:
                    ended = leftovers.end_older(directory, float(message["Age"]))
                    if ended:
                        log.warning("another leader left processes %s here; ended", ended)
        self.leader_host = host
        self._report(message)
        self._release_held()

    def _on_beat(self, message: Message, sender: Any) -> None:
        if sender != self.leader:
            return
        for address in message["Lost"]:
            self.send(address, ActorExitRequest())
        self._report(message, gone(message["Actors"]))

    def _report(self, message: Message, ended: list[Any] | None = None) -> None:
        self.leader_heard = time.monotonic()
        told = reporting.report(self._store(), self.unpacked, self.refusals)
        try:
            told["Keys"] = self._keys(str(told["Trust"]))
        except DirectorError as problem:
            told |= {"Keys": {}, "Problem": str(problem)}
        told |= {"MemberOp": "Report", "Admin": message["Admin"], "Gone": ended or []}
        self.send(self.leader, told)

    def _keys(self, token: str) -> dict[str, str]:
        if self.own_keys.get("") != token:
            self.own_keys = reporting.keys(self._store()) | {"": token}
        return {one: name for one, name in self.own_keys.items() if one}

    def _on_report(self, message: Message, sender: Any) -> None:
        """At the leader: a member is well and tells of itself, and of actors that ended without a word."""
        member = self.members.present.get(str(message["Admin"]))
        if member is None or message["Host"] != member.host:
            return
        now, before = time.monotonic(), member.report
        if member.asked:
            message["Offset"] = float(message["Time"]) - time.time() + (now - member.asked) / 2
        member.director, member.heard, member.asked, member.report = sender, now, 0.0, message
        introducer = self.introducers.pop(member.admin, None)
        if introducer is not None:
            self.send(introducer, ActorExitRequest())
        for source_hash, hosts in self.members.refused.items():
            if source_hash not in message["Refused"]:
                hosts.pop(member.host, None)
        if before.get("Trust", message["Trust"]) != message["Trust"]:
            for source_hash in message["Refused"]:
                self._offer_again(member, source_hash)
        for address in message["Gone"]:
            actor_id = self.actors.id_of(address)
            if actor_id and not self.closing:
                self._exited(actor_id)

    def _offer_again(self, member: Member, source_hash: str) -> None:
        """The member's keys or settings changed: it may think better of what it refused. Thespian asks only once."""
        version = self.groups.versions.get(source_hash)
        try:
            data = read_regular(Path(version.file), Limits().max_bytes) if version else b""
        except OSError:
            return
        if version and hashlib.md5(data, usedforsecurity=False).hexdigest() == source_hash:
            told = {"MemberOp": "Bytes", "SourceHash": source_hash, "Name": version.file}
            self.send(member.director, {**told, "Data": data})

    def _on_bytes(self, message: Message, sender: Any) -> None:
        if sender == self.leader:
            authority = self.createActor(
                "director.actors.authority.SourceAuthority", globalName=AUTHORITY_NAME
            )
            self.send(authority, {**message, "AuthorityOp": "Judge"})

    def _on_kill(self, message: Message, sender: Any) -> None:
        if sender == self.leader and message["SourceHash"] in self.unpacked:
            self._kill_source(message["SourceHash"])

    # ---- why an actor ended ----------------------------------------------------------------------

    def _on_why(self, message: Message, sender: Any) -> None:
        source_hash = message["SourceHash"]
        told = {
            "MemberOp": "Because",
            "Actor": message["Actor"],
            "Admin": message["Admin"],
            "Host": os.environ.get(convention.HOST_VARIABLE, ""),
            "Refused": self.refusals.get(source_hash),
            "Words": last_words(self.unpacked.get(source_hash, os.devnull)),
        }
        self.send(sender, told)

    def _on_because(self, message: Message, sender: Any) -> None:
        why = self.members.whys.get(message["Actor"])
        if why is None:
            return
        why.waiting.discard(message["Admin"])
        if message["Words"]:
            why.words.append(message["Words"])
        if message["Refused"]:
            code, text = message["Refused"]
            why.refusals[message["Host"]] = (str(code), str(text))
        if not why.waiting:
            self._conclude(message["Actor"])

    def _exited(self, actor_id: int) -> None:
        """An actor ended: its own host knows why; of one that gave no sign of life, any may."""
        found, place = self.groups.find(actor_id), self.members.places.get(actor_id)
        if found is None or self.member or not (self.leading or self.members.present):
            self._ended(actor_id, "")
            return
        if place is None and actor_id in self.actors.met:
            self._ended(actor_id, "")
            return
        if actor_id in self.members.whys:
            return
        asked = [one for one in self.members.met() if place in (None, one.admin)]
        source_hash = found[0].source_hash
        why = self.members.ask_why(actor_id, source_hash, {one.admin for one in asked})
        for member in asked:
            told = {"MemberOp": "Why", "Actor": actor_id, "SourceHash": source_hash}
            self.send(member.director, {**told, "Admin": member.admin})
        if why.waiting:
            self.wakeupAfter(timedelta(seconds=WHY_LIMIT), payload=("why", "", actor_id))
        else:
            self._conclude(actor_id)

    def _conclude(self, actor_id: int) -> None:
        """All that can be known of an actor's end is known."""
        why = self.members.whys.pop(actor_id, None)
        found = self.groups.find(actor_id)
        if why is None or found is None:
            return
        version, actor = found
        known = self.members.refused.setdefault(why.source_hash, {})
        new = [host for host in why.refusals if host not in known]
        known |= why.refusals
        unmet = actor_id not in self.actors.met
        words = "\n".join(why.words) or last_words(self.unpacked.get(why.source_hash, os.devnull))
        if not unmet or words or actor.ending:
            self._ended(actor_id, words)
        elif new:
            self._create_again(actor_id)
        elif version.state is m.State.ACTIVE:
            self._lost(actor_id, "no-host", self._nobody(actor, why.source_hash))
        elif self.members.gathering(time.monotonic()):
            self.wakeupAfter(timedelta(seconds=AGAIN), payload=("again", "", actor_id))
        else:
            self._ended(actor_id, self._nobody(actor, why.source_hash))

    def _nobody(self, actor: m.RoleActor, source_hash: str) -> str:
        told = f"no host of the convention takes {actor.spec.class_name}"
        return "\n".join(filter(None, (told, self.members.refusals_of(source_hash))))

    def _ended(self, actor_id: int, words: str) -> None:
        """Tell the state machine that an actor ended, with its own words."""
        found = self.groups.find(actor_id)
        if found and not words:
            words = last_words(self.unpacked.get(found[0].source_hash, os.devnull))
        self._forget_actor(actor_id)
        if found:
            self._look_for_strays(found[0])
        self._perform(self.groups.actor_exited(actor_id, words, time.monotonic()))

    def _lost(self, actor_id: int, code: str, text: str) -> None:
        """Tell the state machine that an actor is out of reach, or that no host takes it."""
        self._forget_actor(actor_id)
        self._perform(self.groups.actor_lost(actor_id, code, text, time.monotonic()))

    def _forget_actor(self, actor_id: int) -> None:
        self.actors.forget(actor_id)
        self.members.places.pop(actor_id, None)
        self.members.whys.pop(actor_id, None)
        self.created.pop(actor_id, None)
        self.sent.pop(actor_id, None)

    # ---- creating --------------------------------------------------------------------------------

    def _create(self, action: m.Create) -> None:
        self.created[action.actor] = action
        banned = self.members.banned(action.source_hash)
        self.actors.addresses[action.actor] = self.createActor(
            action.class_name,
            targetActorRequirements={convention.NOT_ON: banned} if banned else None,
            globalName=action.global_name,
            sourceHash=action.source_hash,
        )
        self.actors.started[action.actor] = datetime.now()

    def _create_again(self, actor_id: int) -> None:
        """The same incarnation on another host, with all that was said to it."""
        action = self.created.get(actor_id)
        if action is None or self.groups.find(actor_id) is None:
            return
        self._create(action)
        for message in self.sent.get(actor_id, []):
            self.send(self.actors.addresses[actor_id], message)

    def _say(self, actor_id: int, message: Any) -> None:
        """Send to a role actor; kept until it gives a sign of life, for it may have to be created elsewhere."""
        if actor_id not in self.actors.met:
            self.sent.setdefault(actor_id, []).append(message)
        self.send(self.actors.addresses[actor_id], message)

    def _met(self, actor_id: int, admin: Any) -> None:
        """An actor gave a sign of life, from the system of this Admin."""
        self.sent.pop(actor_id, None)
        if str(admin) in self.members.present:
            self.members.places[actor_id] = str(admin)

    # ---- requests at a member --------------------------------------------------------------------

    def _left_to_leader(self, message: Message, sender: Any) -> bool:
        """At a member: pass a request on that the leader answers, or say that it is its business."""
        operation = message.get("DirectorOp")
        if operation not in PASSED_ON | LEADERS_ONLY or self._leads():
            return False
        leader = ", ".join(self.leading)
        if operation in LEADERS_ONLY:
            text = f"this host is a member of the convention led by {leader}; do it there"
            told = reply("AskLeader", message, False, Code="ask-leader", Message=text)
        elif self._may_be_met():
            self.held.append((message, sender))
            self.wakeupAfter(timedelta(seconds=MEETING), payload="held")
            return True
        elif self.leader is None or time.monotonic() - self.leader_heard > 3 * BEAT:
            text = f"the leader of the convention, {leader}, is out of reach"
            told = reply("AskLeader", message, False, Code="leader-away", Message=text)
        else:
            self.send(self.leader, {**message, "ReplyTo": sender})
            return True
        self.send(sender, told)
        return True

    def _may_be_met(self) -> bool:
        """Whether this host is so young that its leader may not have met it yet."""
        return self.leader is None and time.monotonic() - self.members.born < MEETING

    def _release_held(self) -> None:
        """The leader was met, or has had its time."""
        held, self.held = self.held, []
        for message, sender in held:
            self._left_to_leader(message, sender)

    # ---- what is told of the convention ----------------------------------------------------------

    def _do_Convention(self, message: Message, sender: Any) -> None:
        own = reporting.report(self._store(), self.unpacked, self.refusals)
        ours = self._keys(str(own["Trust"]))
        own |= {"Admin": "", "Offset": 0.0, "Heard": 0.0, "Keys": ours}
        now = time.monotonic()
        told = [own]
        for member in self.members.present.values():
            nothing = {"Host": member.host, "Name": member.host.partition("/")[0] or None}
            heard = now - member.heard if member.heard else None
            told.append({**nothing, **member.report, "Admin": member.admin, "Heard": heard})
        for one in told:
            one["Roles"] = self._roles_at(str(one["Admin"]))
            theirs = one.pop("Keys", {})
            one["MissingKeys"] = sorted(name for key, name in ours.items() if key not in theirs)
        self.send(sender, reply("Convention", message, True, Leader=own["Host"], Hosts=told))

    def _roles_at(self, admin: str) -> list[str]:
        found = []
        for actor_id in self.actors.met:
            place, known = self.members.places.get(actor_id, ""), self.groups.find(actor_id)
            if known and place == admin:
                found.append(f"{known[0].group}:{known[1].spec.role or known[1].spec.class_name}")
        return sorted(found)
