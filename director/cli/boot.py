"""Commands about booting: bootstart, bootstop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from director.cli.shared import control_of, documents, json_option, show, tell
from director.errors import UsageError

_Function = TypeVar("_Function", bound=Callable[..., None])
#: As `director.boot.plan.DEFAULT_NAME`, which only these two commands load.
_NAME = "thespian.director"
_MANAGERS = click.Choice(["systemd", "upstart", "launchd", "windows"])


def _places(command: _Function) -> _Function:
    for option in (
        click.option("--root", metavar="DIR", help="Of an image that is being built."),
        click.option("--manager", type=_MANAGERS, help="Not the one that is found."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("words", nargs=-1, metavar="[NAME] [nostart]")
@click.option(
    "--print", "print_only", is_flag=True, help="Show files and commands, change nothing."
)
@click.option("--user", metavar="NAME", help="Who runs the service; it exists already.")
@click.option("--create-user", is_flag=True, help="Make --user a system user where it is missing.")
@click.option("--python", metavar="PATH", help="The interpreter, as the booted host sees it.")
@_places
@json_option
@click.pass_context
def bootstart(
    ctx: click.Context,
    words: tuple[str, ...],
    print_only: bool,
    user: str | None,
    create_user: bool,
    python: str | None,
    root: str | None,
    manager: str | None,
    as_json: bool,
) -> None:
    """Have the actor system started when the host boots, and start it now.

    NAME is the service's name (thespian.director). With `nostart` it is not started now. Run again, it changes only
    what differs.
    """
    from director.boot.apply import describe
    from director.boot.host import Wanted, plan_for
    from director.boot.host import bootstart as perform

    start = words[-1:] != ("nostart",)
    names = words if start else words[:-1]
    if len(names) > 1:
        raise UsageError(
            f"bootstart takes one name, not {' '.join(names)!r}.",
            hint="The word nostart comes last.",
        )
    wanted = Wanted(
        name=names[0] if names else _NAME,
        user=user,
        create_user=create_user,
        manager=manager or "",
        root=root or "",
        python=python or "",
    )
    control = control_of(ctx)
    if print_only:
        plan, _ = plan_for(control, wanted, start=start)
        for warning in plan.warnings:
            control.warn(warning)
        lines = describe(plan, start=start)
    else:
        lines = perform(control, wanted, start=start)
    told = {"performed": not print_only, "lines": lines}
    show(as_json, lambda: documents().done("bootstart", **told), lines)


@click.command()
@click.argument("name", default=_NAME)
@click.option("--purge", is_flag=True, help="Remove state, logs and a user that was created too.")
@_places
@json_option
@click.pass_context
def bootstop(
    ctx: click.Context,
    name: str,
    purge: bool,
    root: str | None,
    manager: str | None,
    as_json: bool,
) -> None:
    """Stop the service NAME and remove exactly what bootstart wrote.

    NAME is as for bootstart (thespian.director). State and logs stay unless --purge is given.
    """
    from director.boot.host import Wanted
    from director.boot.host import bootstop as perform

    wanted = Wanted(name=name, manager=manager or "", root=root or "")
    told, kept = perform(control_of(ctx), wanted, purge=purge)
    show(as_json, lambda: documents().done("bootstop", lines=told, kept=list(kept)), told)
    for place in kept:
        tell(f"director: {place} was left; --purge would have removed it")
