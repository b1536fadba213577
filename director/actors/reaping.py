"""Ending processes that do not end by themselves: actors that ignore their exit, and what actors left behind.

What lives here: that part of the Director. What does not: when an actor is to be killed (`director.actors.groups`), how
processes are found (`director.actors.leftovers`, `director.actors.pids`).

What an actor forks or starts ends with it, a moment after its own end: asked by SIGTERM, then killed. When a source is
unloaded, every process of it ends. A program that has to outlive its actor is started without DIRECTOR_SOURCE in its
environment and in a session of its own.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Sequence
from datetime import timedelta

from director.actors import leftovers, pids
from director.actors import versions as m
from director.actors.requests import now
from director.actors.watching import Watching
from director.history import Event

log = logging.getLogger("director")

#: Seconds after an actor's end until what it left is asked to end, and from then until it is killed.
FIRST, THEN = 1.0, 2.0


class Reaping(Watching):
    """The part of the Director that ends processes."""

    def _kill_source(self, source_hash: str) -> None:
        """Nothing of it may run any more."""
        killed = pids.kill_all(self.unpacked.get(source_hash, os.devnull), source_hash)
        log.warning("did not exit and were killed: processes %s", killed)

    def _kill_actor(self, actor_id: int) -> None:
        found = self.groups.find(actor_id)
        if found is None:
            return
        version, actor = found
        pid = pids.kill_actor(
            self.unpacked.get(version.source_hash, os.devnull),
            actor.spec.class_name,
            self.actors.started[actor_id].timestamp(),
            leftovers.port_of(self.actors.met.get(actor_id)),
        )
        log.warning("%s did not exit; killed: process %s", actor.spec.class_name, pid or "unknown")

    def _look_for_strays(self, version: m.Version) -> None:
        """An actor of this version ended: what it started ends too."""
        place = self.unpacked.get(version.source_hash)
        if place and not self.closing:
            told = (version.group, version.source_hash, place, leftovers.leaders_of(place))
            self.wakeupAfter(timedelta(seconds=FIRST), payload=("strays", *told, False))

    def _look_for_strays_of(self, source_hash: str) -> None:
        """A source is being unloaded: nothing of it stays."""
        place = self.unpacked.get(source_hash)
        if place:
            told = ("", source_hash, place, leftovers.leaders_of(place))
            self.wakeupAfter(timedelta(seconds=FIRST), payload=("strays", *told, False))

    def _strays(
        self, group: str, source_hash: str, place: str, leaders: Sequence[int], again: bool
    ) -> None:
        if self.closing:
            return  # they end with the system
        if source_hash in self.groups.versions or source_hash in self.unpacked:
            left = leftovers.stranded(place)
        else:
            left = leftovers.of_source(place, source_hash, leaders)
        number = pids.KILL if again else signal.SIGTERM
        ended = [process.pid for process in left if process.signal(number)]
        if not ended:
            return
        what = f"processes {ended} outlived the actor that started them and were ended"
        log.warning("%s %s: %s", group, source_hash, what)
        if not again:
            if group:
                self._write_down(Event(now(), group, "left-over", None, source_hash, place, what))
            told = (group, source_hash, place, leaders, True)
            self.wakeupAfter(timedelta(seconds=THEN), payload=("strays", *told))
