"""Role actors on any host of the convention: creating them, and learning why they ended.

What lives here: that part of the leader's Director; of a host alone, too, where all of it happens at home. What does
not: hosts that come and go (`director.actors.convening`), names on other hosts (`director.actors.naming`), the state
machine, which knows nothing of hosts.

Thespian tells that an actor ended, and not why; the hosts that may know are asked before the state machine is told.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from datetime import datetime, timedelta
from typing import Any

from thespian.actors import ActorExitRequest

from director import convention
from director.actors import apart, placement
from director.actors import versions as m
from director.actors.following import PENDING
from director.actors.members import WHY_LIMIT, WHY_LONGEST
from director.actors.messages import Message
from director.actors.naming import Naming
from director.actors.needs import nobody
from director.actors.words import last_words
from director.errors import DirectorError

log = logging.getLogger("director")

#: Seconds between two tries to place an actor, and how many follow where it was started on a host that is none for it:
#: Thespian's Admin waits for the class's word a moment only, and knows it soon (`director.actors.placement`).
AGAIN, MISPLACED = 0.5, 10


class Abroad(Naming):
    """The part of the Director that creates role actors wherever they fit."""

    def __init__(self) -> None:
        super().__init__()
        #: How each actor was created, and what was sent to those that gave no sign of life yet.
        self.created: dict[int, m.Create] = {}
        #: How often an actor was started on a host that is none for it.
        self.misplaced: dict[int, int] = {}
        self.sent: dict[int, list[Any]] = {}
        #: Actors that were created and never heard of again, by incarnation: source hash and when.
        self.open: dict[int, tuple[str, float]] = {}
        #: Sources whose unload waits for them.
        self.postponed: set[str] = set()
        #: What classes need of a host, by source hash and class: found out where none takes them.
        self.needs: dict[tuple[str, str], dict[str, str]] = {}

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
        admins = {one.admin for one in asked}
        why = self.members.ask_why(actor_id, source_hash, admins, time.monotonic())
        for member in asked:
            told = {"MemberOp": "Why", "Actor": actor_id, "SourceHash": source_hash}
            self.send(member.director, {**told, "Admin": member.admin})
        if why.waiting:
            for limit in (WHY_LIMIT, WHY_LONGEST):
                self.wakeupAfter(timedelta(seconds=limit), payload=("why", "", actor_id))
        else:
            self._conclude(actor_id)

    def _why_due(self, actor_id: int) -> None:
        """Time passed since members were asked; perhaps about an earlier try to place the same actor."""
        why = self.members.whys.get(actor_id)
        if why and why.due(time.monotonic(), met=actor_id in self.actors.met):
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
        place = self.members.present.get(self.members.places.get(actor_id, ""))
        if place and not actor.ending and (place.leaving or (place.doubted and why.waiting)):
            self._lost(actor_id, "host-lost", place.away())
        elif why.refusals and not unmet and not actor.ending:  # revoked there: no death of its own
            self._lost(actor_id, "host-refused", self.members.refusals_of(why.source_hash))
        elif unmet and not actor.ending and self._misplaced(actor_id, words):
            self.actors.addresses.pop(actor_id, None)  # else its process would be missed meanwhile
            self.wakeupAfter(timedelta(seconds=AGAIN), payload=("again", "", actor_id))
        elif not unmet or words or actor.ending:
            self._ended(actor_id, words)
        elif new:
            self._create_again(actor_id)
        elif version.may_wait:
            code = "host-refused" if self.members.refused.get(why.source_hash) else "no-host"
            self._lost(actor_id, code, self._nobody(actor, why.source_hash))
        elif self.members.gathering(time.monotonic()):
            self.wakeupAfter(timedelta(seconds=AGAIN), payload=("again", "", actor_id))
        else:
            self._ended(actor_id, self._nobody(actor, why.source_hash))

    def _misplaced(self, actor_id: int, words: str) -> bool:
        """Whether an actor ended since its class does not take that host, and may be tried on another."""
        if placement.NOT_HERE not in words:
            return False
        self.misplaced[actor_id] = self.misplaced.get(actor_id, 0) + 1
        return self.misplaced[actor_id] <= MISPLACED

    def _nobody(self, actor: m.RoleActor, source_hash: str) -> str:
        key = (source_hash, actor.spec.class_name)
        self.needs = {
            one: told for one, told in self.needs.items() if one[0] in self.groups.versions
        }
        if key not in self.needs:
            try:
                place = self.unpacked.get(source_hash, os.devnull)
                self.needs[key] = apart.needs(self._store(), place, actor.spec.class_name)
            except DirectorError as problem:
                log.warning("what %s needs was not found out: %s", actor.spec.class_name, problem)
                self.needs[key] = {}
        banned = self.members.banned(source_hash)
        hosts = {f"{socket.gethostname()} (which leads)": placement.here()}
        for member in self.members.present.values():
            if member.host not in banned:
                hosts[member.name] = member.capabilities
        told = nobody(actor.spec.class_name, self.needs[key], hosts)
        for member, seconds in self.members.missing(time.monotonic()):
            since = datetime.now() - timedelta(seconds=seconds)
            told += f"\n{member.name} left or is out of reach since {since:%Y-%m-%d %H:%M:%S}"
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
        self.members.forget(actor_id)
        self.created.pop(actor_id, None)
        self.misplaced.pop(actor_id, None)
        self.open.pop(actor_id, None)
        self.sent.pop(actor_id, None)
        scout = self.scouts.pop(actor_id, None)
        if scout is not None:
            self.send(scout[0], ActorExitRequest())

    # ---- creating --------------------------------------------------------------------------------

    def _create(self, action: m.Create) -> None:
        self.created[action.actor] = action
        found = self.groups.find(action.actor)
        if found:
            name = f"{found[0].group}-{found[0].version or 'no version'}"
            self.members.call(action.source_hash, name, self.groups.versions)
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
        if waiting and (self.leading or self.members.present):
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
        member = self.members.present.get(str(admin))
        if member is not None:
            self.members.settle(actor_id, member.admin, member.host)
