"""The processes of one actor system: whether they run, starting them, seeing that all have ended.

What lives here: the admin port, what ``system.json`` in the state directory tells, and what a dead Admin left behind.
What does not: the process that starts a system and writes that file (`director.launch`), talking to the system
(`director.control`).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from director import kernel, launch
from director.errors import DirectorError, SettingsError
from director.files import LONGEST_STATE, read_regular
from director.settings.config import Config, logging_refused

#: Seconds that ending the processes of a system may take.
STOP_LIMIT = 15.0
#: Seconds that what actors started may go on when all actors have ended.
STRAY_LIMIT = 2.0
#: The system bases that go on by themselves and can be reached from other processes.
BASES_THAT_STAY = ("multiprocTCPBase", "multiprocUDPBase")
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
        told = launch.run_host(self.config.directory, self.state, self.environ)
        if told.get("logging"):
            raise logging_refused(self.config.directory, self.environ, told["logging"])
        if told.get("state"):
            raise DirectorError(
                f"No actor system was started: {self._record} cannot be written: {told['state']}.",
                hint="Make room, or mend the permissions there.",
                code="state",
            )
        if not told.get("ok"):
            raise DirectorError(
                f"The actor system did not start: {told.get('error', 'no reason given')}.",
                hint=f"Look into {self.config.log_directory}; is port {self.config.admin_port} free?",
            )

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
        session, starter = self._known("session"), self._known(launch.STARTING)
        if starter and not self._is_ours(starter):
            return self.strays()  # of a start that was killed and told of no session
        # A session's number may be another's by now: only processes that tell where they are from count.
        found = kernel.session_members(session) if session else []
        return [pid for pid in found if self._is_ours(pid)]

    def strays(self) -> list[int]:
        """The ids of processes that actors started and that left the system's session; their environment tells.

        Whoever runs this, perhaps on an actor's behalf, is none.
        """
        session, own = self._known("session"), {os.getpid(), os.getppid()}
        found = []
        for pid in kernel.all_pids():
            if pid not in own and self._mark in kernel.environment_of(pid):
                with contextlib.suppress(OSError):  # it ended meanwhile
                    if os.getsid(pid) != session:
                        found.append(pid)
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
            pairs = (os.fsdecode(part).partition("=") for part in kernel.environment_of(pid))
            found = {name: value for name, _, value in pairs}
            if launch.SYSTEM_VARIABLE in found:
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
                    kernel.kill(pid, signal.SIGTERM)
            time.sleep(0.05)
        left += self.strays()
        killed = [pid for pid in left if kernel.kill(pid, signal.SIGKILL)]
        deadline = time.monotonic() + 5
        while (self.members() or any(map(kernel.is_there, killed))) and time.monotonic() < deadline:
            time.sleep(0.02)
        with contextlib.suppress(OSError):  # of what has ended: it tells of nobody
            self._record.unlink()
        return killed

    def end_leftovers(self) -> list[int]:
        """End what a dead Admin left behind: its actors go on without it and answer nobody.

        Returns:
            the ids of the processes that were there.
        """
        left = self.members() + self.strays()
        for pid in left:
            kernel.kill(pid, signal.SIGTERM)
        self.wait_until_gone(2.0)
        return left

    @property
    def port_then(self) -> int:
        """The port that the system was started with last; 0 where that is not known."""
        return self._known("admin_port")

    @property
    def _record(self) -> Path:
        return self.state / launch.RECORD

    @property
    def _mark(self) -> bytes:
        return os.fsencode(f"{launch.SYSTEM_VARIABLE}={self.state}")

    def _is_ours(self, pid: int) -> bool:
        """Whether a process is a fork of our host process: it has its command line, or its environment.

        A title that an actor, or Thespian itself, gives to its process is written over the command line.
        """
        command = kernel.command_line_of(pid)
        if any(launch.HOST.encode() in word for word in command):
            return os.fsencode(self.state) in command
        return self._mark in kernel.environment_of(pid)

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
