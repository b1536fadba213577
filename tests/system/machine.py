"""A machine that boots a real systemd, in namespaces on an overlay of this machine's root (`boot-machine.sh`)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

SCRIPT = Path(__file__).with_name("boot-machine.sh")
_PATH = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_PAGER": "cat", "LC_ALL": "C.UTF-8"}
REBOOT, POWER_OFF = 129, 130


def cannot_boot(work: Path) -> str:
    """Why no machine can be booted here; "" where one can."""
    if os.geteuid() != 0:
        return "not root"
    for path in ("/lib/systemd/systemd", "/usr/bin/python3"):
        if not Path(path).exists():
            return f"{path} is not installed"
    for command in ("unshare", "nsenter", "setpriv", "ip", "systemctl"):
        if shutil.which(command) is None:
            return f"there is no command {command}"
    tried = subprocess.run(
        ["bash", str(SCRIPT), str(work), "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        return f"no overlay or namespaces: {tried.stderr.strip()[-300:]}"
    group = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "cgroup2", "x", str(work / "cgroup")],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"no cgroup v2: {group.stderr.strip()}" if group.returncode else ""


class Machine:
    """One machine; ``disk`` is what it wrote (and what a test laid out for it)."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.disk = work / "disk"
        self.first = 0
        self.process: subprocess.Popen[bytes] | None = None

    def prepare(self, *command: str, timeout: float = 300) -> str:
        """Run a command on the disk, before there is a system."""
        done = subprocess.run(
            ["bash", str(SCRIPT), str(self.work), *command],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def boot(self) -> None:
        """Boot, and wait until the system has come up."""
        (self.work / "pid").unlink(missing_ok=True)
        self.process = subprocess.Popen(
            # Should the tests be killed, so is the machine.
            ["setpriv", "--pdeathsig", "KILL", "bash", str(SCRIPT), str(self.work)],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.eventually((self.work / "pid").exists, 30)
        self.first = int((self.work / "pid").read_text())
        self.eventually(
            lambda: (
                self.run("systemctl", "is-system-running", check=False).strip()
                in {"running", "degraded"}
            ),
            120,
        )

    def run(self, *command: str, check: bool = True, timeout: float = 120) -> str:
        """Run a command inside; both outputs."""
        done = self.result(*command, timeout=timeout)
        if check:
            assert done.returncode == 0, f"{command} → {done.returncode}: {done.stdout}"
        return done.stdout

    def words(self, *command: str) -> list[str]:
        """What runs a command inside, for `subprocess`."""
        enter = ["nsenter", "-t", str(self.first), "-m", "-p", "-n", "-u", "-i", "-C", "-r", "-w"]
        return [*enter, "env", "-i", *(f"{key}={value}" for key, value in _PATH.items()), *command]

    def result(self, *command: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command inside, whatever comes of it."""
        return subprocess.run(
            self.words(*command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )

    def reboot(self) -> None:
        """``systemctl reboot``, and wait until it is up again."""
        self._end("reboot", REBOOT)
        self.boot()

    def power_off(self) -> None:
        """``systemctl poweroff``."""
        self._end("poweroff", POWER_OFF)

    def _end(self, word: str, status: int) -> None:
        assert self.process is not None
        self.result("systemctl", word)
        assert self.process.wait(90) == status, self.console()

    def kill(self) -> None:
        """Pull the plug, if it still runs."""
        if self.process is not None and self.process.poll() is None:
            if self.first and Path(f"/proc/{self.first}").exists():
                os.kill(self.first, signal.SIGKILL)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(30)

    def console(self) -> str:
        """What it wrote to its console."""
        return (self.work / "console").read_text(errors="replace")[-4000:]

    def eventually(self, holds: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until something is true."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert self.process is None or self.process.poll() is None, self.console()
            assert time.monotonic() < deadline, f"it never came true: {self.console()}"
            time.sleep(0.1)
