"""Actors with a global name on another host: its own Director creates them there, by the leader's order.

What lives here: both sides of that order. Why it is needed: a global name that the leader's own Admin passes on to
another system stays pending there for good (convention._not_compatible answers for adminCore.h_PendingActor, which has
noted the name), and whoever asks for it again hears nothing. So the leader's Director learns from an actor without the
name where the class may run, and which host then has its source, and has the named one created there.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from thespian.actors import ActorExitRequest
from thespian.system.messages.status import Thespian_StatusReq

from director import convention
from director.actors import versions as m
from director.actors.following import Following
from director.actors.members import Member
from director.actors.messages import Message


class Naming(Following):
    """The part of the Director that places global names on members."""

    def __init__(self) -> None:
        super().__init__()
        #: Where an actor of a class and source ran last: its Admin as text, and that host's identity; not: at home.
        self.sites: dict[tuple[str, str], tuple[str, str]] = {}
        #: At the leader: actors without the name that are to tell where it may stand, by incarnation of the named one.
        self.scouts: dict[int, tuple[Any, m.Create]] = {}
        #: At a member: what was created by order: address, incarnation at the leader, the leader's Director.
        self.ordered: list[tuple[Any, int, Any]] = []

    # ---- the leader's side -----------------------------------------------------------------------

    def _note_site(self, actor_id: int, admin: str) -> None:
        found, member = self.groups.find(actor_id), self.members.present.get(admin)
        if found:
            key = (found[1].spec.class_name, found[0].source_hash)
            if member is None:
                self.sites.pop(key, None)
            else:
                self.sites[key] = (admin, member.host)

    def _create_named(self, action: m.Create) -> bool:
        """Have a name created where its class runs; False where that is at home, or not known."""
        site = self.sites.get((action.class_name, action.source_hash))
        if action.global_name is None or site is None:
            return False
        self.actors.started[action.actor] = datetime.now()
        member = self.members.present.get(site[0])
        if member and member.host == site[1] and member.director is not None:
            self._order(action, member)
        else:
            banned = self.members.banned(action.source_hash)
            scout = self.createActor(
                action.class_name,
                targetActorRequirements={convention.NOT_ON: banned} if banned else None,
                sourceHash=action.source_hash,
            )
            self.scouts[action.actor] = (scout, action)
            self.send(scout, Thespian_StatusReq())
        return True

    def _order(self, action: m.Create, member: Member) -> None:
        told = {"MemberOp": "Create", "Actor": action.actor, "ActorClass": action.class_name}
        told |= {"GlobalName": action.global_name, "SourceHash": action.source_hash}
        self.send(member.director, told)

    def _scout_told(self, sender: Any, admin: Any) -> None:
        """A scout stands on a host, which has the source then."""
        for actor_id, (scout, action) in list(self.scouts.items()):
            if scout == sender:
                del self.scouts[actor_id]
                self.send(scout, ActorExitRequest())
                self._note_site(actor_id, str(admin))
                member = self.members.present.get(str(admin))
                if self.groups.find(actor_id) and member and member.director is not None:
                    self._order(action, member)
                elif self.groups.find(actor_id):
                    self._lost(actor_id, "no-host", "its host is just being met")

    def _scout_ended(self, address: Any) -> None:
        for actor_id, (scout, _) in list(self.scouts.items()):
            if scout == address:
                del self.scouts[actor_id]
                self._exited(actor_id)

    def _on_created(self, message: Message, sender: Any) -> None:
        """A member created what was ordered: now it can be talked to."""
        actor_id, address = int(message["Actor"]), message["Address"]
        if sender not in [one.director for one in self.members.met()]:
            return
        if self.groups.find(actor_id) is None:
            self.send(address, ActorExitRequest())
        elif actor_id not in self.actors.addresses:
            self.actors.addresses[actor_id] = address
            for waiting in self.sent.get(actor_id, []):
                self.send(address, waiting)

    def _on_exited(self, message: Message, sender: Any) -> None:
        """What was ordered at a member has ended, or could not be created."""
        actor_id = int(message["Actor"])
        known = sender in [one.director for one in self.members.met()]
        if known and self.groups.find(actor_id):
            self._unless_closing(partial(self._exited, actor_id))

    # ---- the member's side -----------------------------------------------------------------------

    def _on_create(self, message: Message, sender: Any) -> None:
        source_hash = str(message["SourceHash"])
        if sender != self.leader:
            return
        if source_hash not in self.unpacked:
            self.send(sender, {"MemberOp": "Exited", "Actor": message["Actor"]})
            return
        address = self.createActor(
            str(message["ActorClass"]),
            globalName=str(message["GlobalName"]),
            sourceHash=source_hash,
        )
        self.ordered.append((address, int(message["Actor"]), sender))
        self.send(address, Thespian_StatusReq())

    def _order_came(self, sender: Any) -> None:
        """A named actor gave its first sign of life."""
        for address, actor_id, leader in self.ordered:
            if address == sender:
                told = {"MemberOp": "Created", "Actor": actor_id, "Address": sender}
                self.send(leader, told)

    def _order_ended(self, ended: Any) -> None:
        for one in [one for one in self.ordered if one[0] == ended]:
            self.ordered.remove(one)
            self.send(one[2], {"MemberOp": "Exited", "Actor": one[1]})
