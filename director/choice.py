"""Which version of a group a boot keeps: one that an operator chose stays, though a newer one lies beside it.

What lives here: the rule, a pure function over the history and the files. Pins are not its matter (`director.loading`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePath

from director.history import Event, last_active

#: The file in the state directory that tells of the last start's loads, a `Phase`.
PHASE = "boot.json"
#: Characters that are kept there of a reason.
LONGEST_REASON = 2000


@dataclass(frozen=True)
class Present:
    """A file of the director directory, and when it came there (its inode's change, seconds since the epoch)."""

    path: str
    came: float


@dataclass(frozen=True)
class Phase:
    """The last time that groups were loaded because the system was started: by a service, or by hand.

    What became active then says nothing about an operator, who may have chosen it before or not.

    Args:
        begin, end: seconds since the epoch.
        chosen: the groups whose version had been chosen by then.
        failed: the groups that it did not get active, each with the reason.
    """

    begin: float
    end: float
    chosen: frozenset[str]
    failed: Mapping[str, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """For a file."""
        told = {"begin": self.begin, "end": self.end, "chosen": sorted(self.chosen)}
        return json.dumps({**told, "failed": dict(self.failed)}).encode()

    @staticmethod
    def of(data: bytes) -> Phase | None:
        """From a file; None where it does not read."""
        try:
            told = json.loads(data)
            failed = {str(group): str(why) for group, why in told.get("failed", {}).items()}
            begin, end = float(told["begin"]), float(told["end"])
            return Phase(begin, end, frozenset(told["chosen"]), failed)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


def chosen_before(
    events: Iterable[Event], files: Sequence[Present], phase: Phase | None = None
) -> str | None:
    """The file that was chosen by ``load FILE`` or ``undo`` and stays; None: the newest is wanted.

    ``refresh`` and ``load GROUP`` always take the newest. So where an older version became active although the newest
    was there already, somebody said so, and a boot does not overrule them. A file that came later does.

    Args:
        events: of one group, oldest first.
        files: of the group, newest version first.
        phase: the last time that a service loaded by itself.
    """
    last = last_active(events)
    if last is None or not files:
        return None
    name = PurePath(last.file).name
    mine = next((one for one in files if PurePath(one.path).name == name), None)
    if mine is None or mine == files[0]:
        return None
    at = datetime.fromisoformat(last.time).timestamp()
    if phase and phase.begin <= at <= phase.end:
        if last.group not in phase.chosen:
            return None
        at = phase.end
    return mine.path if files[0].came <= at else None


def still_failed(events: Iterable[Event], phase: Phase) -> bool:
    """Whether nothing happened to a group since the last start failed to load it: else it is an operator's matter.

    Args:
        events: of that group.
        phase: of the last start.
    """
    return not any(
        event.event in ("active", "undone", "unloaded")
        and datetime.fromisoformat(event.time).timestamp() > phase.end
        for event in events
    )
