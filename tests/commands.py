"""Commands run in the test's own process, with what they printed and their exit status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from click.testing import CliRunner

import director.cli


@dataclass
class Result:
    """What a command printed, and its exit status."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """Both, the results first."""
        return self.stdout + self.stderr


def run_command(
    words: Sequence[str], *, env: Mapping[str, str | None] | None = None, input: str | None = None
) -> Result:
    """Run ``director WORDS`` here.

    Args:
        words: as typed after ``director``.
        env: variables to set, or to unset (None).
        input: what is typed in.
    """
    with CliRunner().isolation(input=input, env=env) as streams:
        status = director.cli.run(words)
        out, err = streams[0].getvalue(), streams[1].getvalue()
    return Result(status, out.decode(), err.decode())
