"""Which `start wait` is the one that ends the system: one at a time for each state directory.

What lives here: the lock that it holds as long as it lives, and whether the one before gave it up or was killed.
"""

from __future__ import annotations

import os
from pathlib import Path

from director.errors import DirectorError
from director.files import make_private, open_private

#: The lock file in the state directory.
NAME = "foreground.lock"


class Duty:
    """The duty to end what runs; the kernel takes it from a process that dies.

    Args:
        state: the state directory.
    """

    def __init__(self, state: Path) -> None:
        self.path = state / NAME
        #: Whether the one before was killed, so that the system that it left is ours.
        self.left = False
        self._handle = -1

    def take(self) -> bool:
        """Take it, unless another process has it."""
        make_private(self.path.parent)
        try:
            handle = open_private(self.path, os.O_RDWR)
        except OSError as problem:
            raise self._unwritable(problem) from None
        try:
            _lock(handle)
            self.left = bool(os.read(handle, 1))
            os.pwrite(handle, b"x", 0)
        except BlockingIOError:
            os.close(handle)
            return False
        except OSError as problem:
            os.close(handle)
            raise self._unwritable(problem) from None
        self._handle = handle
        return True

    def _unwritable(self, problem: OSError) -> DirectorError:
        return DirectorError(
            f"{self.path} cannot be written: {problem.strerror}.",
            hint="The state directory has to be writable, with room for more.",
            code="state",
        )

    def give_up(self, *, left: bool) -> None:
        """Give it up; ``left``: something of ours is left, which the next one has to end."""
        if self._handle >= 0:
            if not left:
                os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = -1


def _lock(handle: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows has no flock: the admin port decides there
        return
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
