"""The process that starts an actor system: how it is run, how its processes are marked, and the record that it leaves.

What lives here: running `director.actors.host`, ``system.json``, which that process writes itself, so that whoever
asked for the start may end meanwhile, and ending what a start that failed left. What does not: what the record is
read for (`director.system`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from director import kernel
from director.convention import SOURCE_VARIABLE
from director.files import write_atomically

#: Seconds that starting a system may take.
START_LIMIT = 60.0
#: The module that is run.
HOST = "director.actors.host"
#: The environment variable that every process of a system has, with its state directory: it tells whose it is.
SYSTEM_VARIABLE = "DIRECTOR_SYSTEM"
#: The environment variable that the processes of one start have, with the file of its result.
START_VARIABLE = "DIRECTOR_START"
#: Has the package setproctitle, by which Thespian names processes where it is installed, write over the command line
#: alone: it would over the environment too, and with it over our marks.
_KEEP_ENVIRONMENT = "SPT_NOENV"
#: The file in the state directory that tells how the system was started last.
RECORD = "system.json"
#: Its key, while a system is being started: the process that does it.
STARTING = "starting"


def write_record(state: Path, told: dict[str, Any]) -> None:
    """Write the record of a system that is being started, or was (OSError)."""
    write_atomically(state / RECORD, json.dumps(told).encode(), mode=0o600)


def run_host(directory: Path, state: Path, environ: dict[str, str]) -> dict[str, Any]:
    """Start a system, and wait until it stands, or nothing of it is left.

    Args:
        directory: the director directory.
        state: the state directory.
        environ: what the system gets as its environment.

    Returns:
        ``ok``, and where it is false why: ``logging``, ``state`` (the record cannot be written) or ``error``.
    """
    with tempfile.TemporaryDirectory(prefix="director-start-") as folder:
        result = Path(folder) / "result.json"
        # `-I` leaves out PYTHON* variables and the working directory: actors inherit sys.path.
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", HOST, str(directory), str(state), str(result)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=_environment(state, result, environ),
            close_fds=True,
            start_new_session=True,
        )
        try:
            process.wait(START_LIMIT)
        except subprocess.TimeoutExpired:
            _kill_start(result)
            process.wait()
            return {"ok": False, "error": f"no answer within {START_LIMIT:.0f} s"}
        except BaseException:  # who is told to stop meanwhile takes the start back
            _kill_start(result)
            process.wait()
            raise
        told: dict[str, Any]
        if result.is_file():
            told = json.loads(result.read_text(encoding="utf-8"))
        else:
            told = {"ok": False, "error": f"the starting process ended with {process.returncode}"}
        if not told["ok"]:
            _kill_start(result)
        return told


def _environment(state: Path, result: Path, environ: dict[str, str]) -> dict[str, str]:
    """Also where an actor of some source starts the system: no process of it is of that source."""
    kept = {name: value for name, value in environ.items() if name != SOURCE_VARIABLE}
    marks = {SYSTEM_VARIABLE: str(state), START_VARIABLE: str(result), _KEEP_ENVIRONMENT: "1"}
    return {**kept, **marks}


def _kill_start(result: Path) -> None:
    """Kill every process of a start that failed: an Admin of it has a session of its own, but the same environment.

    Args:
        result: the file of this very start, which no other process was told of.
    """
    mark = os.fsencode(f"{START_VARIABLE}={result}")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        left = [pid for pid in kernel.all_pids() if mark in kernel.environment_of(pid)]
        if not left:
            return
        for pid in left:  # again and again: one may have forked meanwhile
            kernel.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
