"""Which actors let messages wait: an actor in an endless loop lives, and answers nobody.

What lives here: concluding it from what waits in the kernel at an actor's own port, looked at again and again. The
actor is not asked, which would only be one message more. One that gets no messages is never called silent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from director.actors.leftovers import Socket

#: Seconds between two looks, and until an actor that took nothing of what waited is told as silent.
LOOK, SILENT = 5.0, 10.0


class Silence:
    """Since when each actor has taken nothing, by incarnation; times are those of a steady clock, in seconds."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[float, dict[int, int]]] = {}

    def look(self, ports: Mapping[int, int], sockets: Collection[Socket], now: float) -> None:
        """Compare with the look before.

        Args:
            ports: of the actors, by incarnation.
            sockets: of this host.
        """
        before, self._waiting = self._waiting, {}
        for actor, port in ports.items():
            waiting = {one.inode: one.waiting for one in sockets if one.port == port}
            waiting = {inode: amount for inode, amount in waiting.items() if amount}
            since, known = before.get(actor, (now, {}))
            if any(waiting.get(inode, 0) < amount for inode, amount in known.items()):
                since = now  # it took something
            if waiting:
                self._waiting[actor] = (since, waiting)

    def seconds(self, actor: int, now: float) -> float | None:
        """For how long an actor has let messages wait; None where that is not long."""
        since = self._waiting.get(actor, (now, {}))[0]
        return now - since if now - since >= SILENT else None
