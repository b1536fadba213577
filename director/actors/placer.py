"""A process that imports a source's classes and asks them where they may run, so that the Admin never imports them.

What lives here: that process, its questions and answers, and how long the Admin may wait for them. What a question
means is `director.actors.placement`.

It is a fork of the Admin in a process group of its own, which ends with it: what a module starts when it is imported
does not outlive the question. It answers in the order in which it was asked, a byte each, ends itself when nobody asked
for a while, and goes on in the background where the Admin does not wait for it. The Admin's SIGCHLD buries it, and then
does what it did before. Standard library only.
"""

from __future__ import annotations

import contextlib
import logging
import marshal
import os
import select
import signal
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple, NoReturn

#: Seconds that the Admin waits for answers at most, and how much of the time in which it has nothing to do it may wait
#: again.
LIMIT, SHARE = 0.3, 0.5
#: Seconds without a question after which the process ends (before an unload looks for left-overs), and that it may take
#: for one.
IDLE, LONGEST = 0.8, 25.0
#: Answers. The last is no word: the class could not be imported, which its actor's own process tells to its creator.
YES, NO, UNKNOWN = b"y", b"n", b"?"
_LENGTH = struct.Struct("!I")
_QUIETLY = getattr(socket, "MSG_NOSIGNAL", 0)


class Key(NamedTuple):
    """What a question is about, as text."""

    class_name: str
    capabilities: str
    requirements: str


class Question(NamedTuple):
    """A class, and the system that it is asked about."""

    module: str
    name: str
    capabilities: Any
    requirements: Any

    @property
    def key(self) -> Key:
        """What it is about, as of now: Thespian changes the very dictionary that it told."""
        told = _text(self.capabilities), _text(self.requirements)
        return Key(f"{self.module}.{self.name}", *told)


class Patience:
    """How long the Admin may wait: while it works off what came in, for the limit in all.

    Sources share one, for whoever asks the Admin something waits for all of them.

    Args:
        clock: tells seconds.
        worked: tells seconds of processor time of this process: what went by beside them, it had nothing to do.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        worked: Callable[[], float] = time.process_time,
    ) -> None:
        self._clock, self._worked = clock, worked
        self._spent, self._then = 0.0, (clock(), worked())

    @property
    def left(self) -> float:
        """Seconds."""
        now = self._clock(), self._worked()
        idle = (now[0] - self._then[0]) - (now[1] - self._then[1])
        self._spent, self._then = max(0.0, self._spent - SHARE * max(0.0, idle)), now
        return max(0.0, LIMIT - self._spent)

    def spend(self, seconds: float) -> None:
        """It has waited until now."""
        self._spent, self._then = self._spent + seconds, (self._clock(), self._worked())


class Placer:
    """The process of one source, as the Admin has it.

    Args:
        answer: called in that process with a question; True, False, or None where it cannot tell. Whatever it raises
            counts as None.
        first: asked at once.
    """

    def __init__(self, answer: Callable[[Question], bool | None], first: Question) -> None:
        self._ours, theirs = socket.socketpair()
        self._ours.setblocking(False)
        _listen()
        #: What was asked and not answered yet.
        self.open: deque[Key] = deque([first.key])
        self._since = time.monotonic()
        self._pid = os.fork()
        if self._pid == 0:
            _live(answer, first, theirs)
        theirs.close()
        with contextlib.suppress(OSError):  # it does the same; whoever comes second is refused
            os.setpgid(self._pid, self._pid)
        self._buried = False
        _ALL.add(self)
        self.bury()  # it may have ended before it was one of them

    def ask(self, question: Question) -> bool:
        """Put a further question; False where it cannot take it."""
        try:
            body = marshal.dumps(tuple(question))
            data = _LENGTH.pack(len(body)) + body
            if self._ours.send(data, _QUIETLY) < len(data):
                self._ours.shutdown(socket.SHUT_WR)  # half a question ends it
                return False
        except (
            ValueError,
            OSError,
        ):  # no builtin type, which only a fork takes along; or it has ended
            return False
        if not self.open:
            self._since = time.monotonic()
        self.open.append(question.key)
        return True

    def answers(self, wait: float) -> list[tuple[Key, bytes]] | None:
        """What it answered meanwhile; where nothing is there yet, after at most so many seconds.

        Returns:
            None: it has ended, or takes too long for any question.
        """
        try:
            if not select.select([self._ours], [], [], wait)[0]:
                late = self.open and time.monotonic() - self._since > LONGEST
                return None if late else []
            told = self._ours.recv(4096)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not told:
            return None
        self._since = time.monotonic()
        return [
            (self.open.popleft(), told[i : i + 1]) for i in range(min(len(told), len(self.open)))
        ]

    def end(self) -> None:
        """It, and what it started, is gone afterwards."""
        _ALL.discard(self)
        self._ours.close()
        if not self._buried:
            self._kill()

    def bury(self) -> None:
        """Where it has ended by itself it stays no zombie; what it answered can still be read."""
        if self._buried:
            return
        with contextlib.suppress(ChildProcessError):
            if os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                self._buried = True
                self._kill()

    def _kill(self) -> None:
        # Its number is nobody else's before it was waited for.
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(OSError):
                kill(self._pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def let_go(self) -> None:
        """In a fork of the Admin: it is none of ours."""
        self._ours.close()


def _text(value: Any) -> str:
    """Capabilities and requirements are plain dictionaries whose order means nothing."""
    if isinstance(value, dict):
        return repr(sorted(value.items(), key=repr))
    return repr(value)


#: The living ones of this process: its forks, the actors, get their sockets and are to have none.
_ALL: set[Placer] = set()


def _forked() -> None:
    for placer in _ALL:
        placer.let_go()
    _ALL.clear()


def _listen() -> None:
    """Hear of each end of one from now on. Thespian's own handler only makes its Admin look for actors that died."""
    before = signal.getsignal(signal.SIGCHLD)
    if getattr(before, "buries", False):
        return

    def heard(number: int, frame: FrameType | None) -> None:
        for one in list(_ALL):
            one.bury()
        if callable(before):
            before(number, frame)

    heard.buries = True  # type: ignore[attr-defined]
    with contextlib.suppress(ValueError):  # elsewhere than in the main thread
        signal.signal(signal.SIGCHLD, heard)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _live(
    answer: Callable[[Question], bool | None], first: Question, theirs: socket.socket
) -> NoReturn:
    """The process's whole life; nothing of the Admin's is touched."""
    try:
        os.setpgid(0, 0)
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        logging.root = logging.RootLogger(
            logging.CRITICAL
        )  # Thespian's would send over the Admin's sockets
        logging.Logger.root = logging.root
        logging.Logger.manager = logging.Manager(logging.root)
        os.closerange(3, theirs.fileno())
        os.closerange(theirs.fileno() + 1, 1 << 16)
        question: Question | None = first
        while question is not None:
            signal.setitimer(signal.ITIMER_REAL, LONGEST)  # nobody may ask again, and end it
            try:
                told = answer(question)
            except BaseException:  # noqa: BLE001 - whatever a module does when it is imported, sys.exit too
                told = None
            signal.setitimer(signal.ITIMER_REAL, 0)
            theirs.sendall(UNKNOWN if told is None else YES if told else NO)
            question = _next(theirs)
    finally:
        # Whatever the source did, also SystemExit: it must not go on as a second Admin, nor what it started without it.
        with contextlib.suppress(OSError):
            os.killpg(0, signal.SIGKILL)
        os._exit(0)


def _next(theirs: socket.socket) -> Question | None:
    """None where nobody asks any more."""
    theirs.settimeout(IDLE)
    with contextlib.suppress(OSError, ValueError, EOFError):
        head = theirs.recv(_LENGTH.size, socket.MSG_WAITALL)
        if len(head) == _LENGTH.size:
            length = _LENGTH.unpack(head)[0]
            return Question(*marshal.loads(theirs.recv(length, socket.MSG_WAITALL)))  # noqa: S302 - of the Admin
    return None
