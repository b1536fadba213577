"""What a member tells its leader of itself.

What lives here: the content of a Report. No sending (`director.actors.convening`).
"""

from __future__ import annotations

import hashlib
import math
import os
import platform
import socket
import time
from collections.abc import Mapping

import director
from director.actors import apart
from director.actors.messages import PROTOCOL, Message
from director.convention import HOST_VARIABLE
from director.errors import DirectorError
from director.store import MARKS, Store

#: What a report means that leaves something out: one of another version of this package may.
NOTHING: Message = {
    "Host": "",
    "Sources": [],
    "Refused": {},
    "Trust": "",
    "Over": [],
    "Gone": [],
    "Died": [],
    "Lacking": [],
}
#: Seconds that a question and its answer may take for them to tell of a clock: half of that is how far off it is.
ROUND_TRIP = 1.0


#: Seconds for which what kept the keys from being read is not tried again.
AGAIN = 30.0


class Keys:
    """The keys that validate on this host, read once for as long as nothing about trust changes.

    A process is started for it, and each Beat asks; so what is in the way of it is kept, too, for a while.
    """

    def __init__(self) -> None:
        self._token = ""
        self._found: dict[str, str] = {}
        self._problem: DirectorError | None = None
        self._until = 0.0

    def read(self, store: Store, token: str, now: float) -> dict[str, str]:
        """Fingerprint → file name.

        Args:
            token: `trust_token` of the moment.
            now: seconds of a steady clock.

        Raises:
            DirectorError: as `director.actors.apart.keys`.
        """
        if token != self._token or (self._problem and now >= self._until):
            self._token, self._found, self._problem = token, {}, None
            try:
                self._found = apart.keys(store)
            except DirectorError as problem:
                self._problem, self._until = problem, now + AGAIN
        if self._problem:
            raise self._problem
        return dict(self._found)


def report(
    store: Store, sources: Mapping[str, str], refused: Mapping[str, tuple[str, str]]
) -> Message:
    """A host's word about itself.

    Args:
        sources: loaded and validated ones, by Thespian's hash.
        refused: code and text of those that its authority refused.
    """
    return {
        "Host": os.environ.get(HOST_VARIABLE, ""),
        "Name": socket.gethostname(),
        "Python": platform.python_version(),
        "PackageVersion": director.__version__,
        "Protocol": PROTOCOL,
        "Sources": sorted(sources),
        "Refused": {one: list(why) for one, why in refused.items()},
        "Time": time.time(),
        "Trust": trust_token(store),
    }


def offset(told: object, sent: object, now: float, wall: float) -> float | None:
    """By how many seconds a member's clock is ahead; None where its answer does not tell that.

    After a cut questions and answers arrive that waited for seconds, on the one way or the other.

    Args:
        told: the time of day that it told.
        sent: when it was asked, on our steady clock; its answer repeats that.
        now: of that clock.
        wall: our time of day now.
    """
    if not isinstance(told, (int, float)) or not isinstance(sent, (int, float)):
        return None
    took = now - sent
    if not 0 <= took <= ROUND_TRIP or not math.isfinite(told):
        return None
    return told - wall + took / 2


def trust_token(store: Store) -> str:
    """Changes whenever keys, settings about trust or marks do; cheap enough to be asked every few seconds."""
    told = []
    found = [
        *store.key_files(),
        *store.directory.glob("*.cfg"),
        store.state / MARKS,
    ]
    for path in sorted(found):
        try:
            stat = path.stat()
        except OSError:
            continue
        told.append(f"{path.name} {stat.st_mtime_ns} {stat.st_size}")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()
