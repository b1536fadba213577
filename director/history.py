"""What happened to each group: ``history.jsonl`` of the state directory.

What lives here: the file (one event a line, the newest last), and what ``undo`` means. The Director alone writes it;
everybody may read. What does not: deciding anything (`director.actors.groups`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from director.files import LONGEST_STATE, open_to_append, read_regular, write_atomically

#: The history is cut to its newest half when it grows beyond so many bytes.
LARGEST = 1 << 20


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


class History:
    """The history of one state directory."""

    def __init__(self, state: Path) -> None:
        self.path = state / "history.jsonl"

    def append(self, event: Event) -> None:
        """Write one event and flush it to the disk (OSError where that fails)."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        line = json.dumps(asdict(event), ensure_ascii=False) + "\n"
        handle = open_to_append(self.path, 0o600)
        try:
            os.write(handle, line.encode("utf-8", errors="backslashreplace"))
            os.fsync(handle)
            size = os.fstat(handle).st_size
        finally:
            os.close(handle)
        if size > LARGEST:
            lines = read_regular(self.path, LONGEST_STATE).splitlines(keepends=True)
            write_atomically(self.path, b"".join(lines[len(lines) // 2 :]), mode=0o600)

    def read(self, group: str | None = None) -> list[Event]:
        """The events, oldest first, of all groups or of one; a line that a crash cut off is left out."""
        try:
            data = read_regular(self.path, LONGEST_STATE)
        except FileNotFoundError:
            return []
        found = []
        for line in data.decode("utf-8", "replace").splitlines():
            try:
                event = Event(**json.loads(line))
            except (ValueError, TypeError):
                continue
            if group is None or event.group == group:
                found.append(event)
        return found


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
