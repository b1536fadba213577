"""What the kernel tells of processes (Linux's /proc; elsewhere nothing is found), and ending them.

What lives here: which processes there are, their sessions, command lines and environments. What does not: whose they
are (`director.system`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path


def all_pids() -> list[int]:
    """The ids of all processes."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208
    except OSError:
        return []


def session_members(session: int) -> list[int]:
    """The ids of the living processes of a session."""
    found = []
    for pid in all_pids():
        try:
            if os.getsid(pid) == session and is_there(pid):  # a call costs less than a file
                found.append(pid)
        except OSError:
            continue  # it ended meanwhile
    return found


def is_there(pid: int) -> bool:
    """Whether a process has not ended; its environment is gone a moment before it has."""
    try:
        fields: Sequence[str] = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] not in "ZX"


def command_line_of(pid: int) -> list[bytes]:
    """The words that a process was started with; none of one that ended."""
    return _words(pid, "cmdline")


def environment_of(pid: int) -> list[bytes]:
    """The variables that a process was started with, ``NAME=VALUE``; none of one that ended or is another user's."""
    return _words(pid, "environ")


def _words(pid: int, name: str) -> list[bytes]:
    try:
        told = Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return []
    return [word for word in told.split(b"\0") if word]


def kill(pid: int, number: signal.Signals) -> bool:
    """Send a signal; False where there is no such process any more."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
