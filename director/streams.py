"""The standard streams of the command line's own process: one that cannot be written ends no command halfway.

What lives here: streams that remember the first failure and let the command go on, and what is told of it at the end,
as coreutils do: nobody who reads any more (``| head``) is well; a full disk or a closed stream is a write error. What
does not: programs that use DirectorControl; their streams are their own.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any


class Remembering(io.FileIO):
    """A stream's file descriptor; what cannot be written is dropped, and ``problem`` says why."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.problem: OSError | None = None

    def write(self, data: Any) -> int:
        """Write, or drop what nobody takes."""
        try:
            return super().write(data) or 0
        except OSError as problem:
            self.problem = self.problem or problem
            return memoryview(data).nbytes


def take_over() -> Remembering:
    """Put streams of this kind in the place of ``sys.stdout`` and ``sys.stderr``; returns the one of stdout.

    A closed one is opened as nothing first: else the next file or socket of this process would be taken for it.
    """
    if sys.stdin is None:
        _open_as(0, os.O_RDONLY)
    if sys.stderr is None:
        _open_as(2, os.O_WRONLY)
    if sys.stdout is None:
        _open_as(1, os.O_RDONLY)  # writing to it fails as writing to a closed one does
    out, err = Remembering(1), Remembering(2)
    sys.stdout, sys.stderr = _text(out, sys.stdout), _text(err, sys.stderr)
    return out


def verdict(out: Remembering, status: int) -> int:
    """The exit status of a command: its own, or 1 where its result could not be written, which is told.

    Args:
        out: as `take_over` returned it.
        status: of the command by itself.
    """
    sys.stdout.flush()
    if out.problem is None or isinstance(out.problem, BrokenPipeError):
        return status
    sys.stderr.write(f"director: write error: {out.problem.strerror}\n")
    return status or 1


def _open_as(descriptor: int, flags: int) -> None:
    opened = os.open(os.devnull, flags)
    if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)


def _text(raw: Remembering, before: Any) -> io.TextIOWrapper:
    """A text stream like that before, which is None where it was closed."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=before.encoding if before else "utf-8",
        errors="backslashreplace",  # a name of a file need not be text
        line_buffering=before.line_buffering if before else True,
    )
