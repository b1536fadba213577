"""The command line: words in, one method of DirectorControl each, lines out. No logic of its own.

What lives here: the guide's grammar, and how errors become a sentence and an exit status. Results go to stdout,
everything else to stderr; exit codes are those of `director.errors`. The commands are in `about`, `files`, `running`.
"""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import click

from director import __version__
from director.cli import about, files, running
from director.cli.gensrc import gensrc
from director.cli.shared import tell
from director.errors import DirectorError


class Grammar(click.Group):
    """The guide's grammar: ``verbose`` and ``help`` count as the first word (guide 2.1)."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command; errors made on purpose become a sentence and their exit status."""
        try:
            return super().main(*args, **kwargs)
        except DirectorError as problem:
            tell(f"director: {problem.message}")
            if problem.hint:
                tell(f"  {problem.hint}")
            sys.exit(problem.exit_status)
        except OSError as problem:
            if isinstance(problem, BrokenPipeError):
                # The reader of our output went away; nothing more can be told.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                sys.exit(1)
            name = f"{problem.filename}: " if problem.filename else ""
            tell(f"director: {name}{problem.strerror or problem}.")
            sys.exit(4 if isinstance(problem, FileNotFoundError) else 1)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order they are written here, which is the order in which they are used."""
        return list(self.commands)


@click.group(
    cls=Grammar,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="director")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Ship, sign and hot-load Thespian actor applications.

    `director verbose COMMAND …` tells each step on stderr; `director help COMMAND` explains one command.
    """
    if ctx.invoked_subcommand is None:
        about.show_help(None, ctx)


for _command in (
    about.help_command,
    about.config,
    files.keygen,
    gensrc,
    running.start,
    running.shutdown,
    files.avail,
    files.tlsinfo,
    files.install,
    running.load,
    running.refresh,
    running.list_command,
    running.unload,
    about.demo,
):
    cli.add_command(_command)


def main() -> NoReturn:
    """The console script."""
    words = sys.argv[1:]
    verbose = words[:1] == ["verbose"]
    cli.main(args=words[1:] if verbose else words, prog_name="director", obj={"verbose": verbose})
    sys.exit(0)
