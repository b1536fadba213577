"""What a command shows where people look: progress on a terminal, and only there."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import sys
import time

import pytest

from tests.conftest import Host

pytestmark = pytest.mark.system

TLI = "{'Actors': {'app.slow.Slow': {'OnLoad': {'Role': 'Slow'}}}}"
SLOW = """
    import time
    from thespian.actors import ActorTypeDispatcher

    class Slow(ActorTypeDispatcher):
        def __init__(self):
            super().__init__()
            time.sleep(1)
"""


def load(host: Host, version: str, **environ: str) -> tuple[str, str]:
    """What `director load app` writes to stdout, a pipe, and to stderr, a terminal."""
    host.put("app", version, TLI, {"app/__init__.py": f"V = {version}\n", "app/slow.py": SLOW})
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "director", "load", "app"],
        env={**host.environment(), "TERM": "xterm", **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    seen, deadline = b"", time.monotonic() + 60
    try:
        with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
            while time.monotonic() < deadline:
                if select.select([ours], [], [], 0.5)[0]:
                    data = os.read(ours, 4096)
                    if not data:
                        break
                    seen += data
    finally:
        os.close(ours)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0, seen
    return out.decode(), seen.decode()


def test_a_load_shows_its_progress_on_a_terminal_and_nothing_of_it_in_a_pipe(host: Host) -> None:
    out, seen = load(host, "1.0")
    assert "loading app" in seen and seen.count("\r") > 5, "it moves while the actor starts"
    assert seen.endswith("\x1b[?25h\r\x1b[1A\x1b[2K") or "\x1b[?25h" in seen, "the cursor is back"
    assert out.startswith('Loaded "app"') and "loading" not in out and "\x1b" not in out
    out, seen = load(host, "2.0", TERM="dumb")
    assert seen == "" and out.startswith('Loaded "app"'), "a dumb terminal cannot show it"

    host.put("app", "3.0", TLI, {"app/__init__.py": "", "app/slow.py": SLOW})
    done = subprocess.run(
        [sys.executable, "-m", "director", "load", "app"],
        env=host.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0 and done.stderr == "" and "\x1b" not in done.stdout
