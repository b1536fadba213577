"""``systemctl reload``: tells a service's main process to refresh, and waits until it has.

What lives here: the unit's ExecReload, run as ``python -I -m director.reload PID`` (systemd takes a reload for done
when this ends), and the file by which the main process tells it. Only the standard library: it has to be quick.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

#: The file in the runtime directory that tells how far reloads are.
NAME = "reload.json"


@dataclass
class Reloads:
    """How many reloads were begun, how many have ended, and how the last one did: "" is well."""

    begun: int = 0
    ended: int = 0
    failed: str = ""

    def write(self, environ: Mapping[str, str]) -> None:
        """Tell it, where there is a runtime directory (OSError)."""
        path = _path(environ)
        if path is None:
            return
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self)), encoding="utf-8")
        new.replace(path)


def read(environ: Mapping[str, str]) -> Reloads:
    """What the main process told; it has told nothing before its first reload."""
    path = _path(environ)
    try:
        return Reloads(**json.loads(path.read_text(encoding="utf-8"))) if path else Reloads()
    except (OSError, ValueError, TypeError):
        return Reloads()


def _path(environ: Mapping[str, str]) -> Path | None:
    place = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return Path(place) / NAME if place else None


def _unwritable(environ: Mapping[str, str]) -> str:
    """Why the main process could not tell anything, "" where it could: a full disk takes a name, and no bytes."""
    path = _path(environ)
    if path is None:
        return ""
    trial = path.with_suffix(".trial")
    try:
        trial.write_bytes(b"x" * 4096)
        trial.unlink()
    except OSError as problem:
        return f"{path} cannot be written: {problem.strerror}"
    return ""


def main(pid: int, environ: Mapping[str, str]) -> int:
    """Have the main process reload, and wait for it; systemd bounds the time (TimeoutStartSec).

    Args:
        pid: the main process.
        environ: RUNTIME_DIRECTORY is read from it; without one there is nothing to wait for.

    Returns:
        0, or 1 where it failed, the process ended, or cannot tell here how it goes; it is told to all the same.
    """
    unheard = _unwritable(environ)
    if unheard:
        sys.stderr.write(f"<4>{unheard}: when the reload has ended, and how, only the log tells\n")
        os.kill(pid, signal.SIGHUP)
        return 1
    # One that goes on now may have looked before what is to be loaded was there: the next one counts.
    wanted = read(environ).begun + 1
    try:
        os.kill(pid, signal.SIGHUP)
        while _path(environ) and (told := read(environ)).ended < wanted:
            os.kill(pid, 0)
            time.sleep(0.05)
    except ProcessLookupError:
        sys.stderr.write("<3>the service ended before it had reloaded\n")
        return 1
    if _path(environ) and told.failed:
        sys.stderr.write(f"<3>{told.failed}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), os.environ))
