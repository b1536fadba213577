"""The way of the actors' log to the standard output of the foreground process, for containers.

What lives here: a named pipe in the state directory and the thread that copies its lines. The actor system inherits
none of the foreground's open files, and a file like ``/proc/1/fd/1`` belongs to whoever started the container; a pipe
of our own can be opened by our own processes alone.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

#: Seconds between looks whether the end has come.
_LOOK = 0.2
#: The pipe's name in the state directory.
NAME = "log.pipe"


class LogPipe:
    """A pipe that lasts as long as the ``with`` block; what was written into it by then is still told.

    Args:
        state: the state directory; made where it is missing.
        tell: told each line, on a thread of its own.
    """

    def __init__(self, state: Path, tell: Callable[[str], None]) -> None:
        self.path = state / NAME
        self.tell = tell
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._copy, name="log pipe", daemon=True)
        self._handle = -1

    def __enter__(self) -> Self:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        os.mkfifo(self.path, 0o600)
        # Open for both: so it never ends just because the last writer has gone.
        self._handle = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        os.close(self._handle)
        self.path.unlink(missing_ok=True)

    def _copy(self) -> None:
        rest = b""
        while True:
            if select.select([self._handle], [], [], _LOOK)[0]:
                *lines, rest = (rest + os.read(self._handle, 1 << 16)).split(b"\n")
                for line in lines:
                    self.tell(line.decode("utf-8", "replace"))
            elif self._ended.is_set():
                return
