"""What takes time is shown on a terminal; a log has one line a step."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from hatch_thespian.progress import Steps

SCRIPT = """
import sys, time
from hatch_thespian.progress import Steps
steps = Steps(line=lambda line: print(line, file=sys.stderr), title="thespian: farm: ")
with steps.step("resolving") as step:
    time.sleep(0.2)
    step.told = "resolved 3 distributions"
"""


def test_a_step_leaves_one_line_with_its_seconds_and_a_failed_one_leaves_none() -> None:
    told: list[str] = []
    steps = Steps(line=told.append, title="farm: ")
    with steps.step("archiving") as step:
        step.told = "archived 2 members"
    with pytest.raises(ValueError), steps.step("checking"):
        raise ValueError
    assert len(told) == 1 and told[0].startswith("farm: archived 2 members (0.0")


def test_a_terminal_shows_what_is_going_on() -> None:
    ours, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    environ.pop("NO_COLOR", None)
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stderr=theirs, env=environ) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
        assert process.wait(20) == 0
    os.close(ours)
    assert b"thespian: farm: resolving" in shown and b"resolved 3 distributions (0.2" in shown


def test_a_log_shows_the_line_alone() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert (
        done.stderr.startswith("thespian: farm: resolved 3 dist") and done.stderr.count("\n") == 1
    )
    assert "\x1b" not in done.stderr


def _read(handle: int) -> bytes:
    try:
        return os.read(handle, 4096)
    except OSError:  # the other end was closed
        return b""
