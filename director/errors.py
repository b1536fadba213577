"""The family of errors, and what each means to the caller of a command.

``DirectorError`` is the root. Every error carries a stable ``code`` (for programs), a message that
names the thing, a ``hint`` that says what to do next, and the ``exit_status`` of the command line:

    DirectorError          1  operation-failed   the operation failed
    ├── UsageError         2  usage              wrong usage
    ├── NotRunning         3  not-running        the actor system is not running
    ├── NotFound           4  not-found          no such file, group or member
    ├── BootError          5  boot               the boot configuration cannot be written
    ├── DamagedArchive     6  damaged-archive    the archive inside a .tls is damaged
    ├── NotValidated       7  not-validated      no trusted key signed this file
    ├── SettingsError      8  settings           a .cfg, .tli or table does not read
    ├── KeyProblem         1  key                a key is unusable
    ├── BuildError         1  build              a .tls cannot be built
    └── LoadFailed         1  load-failed        a version did not become active

Nothing here does I/O and nothing here imports another module of this project.
"""

from __future__ import annotations

from collections.abc import Sequence


class DirectorError(Exception):
    """The root of all errors that this project raises on purpose.

    Args:
        message: what happened, naming the file, group, key or table at fault.
        hint: what to do next, a sentence; may be empty.
        code: replaces the class's stable code where a finer one is known.
    """

    code = "operation-failed"
    exit_status = 1

    def __init__(self, message: str, *, hint: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        if not self.hint:
            return self.message
        if self.message.endswith("\n"):  # it ends in another program's words
            return self.message + self.hint
        stop = "" if self.message.endswith((".", "!", "?", ":")) else "."
        return f"{self.message}{stop} {self.hint}"


class UsageError(DirectorError):
    """The command or call was made with words or values that it does not take."""

    code = "usage"
    exit_status = 2


class NotRunning(DirectorError):
    """The operation needs a running actor system and there is none."""

    code = "not-running"
    exit_status = 3


class NotFound(DirectorError):
    """No such file, group or member."""

    code = "not-found"
    exit_status = 4


class BootError(DirectorError):
    """The boot configuration cannot be written or removed; nothing of it is left half done."""

    code = "boot"
    exit_status = 5


class DamagedArchive(DirectorError):
    """The archive inside a .tls file is damaged or not of the form that is accepted."""

    code = "damaged-archive"
    exit_status = 6


class NotValidated(DirectorError):
    """No trusted key vouches for this file, or its description does not fit it."""

    code = "not-validated"
    exit_status = 7


class SettingsError(DirectorError):
    """A settings file does not read.

    Args:
        message: what is wrong; it is kept as ``what``, without the place.
        path: the file (or other name) at fault, as the user knows it.
        line, column: 1-based position in it, or 0 where there is none.
    """

    code = "settings"
    exit_status = 8

    def __init__(
        self,
        message: str,
        *,
        path: str = "",
        line: int = 0,
        column: int = 0,
        hint: str = "",
        code: str | None = None,
    ) -> None:
        self.what = message
        self.path = path
        self.line = line
        self.column = column
        place = path + (f":{line}:{column}" if line else "")
        super().__init__(f"{place}: {message}" if place else message, hint=hint, code=code)

    @classmethod
    def of(cls, problems: Sequence[SettingsError]) -> SettingsError:
        """One error that tells all of these, a line each; a single one is itself."""
        if len(problems) == 1:
            return problems[0]
        return cls("\n".join(str(problem) for problem in problems))


class KeyProblem(DirectorError):
    """A signing or validating key is missing, unreadable, weak or of an unsupported kind."""

    code = "key"


class BuildError(DirectorError):
    """A .tls file cannot be built from these inputs."""

    code = "build"


class LoadFailed(DirectorError):
    """A version did not become active; the one before it, if any, is still serving."""

    code = "load-failed"
