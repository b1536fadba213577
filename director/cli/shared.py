"""What every command of the command line uses: where messages go, and the DirectorControl of this call."""

from __future__ import annotations

import click

from director.control import DirectorControl


def tell(line: str) -> None:
    """A message for people: to stderr, so that results stay alone on stdout."""
    click.echo(line, err=True)


def warn(line: str) -> None:
    """What an operator should know although the command goes on."""
    tell(f"director: warning: {line}")


def control_of(ctx: click.Context) -> DirectorControl:
    """The DirectorControl of this call; it is closed when the command ends."""
    verbose = (ctx.find_root().obj or {}).get("verbose", False)
    control = DirectorControl(say=tell, warn=warn) if verbose else DirectorControl(warn=warn)
    return ctx.with_resource(control)
