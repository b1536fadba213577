"""When a member is asked once more about a source that it refused, since the reason may have passed.

What lives here: which reasons those are, and the times; pure. What does not: sending (`director.actors.waiting`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: Refusals that pass without a change of keys, settings or marks: there is room again, a lock is free, a clock is set,
#: permissions are mended. ``refused``: the reason is not known any more, for the member's Director is a successor.
PASSING = frozenset(
    {
        *("cache", "from-future", "locked", "operation-failed", "os-error", "refused"),
        *("state", "unpack", "unreadable"),
    }
)
#: Seconds until a source is offered again for the first time, and the longest between two offers; each takes twice as
#: long as the one before.
FIRST, LONGEST = 5.0, 60.0


class Offers:
    """What was offered to which host, and when it will be again."""

    def __init__(self) -> None:
        #: By host and source: the next time (seconds of a steady clock), and the seconds from then to the one after.
        self._next: dict[tuple[str, str], tuple[float, float]] = {}

    def due(self, host: str, refused: Mapping[str, Sequence[Any]], now: float) -> list[str]:
        """The sources to offer now.

        Args:
            host: the member's identity.
            refused: what it tells that it refuses: code and text by source hash.
        """
        passing = [one for one, why in refused.items() if why and why[0] in PASSING]
        for key in [k for k in self._next if k[0] == host and k[1] not in passing]:
            del self._next[key]
        found = []
        for one in passing:
            due, delay = self._next.setdefault((host, one), (now + FIRST, 2 * FIRST))
            if now >= due:
                found.append(one)
                self._next[host, one] = (now + delay, min(2 * delay, LONGEST))
        return found

    def keep(self, hosts: set[str]) -> None:
        """Forget every other host: it is gone, and one that is started anew is another."""
        self._next = {key: told for key, told in self._next.items() if key[0] in hosts}
