"""What an actor's process leaves for the Director: the mark that it began, and its last words.

Thespian tells that an actor ended, and not why; of one that ends by ``os._exit`` or a crash before it was up it tells
nothing at all. So a process that becomes an actor of a source leaves a mark, the traceback where its start fails, and
its exit status with the place where it left. All lie beside the unpacked source. Standard library only.
"""

from __future__ import annotations

import faulthandler
import multiprocessing.process
import multiprocessing.util
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

#: Seconds that the mark of a start is of interest.
FRESH = 120.0
#: The ending of the file that tells that a process leads a group of its own.
GROUP = ".group"
#: Seconds from a call of sys.exit within which the process's end is its doing.
_LEAVING = 2.0
#: Numbers of PEP 669's tools that nobody is known to take.
_TOOLS = (4, 3)
_CRASHES = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT")


@dataclass(frozen=True)
class Start:
    """A process that began to be an actor of a class; ``alive`` tells whether it still is there."""

    pid: int
    class_name: str
    alive: bool


def folder_of(directory: str | os.PathLike[str]) -> Path:
    """Where the processes of an unpacked source leave their words."""
    return Path(f"{os.fspath(directory)}.errors")


def leave_mark(directory: str, class_name: str) -> None:
    """This process begins to be an actor; a crash of its native code ends it, with a word.

    Thespian catches every signal in Python, and a signal of a crash returns to the instruction that crashed: the
    process would never end.
    """
    path = folder_of(directory) / f"{os.getpid()}.start"
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text(class_name, encoding="utf-8")
        crash = path.with_suffix(".crash").open("w")  # open as long as the process lives
    except OSError:
        return  # a full disk must not keep an actor from starting
    for name in _CRASHES:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    faulthandler.enable(crash, all_threads=False)
    _lead_group(path)
    _tell_of_exit(directory)


def _lead_group(mark: Path) -> None:
    """What this process starts is told from everything else by its group, even when this process is dead."""
    try:
        os.setpgid(0, 0)
        mark.with_suffix(GROUP).touch(mode=0o600)
    except (AttributeError, OSError):
        pass  # no such thing here, or it leads one already; what it starts is found by other signs


def _tell_of_exit(directory: str) -> None:
    """Leave word of an end by ``sys.exit`` or ``os._exit``, and where it was called; or by what is no Exception.

    Nobody but Thespian's Admin hears the exit status, and it tells nobody. Every end of a process that multiprocessing
    made passes through ``os._exit``. What Thespian does not catch, a KeyboardInterrupt or GeneratorExit of a message's
    handler, is heard of before that.
    """
    pid, plain_exit, plain_leave = os.getpid(), sys.exit, os._exit
    inside = os.fspath(directory) + os.sep
    called: list[tuple[float, str]] = []

    def place() -> str:
        found = [one for one in traceback.extract_stack() if one.filename.startswith(inside)]
        return "".join(traceback.format_list(found)).rstrip()

    def told_exit(*status: Any) -> Any:
        if os.getpid() == pid:
            called.append((time.monotonic(), f"sys.exit was called:\n{place()}"))
        plain_exit(*status)

    def told_leave(status: int) -> Any:
        if os.getpid() == pid and not (folder_of(directory) / f"{pid}.txt").exists():
            here = place()
            where = f"os._exit was called:\n{here}" if here else ""
            if not where and called and time.monotonic() - called[-1][0] < _LEAVING:
                where = called[-1][1]
            if where or status:
                leave_word(directory, f"its process ended with exit status {status}\n{where}")
        plain_leave(status)

    def told_exception(problem: BaseException | None) -> None:
        if os.getpid() != pid or problem is None or (called and isinstance(problem, SystemExit)):
            return
        leave_word(directory, authors_traceback(problem, directory))

    sys.exit, os._exit = told_exit, told_leave
    _hear_of_exceptions(told_exception)


def _hear_of_exceptions(told: Callable[[BaseException | None], None]) -> None:
    """Have a function called with what leaves the work of this process, which multiprocessing made.

    Its finalizers see it on its way out (Process._bootstrap) up to CPython 3.12; 3.13 runs them when it is forgotten.
    There the interpreter tells of frames that an exception leaves (PEP 669), at no cost where none does.
    """
    monitoring: Any = getattr(sys, "monitoring", None)
    free = [tool for tool in _TOOLS if monitoring and monitoring.get_tool(tool) is None]
    if not free:
        multiprocessing.util.Finalize(None, lambda: told(sys.exc_info()[1]), exitpriority=0)
        return
    work, unwind = multiprocessing.process.BaseProcess.run.__code__, monitoring.events.PY_UNWIND

    def unwound(code: CodeType, offset: int, problem: BaseException) -> None:
        if code is work:
            told(problem)

    monitoring.use_tool_id(free[0], "director")
    monitoring.register_callback(free[0], unwind, unwound)
    monitoring.set_events(free[0], unwind)


def authors_traceback(problem: BaseException | None, directory: str | os.PathLike[str]) -> str:
    """A traceback from the first frame of a source on: how Thespian and this package came there helps no author.

    Args:
        problem: what was raised; what is chained to it is told likewise.
        directory: where the source is unpacked.

    Returns:
        the text; the whole traceback where no frame is of the source.
    """
    if problem is None:
        return ""
    told = traceback.TracebackException.from_exception(problem)
    inside, ours = os.fspath(directory) + os.sep, os.fspath(Path(__file__).parent) + os.sep
    rest = [told]
    while rest:
        one = rest.pop()
        rest += [more for more in (one.__cause__, one.__context__) if more is not None]
        first = [at for at, frame in enumerate(one.stack) if frame.filename.startswith(inside)]
        frames = one.stack[first[0] :] if first else one.stack
        kept = [frame for frame in frames if not first or not frame.filename.startswith(ours)]
        one.stack = traceback.StackSummary.from_list(kept)
    return "".join(told.format())


def leave_word(directory: str, text: str) -> None:
    """The traceback of a failed start of this process."""
    path = folder_of(directory) / f"{os.getpid()}.txt"
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text(text[-20_000:], encoding="utf-8")
    except OSError:
        pass  # the log has it too; a full disk must not change what the creator hears


def last_words(directory: str | os.PathLike[str]) -> str:
    """The traceback that a process of this source left last, read once; "" if none did."""
    text = ""
    for path in _by_age(folder_of(directory)):
        if path.suffix in {".txt", ".crash"}:
            told = _read(path)
            if told:
                text = told
                path.unlink(missing_ok=True)
    return text


def starts(directory: str | os.PathLike[str]) -> list[Start]:
    """The processes of this source that began within the last minutes; marks of others are removed."""
    found = []
    for path in _by_age(folder_of(directory)):
        if path.suffix == ".start" and path.stem.isdecimal():
            pid = int(path.stem)
            try:
                old = time.time() - path.stat().st_mtime > FRESH
            except OSError:
                continue
            alive = is_alive(pid)
            if old:
                path.unlink(missing_ok=True)
                if not alive:
                    path.with_suffix(".crash").unlink(missing_ok=True)
            else:
                found.append(Start(pid, _read(path), alive))
    return found


def clear(directory: str | os.PathLike[str], pid: int) -> None:
    """Nobody waits for this process's start any more."""
    (folder_of(directory) / f"{pid}.start").unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Whether a process is there and is more than a dead one that nobody buried."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return not Path("/proc/self").exists()


def _by_age(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    except OSError:
        return []  # nobody left anything, or it is being removed


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
