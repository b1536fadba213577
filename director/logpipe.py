"""The way of the actors' log to the standard output of the foreground process, for containers.

What lives here: a named pipe in the state directory and the thread that copies its lines. The actor system inherits
none of the foreground's open files, and a file like ``/proc/1/fd/1`` belongs to whoever started the container; a pipe
of our own can be opened by our own processes alone.
"""

from __future__ import annotations

import os
import select
import stat
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from director.files import make_private

#: Seconds between looks whether the end has come.
_LOOK = 0.2
#: Seconds that the last lines may take to be told.
END_LIMIT = 5.0
#: So many lines of this process wait for a reader that stalls, the last ones.
OWN_LINES = 1000
#: The pipe's name in the state directory.
NAME = "log.pipe"


class LogPipe:
    """A pipe that lasts as long as the ``with`` block; what was written into it by then is still told.

    Where the process that read it before was killed, its actors go on writing into the same one.

    Args:
        state: the state directory; made where it is missing.
        tell: told each line, on a thread of its own: it may take its time.
    """

    def __init__(self, state: Path, tell: Callable[[str], None]) -> None:
        self.path = state / NAME
        self.tell = tell
        self._own = deque[str](maxlen=OWN_LINES)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._copy, name="log pipe", daemon=True)
        self._handle = -1

    def say(self, line: str) -> None:
        """Have a line of this process's told too; never waits."""
        self._own.append(line)

    def __enter__(self) -> Self:
        make_private(self.path.parent)
        self._handle = self._left() or self._new()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join(END_LIMIT)
        if not self._thread.is_alive():
            os.close(self._handle)
        self.path.unlink(missing_ok=True)

    def _left(self) -> int:
        """The pipe that a process which was killed has left; 0 where there is none, or somebody reads it."""
        try:
            if not stat.S_ISFIFO(self.path.lstat().st_mode):
                return 0
            handle = self._open()
        except OSError:
            return 0
        if self._is_ours(handle):
            return handle
        os.close(handle)
        return 0

    def _new(self) -> int:
        self.path.unlink(missing_ok=True)
        os.mkfifo(self.path, 0o600)
        handle = self._open()
        self._is_ours(handle)
        return handle

    def _open(self) -> int:
        # Open for both: so it never ends just because the last writer has gone.
        return os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)

    @staticmethod
    def _is_ours(handle: int) -> bool:
        """Whether nobody else reads the pipe; from now on nobody else does."""
        import fcntl  # not on Windows, which has no such pipes

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _copy(self) -> None:
        rest = b""
        while True:
            ended = self._ended.is_set()
            while self._own:
                self.tell(self._own.popleft())
            if select.select([self._handle], [], [], 0 if ended else _LOOK)[0]:
                *lines, rest = (rest + os.read(self._handle, 1 << 16)).split(b"\n")
                for line in lines:
                    self.tell(line.decode("utf-8", "replace"))
            elif ended:
                return
