"""Commands about the running system: start, shutdown, load, refresh, list, unload."""

from __future__ import annotations

import time

import click

from director.cli.shared import control_of, tell
from director.control import DirectorControl, Loaded
from director.errors import NotFound
from director.text import listing


@click.command()
@click.argument("wait", required=False, type=click.Choice(["wait"]))
@click.pass_context
def start(ctx: click.Context, wait: str | None) -> None:
    """Start the actor system and load every group's newest version; `wait` stays until it ends."""
    control = control_of(ctx)
    started = control.start()
    tell("started" if started else "already running")
    failed = _refresh(control)
    if wait and not failed:
        while control.running():
            time.sleep(1)
    ctx.exit(1 if failed else 0)


@click.command()
@click.pass_context
def shutdown(ctx: click.Context) -> None:
    """Stop the actor system; every actor is asked to exit first."""
    killed = control_of(ctx).shutdown()
    for pid in killed:
        tell(f"director: process {pid} did not end by itself and was killed")
    click.echo("Shutdown completed")


def _report(loaded: Loaded) -> None:
    if loaded.changed:
        click.echo(f'Loaded "{loaded.group}" {loaded.path}: {loaded.source_hash}')
    else:
        click.echo(f'"{loaded.group}" is up to date: {loaded.path}')
    for warning in loaded.warnings:
        tell(f"director: warning: {warning}")


@click.command()
@click.argument("group_or_file")
@click.option(
    "--allow-downgrade",
    is_flag=True,
    help="Take a file that is new to this host although it has seen a higher version.",
)
@click.pass_context
def load(ctx: click.Context, group_or_file: str, allow_downgrade: bool) -> None:
    """Load GROUP, GROUP.tli, GROUP-VERSION.tls or a path; done when that version is active.

    The actor system is started where none runs. A named file, even an older one, is the one loaded.
    """
    _report(control_of(ctx).load(group_or_file, allow_downgrade=allow_downgrade))


def _refresh(control: DirectorControl) -> bool:
    failed = False
    for result in control.refresh():
        if result.loaded:
            _report(result.loaded)
        elif result.error:
            failed = True
            tell(f'director: "{result.group}": {result.error}')
    return failed


@click.command()
@click.pass_context
def refresh(ctx: click.Context) -> None:
    """Load the newest version of every group; what is up to date stays as it is."""
    ctx.exit(1 if _refresh(control_of(ctx)) else 0)


@click.command("list")
@click.argument("group", required=False)
@click.pass_context
def list_command(ctx: click.Context, group: str | None) -> None:
    """List the loaded sources and their actors, of all groups or of GROUP."""
    groups = control_of(ctx).loaded(group)
    if group and group not in groups:
        raise NotFound(f"No source of a group {group!r} is loaded.")
    for line in listing(groups):
        click.echo(line)


@click.command()
@click.argument("source_hash")
@click.pass_context
def unload(ctx: click.Context, source_hash: str) -> None:
    """Unload the source with this hash; its actors end, an older loaded version takes over."""
    control_of(ctx).unload(source_hash)
    click.echo(f"Unloaded {source_hash}")
