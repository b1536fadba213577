"""The parts of `director start wait`, one by one; as a whole it is looked at in tests/system."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from director.foreground import Foreground
from director.journal import PipeHandler
from director.logpipe import LogPipe
from director.notify import Notifier


class Late(set[int]):
    """What was told; SIGTERM comes at the very moment at which a SIGHUP before is taken."""

    def discard(self, number: object) -> None:
        self.add(signal.SIGTERM)
        super().discard(number)

    def clear(self) -> None:
        self.add(signal.SIGTERM)
        super().clear()


def test_a_signal_to_end_that_comes_with_a_hangup_is_not_lost() -> None:
    class Watching(Foreground):
        def __init__(self) -> None:
            self.told = Late({signal.SIGHUP})
            self.admin = self.director = os.getpid()
            self.rounds = 0
            self.done: list[str] = []

        def _pause(self, seconds: float) -> None:
            self.rounds += 1
            assert self.rounds < 5, "it was lost"

        def _reload(self) -> None:
            self.done.append("reload")

        def _stop(self) -> int:
            self.done.append("stop")
            return 0

        def _interruptibly(self, work: Any) -> Any:
            return None

        loads: Any = SimpleNamespace(active=None)
        notify: Any = SimpleNamespace(watchdog=lambda: None, watchdog_limit=0.0)

    watching = Watching()
    assert watching._watch() == 0 and watching.done == ["reload", "stop"]


def lines_of(told: list[str], wanted: int) -> list[str]:
    deadline = time.monotonic() + 5
    while len(told) < wanted and time.monotonic() < deadline:
        time.sleep(0.02)
    return told


def test_actors_of_a_reader_that_was_killed_are_read_by_the_next_and_by_nobody_beside_it(
    tmp_path: Path,
) -> None:
    first, second, third = list[str](), list[str](), list[str]()
    pipe = LogPipe(tmp_path, first.append).__enter__()
    handler = PipeHandler(str(pipe.path))
    logger = logging.Logger("app")
    logger.addHandler(handler)
    logger.warning("one")
    assert len(lines_of(first, 1)) == 1
    with LogPipe(tmp_path, third.append):  # which only watches
        logger.warning("two")
        assert len(lines_of(first, 2)) == 2 and third == []
    pipe.__exit__(None, None, None)

    pipe = LogPipe(tmp_path, first.append).__enter__()
    handler = PipeHandler(str(pipe.path))
    logger.handlers[:] = [handler]
    pipe._ended.set()  # the end of its process, which takes nothing away
    pipe._thread.join()
    os.close(pipe._handle)
    with LogPipe(tmp_path, second.append):
        logger.warning("three")
        assert len(lines_of(second, 1)) == 1 and "three" in second[0]
    handler.stream.close()


def test_a_status_that_names_a_file_which_is_not_utf_8_is_sent(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}).ready("not loaded: caf\udce9")
        assert manager.recv(4096) == b"READY=1\nSTATUS=not loaded: caf\\udce9"
