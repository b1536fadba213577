"""The places that the system writes to: whether they are there, have room, and can be written.

What lives here: the state directory, the log directory, and their file systems.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from director.doctor.finding import Finding, error, warning

#: Free bytes below which a disk counts as full, and below which it soon will be: a source is unpacked, logs rotate.
FULL, SCARCE = 1 << 20, 100 << 20

#: What tells of a path's file system: `os.statvfs`, where there is one.
Volume = Callable[[Path], Any]


def state(place: Path, *, running: bool, port: int) -> Iterator[Finding]:
    """The state directory, which holds pins, history, marks, and what finds the system's processes.

    Args:
        place: the directory.
        running: whether something answers at the Admin's port.
        port: that port.
    """
    if place.is_dir():
        return
    if place.exists() or place.is_symlink():
        yield error(
            "state", f"The state directory {place} is no directory.", "Move it out of the way."
        )
    elif running:
        yield error(
            "no-state",
            f"The state directory {place} is gone, but an actor system answers at port {port}: "
            "its processes cannot be found, and pins, history and the highest versions seen are lost.",
            "Restore it; else end that system's processes by hand, then `director start`.",
        )
    elif not os.access(_existing(place), os.W_OK):
        yield error(
            "no-state",
            f"The state directory {place} does not exist and this user cannot make it.",
            f"Make it and give it to the actor system's user, or set THESPIAN_DIRECTOR_STATE: mkdir -m 700 {place}",
        )
    else:
        yield warning(
            "no-state",
            f"The state directory {place} does not exist: nothing was started here yet, or it was removed.",
            "`director start` makes it. Was there one, restore it: pins, history and the highest versions were in it.",
        )


def disks(places: dict[str, Path], volume: Volume | None = None) -> Iterator[Finding]:
    """The file systems of what is written; one that holds several is told of once.

    Args:
        places: what each is for, and its path, which need not exist.
        volume: tells of a file system.
    """
    volume = volume or getattr(os, "statvfs", None)
    if volume is None:
        return
    seen: set[tuple[int, str]] = set()
    for what, path in places.items():
        there = _existing(path)
        try:
            told, device = volume(there), there.stat().st_dev
        except OSError as problem:
            yield error("disk", f"{there}: {problem.strerror}.", "Look after that file system.")
            continue
        for finding in _disk(what, path, told):
            if (device, finding.code) not in seen:
                seen.add((device, finding.code))
                yield finding


def _disk(what: str, path: Path, told: Any) -> Iterator[Finding]:
    if told.f_flag & getattr(os, "ST_RDONLY", 1):
        yield error(
            "read-only",
            f"{path}, {what}, lies on a file system that is mounted read-only.",
            "Mount it writable, or have it elsewhere (THESPIAN_DIRECTOR_STATE, thesplogd.cfg).",
        )
        return
    free = told.f_bavail * told.f_frsize
    if free < FULL:
        yield error(
            "disk-full",
            f"The disk of {path}, {what}, is full: {free >> 10} KiB are free.",
            "Make room: loads fail, and neither pins nor history are kept.",
        )
    elif free < SCARCE:
        yield warning(
            "disk-full",
            f"The disk of {path}, {what}, is nearly full: {free >> 20} MiB are free.",
            "Make room: a load unpacks its source there.",
        )
    if told.f_files and not told.f_favail:
        yield error(
            "no-inodes",
            f"The disk of {path}, {what}, takes no more files.",
            "Remove files there: each source is unpacked into its own.",
        )


def _existing(path: Path) -> Path:
    while not os.path.exists(path) and path != path.parent:  # noqa: PTH110 - Path.exists raises where one may not look
        path = path.parent
    return path
