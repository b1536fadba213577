"""The log of a systemd unit, read back from the journal as lines like those of a log file.

What lives here: asking journalctl for a unit's last entries, and their lines. What does not: which lines are a group's
(`director.logs`), writing the journal (`director.journal`).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

#: So many of the last entries are looked at, and so many bytes of what journalctl prints of them.
ENTRIES, LONGEST = 50_000, 64 << 20
_LEVELS = {"2": "CRITICAL", "3": "ERROR", "4": "WARNING", "6": "INFO", "7": "DEBUG"}
_FIELDS = "MESSAGE,PRIORITY,ACTOR_ADDRESS,LOGGER,CODE_FILE,CODE_LINE"


def unit_lines(name: str) -> list[str]:
    """The last lines of a unit's log, oldest first; none where this user may not read the journal, or there is none.

    Args:
        name: the unit's, without ending.
    """
    command = ["journalctl", f"--unit={name}.service", "--quiet", "--no-pager", "--reverse"]
    command += ["--output=json", "--all", f"--output-fields={_FIELDS}", f"--lines={ENTRIES}"]
    entries: list[list[str]] = []
    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            left = LONGEST
            while left > 0 and (line := process.stdout.readline(left)):
                left -= len(line)
                entries.append(list(_lines(line)))
            process.terminate()
    except OSError:
        return []
    return [line for entry in reversed(entries) for line in entry]


def _lines(told: bytes) -> Iterator[str]:
    """The lines of an entry, as `director.settings.logdefs` has files written."""
    try:
        entry: Mapping[str, Any] = json.loads(told)
        when = datetime.fromtimestamp(int(entry["__REALTIME_TIMESTAMP"]) / 1e6)
    except (ValueError, KeyError, TypeError):
        return  # cut off
    actor, message = _text(entry.get("ACTOR_ADDRESS")), _text(entry.get("MESSAGE"))
    level = _LEVELS.get(_text(entry.get("PRIORITY")), "INFO")
    place = _text(entry.get("CODE_FILE")).rpartition("/")[2]
    where = f" [{place}:{_text(entry.get('CODE_LINE'))}]" if place else ""
    stamp = f"{when:%Y-%m-%d %H:%M:%S},{when.microsecond // 1000:03d}"
    first, *rest = message.removeprefix(f"{actor} ").splitlines() or [""]
    yield f"{stamp} {level:<7} {actor} {_text(entry.get('LOGGER'))}  {first}{where}"
    yield from rest


def _text(value: Any) -> str:
    """A field's text; one that is not UTF-8 is told as numbers, and one that occurs twice as a list."""
    if isinstance(value, list) and all(isinstance(one, int) for one in value):
        return bytes(value).decode("utf-8", "replace")
    return value if isinstance(value, str) else ""
