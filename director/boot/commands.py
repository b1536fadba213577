"""Running commands of a service manager, through a runner that tests replace.

What lives here: how one is run, how it ended, and whether it is needed. What does not: which ones
(`director.boot.plan`), and what is done where one fails (`director.boot.apply`).
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from director.boot.plan import Command
from director.service import START_LIMIT


@dataclass(frozen=True)
class Done:
    """How a command ended: its exit status, and what it said on both outputs."""

    status: int
    output: str


Runner = Callable[[Sequence[str]], Done]


def holds(command: Command, run: Runner) -> bool:
    """Whether what a command asks first says that it is not needed."""
    asked = run(command.unless)
    said = [word in asked.output for word in command.unless_says.split()]
    return asked.status == 0 and (any(said) or not said)


def run_command(words: Sequence[str]) -> Done:
    """Run a command, without a shell and without input; one that is not there ends with 127."""
    try:
        done = subprocess.run(
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=START_LIMIT,
        )
    except subprocess.TimeoutExpired:
        return Done(124, f"no end within {START_LIMIT} s")
    except OSError as problem:
        return Done(127, f"{words[0]}: {problem.strerror}")
    # nssm writes two bytes a character.
    return Done(done.returncode, done.stdout.replace("\0", ""))
