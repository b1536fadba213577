"""A leader's Director: it looks after the hosts of its convention.

What lives here: the leader's part of what Directors of different hosts say to each other (``MemberOp``). What does not:
what becomes of the actors there (`director.actors.abroad`), the member's part (`director.actors.following`), the book
of members (`director.actors.members`).

The leader's Director is told by Thespian who joins and leaves, sends an Introducer there, and from then on a Beat
every two seconds. Thespian tells nothing of actors on a host that died or was cut off: they are given up when their
host leaves, created again wherever a host takes them, and ended when it comes back.
"""

from __future__ import annotations

import logging
import os
import time
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from thespian.actors import ActorExitRequest, ActorSystemConventionUpdate

from director import convention
from director.actors import reporting
from director.actors.answers import Actors
from director.actors.following import BEAT
from director.actors.members import SETTLING, SILENT, Member
from director.actors.messages import Message, reply
from director.actors.versions import State
from director.actors.waiting import Waiting

log = logging.getLogger("director")

#: Seconds within which a member that was just heard may come back as if it had never been gone.
DOUBT = 4.0
#: States of versions whose actors serve no more.
OVER = {State.RETIRED, State.ENDING, State.FAILED}


class Convening(Waiting):
    """The part of the Director that leads other hosts."""

    def __init__(self) -> None:
        super().__init__()
        #: Since when this host leads, on a steady clock; None while it does not.
        self.led_since: float | None = None
        self.introducers: dict[str, Any] = {}
        self.beating = False

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
        late = known and not message.remoteAdded and now - known.heard < DOUBT
        if known and late and not known.leaving and not self.closing:
            # It told of itself just now: a busy one that missed its registration, which comes again.
            known.doubted = True
            self.wakeupAfter(timedelta(seconds=DOUBT), payload=("doubt", admin, 0))
            return
        if known:
            self._left(known)
        if message.remoteAdded:
            log.info("%s joined: %s", admin, host or "not one of this package's")
            self.members.join(admin, host, dict(told), now)
            self._give_up_astray(admin)
        if not self._leads():
            self._step_down()
        else:
            if self.led_since is None:
                self.led_since = now if self.before else self.members.born
            self._introduce_unmet()
            self._beat_soon()
        self._keep_note()

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
        if not (self.actors.addresses or self.groups.versions or self.requests):
            return
        log.warning("%s leads again; the actors that were created from here end", self.leading[0])
        scouts = [scout for scout, _ in self.scouts.values()]
        for address in [*self.actors.addresses.values(), *scouts]:
            self.send(address, ActorExitRequest())
        text = f"{self.leading[0]} leads again, and this host follows it; do it there"
        (self.groups, answers), self.actors = self.groups.give_up(text), Actors()
        self._perform(answers)
        for sender, message in self.requests.values():  # those that waited for the authority's word
            self.send(sender, reply("AskLeader", message, False, Code="ask-leader", Message=text))
        for told in (self.requests, self.bytes, self.asked, self.created, self.sent, self.scouts):
            told.clear()
        for known in (self.misplaced, self.waiting, self.postponed, self.adopted):
            known.clear()
        self.members.clear()
        self._keep_note()

    def _left(self, member: Member) -> None:
        log.warning("%s left or is out of reach", member.admin)
        for actor_id in self.members.leave(member.admin, time.monotonic()):
            self._out_of_reach(actor_id, member)
        self._unless_closing(partial(self._start_elsewhere, member))
        for actor_id, why in list(self.members.whys.items()):
            if not why.waiting:
                self._conclude(actor_id)
        self.introducers.pop(member.admin, None)

    def _out_of_reach(self, actor_id: int, member: Member) -> None:
        """An actor is lost with its host, and ended should that come back."""
        address = self.actors.met.get(actor_id)
        if address is not None:
            if member.admin not in self.members.present:  # else it was started anew
                self.members.lost.setdefault(member.host, []).append(address)
            self._unless_closing(partial(self._lost, actor_id, "host-lost", member.away()))

    def _give_up_astray(self, admin: str = "") -> None:
        """Actors that were taken over may be of a host that has gone since, or was started anew: nobody tells."""
        for actor_id, member in self.members.astray(time.monotonic(), admin):
            log.warning("%s has gone, and an actor of it was taken over", member.admin)
            self._out_of_reach(actor_id, member)

    # ---- what a successor has to know ------------------------------------------------------------

    def _note_of_hosts(self) -> Message:
        """Since when this host leads; actors to be ended when their host is back, by host; and where that was last."""
        lost = {host: list(left) for host, left in self.members.lost.items() if left}
        hosts = {host: self.members.hosts[host] for host in lost if host in self.members.hosts}
        return {"Led": self.led_since, "Lost": lost, "Hosts": hosts}

    def _inherit(self, told: Message) -> None:
        """Take up what a predecessor noted of other hosts; of who was started anew since nothing is left."""
        if told["Led"] is not None and self._leads():
            self.led_since = told["Led"]
        for actor_id in self.members.places:
            found, place = self.groups.find(actor_id), self.members.place(actor_id)
            if found and place:
                self.sites[found[1].spec.class_name, found[0].source_hash] = place
        for host, admin in told["Hosts"].items():
            now = self.members.present.get(admin)
            if now is None or now.host == host:
                self.members.lost.setdefault(host, []).extend(told["Lost"][host])
                self.members.hosts[host] = admin
        for member in list(self.members.present.values()):
            self._give_up_astray(member.admin)
        # Thespian tells who is there as soon as it is asked; who left while no Director lived is told to nobody.
        self.wakeupAfter(timedelta(seconds=SETTLING), payload="astray")
        self._keep_note()

    def _introduce_unmet(self) -> None:
        """Hosts that are new, or were there while another led, or before the note of a predecessor came.

        Not before that: it tells since when this host leads, and what is older than that at a member is ended.
        """
        if self.noted is None or not self._leads():
            return
        for member in self.members.present.values():
            if not member.asked and member.director is None:
                self._introduce(member)

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
            "Sent": time.monotonic(),
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
        starting = self._starting()
        for member in self.members.present.values():
            if member.asked and now - member.asked > SILENT:
                self._introduce(member)
            elif member.director is not None and not member.asked:
                member.asked = now
                placed = {a: self.actors.met.get(a) for a in self.members.actors_at(member.admin)}
                lost = self.members.lost.get(member.host, [])
                # A port may have been given again: what listens there now is none of theirs.
                current = list(self.actors.addresses.values())
                told = {
                    "MemberOp": "Beat",
                    "Admin": member.admin,
                    "Actors": [one for one in placed.values() if one is not None],
                    "Names": [self._named(a) for a, one in placed.items() if one is not None],
                    "Lost": [one for one in lost if one not in current],
                    "Starting": starting,
                    "Sent": now,
                }
                self.send(member.director, told)
        missed = self.members.missed_unloads(self.groups.versions, now)
        if missed:
            self._perform(self.groups.unload_elsewhere(missed, now))
        if self.members.present:
            self._beat_soon()

    def _named(self, actor_id: int) -> list[str]:
        """Group and class of an actor; its host's log is to tell whose lines are whose."""
        found = self.groups.find(actor_id)
        return [found[0].group, found[1].spec.class_name] if found else ["", ""]

    def _starting(self) -> list[Message]:
        """Actors that gave no sign of life yet; on which host they start is not known here."""
        told = []
        for actor_id in set(self.actors.addresses) - set(self.actors.met):
            found = self.groups.find(actor_id)
            if found:
                age = (datetime.now() - self.actors.started[actor_id]).total_seconds()
                names = {"SourceHash": found[0].source_hash, "ActorClass": found[1].spec.class_name}
                told.append({"Actor": actor_id, "Age": age, **names})
        return told

    # ---- what Directors say to each other --------------------------------------------------------

    def _member_op(self, message: Message, sender: Any) -> None:
        handler = {
            "Meet": self._on_meet,
            "Beat": self._on_beat,
            "Why": self._on_why,
            "Kill": self._on_kill,
            "KillActor": self._on_kill_actor,
            "Bytes": self._on_bytes,
            "Report": self._on_report,
            "Leaving": self._on_leaving,
            "Because": self._on_because,
            "Heard": self._on_heard,
            "Again": self._on_again,
            "Create": self._on_create,
            "Created": self._on_created,
            "Exited": self._on_exited,
        }.get(str(message.get("MemberOp")))
        if message.get("MemberOp") == "Meet" and self.store is None:
            self._start_by_itself()
        if handler is not None and self.store is not None:
            handler(message, sender)

    def _on_report(self, message: Message, sender: Any) -> None:
        """At the leader: a member is well and tells of itself, and of actors that ended without a word."""
        message = {**reporting.NOTHING, **message}
        member = self.members.present.get(str(message["Admin"]))
        if member is None or message["Host"] != member.host:
            return
        now, before = time.monotonic(), member.report
        ahead = reporting.offset(message.get("Time"), message.get("Sent"), now, time.time())
        member.offset = member.offset if ahead is None else ahead
        message["Offset"] = member.offset
        member.director, member.heard, member.asked, member.report = sender, now, 0.0, message
        member.leaving = bool(message.get("Leaving"))  # a shutdown may have come to nothing
        introducer = self.introducers.pop(member.admin, None)
        if introducer is not None:
            self.send(introducer, ActorExitRequest())
        for source_hash, hosts in self.members.refused.items():
            if source_hash not in message["Refused"]:
                hosts.pop(member.host, None)
        if before.get("Trust", message["Trust"]) != message["Trust"]:
            for source_hash in message["Refused"]:
                self._offer_again(member, source_hash)
        self._offer_due(member)
        for source_hash in message["Lacking"]:
            self._offer_again(member, source_hash, pending=True)
        lost = self.members.lost.get(member.host, [])
        current = list(self.actors.addresses.values())
        left = [one for one in lost if one not in message["Over"] and one not in current]
        self.members.lost[member.host] = left
        self._keep_note()
        self._unless_closing(partial(self._ended_there, message))

    def _ended_there(self, message: Message) -> None:
        for address in message["Gone"]:
            actor_id = self.actors.id_of(address)
            if actor_id:
                self._exited(actor_id)
        for died in message["Died"]:
            if died["Actor"] not in self.actors.met and self.groups.find(died["Actor"]):
                self._ended(died["Actor"], str(died["Words"]))

    def _on_leaving(self, message: Message, sender: Any) -> None:
        """At the leader: a member is shut down in order. What ends there by that dies no death of its own."""
        for member in self.members.met():
            if member.director == sender:
                member.leaving = True

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
        for member, seconds in self.members.missing(now):
            nothing = {"Host": member.host, "Name": member.host.partition("/")[0] or None}
            told.append({**nothing, **member.report, "Admin": member.admin, "GoneFor": seconds})
        for one in told:
            one["Roles"] = self._roles_at(str(one["Admin"]))
            theirs = one.pop("Keys", {})
            # The leader has to accept what its members run: it lacks what any of them has.
            wanted = ours if one["Admin"] else self.members.keys()
            one["MissingKeys"] = sorted(name for key, name in wanted.items() if key not in theirs)
        names = dict(self.members.names)
        for source_hash, version in self.groups.versions.items():
            names[source_hash] = f"{version.group}-{version.version or 'no version'}"
        fields = {"Leader": own["Host"], "Hosts": told, "Names": names}
        self.send(sender, reply("Convention", message, True, **fields))

    def _roles_at(self, admin: str) -> list[str]:
        """What runs on a host; an actor of a version that another took over from has no role any more."""
        found = []
        for actor_id in self.actors.met:
            place, known = self.members.places.get(actor_id, ""), self.groups.find(actor_id)
            if known and place == admin and known[0].state not in OVER:
                found.append(f"{known[0].group}:{known[1].spec.role or known[1].spec.class_name}")
        return sorted(found)
