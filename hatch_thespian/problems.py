"""Several mistakes told at once: who builds mends them all, and does not meet them one after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from director.errors import BuildError, DirectorError


class SeveralProblems(BuildError):
    """One or more mistakes; ``code`` is that of the first.

    Args:
        problems: each with its own message, hint and code.
    """

    def __init__(self, problems: Sequence[DirectorError]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(one) for one in self.problems), code=self.problems[0].code)

    @property
    def codes(self) -> tuple[str, ...]:
        """The code of each, in their order."""
        return tuple(one.code for one in self.problems)


class Problems:
    """A collector: steps go on after a mistake where they can, and `check` stops once for all of them."""

    def __init__(self) -> None:
        self.found: list[DirectorError] = []

    def __bool__(self) -> bool:
        return bool(self.found)

    def add(self, message: str, *, hint: str = "", code: str = "build") -> None:
        """Keep a mistake."""
        self.found.append(BuildError(message, hint=hint, code=code))

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Keep what the block raises (DirectorError), and go on behind it."""
        try:
            yield
        except SeveralProblems as several:
            self.found += several.problems
        except DirectorError as problem:
            self.found.append(problem)

    def check(self) -> None:
        """Raise SeveralProblems where there was any."""
        if self.found:
            raise SeveralProblems(self.found)
