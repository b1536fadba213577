"""The processes of one actor system: whether they run, starting them, seeing that all have ended.

What lives here: the admin port, the process that starts a system, ``system.json`` in the state directory, and what
a dead Admin left behind. What does not: talking to the system (`director.control`).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from director.convention import SOURCE_VARIABLE
from director.errors import DirectorError, SettingsError
from director.files import LONGEST_STATE, read_regular, write_atomically
from director.settings.config import Config, logging_refused

#: Seconds that starting a system, and ending its processes, may take.
START_LIMIT, STOP_LIMIT = 60.0, 15.0
#: Seconds that what actors started may go on when all actors have ended.
STRAY_LIMIT = 2.0
#: The system bases that go on by themselves and can be reached from other processes.
BASES_THAT_STAY = ("multiprocTCPBase", "multiprocUDPBase")
_HOST = "director.actors.host"
#: The file in the state directory that the Director leaves when the system is shut down and did not die.
MEANT_END = "ended"


@dataclass(frozen=True)
class SystemProcesses:
    """The processes of the actor system of a director directory.

    Args:
        config: its settings.
        state: its state directory.
        environ: what a system that is started here gets as its environment.
        say: told each step.
    """

    config: Config
    state: Path
    environ: dict[str, str]
    say: Callable[[str], None]

    @classmethod
    def present(
        cls, config: Config, state: Path, environ: dict[str, str], say: Callable[[str], None]
    ) -> Self:
        """Those of the system that runs, where one does: at the port and on the base that it was started with.

        ``adminport.cfg`` and ``thespbase.cfg`` may say otherwise by now, which counts from the next start. A system of
        the base that ``oldthespbase.cfg`` names is none that is worked with: it is to be ended.
        """
        asked = cls(config, state, environ, say)
        port, base = asked._known("admin_port"), asked._text("system_base")
        if (port, base) == (config.admin_port, config.system_base) or not (port and base):
            return asked
        if base == config.old_system_base or not asked.admin_lives():
            return asked
        return cls(replace(config, admin_port=port, system_base=base), state, environ, say)

    def left_behind(self, config: Config) -> str:
        """What of these settings the running system does not follow, as a sentence; "" where it follows all.

        Args:
            config: the settings as they read now.
        """
        ours, told = self.config, []
        if ours.admin_port != config.admin_port:
            told.append(f"at port {ours.admin_port}, while adminport.cfg says {config.admin_port}")
        if ours.system_base != config.system_base:
            told.append(f"on {ours.system_base}, while thespbase.cfg says {config.system_base}")
        return f"The actor system runs {', and '.join(told)}." if told else ""

    def running(self) -> bool:
        """Whether something answers at the admin port; never starts anything.

        Actors inherit the Admin's listening socket: after its death the port goes on taking connections for a while,
        and nobody answers them. So an Admin known to be dead is not running, whatever the port does.
        """
        if self.members() and not self.admin_lives():
            return False
        if self.config.system_base == "multiprocUDPBase":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                try:
                    probe.bind(("", self.config.admin_port))
                except OSError:
                    return True
            return False
        try:
            with socket.create_connection(("127.0.0.1", self.config.admin_port), timeout=5):
                return True
        except OSError:
            return False

    def start(self) -> None:
        """Start a system; the caller holds the lock and saw that none runs.

        Raises:
            DirectorError: it did not come up.
            SettingsError: ``thesplog.cfg`` is nothing that `logging` takes; nothing runs.
        """
        if self.config.system_base not in BASES_THAT_STAY:
            raise DirectorError(
                f"{self.config.system_base} ends with the process that starts it, so that nothing can be started.",
                hint=f"Write {' or '.join(BASES_THAT_STAY)} into thespbase.cfg.",
                code="system-base",
            )
        for place in (self.state, self.config.log_directory):
            self._make(place)
        (self.state / MEANT_END).unlink(missing_ok=True)
        self.say(f"starting {self.config.system_base} at admin port {self.config.admin_port}")
        told = self._run_host()
        if told.get("logging"):
            raise logging_refused(self.config.directory, self.environ, told["logging"])
        if not told.get("ok"):
            raise DirectorError(
                f"The actor system did not start: {told.get('error', 'no reason given')}.",
                hint=f"Look into {self.config.log_directory}; is port {self.config.admin_port} free?",
            )
        try:
            write_atomically(self._record, json.dumps(told).encode(), mode=0o600)
        except OSError as problem:
            # Nobody could find its processes again.
            self._kill_session(int(told["session"]))
            raise DirectorError(
                f"The actor system was ended again: {self._record} cannot be written: {problem.strerror}.",
                hint="Make room, or mend the permissions there.",
                code="state",
            ) from None

    def require_access(self) -> None:
        """See that this user may change what runs, before anything is sent: the port does not ask who sends.

        Raises:
            DirectorError: code ``not-permitted``: the state directory is another user's.
        """
        try:
            read_regular(self._record, LONGEST_STATE)
            refused = not os.access(self.state, os.W_OK | os.X_OK)
        except PermissionError:
            refused = True
        except OSError:
            return  # no system was started here, or its record does not read: told elsewhere
        if refused:
            raise DirectorError(
                f"This user may not change what runs: {self.state} is another user's. Nothing was sent.",
                hint="Root may, and the user that it runs as.",
                code="not-permitted",
            )

    def members(self) -> list[int]:
        """The ids of the living processes of the system that was started last (Linux; elsewhere none)."""
        session = self._known("session")
        # A session's number may be another's by now: only processes that tell where they are from count.
        return [pid for pid in session_members(session) if self._is_ours(pid)] if session else []

    def strays(self) -> list[int]:
        """The ids of processes that actors started and that left the system's session; their environment tells.

        Whoever runs this, perhaps on an actor's behalf, is none.
        """
        mark = f"DIRECTOR_SYSTEM={self.state}".encode()
        session, own = self._known("session"), {os.getpid(), os.getppid()}
        found = []
        for pid in _all():
            try:
                told = pid not in own and Path(f"/proc/{pid}/environ").read_bytes()
                if told and mark in told.split(b"\0") and os.getsid(pid) != session:
                    found.append(pid)
            except OSError:
                continue  # it ended meanwhile, or is another user's
        return found

    def admin_lives(self) -> bool:
        """Whether the Admin of the system that was started last is there (Linux; elsewhere it is not seen)."""
        return self._known("admin_pid") in self.members()

    def _known(self, key: str) -> int:
        """A number of ``system.json``; 0 where there is none."""
        try:
            return int(self._told()[key])
        except (ValueError, KeyError, TypeError):
            return 0

    def _text(self, key: str) -> str:
        """A word of ``system.json``; "" where there is none."""
        found = self._told().get(key)
        return found if isinstance(found, str) else ""

    def _told(self) -> dict[str, Any]:
        try:
            found = json.loads(read_regular(self._record, LONGEST_STATE))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def environment(self) -> dict[str, str] | None:
        """The variables that the running system was started with; None where that cannot be seen."""
        for pid in self.members():
            try:
                told = Path(f"/proc/{pid}/environ").read_bytes()
            except OSError:
                continue
            pairs = (os.fsdecode(part).partition("=") for part in told.split(b"\0") if part)
            found = {name: value for name, _, value in pairs}
            if "DIRECTOR_SYSTEM" in found:
                return found
        return None

    def wait_until_gone(self, limit: float = STOP_LIMIT) -> list[int]:
        """Wait for every process to end; those that do not within ``limit`` seconds are killed.

        The Admin ends after its actors: what is there without it is what actors started, which is asked to end.

        Returns:
            the ids of the processes that had to be killed.
        """
        deadline, asked = time.monotonic() + limit, False
        admin = self._known("admin_pid")
        while (left := self.members()) and time.monotonic() < deadline:
            if admin not in left and not asked:
                asked = True
                deadline = min(deadline, time.monotonic() + STRAY_LIMIT)
                for pid in left:
                    _kill(pid, signal.SIGTERM)
            time.sleep(0.05)
        left += self.strays()
        killed = [pid for pid in left if _kill(pid, signal.SIGKILL)]
        deadline = time.monotonic() + 5
        while (self.members() or any(map(_there, killed))) and time.monotonic() < deadline:
            time.sleep(0.02)
        self._record.unlink(missing_ok=True)
        return killed

    def end_leftovers(self) -> list[int]:
        """End what a dead Admin left behind: its actors go on without it and answer nobody.

        Returns:
            the ids of the processes that were there.
        """
        left = self.members() + self.strays()
        for pid in left:
            _kill(pid, signal.SIGTERM)
        self.wait_until_gone(2.0)
        return left

    @property
    def port_then(self) -> int:
        """The port that the system was started with last; 0 where that is not known."""
        return self._known("admin_port")

    @property
    def _record(self) -> Path:
        return self.state / "system.json"

    def _is_ours(self, pid: int) -> bool:
        """Whether a process is a fork of our host process: it has its command line, or its environment."""
        for name in ("cmdline", "environ"):
            try:
                told = Path(f"/proc/{pid}/{name}").read_bytes()
            except OSError:
                continue  # it ended, or is another user's
            if name == "cmdline" and _HOST.encode() in told:
                return str(self.state).encode() in told.split(b"\0")
            if name == "environ" and f"DIRECTOR_SYSTEM={self.state}".encode() in told.split(b"\0"):
                return True
        return False

    def _make(self, place: Path) -> None:
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as problem:
            setting = self.config.directory / "thesplogd.cfg"
            if place != self.config.log_directory or not setting.exists():
                raise
            raise SettingsError(
                f"its directory {place} cannot be made: {problem.strerror}",
                path=str(setting),
                hint="Name a directory that the service may write to.",
            ) from None

    def _host_environment(self) -> dict[str, str]:
        """Also where an actor of some source starts the system: no process of it is of that source."""
        kept = {name: value for name, value in self.environ.items() if name != SOURCE_VARIABLE}
        return {**kept, "DIRECTOR_SYSTEM": str(self.state)}

    def _run_host(self) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="director-start-") as folder:
            result = Path(folder) / "result.json"
            # `-I` leaves out PYTHON* variables and the working directory: actors inherit sys.path.
            command = [sys.executable, "-I", "-m", _HOST]
            process = subprocess.Popen(
                [*command, str(self.config.directory), str(self.state), str(result)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=self._host_environment(),
                close_fds=True,
                start_new_session=True,
            )
            try:
                process.wait(START_LIMIT)
            except subprocess.TimeoutExpired:
                _kill_start(result)
                process.wait()
                return {"ok": False, "error": f"no answer within {START_LIMIT:.0f} s"}
            told: dict[str, Any]
            if result.is_file():
                told = json.loads(result.read_text(encoding="utf-8"))
            else:
                error = f"the starting process ended with {process.returncode}"
                told = {"ok": False, "error": error}
            if not told["ok"]:
                _kill_start(result)
            return told

    def _kill_session(self, session: int) -> None:
        """A system that came up by half is no system: nothing of it stays."""
        deadline = time.monotonic() + 5
        while (
            left := [pid for pid in session_members(session) if self._is_ours(pid)]
        ) and time.monotonic() < deadline:
            for pid in left:  # again and again: one may have forked meanwhile
                _kill(pid, signal.SIGKILL)
            time.sleep(0.02)


def _kill_start(result: Path) -> None:
    """Kill every process of a start that failed: an Admin of it has a session of its own, but the same command line.

    Args:
        result: the file of this very start, which no other process was told of.
    """
    deadline = time.monotonic() + 5
    while (left := _told_of(result)) and time.monotonic() < deadline:
        for pid in left:  # again and again: one may have forked meanwhile
            _kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _told_of(result: Path) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            told = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it ended meanwhile
        if os.fsencode(result) in told:
            found.append(int(entry.name))
    return found


def session_members(session: int) -> list[int]:
    """The ids of the living processes of a session (Linux; elsewhere none are found)."""
    found = []
    for pid in _all():
        try:
            if os.getsid(pid) != session:  # a call of the kernel's costs less than a file of its
                continue
            fields: Sequence[str] = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if fields[0] not in "ZX":
            found.append(pid)
    return found


def _there(pid: int) -> bool:
    """Whether a process that was killed has not ended yet: its environment is gone a moment before."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _all() -> list[int]:
    """The ids of all processes."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208
    except OSError:
        return []


def _kill(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
