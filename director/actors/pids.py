"""The processes of a source that became role actors, by the marks that they leave (`director.actors.words`).

What lives here: which of them died before they were heard of, and ending those that do not listen. Thespian tells
neither: not the end of a process that left by ``os._exit`` while it started, nor the number of one that loops.
"""

from __future__ import annotations

import os
import signal

from director.actors import leftovers
from director.actors.words import clear, folder_of, is_alive, starts

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


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


def kill_all(directory: str, source_hash: str) -> list[int]:
    """Kill every process of a source that still runs; none may any more.

    Args:
        directory: where it is unpacked.
        source_hash: Thespian's name of it.

    Returns:
        their ids.
    """
    killed = {one.pid for one in leftovers.of_source(directory, source_hash) if one.signal(KILL)}
    for start in starts(directory):
        if start.pid not in killed and _is_ours(start.pid) and _kill(start.pid):
            killed.add(start.pid)
        clear(directory, start.pid)
    return sorted(killed)


def kill_actor(directory: str, class_name: str, since: float, port: int) -> int:
    """Kill the process of one actor, and what it started.

    Args:
        directory: where its source is unpacked.
        class_name: of the actor.
        since: when it was created, seconds since the epoch.
        port: that it listens at; 0 where that is not known, and then it is the last process that began to be one.

    Returns:
        its id; 0 where it was not found.
    """
    ours = [one.pid for one in leftovers.of_source(directory, "")]
    pid = leftovers.listener(port, ours) if port else 0
    if not port:
        for start in starts(directory):
            if start.class_name == class_name and start.alive and _is_ours(start.pid):
                when = (folder_of(directory) / f"{start.pid}.start").stat().st_mtime
                pid = start.pid if when >= since - 0.05 else pid
    if not pid:
        return 0
    try:
        if os.getpgid(pid) == pid:
            os.killpg(pid, KILL)
        else:
            os.kill(pid, KILL)
    except OSError:
        return 0
    return pid


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, KILL)
    except OSError:
        return False
    return True


def _is_ours(pid: int) -> bool:
    """Whether it lives, is of this very actor system, and neither the Admin nor this process."""
    try:
        same = os.getsid(pid) == os.getsid(0)
    except OSError:
        return False
    return same and is_alive(pid) and pid not in {os.getpid(), os.getppid()}
