"""Processes of loaded sources that nobody supervises any more (Linux; elsewhere none are found).

What lives here: finding and ending them. A process of a source holds the marker of its unpacked directory open as long
as it lives (`director.actors.runtime`), and so do its forks.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path


def end_older(directory: str, age: float) -> list[int]:
    """Kill the processes of an unpacked source that are older than this.

    Args:
        directory: where the source is unpacked.
        age: seconds.

    Returns:
        their ids.
    """
    ended = []
    for pid, told in running(directory):
        if told > age:
            try:
                os.kill(pid, signal.SIGKILL)
                ended.append(pid)
            except OSError:
                continue
    return ended


def running(directory: str) -> list[tuple[int, float]]:
    """The processes of this actor system that are of an unpacked source, each with its age in seconds."""
    marker = os.path.realpath(Path(directory) / ".complete")
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        try:
            if os.getsid(pid) != os.getsid(0) or pid in {os.getpid(), os.getppid()}:
                continue
            links = [os.readlink(link) for link in (entry / "fd").iterdir()]  # noqa: PTH115
            if marker in links:
                found.append((pid, _age(entry)))
        except OSError:
            continue  # it ended meanwhile
    return found


def _age(entry: Path) -> float:
    started = int((entry / "stat").read_text().rpartition(")")[2].split()[19])
    up = float(Path("/proc/uptime").read_text().split()[0])
    return up - started / os.sysconf("SC_CLK_TCK")
