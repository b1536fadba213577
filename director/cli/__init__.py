"""The command line: words in, one method of DirectorControl each, lines out. No logic of its own.

What lives here: the guide's grammar, and how errors become a sentence and an exit status. Results go to stdout,
everything else to stderr; exit codes are those of `director.errors`. The commands are in the modules beside this one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

from director import __version__
from director.cli.shared import complain, drop_output, of_os_error, put, tell
from director.errors import DirectorError, UsageError
from director.text import nearest

if TYPE_CHECKING:
    from director.control import DirectorControl


#: Each command's name and where it stands, in the order of help; only what is asked for is imported.
_HOMES = {
    "help": "about:help_command",
    "config": "about:config",
    "keygen": "files:keygen",
    "gensrc": "gensrc:gensrc",
    "start": "running:start",
    "shutdown": "running:shutdown",
    "bootstart": "boot:bootstart",
    "bootstop": "boot:bootstop",
    "avail": "files:avail",
    "tlsinfo": "files:tlsinfo",
    "install": "files:install",
    "load": "running:load",
    "refresh": "running:refresh",
    "list": "running:list_command",
    "unload": "running:unload",
    "status": "groups:status",
    "logs": "groups:logs",
    "history": "groups:history",
    "undo": "running:undo",
    "pin": "groups:pin",
    "unpin": "groups:unpin",
    "doctor": "groups:doctor",
    "completion": "about:completion",
    "demo": "about:demo",
}


class _Commands(MutableMapping[str, click.Command]):
    """The commands by name; each is imported when it is first looked at."""

    def __init__(self) -> None:
        self._known: dict[str, click.Command | str] = dict(_HOMES)

    def __getitem__(self, name: str) -> click.Command:
        found = self._known[name]
        if isinstance(found, str):
            module, _, attribute = found.partition(":")
            found = getattr(importlib.import_module(f"director.cli.{module}"), attribute)
            self._known[name] = found
        return found

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._known[name] = command

    def __delitem__(self, name: str) -> None:
        del self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


class Grammar(click.Group):
    """The guide's grammar: ``verbose`` and ``help`` count as the first word (guide 2.1)."""

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **kwargs: Any
    ) -> int:
        """Run a command; errors made on purpose become a sentence, or a document, and their exit status."""
        words = list(sys.argv[1:] if args is None else args)
        status = self._attempt(words, "--json" in words, kwargs)
        if standalone_mode:
            sys.exit(status)
        return status

    def _attempt(self, words: list[str], as_json: bool, kwargs: dict[str, Any]) -> int:
        try:
            done = super().main(words, standalone_mode=False, **kwargs)
            return done if isinstance(done, int) else 0
        except DirectorError as problem:
            _complain(problem, as_json)
            return problem.exit_status
        except click.ClickException as problem:
            if not as_json:
                problem.show()
            else:
                _complain(UsageError(problem.format_message()), as_json)
            return problem.exit_code
        except click.Abort:
            if as_json:
                _complain(DirectorError("It was interrupted.", code="interrupted"), as_json)
            else:
                tell("director: interrupted")
            return 1
        except SystemExit:
            # How click ends where nobody reads its own page of help any more.
            drop_output()
            return 0
        except OSError as problem:
            told = of_os_error(problem)
            _complain(told, as_json)
            return told.exit_status

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click would end without a word where a pipe or connection of ours breaks."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as problem:
            raise DirectorError(
                f"A connection broke: {problem.strerror}.",
                hint="`director status` shows whether the actor system is well; then try again.",
                code="os-error",
            ) from None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take ``verbose`` off, here and not in `main`, so that shell completion sees it too."""
        if args[:1] == ["verbose"]:
            ctx.obj = {**(ctx.obj or {}), "verbose": True}
            args = args[1:]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; say which one was probably meant."""
        if args and self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            hint = nearest(args[0], self.list_commands(ctx)) or "`director help` lists them all."
            raise UsageError(f"There is no command {args[0]!r}.", hint=hint)
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order they are written here, which is the order in which they are used."""
        return list(self.commands)


@click.group(
    cls=Grammar,
    commands=_Commands(),
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="director")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Ship, sign and hot-load Thespian actor applications.

    `director verbose COMMAND …` tells each step on stderr; `director help COMMAND` explains one command. Exit status:
    0 done, 1 failed, 2 wrong usage, 3 no actor system runs, 4 not found, 5 no boot configuration, 6 damaged, 7 not
    validated, 8 settings do not read.
    """
    if ctx.invoked_subcommand is None:
        from director.cli.about import show_help

        show_help(None, ctx)


def run(words: Sequence[str], control: DirectorControl | None = None) -> int:
    """Run one command and return its exit status.

    Args:
        words: as typed after ``director``.
        control: used instead of one of the environment's director directory.
    """
    done = cli.main(
        list(words), prog_name="director", obj={"control": control}, standalone_mode=False
    )
    return int(done)


def _complain(problem: DirectorError, as_json: bool) -> None:
    if as_json:
        from director.documents import error, to_json

        try:
            put(to_json(error(problem)))
        except OSError as full:  # of a program that runs commands: its stdout takes no document
            tell(f"director: write error: {full.strerror}")
        else:
            return
    complain(problem)


def main() -> NoReturn:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


__all__: list[Any] = ["cli", "main", "run"]
