"""What a boot configuration is made of: files, commands, and how both are taken back.

What lives here: the data that platforms render and `director.boot.apply` performs, and the names and values that
every platform refuses or makes fit. No I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from director.errors import UsageError
from director.service import Unit

#: The name of the service where none is given (guide 2.5).
DEFAULT_NAME = "thespian.director"
#: POSIX portable user names, as useradd(8) takes them.
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}\Z")


@dataclass(frozen=True)
class Service:
    """What is to be started at boot.

    Args:
        name: as the user gave it; each platform makes it fit.
        python: absolute path of the interpreter that has this package, as the booted host sees it.
        directory: the director directory, absolute, as the booted host sees it.
        user: who runs it; None: the platform's choice (`systemd`: a user made for the time it runs).
        create_user: write what makes the user a system user.
        root: the root of an image that is being built; "" for this host.
        offline: no manager runs there: nothing can be started, reloaded or asked.
        nssm: path of an installed nssm (Windows), else "".
    """

    name: str
    python: str
    directory: str
    user: str | None = None
    create_user: bool = False
    root: str = ""
    offline: bool = False
    nssm: str = ""

    def check(self) -> None:
        """Raise UsageError for what no platform can be told."""
        for what, value in (("Python", self.python), ("director directory", self.directory)):
            if any(ord(char) < 32 or ord(char) == 127 for char in value):
                raise UsageError(f"The path of the {what} has a control character: {value!r}.")
        if self.user is not None and not _USER.match(self.user):
            raise UsageError(
                f"{self.user!r} is no user name.",
                hint="Names are a-z, 0-9, _ and -, at most 31, and do not begin with a digit.",
            )
        if self.create_user and self.user in (None, "root"):
            raise UsageError("There is no user to create.", hint="Name one with --user NAME.")


@dataclass(frozen=True)
class File:
    """A file of the configuration: its path on the booted host, text, encoding and permission bits."""

    path: str
    text: str
    mode: int = 0o644
    encoding: str = "utf-8"

    @property
    def data(self) -> bytes:
        """Its bytes."""
        return self.text.encode(self.encoding)


@dataclass(frozen=True)
class Command:
    """A command of the service manager.

    Args:
        words: the command, never a shell's line.
        purpose: what it does, for people: "enable x.service".
        unless: a command that succeeds where this one is not needed.
        unless_says: what that must print as well, where its status alone tells nothing.
        when_changed: run only when a file was changed.
        undo: what takes it back.
        why: what tells the reason when it has failed.
        may_fail: it takes away what may be gone already.
    """

    words: tuple[str, ...]
    purpose: str
    unless: tuple[str, ...] = ()
    unless_says: str = ""
    when_changed: bool = False
    undo: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    may_fail: bool = False


@dataclass(frozen=True)
class Plan:
    """All that bootstart writes and does, and what bootstop does.

    Args:
        unit: what it describes; its line stands in every file.
        files: written first.
        enable: run next: after these the host's next boot starts the service.
        start: run last, unless ``nostart``.
        stop: bootstop's first commands, before the files are removed.
        forget: bootstop's last commands, when the files are gone.
        purge: with ``--purge``, between: removes state, logs and a user that was created.
        kept: what bootstop without ``--purge`` leaves: state, logs, user; for people.
        warnings: for the operator.
    """

    unit: Unit
    files: tuple[File, ...]
    enable: tuple[Command, ...] = ()
    start: tuple[Command, ...] = ()
    stop: tuple[Command, ...] = ()
    forget: tuple[Command, ...] = ()
    purge: tuple[Command, ...] = ()
    kept: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())


def fit(name: str, *, allowed: str = "A-Za-z0-9_.-", limit: int = 200, ending: str = "") -> str:
    """A name made fit for a service manager: what it does not take becomes ``-``.

    Args:
        allowed: characters, as in a class of a regular expression.
        limit: the most characters.
        ending: one that users write though it is not part of the name (``.service``).

    Raises:
        UsageError: nothing is left of it.
    """
    made = re.sub(f"[^{allowed}]", "-", name.removesuffix(ending) if ending else name)
    made = re.sub("-{2,}", "-", made).strip("-.")[:limit].strip("-.")
    if not made:
        raise UsageError(f"{name!r} is no name for a service.", hint="Use letters and digits.")
    return made


def command_of(service: Service) -> tuple[str, ...]:
    """What the unit runs. ``-I``: no variable and no working directory adds to its path."""
    return (service.python, "-I", "-m", "director", "start", "wait")
