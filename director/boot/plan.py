"""What a boot configuration is made of: files, commands, and how both are taken back.

What lives here: the data that platforms render and `director.boot.apply` performs, and the names and values that
every platform refuses or makes fit. No I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath

from director.errors import UsageError
from director.service import Unit

#: The name of the service where none is given (guide 2.5).
DEFAULT_NAME = "thespian.director"
#: The most characters of a name: for PrivateTmp systemd makes /tmp/systemd-private-BOOTID-NAME.service-XXXXXX, which
#: has 64 more, and a file's name has at most 255.
LONGEST_NAME = 190
#: The word that is no name (guide 2.5).
NO_START = "nostart"
#: POSIX portable user names, as useradd(8) takes them.
_NEW_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}\Z")
#: What hosts have beside them, and every manager takes as it is (systemd.exec(5), User=: no number, no path).
_USER = re.compile(r"(?![0-9]+\Z)\w[\w.@+-]{0,254}\$?\Z")


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
        made: directories and files on the way that are not there yet, outermost first.
        behind: where links on the way to the interpreter, this package and the director directory lead.
    """

    name: str
    python: str
    directory: str
    user: str | None = None
    create_user: bool = False
    root: str = ""
    offline: bool = False
    nssm: str = ""
    made: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise UsageError for what no platform can be told."""
        for what, value in (("Python", self.python), ("director directory", self.directory)):
            if any(ord(char) < 32 or ord(char) == 127 for char in value):
                raise UsageError(f"The path of the {what} has a control character: {value!r}.")
            if not _is_text(value):
                raise UsageError(
                    f"The path of the {what} is not UTF-8: {value!r}.",
                    hint="No service manager can be told of it; rename it.",
                )
        if self.user is not None and not (_USER.match(self.user) and _is_text(self.user)):
            raise UsageError(
                f"{self.user!r} is no user name.",
                hint="Letters, digits and _.@+- are taken, a letter, digit or _ first.",
            )
        if self.user is not None and self.create_user and not _NEW_USER.match(self.user):
            raise UsageError(
                f"{self.user!r} is no name for a new user.",
                hint="Such names are a-z, 0-9, _ and -, at most 31, and do not begin with a digit.",
            )
        for value in (self.python, self.directory):
            if not (PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute()):
                raise UsageError(f"{value!r} is no absolute path.")
        if self.create_user and self.user in (None, "root"):
            raise UsageError("There is no user to create.", hint="Name one with --user NAME.")


def _is_text(value: str) -> bool:
    """Whether a word from the outside can be written into a file in UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


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
class Folder:
    """A directory that the service writes to: its path on the booted host, its owner's name, permission bits."""

    path: str
    owner: str
    mode: int = 0o700


@dataclass(frozen=True)
class Command:
    """A command of the service manager.

    Args:
        words: the command, never a shell's line.
        purpose: what it does, for people: "enable x.service".
        unless: a command that succeeds where this one is not needed.
        unless_says: words, one of which that must print as well, where its status alone tells nothing.
        when_changed: run only when a file was changed; with ``unless``, then too.
        makes: what it makes is new, so that ``when_changed`` holds for what follows, as after a file's change.
        undo: what takes it back.
        lasts: it changes what was told before, which is not known any more.
        why: what tells the reason when it has failed; each says something or nothing.
        cure: what is in that reason where the second word, a hint, helps.
        may_fail: it takes away what may be gone already.
        touches: files of the booted host that it changes; in an image none of them may lead out of it.
        litter: files of the booted host that it leaves beside its work; those that were not there go again.
    """

    words: tuple[str, ...]
    purpose: str
    unless: tuple[str, ...] = ()
    unless_says: str = ""
    when_changed: bool = False
    makes: bool = False
    lasts: bool = False
    undo: tuple[str, ...] = ()
    why: tuple[tuple[str, ...], ...] = ()
    cure: tuple[str, str] = ("", "")
    may_fail: bool = False
    touches: tuple[str, ...] = ()
    litter: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """All that bootstart writes and does, and what bootstop does.

    Args:
        unit: what it describes; its line stands in every file.
        files: written first.
        users: run next: the user, where it is to be created.
        folders: made next.
        enable: run next: after these the host's next boot starts the service.
        start: run last, unless ``nostart``.
        stop: bootstop's first commands, before the files are removed.
        forget: bootstop's last commands, when the files are gone.
        purge: with ``--purge``, between: they remove a user that was created.
        kept: directories of state and logs, which bootstop removes with ``--purge`` only.
        passing: directories that are the service's while it runs, and may be nobody else's.
        dangling: links and where they lead; where nothing is there any more, bootstop removes the link.
        hindering: whether such a link keeps the service from starting: bootstart removes it too.
        rivals: files that would make another service of the same name; none may be there.
        warnings: for the operator.
    """

    unit: Unit
    files: tuple[File, ...]
    users: tuple[Command, ...] = ()
    folders: tuple[Folder, ...] = ()
    enable: tuple[Command, ...] = ()
    start: tuple[Command, ...] = ()
    stop: tuple[Command, ...] = ()
    forget: tuple[Command, ...] = ()
    purge: tuple[Command, ...] = ()
    kept: tuple[str, ...] = ()
    passing: tuple[str, ...] = ()
    dangling: tuple[tuple[str, str], ...] = ()
    hindering: bool = False
    rivals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())


def fit(
    name: str, *, allowed: str = "A-Za-z0-9_.-", limit: int = LONGEST_NAME, ending: str = ""
) -> str:
    """A name made fit for a service manager: what it does not take becomes ``-``.

    Two names may become the same; which one a unit was made for stands in it (`Unit.asked`).

    Args:
        allowed: characters, as in a class of a regular expression.
        limit: the most characters.
        ending: one that users write though it is not part of the name (``.service``).

    Raises:
        UsageError: nothing is left of it, or it looks like an option, a path, or a word of the command.
    """
    bare = name.removesuffix(ending) if ending else name
    odd = bare.startswith(("-", ".")) or any(ord(one) < 32 or one in "/\\\x7f" for one in bare)
    made = re.sub("-{2,}", "-", re.sub(f"[^{allowed}]", "-", bare)).strip("-.")
    if odd or not made or len(bare) > limit or bare == NO_START:
        raise UsageError(
            f"{name!r} is no name for a service.",
            hint=f"Use letters, digits, dots and dashes, at most {limit}, a letter or digit first.",
        )
    return made


def describe_unit(
    manager: str, service: Service, name: str, state: str, *, ending: str = ""
) -> Unit:
    """What a unit's file says of itself.

    Args:
        name: `fit` for the manager.
        state: its state directory.
        ending: as `fit` was told.
    """
    asked = service.name.removesuffix(ending) if ending else service.name
    return Unit(
        manager=manager,
        name=name,
        directory=service.directory,
        state=state,
        user=service.user or "",
        created="yes" if service.create_user else "",
        asked="" if asked == name else asked,
        made=service.made,
    )


def command_of(service: Service) -> tuple[str, ...]:
    """What the unit runs. ``-I``: no variable and no working directory adds to its path."""
    return (service.python, "-I", "-m", "director", "start", "wait")
