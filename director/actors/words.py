"""What an actor's process leaves for the Director about its start: its last words, and the mark that it began.

Thespian tells that an actor ended, and not why; of one that ends by ``os._exit`` or a crash before it was up it tells
nothing at all. So a process that becomes an actor of a source leaves a mark, and the traceback where its start fails.
Both lie beside the unpacked source. Standard library only.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

#: Seconds that the mark of a start is of interest.
FRESH = 120.0
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
