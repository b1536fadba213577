"""Commands about the director itself: help, config, demo."""

from __future__ import annotations

import click

from director.cli.shared import control_of, tell
from director.control import DirectorControl
from director.errors import NotFound, SettingsError


def show_help(command: str | None, ctx: click.Context) -> None:
    """Print the director's help, or that of one command (guide 2.1)."""
    root = ctx.find_root()
    if command is None:
        click.echo(root.get_help())
        control = DirectorControl()
        click.echo(f"\nTHESPIAN_DIRECTOR_DIR is {control.directory}.")
        try:
            for setting in control.config.settings:
                click.echo(f"  {setting.name:18} {setting.value!r}  ({setting.source})")
        except SettingsError as problem:
            click.echo(f"  settings do not read: {problem}")
        return
    assert isinstance(root.command, click.Group)  # noqa: S101 - the command line's own root
    found = root.command.get_command(root, command)
    if found is None:
        raise NotFound(f"There is no command {command!r}.", hint="`director help` lists them all.")
    click.echo(found.get_help(click.Context(found, info_name=command, parent=root)))


@click.command("help")
@click.argument("command", required=False)
@click.pass_context
def help_command(ctx: click.Context, command: str | None) -> None:
    """Explain the director, or one COMMAND."""
    show_help(command, ctx)


@click.command()
@click.pass_context
def config(ctx: click.Context) -> None:
    """Show each setting, its value and where it came from."""
    control = control_of(ctx)
    settings = control.config
    click.echo(f"   Sources location: {control.directory}")
    click.echo(f"     State location: {control.state}")
    click.echo(f"        System Base: {settings.system_base}")
    if settings.old_system_base:
        click.echo(f"    OLD System Base: {settings.old_system_base}")
    click.echo(f"         Admin Port: {settings.admin_port}")
    click.echo(f"  Logging directory: {settings.log_directory}")
    if settings.convention_leader:
        click.echo(f"  Convention Leader: {settings.convention_leader}")
    click.echo(f" Other Capabilities: {settings.capabilities}")
    for setting in settings.settings:
        click.echo(f"   {setting.name:18} from {setting.source}")
    for problem in settings.problems:
        tell(f"director: {problem}")


@click.command()
def demo() -> None:
    """Run the main job on the example: keys, build, load, a live upgrade without a lost message."""
    from director.demo import run

    run(click.echo)
