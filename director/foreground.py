"""The foreground process behind `director start wait`: a service's main process, or a container's first one.

It starts the actor system, loads every group, tells the service manager, and watches: an Admin or Director that dies
makes it clean up and fail, so that the manager starts all anew; SIGTERM and SIGINT shut the system down; SIGHUP
refreshes; `director shutdown` from elsewhere ends it in peace. What does not live here: how units are written
(`director.boot`), what is loaded (`director.startup`), the processes themselves (`director.system`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TypeVar

from director import telling
from director.control import DirectorControl
from director.duty import Duty
from director.errors import DirectorError, SettingsError
from director.journal import LOG_VARIABLE, is_journal
from director.launch import START_LIMIT
from director.logpipe import LogPipe
from director.notify import Notifier
from director.reload import Reloads, read
from director.service import SERVICE_VARIABLE
from director.startup import ANSWER, Loads
from director.system import MEANT_END, STOP_LIMIT
from director.telling import Tell

#: Seconds between looks at the two processes, and between questions to the Director.
LOOK, ASK = 0.5, 5.0
#: Seconds without any answer of the Director after which it counts as dead though its process lives.
SILENCE = 45.0
#: Seconds to wait for the Director's word that the end was meant, once the Admin has gone.
_WORD = 2.0
_HANGUP = getattr(signal, "SIGHUP", 0)
_INFO, _WARNING, _ERROR = logging.INFO, logging.WARNING, logging.ERROR


_Result = TypeVar("_Result")


class _Interrupted(BaseException):
    """SIGTERM came while the groups were being loaded."""


def run(control: DirectorControl, *, json_log: bool = False) -> int:
    """Start the system, watch it, and end it when told to.

    Args:
        control: of the director directory; its environment is what TLI expressions see.
        json_log: everything that is logged goes to standard output, a JSON document a line.

    Returns:
        the exit status: 0 after a meant end; that of the error otherwise (8: settings do not read).
    """
    sys.stdout.flush()
    notify = Notifier(control.environ)
    tell = telling.as_json(telling.print_line) if json_log else telling.to_people
    with contextlib.ExitStack() as stack:
        if not json_log and is_journal(control.environ, sys.stderr.fileno()):
            control.environ[LOG_VARIABLE] = "journal"
            tell = telling.to_journal
        try:
            control.store.require()  # before anything is made in it
        except DirectorError as problem:
            tell(_ERROR, str(problem))
            notify.stopping(str(problem))
            return problem.exit_status
        if json_log:
            pipe = stack.enter_context(LogPipe(control.state, telling.print_line))
            control.environ[LOG_VARIABLE] = f"json:{pipe.path}"
            tell = telling.as_json(pipe.say)
        control.warn = lambda line: tell(_WARNING, line)
        return Foreground(control, tell, notify).run()


class Foreground:
    """One life of the foreground process.

    Args:
        control: of the director directory.
        tell: told each event, with its level of `logging`.
        notify: the service manager.
    """

    def __init__(self, control: DirectorControl, tell: Tell, notify: Notifier) -> None:
        self.control = control
        self.tell = tell
        self.notify = notify
        self.loads = Loads(control, tell, notify)
        self.duty = Duty(control.state)
        #: The runtime directory, and so the count, outlasts a restart.
        self.reloads = Reloads(begun=read(control.environ).begun)
        self.admin = self.director = 0
        #: Whether the system is ours to end; one that somebody else started is only watched.
        self.own = False
        self.told: set[int] = set()
        self.interruptible = False
        self.wake, self._waker = socket.socketpair()

    def run(self) -> int:
        """The whole life; returns the exit status."""
        try:
            self.notify.status("reading settings")
            problems = self.control.config.problems
        except SettingsError as problem:  # nothing runs yet that could be cleaned up
            self.tell(_ERROR, str(problem))
            self.notify.stopping(str(problem))
            return problem.exit_status
        with self._signals():
            try:
                for line in problems:
                    self.tell(_WARNING, line)
                return self._live()
            except DirectorError as problem:
                self.tell(_ERROR, str(problem))
                self.notify.stopping(str(problem))
                self._clean_up()
                return problem.exit_status
            except BaseException:  # whatever it is: nothing goes on that nobody watches
                self._clean_up()
                raise
            finally:
                self.control.close()
                self.duty.give_up(left=self.own and bool(self.control.processes.members()))

    def _live(self) -> int:
        try:
            self._start()
            return self._watch()
        except _Interrupted:
            return self._stop()

    # ---- coming up -------------------------------------------------------------------------------

    def _start(self) -> None:
        control = self.control
        self._unless_told()
        # Where a unit runs it, by hand it is only watched.
        first = control.unit is None and self._hold()
        # What a killed main process left to itself is ours; anything else at the port is not.
        there = bool(control.processes.members())
        known = first and self.duty.left and there
        self.own = first and (known or not there)  # should the start be broken off
        started = self._interruptibly(control.start) if first or control.unit else False
        self.own = first and (started or known)
        if not self.own and control.environ.get(SERVICE_VARIABLE):
            raise DirectorError(
                f"An actor system that is not this service's runs at port {control.config.admin_port}.",
                hint="`director shutdown` ends it; the service is started again by itself.",
                code="foreign-system",
            )
        self.tell(_INFO, "the actor system was started" if started else "already running")
        identity = control.ask({"DirectorOp": "Identify"}, "Identity", ANSWER)
        self.admin, self.director = int(identity["AdminPid"]), int(identity["Pid"])
        self.notify.status("loading")
        status = self._interruptibly(self.loads.at_start if self.own else self.loads.look)
        self.notify.ready(status)
        self.tell(_INFO, f"up: {status}")

    # ---- staying up ------------------------------------------------------------------------------

    def _watch(self) -> int:
        last_answer = next_question = time.monotonic()
        while True:
            self._pause(LOOK)
            if self.told & {signal.SIGTERM, signal.SIGINT}:
                return self._stop()
            if self.told:
                # Not all of them: a signal to end may have come since.
                self.told.discard(_HANGUP)
                self._reload()
            _reap()
            if not alive(self.admin):
                return self._admin_ended()
            if not alive(self.director):
                return self._director_ended()
            now = time.monotonic()
            if now < next_question:
                continue
            try:
                self._interruptibly(self.loads.active)
                last_answer = time.monotonic()
                self.notify.watchdog()
            except DirectorError as problem:
                if not alive(self.admin) or not alive(self.director):
                    continue
                self.tell(_WARNING, str(problem))
                if time.monotonic() - last_answer > SILENCE:
                    return self._failed(f"The Director has not answered for {SILENCE:.0f} s.")
            next_question = time.monotonic() + self._period()

    def _period(self) -> float:
        """Seconds between two questions: at least three within the watchdog's limit."""
        limit = self.notify.watchdog_limit
        return min(ASK, limit / 3) if limit else ASK

    def _reload(self) -> None:
        self.notify.reloading()
        self.reloads.begun += 1
        self._tell_reloads()
        self.tell(_INFO, "SIGHUP: loading what is new")
        try:
            status = self._interruptibly(self.loads.refresh)
            self.reloads.failed = status if self.loads.failed else ""
        except DirectorError as problem:
            status = self.reloads.failed = f"reload failed: {problem}"
            self.tell(_ERROR, status)
        self.notify.ready(status)
        self.reloads.ended = self.reloads.begun
        self._tell_reloads()

    def _tell_reloads(self) -> None:
        try:
            self.reloads.write(self.control.environ)
        except OSError as problem:
            self.tell(_WARNING, f"`systemctl reload` is not told how it went: {problem.strerror}.")

    def _hold(self) -> bool:
        """Take the duty; False where another `start wait` has it and its system has come up."""
        deadline = time.monotonic() + START_LIMIT
        while not self.duty.take():
            if self.control.running():
                return False
            if time.monotonic() > deadline:
                raise DirectorError(
                    f"Another `start wait` holds {self.duty.path}, and its system does not come up.",
                    hint="`fuser` tells which process it is.",
                    code="locked",
                )
            self._pause(0.1)
            self._unless_told()
        return True

    def _unless_told(self) -> None:
        if self.told & {signal.SIGTERM, signal.SIGINT}:
            raise _Interrupted

    def _interruptibly(self, work: Callable[[], _Result]) -> _Result:
        """Long work that SIGTERM breaks off: it may take minutes, a stop may not."""
        self._unless_told()
        self.interruptible = True
        try:
            return work()
        finally:
            self.interruptible = False

    # ---- ending ----------------------------------------------------------------------------------

    def _stop(self) -> int:
        if not self.own and self.admin:
            self.tell(_INFO, "the actor system goes on: it was not started here")
            return 0
        self._forget()
        self.notify.stopping("shutting down")
        self.tell(_INFO, "shutting down")
        if alive(self.admin) and alive(self.director):
            try:
                for pid in self.control.shutdown():
                    self.tell(_WARNING, f"process {pid} did not end by itself and was killed")
            except DirectorError as problem:
                self.tell(_WARNING, str(problem))
        self._clean_up()
        return 0

    def _admin_ended(self) -> int:
        deadline = time.monotonic() + _WORD
        while not self._word.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        if not self._word.exists():
            return self._failed("The Admin died.")
        self._forget()
        self.notify.stopping("shut down")
        self.tell(_INFO, "the actor system was shut down")
        self.control.processes.wait_until_gone()
        return 0

    def _director_ended(self) -> int:
        # In a shutdown it ends before the Admin does, and has left its word.
        deadline = time.monotonic() + STOP_LIMIT
        while self._word.exists() and time.monotonic() < deadline:
            if not alive(self.admin):
                return self._admin_ended()
            time.sleep(0.05)
        return self._failed("The Director died.")

    def _forget(self) -> None:
        try:
            self.loads.forget()
        except OSError as problem:
            self.tell(_WARNING, f"{problem.filename} cannot be removed: {problem.strerror}.")

    @property
    def _word(self) -> Path:
        return self.control.state / MEANT_END

    def _failed(self, reason: str) -> int:
        self.notify.stopping(reason)
        self.tell(_ERROR, reason)
        self._clean_up()
        return 1

    def _clean_up(self) -> None:
        if not self.own:
            return
        self.control.close()
        left = self.control.processes.end_leftovers()
        if left:
            self.tell(_WARNING, f"{len(left)} processes that were left over were ended")
        _reap()

    # ---- signals ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        names = ("SIGTERM", "SIGINT", "SIGHUP")
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        self._waker.setblocking(False)
        before = {number: signal.signal(number, self._signalled) for number in numbers}
        wakeup = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        masked = None
        if hasattr(signal, "pthread_sigmask"):
            # `director.__main__` held them back; what came until now is heard here.
            masked = signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
        try:
            yield
        finally:
            if masked is not None:
                # Held back again: who tells us twice to stop still gets our exit status.
                signal.pthread_sigmask(signal.SIG_SETMASK, masked)
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            self.wake.close()
            self._waker.close()

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self.told.add(number)
        if self.interruptible and number != _HANGUP:
            self.interruptible = False
            raise _Interrupted

    def _pause(self, seconds: float) -> None:
        if select.select([self.wake], [], [], seconds)[0]:
            self.wake.recv(64)


def alive(pid: int) -> bool:
    """Whether a process lives; one that ended and was not waited for does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        return status.rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _reap() -> None:
    """The first process of a container gets every orphan as its child and has to wait for it."""
    if os.getpid() != 1:
        return
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
