"""Commands about the director itself: help, config, completion, demo."""

from __future__ import annotations

import inspect
import os
from typing import Any

import click

from director import page
from director.cli.shared import complain, control_of, documents, json_option, put, show, tell
from director.errors import NotFound, SettingsError
from director.settings.config import director_directory
from director.text import nearest


def show_help(command: str | None, ctx: click.Context, *, as_json: bool = False) -> None:
    """Print the director's help, or that of one command (guide 2.1)."""
    root = ctx.find_root()
    assert isinstance(root.command, click.Group)  # noqa: S101 - the command line's own root
    if command is None and not as_json:
        for line in page.lines(os.environ):
            put(line)
        return
    names = root.command.list_commands(root)
    if command == "verbose" and not as_json:
        put("Usage: director verbose COMMAND [ARGS]...")
        put("")
        put(
            "  Run COMMAND and tell each of its steps on stderr. `verbose` counts only as the first word."
        )
        return
    if command is not None and command not in names:
        hint = nearest(command, names) or "`director help` lists them all."
        raise NotFound(f"There is no command {command!r}.", hint=hint)
    found = [root.command.commands[name] for name in ([command] if command else names)]
    directory = director_directory(os.environ).absolute()
    lines = [one.get_help(click.Context(one, info_name=one.name, parent=root)) for one in found]
    settings = None if command else [*page.settings(directory, os.environ)]
    told = [_described(one, root) for one in found]
    show(as_json, lambda: documents().help_(directory, told, settings), lines)


def _described(command: click.Command, root: click.Context) -> dict[str, Any]:
    ctx = click.Context(command, info_name=command.name, parent=root)
    return {
        "name": command.name,
        "usage": command.get_usage(ctx).removeprefix("Usage: "),
        "help": inspect.cleandoc(command.help or "").replace("\b\n", ""),
        "parameters": [_parameter(one, ctx) for one in command.params],
    }


def _parameter(param: click.Parameter, ctx: click.Context) -> dict[str, Any]:
    option = param if isinstance(param, click.Option) else None
    choices = param.type.choices if isinstance(param.type, click.Choice) else None
    return {
        "name": param.name,
        "kind": "option" if option else "argument",
        "words": list(param.opts) if option else [],
        "metavar": None if option and option.is_flag else param.make_metavar(ctx),
        "required": param.required,
        "repeated": param.nargs == -1,
        "choices": list(choices) if choices else None,
        "help": option.help if option else None,
    }


def write_page() -> None:
    """Write the part of `director.page` that never changes."""
    from director.cli import cli

    context = click.Context(cli, info_name="director", terminal_width=80, **cli.context_settings)
    page.TEXT.write_text(cli.get_help(context) + "\n", encoding="utf-8")


def _known_commands(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    root = ctx.find_root()
    assert isinstance(root.command, click.Group)  # noqa: S101 - the command line's own root
    return [name for name in root.command.list_commands(root) if name.startswith(incomplete)]


@click.command("help")
@click.argument("command", required=False, shell_complete=_known_commands)
@json_option
@click.pass_context
def help_command(ctx: click.Context, command: str | None, as_json: bool) -> None:
    """Explain the director, or one COMMAND.

    Without COMMAND it lists all commands, the director directory, and each setting with its default and present value.
    """
    show_help(command, ctx, as_json=as_json)


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

    For bash: `eval "$(director completion bash)"` in ~/.bashrc. It prints a script, so there is no --json.
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - the choices are those that click has
    root = ctx.find_root().command
    put(found(root, {}, "director", "_DIRECTOR_COMPLETE").source())


@click.command()
@json_option
def demo(as_json: bool) -> None:
    """Run the main job on the example: keys, build, load, a live upgrade without a lost message."""
    from director.demo import run

    lines: list[str] = []
    run(lines.append if as_json else put)
    show(as_json, lambda: documents().done("demo", lines=lines), [])
