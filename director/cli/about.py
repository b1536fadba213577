"""Commands about the director itself: help, config, completion, demo."""

from __future__ import annotations

import os

import click

from director.cli.shared import complain, control_of, documents, json_option, show, tell
from director.errors import NotFound, SettingsError
from director.settings.config import director_directory, survey_config
from director.settings.files import SETTINGS
from director.text import nearest


def show_help(command: str | None, ctx: click.Context) -> None:
    """Print the director's help, or that of one command (guide 2.1)."""
    root = ctx.find_root()
    if command is None:
        click.echo(root.get_help())
        _show_settings()
        return
    assert isinstance(root.command, click.Group)  # noqa: S101 - the command line's own root
    found = root.command.get_command(root, command)
    if found is None:
        hint = nearest(command, root.command.list_commands(root))
        hint = hint or "`director help` lists them all."
        raise NotFound(f"There is no command {command!r}.", hint=hint)
    click.echo(found.get_help(click.Context(found, info_name=command, parent=root)))


def _show_settings() -> None:
    directory = director_directory(os.environ).absolute()
    click.echo(f"\nTHESPIAN_DIRECTOR_DIR is {directory}. Settings there, one file each:\n")
    settings, _ = survey_config(directory, os.environ)
    present = {setting.name: setting for setting in settings.settings}
    for name, (meaning, default) in SETTINGS.items():
        click.echo(f"  {name + '.cfg':16} {meaning}")
        found = present[name]
        now = "; not set" if found.source == "default" else f"; now {found.value}"
        if found.problem:
            now = f"; does not read: {found.problem}"
        click.echo(f"  {'':16} default {default or 'none'}{now}")


@click.command("help")
@click.argument("command", required=False)
@click.pass_context
def help_command(ctx: click.Context, command: str | None) -> None:
    """Explain the director, or one COMMAND."""
    show_help(command, ctx)


@click.command()
@json_option
@click.pass_context
def config(ctx: click.Context, as_json: bool) -> None:
    """Show each setting, its value and where it came from.

    The exit status is 8 when one does not read; the others are shown all the same.
    """
    control = control_of(ctx)
    settings, errors = control.survey()
    bad = {one.name for one in settings.settings if one.problem}

    def told(name: str, value: object) -> object:
        return "does not read" if name in bad else value

    lines = [
        f"   Sources location: {control.directory}",
        f"     State location: {control.state}",
        f"        System Base: {told('thespbase', settings.system_base)}",
    ]
    if settings.old_system_base or "oldthespbase" in bad:
        lines.append(f"    OLD System Base: {told('oldthespbase', settings.old_system_base)}")
    lines.append(f"         Admin Port: {told('adminport', settings.admin_port)}")
    lines.append(f"  Logging directory: {told('thesplogd', settings.log_directory)}")
    if settings.convention_leader or "convleader" in bad:
        lines.append(f"  Convention Leader: {told('convleader', settings.convention_leader)}")
    lines.append(f" Other Capabilities: {told('othercaps', settings.capabilities)}")
    for setting in settings.settings:
        value = "does not read" if setting.problem else repr(setting.value)
        lines.append(f"   {setting.name:18} {value}, from {setting.source}")
    where = (control.directory, control.state)
    show(as_json, lambda: documents().config(*where, settings, errors), lines)
    for problem in settings.problems:
        tell(f"director: {problem}")
    if errors:
        if not as_json:
            complain(SettingsError.of(errors))
        ctx.exit(SettingsError.exit_status)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes SHELL complete commands, groups and files.

    For bash: `eval "$(director completion bash)"` in ~/.bashrc.
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - the choices are those that click has
    root = ctx.find_root().command
    click.echo(found(root, {}, "director", "_DIRECTOR_COMPLETE").source())


@click.command()
def demo() -> None:
    """Run the main job on the example: keys, build, load, a live upgrade without a lost message."""
    from director.demo import run

    run(click.echo)
