"""Tables for terminals, of what DirectorControl returns; `director.text` is the same for pipes."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from director.escape import shown
from director.history import Event
from director.report import GroupStatus, Status
from director.text import no_groups, override, replaced
from director.text import system as system_lines

_COLOURS = {"active": "green", "serving": "green", "failed": "red", "restarting": "yellow"}


def print_status(told: Status, *, member: bool = False) -> None:
    """``director status``."""
    console = Console()
    for line in system_lines(told):
        console.print(escape(line))
    if not told.groups:
        console.print(no_groups(member))
    for group in told.groups:
        console.print(_group(group))
        for line in override(group):
            console.print(f"[yellow]warning:[/] {escape(line)}")
        for version in group.versions:
            if version.override:
                console.print(f"[yellow]warning:[/] {escape(replaced(group, version))}")
            if version.revoked is not None:
                why = f"REVOKED: {version.version or version.source_hash}: {version.revoked}"
                console.print(f"[red]{escape(why)}[/] (`director refresh` unloads it)")
            if version.expires is not None:
                word = "[red]EXPIRED[/]" if version.expired else "expires"
                console.print(
                    f"{escape(version.version or version.file)} {word} on {version.expires}"
                )
        if group.failure:
            what = f"({group.failure.code}), {group.failure.file}:"
            console.print(f"[red]last failure[/] {escape(what)}")
            for line in group.failure.text.splitlines():
                console.print(f"    {escape(shown(line))}")


def _group(group: GroupStatus) -> Table:
    word = "[yellow]starting[/]" if group.starting else "[red]not well[/]"
    word = "[green]ok[/]" if group.well else word
    pinned = f", pinned to {escape(group.pinned)}" if group.pinned else ""
    table = Table(title=f"{escape(group.name)}: {word}{pinned}", title_justify="left")
    for name in ("Version", "State", "Role", "Actor", "Address", "Deaths"):
        table.add_column(name)
    for version in group.versions:
        state = version.state + (", tentative" if version.tentative else "")
        state += "" if version.revoked is None else ", revoked"
        state += ", EXPIRED" if version.expired else ""
        table.add_row(escape(version.version or "no version"), _coloured(state))
        for actor in version.actors:
            table.add_row(
                "",
                _coloured(actor.state)
                if actor.silent_for is None
                else _coloured(f"{actor.state}, NOT ANSWERING for {actor.silent_for:.0f} s"),
                escape(actor.role or ""),
                escape(actor.actor_class),
                escape(actor.address or ""),
                str(actor.deaths or ""),
            )
    return table


def print_history(events: Iterable[Event]) -> None:
    """``director history``."""
    table = Table()
    for name in ("Time", "Group", "Version", "Event", "What"):
        table.add_column(name)
    for event in events:
        first = event.text.splitlines()[0] if event.text else ""
        told = (event.time, event.group, event.version or "", event.event, shown(first))
        table.add_row(*(escape(cell) for cell in told))
    Console().print(table)


def _coloured(state: str) -> str:
    colour = _COLOURS.get(state.partition(",")[0])
    return f"[{colour}]{escape(state)}[/]" if colour else escape(state)
