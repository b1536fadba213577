"""What happened to each group: ``history.jsonl`` of the state directory.

What lives here: the file (one event a line, the newest last), and what ``undo`` means. The Director alone writes it;
everybody may read. What does not: deciding anything (`director.actors.groups`).
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from director.files import (
    LONGEST_STATE,
    append_line,
    open_to_append,
    read_regular,
    write_atomically,
)

#: The history is cut to half of so many bytes when it grows beyond them.
LARGEST = 1 << 20
#: Events that say which version of a group is to be active: `undo`, a start and the reader of lost pins go by them.
DECIDING = {"active", "undone", "went-back", "unloaded", "pinned", "unpinned"}
#: What is kept when it is cut, in this order: of each group so many of its newest events, of the deciding ones alone or
#: of all kinds; then what is newest.
_KEPT = ((8, DECIDING), (40, DECIDING), (40, None), (None, None))


@dataclass(frozen=True)
class Event:
    """One line of the history.

    ``time``: RFC 3339 UTC. ``event``: ``active``, ``undone`` (active again by ``undo``), ``failed``, ``went-back``,
    ``unloaded``, ``actor-died``, ``actor-failed``, ``blocked``, ``killed`` (it did not exit when it was asked
    to), ``left-over`` (what an actor started outlived it and was ended), ``pinned``, ``unpinned``.
    """

    time: str
    group: str
    event: str
    version: str | None
    source_hash: str
    file: str
    text: str

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, str) and not (name == "version" and value is None):
                raise TypeError(f"{name} of an event is {value!r}")


class History:
    """The history of one state directory."""

    def __init__(self, state: Path) -> None:
        self.path = state / "history.jsonl"

    def append(self, event: Event) -> None:
        """Write one event and flush it to the disk.

        Raises:
            OSError: it cannot be written; no part of it is there then.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        line = json.dumps(asdict(event), ensure_ascii=False)
        handle = open_to_append(self.path, 0o600)
        try:
            append_line(handle, line.encode("utf-8", errors="backslashreplace"), self.path)
            size = os.fstat(handle).st_size
        finally:
            os.close(handle)
        if size > LARGEST:
            lines = _newest(read_regular(self.path, LONGEST_STATE).split(b"\n"), LARGEST // 2)
            write_atomically(self.path, b"".join(one + b"\n" for one in lines), mode=0o600)

    def read(self, group: str | None = None) -> list[Event]:
        """The events, oldest first, of all groups or of one; a line that a crash cut off is left out."""
        try:
            data = read_regular(self.path, LONGEST_STATE)
        except FileNotFoundError:
            return []
        events = map(_event, data.split(b"\n"))
        return [one for one in events if one and group in (None, one.group)]


def _event(line: bytes) -> Event | None:
    """A line's event; None where it does not read."""
    try:
        event = Event(**json.loads(line.decode("utf-8", "replace")))
        datetime.fromisoformat(event.time)
        return event
    except (ValueError, TypeError, RecursionError):
        return None


def _newest(lines: Sequence[bytes], limit: int) -> list[bytes]:
    """What is kept of a history that has grown too long: one group's many events take nothing from the others' trails.

    What `undo_target` and the like make of a group's newest deciding events is right, if not as deep.

    Args:
        lines: oldest first, without their ends.
        limit: bytes, ends included.
    """
    events = {number: event for number, line in enumerate(lines) if (event := _event(line))}
    kept: set[int] = set()
    for most, kinds in _KEPT:
        seen: Counter[str] = Counter()
        for number, event in reversed(events.items()):
            if kinds is not None and event.event not in kinds:
                continue
            seen[event.group] += 1
            if number in kept or (most is not None and seen[event.group] > most):
                continue
            limit -= len(lines[number]) + 1
            if limit < 0:
                return [lines[one] for one in sorted(kept)]
            kept.add(number)
    return [lines[one] for one in sorted(kept)]


def last_active(events: Iterable[Event]) -> Event | None:
    """How the version became active that was so last; None where it was unloaded since, or there was none.

    Args:
        events: of one group, oldest first.
    """
    last: Event | None = None
    for event in events:
        if event.event in ("active", "undone"):
            last = event
        elif event.event == "unloaded" and last and event.source_hash == last.source_hash:
            last = None
    return last


def undo_target(events: Iterable[Event], group: str) -> Event | None:
    """The activation that ``undo`` goes back to: the one before the present, as an editor's undo does.

    Two undos in a row go back two versions; after them, a load starts a new line from there.

    Args:
        events: oldest first.
    """
    trail = _trail(events, group)
    return trail[-2] if len(trail) > 1 else None


def nothing_to_undo(events: Iterable[Event], group: str) -> str:
    """Why there is no `undo_target`, for people."""
    trail = _trail(events, group)
    if not trail:
        return f"no version of {group!r} was active yet"
    return f"undo goes back no further than {Path(trail[-1].file).name}"


def _trail(events: Iterable[Event], group: str) -> list[Event]:
    """The activations that undo goes back along, the present one last."""
    trail: list[Event] = []
    for event in events:
        if event.group != group:
            continue
        if event.event == "active":
            trail = [one for one in trail if one.source_hash != event.source_hash]
            trail.append(event)
        elif event.event == "undone":
            while trail and trail[-1].source_hash != event.source_hash:
                trail.pop()
            trail = trail or [event]
        elif event.event == "went-back":
            trail = [one for one in trail if one.source_hash != event.source_hash]
    return trail
