"""Signals that end a command, while something is changed that must not be left by half.

What lives here: hearing them once, so that what was done can be taken back.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

#: What ends a command from outside.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


@contextlib.contextmanager
def heard_once() -> Iterator[None]:
    """The first of SIGINT, SIGTERM and SIGHUP is a KeyboardInterrupt; those after it change nothing any more.

    Elsewhere than in the main thread, which alone may set handlers, nothing is changed; nor of what is ignored (nohup).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        if len(heard) == 1:
            raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    before = {one: signal.getsignal(one) for one in numbers}
    known = {one: told for one, told in before.items() if told not in (signal.SIG_IGN, None)}
    for one in known:
        signal.signal(one, hear)
    try:
        yield
    finally:
        for one, told in known.items():
            signal.signal(one, told)
