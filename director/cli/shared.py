"""What every command of the command line uses: where messages go, ``--json``, the DirectorControl of this call."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from director.escape import shown

if TYPE_CHECKING:  # it is imported by the commands that need it: help does not
    from director.control import DirectorControl
    from director.errors import DirectorError


def tell(line: str) -> None:
    """A message for people, of one line or more: to stderr, so that results stay alone on stdout."""
    click.echo("\n".join(shown(one) for one in line.split("\n")), err=True)


def put(line: str) -> None:
    """A line of a result, to stdout. A reader that went away (``| head``) changes nothing of what is done."""
    try:
        click.echo(line)
    except BrokenPipeError:
        drop_output()


def put_bytes(data: bytes) -> None:
    """A result that is no text, as it is."""
    try:
        click.echo(data, nl=False)
    except BrokenPipeError:
        drop_output()


def drop_output() -> None:
    """Let what is still written to stdout go nowhere: nobody reads it any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def warn(line: str) -> None:
    """What an operator should know although the command goes on."""
    tell(f"director: warning: {line}")


def complain(problem: DirectorError) -> None:
    """What went wrong, and what to do next, for people."""
    tell(f"director: {problem.message}")
    if problem.hint:
        tell(f"  {problem.hint}")


def of_os_error(problem: OSError) -> DirectorError:
    """What the system said, as an error of ours, with the file where it is known."""
    from director.errors import DirectorError, NotFound

    name = f"{problem.filename}: " if problem.filename else ""
    text = f"{name}{problem.strerror or problem}."
    if isinstance(problem, FileNotFoundError):
        return NotFound(text)
    return DirectorError(text, code="os-error")


def control_of(ctx: click.Context) -> DirectorControl:
    """The DirectorControl of this call; it is closed when the command ends."""
    told = ctx.find_root().obj or {}
    given: DirectorControl | None = told.get("control")
    if given is not None:  # `director.commands` calls on behalf of a program
        return given
    from director.control import DirectorControl

    verbose = told.get("verbose", False)
    control = DirectorControl(say=tell, warn=warn) if verbose else DirectorControl(warn=warn)
    return ctx.with_resource(control)


#: The option that every reading command takes.
json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document on stdout, errors too."
)


def documents() -> ModuleType:
    """`director.documents`, imported when a document is asked for."""
    from director import documents as found

    return found


def show(as_json: bool, document: Callable[[], dict[str, Any]], lines: Iterable[str]) -> None:
    """Print a command's result: the document, or the lines for people."""
    if as_json:
        from director.documents import to_json

        put(to_json(document()))
    else:
        for line in lines:
            put(line)


def fancy() -> bool:
    """Whether people look at stdout: a terminal, and not NO_COLOR or TERM=dumb."""
    seen = sys.stdout is not None and sys.stdout.isatty()  # a program without a console has none
    return seen and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


@contextlib.contextmanager
def progress(what: str) -> Iterator[None]:
    """Show on a terminal's stderr that something takes its time."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


def known_groups(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Shell completion: the groups of the director directory, and its .tls files after a ``-``."""
    from director.control import DirectorControl

    groups = DirectorControl().store.available()
    names = list(groups)
    if "-" in incomplete or param.name == "file":
        names += [one.path.name for files in groups.values() for one in files]
    return [name for name in names if name.startswith(incomplete)]
