"""The end of a leader's actors on other hosts when it is shut down in order.

What lives here: both sides of that. Why it is needed: Thespian ends what an actor created with that actor, and this
Director created neither what it took over from one that died, nor what has a global name on a member. What is out of
reach then is told, and ended by the next Director that meets its host (`director.actors.following`).
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any

from thespian.actors import ActorExitRequest

from director.actors import leftovers
from director.actors.convening import Convening
from director.actors.messages import Message, reply
from director.actors.notebook import gone

log = logging.getLogger("director")

#: Seconds that an actor has to exit until its host kills it, between two looks there, and that the leader waits.
EXIT, LOOK, PARTING = 3.0, 0.25, 6.0


class Parting(Convening):
    """The part of the Director that ends actors on other hosts with its own system."""

    def __init__(self) -> None:
        super().__init__()
        #: At the leader: who waits for the end of its actors elsewhere; name and number of actors of hosts, by Admin.
        self.partings: list[tuple[Message, Any]] = []
        self.parted_from: dict[str, tuple[str, int]] = {}
        #: At a member: the leader's last orders that are open: its Director, the actors, since when.
        self.ending_all: list[tuple[Any, Message, float]] = []

    def _member_op(self, message: Message, sender: Any) -> None:
        if message.get("MemberOp") == "EndAll" and sender == self.leader:
            for address in message["Actors"]:
                self.send(address, ActorExitRequest())
            self.ending_all.append((sender, message, time.monotonic()))
            self._look_at_ending()
        elif message.get("MemberOp") == "AllEnded":
            if sender in [one.director for one in self.members.met()]:
                self.parted_from.pop(str(message["Admin"]), None)
                self._part()
        else:
            super()._member_op(message, sender)

    def _do_EndElsewhere(self, message: Message, sender: Any) -> None:
        """Whoever shuts this system down wants to know what could not be ended with it."""
        for member in self.members.present.values():
            met = [self.actors.met.get(one) for one in self.members.actors_at(member.admin)]
            actors = [one for one in met if one is not None]
            actors += self.members.lost.get(member.host, [])
            if actors:
                self.parted_from[member.admin] = (member.name, len(actors))
            if actors and member.director is not None:
                told = {"MemberOp": "EndAll", "Admin": member.admin, "Actors": actors}
                self.send(member.director, told)
        self.partings.append((message, sender))
        self.wakeupAfter(timedelta(seconds=PARTING), payload="parting")
        self._part()

    def _part(self, *, late: bool = False) -> None:
        """Tell who waits, when all have told or had their time."""
        if self.parted_from and not late:
            return
        left = list(self.parted_from.values())
        for member, _ in self.members.missing(time.monotonic()):
            number = len(self.members.lost.get(member.host, []))
            left += [(member.name, number)] if number else []
        partings, self.partings = self.partings, []
        self.parted_from.clear()
        for message, sender in partings:
            self.send(sender, reply("EndedElsewhere", message, True, Left=left))

    def _look_at_ending(self) -> None:
        """At a member: tell the leader when its actors have gone; those that do not go are killed."""
        orders, self.ending_all = self.ending_all, []
        for leader, message, since in orders:
            left = [one for one in message["Actors"] if one not in gone(message["Actors"])]
            if left and time.monotonic() - since < EXIT:
                self.ending_all.append((leader, message, since))
                continue
            for address in left:
                log.warning("%s did not exit; killed: %s", address, leftovers.kill_at(address))
            self.send(leader, {"MemberOp": "AllEnded", "Admin": message["Admin"]})
        if self.ending_all:
            self.wakeupAfter(timedelta(seconds=LOOK), payload="ending")
