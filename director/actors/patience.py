"""What may yet come: hosts that a version waits for, and refusals of members that may pass.

What lives here: the leader's part of both. What does not: which refusals may pass, and when they are asked about again
(`director.actors.members`), what becomes of a version meanwhile (`director.actors.endings`).
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from director.actors import versions as m
from director.actors.abroad import Abroad
from director.actors.members import GATHERING, Member
from director.files import read_regular
from director.history import History, last_active
from director.tls.limits import Limits

log = logging.getLogger("director")


class Patience(Abroad):
    """The part of the Director that waits for other hosts."""

    def _prepare(self, wanted: m.Version) -> None:
        """A version is about to be loaded. One that was active before this system was started may wait for hosts."""
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

    # ---- refusals that may pass ------------------------------------------------------------------

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
