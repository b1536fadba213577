"""What the foreground process says of its own, each event a line of its level: to people, a journal, or as JSON.

What lives here: the three ways. What does not: which one it is (`director.foreground`), actors' lines
(`director.journal`, `director.logpipe`).
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

from director.journal import json_line, priority

#: Told an event, with its level of `logging`.
Tell = Callable[[int, str], None]


def to_people(level: int, text: str) -> None:
    """On standard error."""
    kind = "" if level == logging.INFO else f"{_name(level).lower()}: "
    sys.stderr.write(f"director: {kind}{text}\n")
    sys.stderr.flush()


def to_journal(level: int, text: str) -> None:
    """On standard error, one line an entry, led by its priority (sd-daemon(3))."""
    for line in text.splitlines():
        sys.stderr.write(f"<{priority(level)}>{line}\n")
    sys.stderr.flush()


def as_json(say: Callable[[str], None]) -> Tell:
    """As JSON, a document a line, by what says a line."""
    return lambda level, text: say(json_line(_name(level), "director", text))


def print_line(line: str) -> None:
    """A line on standard output, past Python's stream and its lock: a reader that stalls holds up this call alone."""
    data = f"{line}\n".encode("utf-8", "backslashreplace")
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        return  # a log that nobody takes any more ends nothing


def _name(level: int) -> str:
    return {logging.INFO: "INFO", logging.WARNING: "WARNING"}.get(level, "ERROR")
