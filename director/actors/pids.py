"""The processes of a source that became role actors, by the marks that they leave (`director.actors.words`).

What lives here: which of them died before they were heard of, and ending those that do not listen. Thespian tells
neither: not the end of a process that left by ``os._exit`` while it started, nor the number of one that loops.
"""

from __future__ import annotations

import os
import signal

from director.actors.words import clear, folder_of, is_alive, starts


def died_since(directory: str, class_name: str, since: float) -> int:
    """A process that began to be an actor of this class at this time (seconds since the epoch) or later, and is dead.

    Returns:
        its id, and takes its mark away; 0 where there is none.
    """
    for start in starts(directory):
        if start.class_name == class_name and not start.alive:
            try:
                when = (folder_of(directory) / f"{start.pid}.start").stat().st_mtime
            except OSError:
                continue
            if when >= since - 0.05:  # the file system's clock may be coarser than ours
                clear(directory, start.pid)
                return start.pid
    return 0


def kill_all(directory: str) -> list[int]:
    """Kill every process of a source that still runs; none may any more.

    Returns:
        their ids.
    """
    killed = []
    for start in starts(directory):
        if _is_ours(start.pid):
            try:
                os.kill(start.pid, signal.SIGKILL)
                killed.append(start.pid)
            except OSError:
                pass
        clear(directory, start.pid)
    return killed


def _is_ours(pid: int) -> bool:
    """Whether it lives, is of this very actor system, and neither the Admin nor this process."""
    try:
        same = os.getsid(pid) == os.getsid(0)
    except OSError:
        return False
    return same and is_alive(pid) and pid not in {os.getpid(), os.getppid()}
