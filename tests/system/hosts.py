"""Three hosts on one machine: network namespaces on a bridge, each with a director directory of its own.

Needs root and ``ip``; what uses it is skipped elsewhere, with a reason. Names end with this process's id, so that runs
do not meet. Host 1 leads; its address is the lowest.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from director.control import DirectorControl
from director.tls.keys import SigningKey
from director.tls.naming import file_name
from tests.conftest import make_tls

PORT = 1900
_LABS = itertools.cycle("abcdefgh")


def why_not() -> str:
    """Why three hosts cannot be made here, or ""."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "THREE HOSTS NOT TESTED: network namespaces need root on Linux"
    if shutil.which("ip") is None:
        return "THREE HOSTS NOT TESTED: no `ip` (package iproute2)"
    probe = f"dtp{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    if made.returncode:
        return f"THREE HOSTS NOT TESTED: no network namespaces here: {made.stderr.strip()}"
    veth = ["ip", "-n", probe, "link", "add", "name", "a", "type", "veth", "peer", "name", "b"]
    linked = subprocess.run(veth, capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", probe], check=False)
    return f"THREE HOSTS NOT TESTED: {linked.stderr.strip()}" if linked.returncode else ""


@dataclass
class LabHost:
    """One host: a namespace, an address, a director directory."""

    number: int
    space: str
    address: str
    directory: Path
    key: SigningKey
    lab: Lab = field(repr=False)
    environment: dict[str, str] = field(default_factory=dict)

    def put(
        self,
        group: str,
        version: str | None,
        tli: str,
        sources: Mapping[str, str | bytes],
        key: SigningKey | None = None,
        **told: Any,
    ) -> Path:
        """Sign a source and place it in the director directory; ``told`` as for `make_tls`."""
        path = self.directory / file_name(group, version)
        path.write_bytes(make_tls(key or self.key, group, version, tli, sources, **told))
        return path

    def command(self, *arguments: str) -> list[str]:
        """What runs a command on this host."""
        return ["ip", "netns", "exec", self.space, *arguments]

    def run(self, *arguments: str, limit: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a director command here."""
        command = self.command(sys.executable, "-m", "director", *arguments)
        environ = {**os.environ, **self.environment, "THESPIAN_DIRECTOR_DIR": str(self.directory)}
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=limit)

    def popen(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Begin a director command here; nobody reads what it says."""
        environ = {**os.environ, **self.environment, "THESPIAN_DIRECTOR_DIR": str(self.directory)}
        command = self.command(sys.executable, "-m", "director", *arguments)
        nothing = subprocess.DEVNULL
        return subprocess.Popen(command, env=environ, stdin=nothing, stdout=nothing, stderr=nothing)

    def start_as(self, code: str) -> None:
        """Start the actor system from a process that ran this code first: a host of another kind."""
        state = self.directory / ".state"
        for place in (state, self.directory.parent / "log"):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        result = self.directory.parent / "result.json"
        environ = {**os.environ, **self.environment, "THESPIAN_DIRECTOR_DIR": str(self.directory)}
        environ["DIRECTOR_SYSTEM"] = str(state)
        host = "import sys\nfrom director.actors.host import main\nsys.exit(main(sys.argv[1:]))\n"
        command = [sys.executable, "-I", "-c", f"{code}\n{host}"]
        nothing = subprocess.DEVNULL
        subprocess.run(
            self.command(*command, str(self.directory), str(state), str(result)),
            cwd="/",
            env=environ,
            stdin=nothing,
            stdout=nothing,
            stderr=nothing,
            start_new_session=True,
            check=True,
            timeout=60,
        )

    def done(self, *arguments: str, limit: float = 60) -> str:
        """Run a director command that has to succeed; returns its output."""
        told = self.run(*arguments, limit=limit)
        assert told.returncode == 0, f"{arguments}: {told.stdout}{told.stderr}"
        return told.stdout

    def json(self, *arguments: str) -> Any:
        """The document of a director command."""
        return json.loads(self.done(*arguments, "--json"))

    def status(self) -> Any:
        """The document of ``status``, whatever its exit status says."""
        return json.loads(self.run("status", "--json").stdout)

    def python(self, code: str, *arguments: str, limit: float = 60) -> Any:
        """Run Python here that prints one JSON document; returns it."""
        environ = {**os.environ, **self.environment, "THESPIAN_DIRECTOR_DIR": str(self.directory)}
        command = self.command(sys.executable, "-c", code, *arguments)
        told = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=limit)
        assert told.returncode == 0, told.stderr
        return json.loads(told.stdout.strip().splitlines()[-1])

    def ask(self, role: str, message: dict[str, Any], limit: float = 10) -> Any:
        """Ask a role by DirectorControl, as a client on this host; a string tells what went wrong."""
        return self.python(ASK, role, json.dumps(message), str(limit))

    def actors(self) -> list[int]:
        """The processes on this host that are of a loaded source."""
        found = []
        for pid in self.processes():
            with contextlib.suppress(OSError):
                state = str(self.directory / ".state" / "unpacked")
                maps = (os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir())  # noqa: PTH115
                if any(link.startswith(state) and ".complete" in link for link in maps):
                    found.append(pid)
        return found

    def processes(self) -> list[int]:
        """The processes of this host's actor system."""
        with DirectorControl(self.directory) as control:
            return control.processes.members()

    def cut(self) -> None:
        """Pull the plug."""
        _ip("-n", self.lab.switch, "link", "set", f"p{self.number}", "down")

    def mend(self) -> None:
        """Put it in again."""
        _ip("-n", self.lab.switch, "link", "set", f"p{self.number}", "up")

    def crash(self) -> None:
        """The machine loses power: all at once, nothing is told to anybody."""
        self.cut()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not self.processes())
        self.mend()

    def network(self) -> str:
        """Names this host in ``/proc/PID/ns/net`` of its processes."""
        command = self.command("readlink", "/proc/self/ns/net")
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def log(self) -> str:
        """What its actors logged."""
        return "".join(p.read_text() for p in sorted((self.directory.parent / "log").glob("*.log")))


ASK = """
import json, sys
from director import DirectorControl
from director.errors import DirectorError
with DirectorControl() as control:
    try:
        role = control.role(sys.argv[1])
        told = role.ask(json.loads(sys.argv[2]), float(sys.argv[3])) if role else "no such role"
    except DirectorError as problem:
        told = f"{problem.code}: {problem}"
print(json.dumps(told))
"""


@dataclass
class Lab:
    """The switch and the hosts; ``hosts[0]`` leads."""

    switch: str
    hosts: list[LabHost] = field(default_factory=list)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def wait_for(what: Callable[[], Any], limit: float = 30, pause: float = 0.2) -> Any:
    """The first true answer; fails after so many seconds."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        told = what()
        if told:
            return told
        time.sleep(pause)
    raise AssertionError(f"not within {limit} s: {what}")


@contextlib.contextmanager
def three_hosts(home: Path, key: SigningKey) -> Iterator[Lab]:
    """Three hosts, nothing running; whatever is started is stopped, and nothing is left over.

    Host 2 has the capability ``Two`` and host 3 ``Three``, both have ``Worker``.
    """
    mark = f"dt{os.getpid()}{next(_LABS)}"
    lab = Lab(f"{mark}sw")
    _ip("netns", "add", lab.switch)
    try:
        _ip("-n", lab.switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", lab.switch, "link", "set", "br0", "up")
        for number in (1, 2, 3):
            space, address = f"{mark}h{number}", f"10.77.0.{number}"
            _ip("netns", "add", space)
            peer = ["type", "veth", "peer", "name", f"p{number}", "netns", lab.switch]
            _ip("-n", space, "link", "add", "eth0", *peer)
            _ip("-n", lab.switch, "link", "set", f"p{number}", "master", "br0", "up")
            _ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                _ip("-n", space, "link", "set", link, "up")
            names = Path("/etc/netns") / space
            names.mkdir(parents=True, exist_ok=True)
            text = f"127.0.0.1 localhost\n{address} {space} {socket.gethostname()}\n"
            (names / "hosts").write_text(text)
            (names / "resolv.conf").write_text("")
            directory = home / f"h{number}" / "director"
            directory.mkdir(parents=True)
            (directory / "sourcekey_tls.key").write_bytes(key.public_pem)
            capabilities = [
                "{}",
                "{'Two': True, 'Worker': True}",
                "{'Three': True, 'Worker': True}",
            ]
            told = {
                "adminport": str(PORT),
                "thesplogd": str(home / f"h{number}" / "log"),
                "convleader": f"10.77.0.1:{PORT}",
                "othercaps": capabilities[number - 1],
            }
            for name, value in told.items():
                (directory / f"{name}.cfg").write_text(value)
            lab.hosts.append(LabHost(number, space, address, directory, key, lab))
        yield lab
        for host in reversed(lab.hosts):
            host.mend()
            if host.processes():
                stopped = host.run("shutdown")
                assert stopped.returncode == 0 and "killed" not in stopped.stdout, (
                    stopped.stdout + stopped.stderr
                )
        left = [pid for host in lab.hosts for pid in host.processes()]
        assert not left, "a process was left over"
    finally:
        for host in lab.hosts:
            for pid in host.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for space in [*(host.space for host in lab.hosts), lab.switch]:
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)
            shutil.rmtree(Path("/etc/netns") / space, ignore_errors=True)
