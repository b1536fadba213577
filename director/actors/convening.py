"""A leader's Director: it looks after actors on all hosts of its convention.

What lives here: the leader's part of what Directors of different hosts say to each other (``MemberOp``), and what
follows for actors. What does not: the member's part (`director.actors.following`), the book of members
(`director.actors.members`), the state machine, which knows nothing of hosts.

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
from director.actors import reporting
from director.actors import versions as m
from director.actors.answers import Actors
from director.actors.following import BEAT, PENDING
from director.actors.groups import Groups
from director.actors.members import SILENT, Member
from director.actors.messages import Message, reply
from director.actors.naming import Naming
from director.actors.words import last_words
from director.files import read_regular
from director.tls.limits import Limits

log = logging.getLogger("director")

#: Seconds until those asked why have to have answered, and between two tries to place an actor.
WHY_LIMIT, AGAIN = 1.5, 0.5
#: Seconds within which a member that was just heard may come back as if it had never been gone.
DOUBT = 4.0


class Convening(Naming):
    """The part of the Director that leads other hosts."""

    def __init__(self) -> None:
        super().__init__()
        #: Since when this host leads, on a steady clock; None while it does not.
        self.led_since: float | None = None
        #: How each actor was created, and what was sent to those that gave no sign of life yet.
        self.created: dict[int, m.Create] = {}
        self.sent: dict[int, list[Any]] = {}
        self.introducers: dict[str, Any] = {}
        self.beating = False
        #: Actors that were created and never heard of again, by incarnation: source hash and when.
        self.open: dict[int, tuple[str, float]] = {}
        #: Sources whose unload waits for them.
        self.postponed: set[str] = set()

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
                    "Lost": [one for one in lost if one not in current],
                    "Starting": starting,
                }
                self.send(member.director, told)
        missed = self.members.missed_unloads(self.groups.versions, now)
        if missed:
            self._perform(self.groups.unload_elsewhere(missed, now))
        if self.members.present:
            self._beat_soon()

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
            "Because": self._on_because,
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
        for source_hash in message["Lacking"]:
            self._offer_again(member, source_hash, pending=True)
        lost = self.members.lost.get(member.host, [])
        current = list(self.actors.addresses.values())
        left = [one for one in lost if one not in message["Over"] and one not in current]
        self.members.lost[member.host] = left
        if self.closing:
            return
        for address in message["Gone"]:
            actor_id = self.actors.id_of(address)
            if actor_id:
                self._exited(actor_id)
        for died in message["Died"]:
            if died["Actor"] not in self.actors.met and self.groups.find(died["Actor"]):
                self._ended(died["Actor"], str(died["Words"]))

    def _offer_again(self, member: Member, source_hash: str, *, pending: bool = False) -> None:
        """The member's keys or settings changed: it may think better of what it refused. Thespian asks only once.

        Args:
            pending: its authority died over this source, and its Admin still waits for the word.
        """
        version = self.groups.versions.get(source_hash)
        try:
            data = read_regular(Path(version.file), Limits().max_bytes) if version else b""
        except OSError:
            return
        if version and hashlib.md5(data, usedforsecurity=False).hexdigest() == source_hash:
            told = {"MemberOp": "Bytes", "SourceHash": source_hash, "Name": version.file}
            self.send(member.director, {**told, "Data": data, "Pending": pending})

    # ---- why an actor ended ----------------------------------------------------------------------

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
        if why.refusals and not unmet and not actor.ending:  # revoked there: no death of its own
            self._lost(actor_id, "host-refused", self.members.refusals_of(why.source_hash))
        elif not unmet or words or actor.ending:
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

    def _kill_actor(self, actor_id: int) -> None:
        member = self.members.present.get(self.members.places.get(actor_id, ""))
        if member is None:
            super()._kill_actor(actor_id)
        elif member.director is not None:
            told = {"MemberOp": "KillActor", "Address": self.actors.met.get(actor_id)}
            self.send(member.director, told)

    def _forget_actor(self, actor_id: int) -> None:
        self.actors.forget(actor_id)
        self.members.places.pop(actor_id, None)
        self.members.whys.pop(actor_id, None)
        self.created.pop(actor_id, None)
        self.open.pop(actor_id, None)
        self.sent.pop(actor_id, None)
        scout = self.scouts.pop(actor_id, None)
        if scout is not None:
            self.send(scout[0], ActorExitRequest())

    # ---- creating --------------------------------------------------------------------------------

    def _create(self, action: m.Create) -> None:
        self.created[action.actor] = action
        if self._create_named(action):
            return
        banned = self.members.banned(action.source_hash)
        self.actors.addresses[action.actor] = self.createActor(
            action.class_name,
            targetActorRequirements={convention.NOT_ON: banned} if banned else None,
            globalName=action.global_name,
            sourceHash=action.source_hash,
        )
        self.actors.started[action.actor] = datetime.now()
        self.open[action.actor] = (action.source_hash, time.monotonic())

    def _unload(self, source_hash: str) -> None:
        """Have Thespian's Admins forget a source, which none may still be asking its authority about.

        An unload goes to every member, and ends the Admin where that source is pending (adminCore.unloadActorSource).
        """
        now, waiting = time.monotonic(), False
        for actor_id, (opened, since) in list(self.open.items()):
            if now - since > PENDING:
                del self.open[actor_id]
            elif opened == source_hash:
                waiting = True
        if waiting and self.members.present:
            self.postponed.add(source_hash)
            self.wakeupAfter(timedelta(seconds=AGAIN), payload=("unload", source_hash, 0))
            return
        self.postponed.discard(source_hash)
        self.unloadActorSource(source_hash)
        self._look_for_strays_of(source_hash)
        self._forget(source_hash)

    def _wanted_again(self, source_hash: str) -> bool:
        """Whether a source is loaded whose unload was postponed: Thespian has it still, and will tell nothing."""
        wanted = source_hash in self.postponed
        self.postponed.discard(source_hash)
        return wanted

    def _create_again(self, actor_id: int) -> None:
        """The same incarnation on another host, with all that was said to it."""
        action = self.created.get(actor_id)
        if action is None or self.groups.find(actor_id) is None:
            return
        self._create(action)
        for message in self.sent.get(actor_id, []):
            if actor_id in self.actors.addresses:  # one with a name is talked to when it is there
                self.send(self.actors.addresses[actor_id], message)

    def _say(self, actor_id: int, message: Any) -> None:
        """Send to a role actor; kept until it gives a sign of life, for it may have to be created elsewhere."""
        if actor_id not in self.actors.met:
            self.sent.setdefault(actor_id, []).append(message)
        if actor_id in self.actors.addresses:
            self.send(self.actors.addresses[actor_id], message)

    def _met(self, actor_id: int, admin: Any) -> None:
        """An actor gave a sign of life, from the system of this Admin."""
        self.sent.pop(actor_id, None)
        self.open.pop(actor_id, None)
        self._note_site(actor_id, str(admin))
        if str(admin) in self.members.present:
            self.members.places[actor_id] = str(admin)

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
