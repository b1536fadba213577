"""What a build tells while it works: on a terminal it shows what takes time, in a log it leaves one line a step."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Say = Callable[[str], None]


def _silent(line: str) -> None:
    """Nobody wants to know."""


@dataclass
class Step:
    """A step under way; ``told`` is the line that it leaves, and may be changed until it ends."""

    told: str


@dataclass
class Steps:
    """Where a build's words go.

    Args:
        detail: told each file and decision (a command's ``verbose``).
        line: told one line when a step has ended, with its seconds.
        title: what is being built, led before each line.
    """

    detail: Say = _silent
    line: Say = _silent
    title: str = ""
    #: Seconds of each step, by its first words.
    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def step(self, doing: str) -> Iterator[Step]:
        """A step that takes time; an error in it leaves no line."""
        step = Step(doing)
        with _shown(f"{self.title}{doing} …"):
            started = time.perf_counter()
            yield step
            took = time.perf_counter() - started
        self.seconds[doing] = took
        self.line(f"{self.title}{step.told} ({took:.2f} s)")


@contextlib.contextmanager
def _shown(text: str) -> Iterator[None]:
    """Show the text on a terminal for as long as the block lasts; in a log, nothing."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield
