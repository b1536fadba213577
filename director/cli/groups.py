"""Commands that look after groups: status, logs, history, pin, unpin, doctor."""

from __future__ import annotations

import click

from director import text
from director.cli.shared import control_of, documents, fancy, json_option, known_groups, show, tell
from director.errors import NotFound


@click.command()
@click.argument("group", required=False, shell_complete=known_groups)
@click.option("--convention", "of_all", is_flag=True, help="Show the hosts of the convention.")
@json_option
@click.pass_context
def status(ctx: click.Context, group: str | None, of_all: bool, as_json: bool) -> None:
    """Show how the running system is: versions, actors, deaths, the last traceback of what failed.

    With GROUP of that alone. The exit status is 1 when a group is not well (one that is just starting is), a global
    name is blocked, this host's marks or settings do not read, or it is a member that is cut off from its leader.
    --convention shows each host instead, as the leader
    sees it: versions, sources, roles, clock, and keys that it lacks.
    """
    control = control_of(ctx)
    if of_all:
        found = control.convention()
        show(as_json, lambda: documents().convention(found), text.convention(found))
        return
    told = control.status()
    leader = control.member_of()
    if leader:
        tell(
            f"director: this host is a member of the convention led by {leader}, where groups are "
            "looked after; `director status --convention` shows its hosts"
        )
    names = [one.name for one in told.groups]
    for name in control.not_loaded(told.groups):
        if group in (None, "", name):
            tell(
                f"director: {name} has a file or a pin here and is not loaded; `director load {name}`"
            )
    if group:
        if group not in names:
            control.leave_to_leader()
            hint = text.nearest(group, names) or "`director status` shows all."
            raise NotFound(f"No source of a group {group!r} is loaded.", hint=hint)
        from dataclasses import replace

        told = replace(told, groups=tuple(one for one in told.groups if one.name == group))
    if fancy() and not as_json:
        from director.tables import print_status

        print_status(told, member=bool(leader))
    else:
        lines = text.status(told, member=bool(leader))
        show(as_json, lambda: documents().status(told), lines)
    ctx.exit(0 if told.well else 1)


@click.command()
@click.argument("group", shell_complete=known_groups)
@click.option(
    "-n",
    "--lines",
    default=50,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="So many, the last ones.",
)
@json_option
@click.pass_context
def logs(ctx: click.Context, group: str, lines: int, as_json: bool) -> None:
    """Show the last log lines of GROUP's actors, and what the Director logged about it.

    They are looked for in the files that thesplog.cfg names, of a system that ended too, and of a systemd unit in the
    last 50,000 entries of its journal. In a convention an actor's
    lines are in the log of its host: the leader's command tells which that is, a member's shows what ran there.
    """
    control = control_of(ctx)
    found, elsewhere = control.logs(group)[-lines:], control.elsewhere(group)
    if not found:
        tell(f"director: no log line of {group} is in {control.log_place}")
    for one in elsewhere:
        tell(
            f"director: {', '.join(one.roles)} of {group} runs on {one.host} ({one.address}): its lines are in that "
            f"host's log; `director logs {group}` there shows them"
        )
    show(as_json, lambda: documents().logs(group, found, elsewhere), found)


@click.command()
@click.argument("group", required=False, shell_complete=known_groups)
@click.option(
    "-n",
    "--last",
    default=50,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="So many events, the last ones.",
)
@json_option
@click.pass_context
def history(ctx: click.Context, group: str | None, last: int, as_json: bool) -> None:
    """Show what happened to all groups or to GROUP; needs no running system.

    Activations, failures, deaths, unloads, pins and undos, oldest first, each with its time and version.
    """
    control = control_of(ctx)
    control.leave_to_leader()
    events = control.history(group)[-last:]
    if not events:
        control.store.require()
        tell(f"director: nothing has happened{f' to {group}' if group else ''} yet")
    if fancy() and not as_json:
        from director.tables import print_history

        print_history(events)
    else:
        show(as_json, lambda: documents().history(events), text.history(events))


@click.command()
@click.argument("group", required=False, shell_complete=known_groups)
@click.argument("version", required=False)
@json_option
@click.pass_context
def pin(ctx: click.Context, group: str | None, version: str | None, as_json: bool) -> None:
    """Keep GROUP at VERSION (default: the active one), whatever is newer; alone it shows all pins.

    `load GROUP` and `refresh` mean that version then, and another file of the group is refused.
    """
    control = control_of(ctx)
    control.leave_to_leader()
    found = [control.pin(group, version)] if group else list(control.pins().values())
    if not found:
        control.store.require()
    lines = [f"{one.group} is pinned to {one.file} since {one.since}" for one in found]
    show(as_json, lambda: documents().pins(control.pins().values()), lines)


@click.command()
@click.argument("group", shell_complete=known_groups)
@json_option
@click.pass_context
def unpin(ctx: click.Context, group: str, as_json: bool) -> None:
    """End the pin of GROUP: `refresh` loads newer versions again, and `load` any."""
    control = control_of(ctx)
    control.unpin(group)
    show(as_json, lambda: documents().pins(control.pins().values()), [f"Unpinned {group}"])


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Look for what is wrong: keys, permissions, port, settings, TLI, files, pins, clock, units, loads.

    Nothing is changed or started. Each finding comes with its remedy; the exit status is 1 when one is an error.
    """
    found = control_of(ctx).doctor()
    lines = text.findings(found) if found else ["Nothing is wrong."]
    show(as_json, lambda: documents().doctor(found), lines)
    ctx.exit(1 if any(finding.level == "error" for finding in found) else 0)
