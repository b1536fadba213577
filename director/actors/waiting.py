"""What may yet come: hosts that a version waits for, and refusals of members that may pass.

What lives here: what the leader's Director does about both. What does not: which refusals may pass, and when a member
is asked again (`director.actors.offers`), what becomes of a version meanwhile (`director.actors.endings`).
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from pathlib import Path
from typing import Any

from thespian.actors import ActorExitRequest

from director.actors import versions as m
from director.actors.abroad import Abroad
from director.actors.members import GATHERING, Member
from director.actors.messages import Message
from director.actors.offers import Offers
from director.actors.words import starts
from director.files import read_regular
from director.history import History, last_active
from director.tls.limits import Limits

log = logging.getLogger("director")


class Waiting(Abroad):
    """The part of the Director that waits for other hosts."""

    def __init__(self) -> None:
        super().__init__()
        self.offers = Offers()

    def _prepare(self, wanted: m.Version) -> None:
        """A version is about to be loaded: who refused it is asked again at once.

        One that was active before this system was started may wait for hosts.
        """
        for member in self.members.met():
            if wanted.source_hash in member.report.get("Refused", {}):
                self._offer_again(member, wanted.source_hash)
        if not self._leads() or not (self.leading or self.members.present):
            return
        if wanted.group not in self.groups.active and self._was_active(wanted):
            wanted.patient_until = self.members.born + GATHERING

    def _was_active(self, wanted: m.Version) -> bool:
        """Whether that very source was the active one of its group last, and nobody unloaded it."""
        try:
            last = last_active(History(self._store().state).read(wanted.group))
        except OSError as problem:
            log.warning("the history does not read: %s", problem)
            return False
        return last is not None and last.source_hash == wanted.source_hash

    def _start_elsewhere(self, gone: Member) -> None:
        """A host is lost that actors may just have been starting on, which nobody tells: they are placed anew.

        All that gave no sign of life and are not starting here; one that is, on another host, is told to exit.
        """
        for actor_id, action in list(self.created.items()):
            found = self.groups.find(actor_id)
            if found is None or found[1].ending or not self._is_starting(actor_id, action, gone):
                continue
            directory = self.unpacked.get(action.source_hash, os.devnull)
            here = [one for one in starts(directory) if one.alive]
            if gone.host in self.members.banned(action.source_hash) or any(
                one.class_name == action.class_name for one in here
            ):
                continue
            log.warning("%s may have been starting on %s", action.class_name, gone.name)
            scout = self.scouts.pop(actor_id, None)
            for address in (self.actors.addresses.pop(actor_id, None), scout[0] if scout else None):
                if address is not None:
                    self.send(address, ActorExitRequest())
            self._create_again(actor_id)

    def _is_starting(self, actor_id: int, action: m.Create, gone: Member) -> bool:
        """Whether an actor was created, and has neither ended nor given a sign of life."""
        if actor_id in self.actors.met or actor_id in self.members.whys:
            return False
        site = self.sites.get((action.class_name, action.source_hash))
        ordered = action.global_name is not None and site is not None and site[0] == gone.admin
        return actor_id in self.open or actor_id in self.scouts or ordered

    # ---- refusals that may pass ------------------------------------------------------------------

    def _offer_due(self, member: Member) -> None:
        """A member has reported: what it refused for a while is offered again when it is time."""
        self.offers.keep({one.host for one in self.members.present.values()})
        for source_hash in self.offers.due(member.host, member.report["Refused"], time.monotonic()):
            self._offer_again(member, source_hash)

    def _do_EndRevoked(self, message: Message, sender: Any) -> None:
        """A refresh at a member: its leader is to offer again what was refused here."""
        if self.refusals and self.leader is not None and not self._leads():
            self.send(self.leader, {"MemberOp": "Again"})
        super()._do_EndRevoked(message, sender)

    def _on_again(self, message: Message, sender: Any) -> None:
        for member in self.members.met():
            if member.director == sender:
                for source_hash in member.report.get("Refused", {}):
                    self._offer_again(member, source_hash)

    def _offer_again(self, member: Member, source_hash: str, *, pending: bool = False) -> None:
        """The member may think better of what it refused. Thespian asks only once.

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
