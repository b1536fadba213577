"""The log lines of one group's actors, picked out of the logs of a whole system.

What lives here: which lines are a group's, and reading the last part of log files. What does not: where logs are
written (`director.settings.config`), printing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

#: So many bytes of each log file are looked at, from its end.
TAIL = 4 << 20
#: How the Director logs that it met an actor: its address stands in the actor's own lines.
MET = "group {group}: {class_name} is {address}"
_MET = re.compile(r"group (\S+): (\S+) is (ActorAddr-\(\S+\))")
_DATED = re.compile(r"\d{4}-\d\d-\d\d")


def select(lines: Iterable[str], group: str, addresses: Iterable[str]) -> Iterator[str]:
    """The lines of a group: those of its actors' addresses, past ones too, or that name it; with their tracebacks.

    Args:
        lines: of a log whose format shows the actor's address.
        addresses: of the actors that live now.
    """
    lines = list(lines)
    known = set(addresses)
    first: dict[str, str] = {}  # whose an address was when it was met: what it said before, too
    for line in lines:
        if met := _MET.search(line):
            first.setdefault(met[3], met[1])
    known |= {address for address, theirs in first.items() if theirs == group}
    known -= {address for address, theirs in first.items() if theirs != group}
    named = re.compile(rf"\bgroup {re.escape(group)}\b|/{re.escape(group)}(-[^/\s]*)?\.tls\b")
    mine = False
    for line in lines:
        if _DATED.match(line):
            met = _MET.search(line)
            if met and met[1] == group:
                known.add(met[3])
            elif met:
                known.discard(met[3])  # the port of an actor of ours that is another's now
            mine = bool(named.search(line)) or any(address in line for address in known)
        if mine:
            yield line


def read_tail(path: Path) -> list[str]:
    """The last lines of a file; none where it cannot be read."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(size - TAIL, 0))
            lines = stream.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return lines[1:] if size > TAIL else lines


def log_files(logging: dict[str, object]) -> Sequence[Path]:
    """The files that a logging configuration writes, each with what was rotated away, oldest first."""
    handlers = logging.get("handlers")
    found: list[Path] = []
    for handler in handlers.values() if isinstance(handlers, dict) else []:
        name = handler.get("filename") if isinstance(handler, dict) else None
        if isinstance(name, str):
            path = Path(name)
            rotated = (p for p in path.parent.glob(f"{path.name}.*") if p.is_file())
            found += sorted(rotated, key=lambda p: p.stat().st_mtime)
            found.append(path)
    return found
