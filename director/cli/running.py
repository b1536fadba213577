"""Commands about the running system: start, shutdown, load, refresh, list, unload."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from director.cli.shared import (
    control_of,
    documents,
    json_option,
    known_groups,
    progress,
    show,
    tell,
)
from director.errors import NotFound, UsageError
from director.text import listing, nearest

if TYPE_CHECKING:
    from director.control import DirectorControl, Loaded, Refreshed


@click.command()
@click.argument("wait", required=False, type=click.Choice(["wait"]))
@click.option("--json-log", is_flag=True, help="With wait: log to stdout, a JSON document a line.")
@json_option
@click.pass_context
def start(ctx: click.Context, wait: str | None, json_log: bool, as_json: bool) -> None:
    """Start the actor system and load every group's newest version; `wait` stays until it ends.

    Where one runs, it is left as it is and nothing is loaded. A version that was active before, and an actor of which
    waits for a host of the convention, serves what it can: a warning tells of it, and the exit status is 0.

    `start wait` is what services and containers run:
    SIGTERM and SIGINT shut the system down, SIGHUP refreshes; it fails when the Admin or the Director dies, with
    nothing left behind.
    """
    control = control_of(ctx)
    if wait and as_json:
        raise UsageError("`start wait` has no result to print.", hint="--json-log logs in JSON.")
    if wait:
        from director.foreground import run  # only services pay for it

        ctx.exit(run(control, json_log=json_log))
    with progress("starting"):
        started = control.start()
    if not started:
        tell("already running")
    failed = _refresh(control, as_json, "start", started=True) if started else _nothing(as_json)
    ctx.exit(1 if failed else 0)


def _nothing(as_json: bool) -> bool:
    show(as_json, lambda: documents().loaded([], "start"), [])
    return False


@click.command()
@json_option
@click.pass_context
def shutdown(ctx: click.Context, as_json: bool) -> None:
    """Stop the actor system; every actor is asked to exit first.

    They get ActorExitRequest, and no OnDeactivate. It is done when every process has ended.
    """
    with progress("stopping"):
        killed = control_of(ctx).shutdown()
    for pid in killed:
        tell(f"director: process {pid} did not end by itself and was killed")
    show(as_json, lambda: documents().done("shutdown", killed=killed), ["Shutdown completed"])


def report(loaded: Loaded) -> list[str]:
    """The line about one group."""
    if loaded.changed:
        return [f'Loaded "{loaded.group}" {loaded.path}: {loaded.source_hash}']
    return [f'"{loaded.group}" is up to date: {loaded.path}']


def _show(loaded: Loaded, as_json: bool, command: str) -> None:
    for warning in loaded.warnings:
        tell(f"director: warning: {warning}")
    told = [(loaded.group, loaded, None)]
    show(as_json, lambda: documents().loaded(told, command), report(loaded))


def _a_number(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    if value is not None and value != value:  # NaN is in every range
        raise click.BadParameter("nan is no number of seconds", ctx, param)
    return value


@click.command()
@click.argument("file", metavar="GROUP_OR_FILE", shell_complete=known_groups)
@click.option(
    "--settle",
    type=click.FloatRange(0, 3600),
    callback=_a_number,
    metavar="SECONDS",
    help="Wait so long after the switch; an actor that dies then brings the version before back.",
)
@click.option(
    "--allow-downgrade",
    is_flag=True,
    help="Take a file that is new to this host although it has seen a higher version.",
)
@json_option
@click.pass_context
def load(
    ctx: click.Context, file: str, settle: float | None, allow_downgrade: bool, as_json: bool
) -> None:
    """Load GROUP, GROUP.tli, GROUP-VERSION.tls or a path; done when that version is active.

    The actor system is started where none runs. When the new version's actors do not start, the command fails with
    their own error and what ran before serves on.

    A named file is the one loaded, also an older one that this host has accepted before. One that is new to it, and
    older than the highest version that it has seen under that key, is refused (exit 7) without --allow-downgrade.

    Of a pinned group (`director pin`, `director undo`) GROUP means the pinned file, and another file is refused until
    `director unpin GROUP`.
    """
    with progress(f"loading {file}"):
        loaded = control_of(ctx).load(file, settle=settle, allow_downgrade=allow_downgrade)
    _show(loaded, as_json, "load")


def _refresh(
    control: DirectorControl, as_json: bool, command: str, *, started: bool = False
) -> bool:
    def tell_one(result: Refreshed) -> None:
        for warning in result.loaded.warnings if result.loaded else ():
            tell(f"director: warning: {result.group}: {warning}")
        if result.error:
            kind = "warning: " if started and result.waiting else ""
            tell(f'director: {kind}"{result.group}": {result.error}')
        if result.loaded and not as_json:
            show(False, dict, report(result.loaded))

    with progress("loading"):
        results: Sequence[Refreshed] = control.refresh(told=tell_one, started=started)
    told = [(result.group, result.loaded, result.error) for result in results]
    show(as_json, lambda: documents().loaded(told, command), ())
    return any(result.error and not (started and result.waiting) for result in results)


@click.command()
@json_option
@click.pass_context
def refresh(ctx: click.Context, as_json: bool) -> None:
    """Load the newest version of every group; what is up to date stays as it is.

    The actor system is started where none runs. Of a pinned group the pinned version is meant. One group that
    fails stops no other; the exit status is 1 then.
    """
    ctx.exit(1 if _refresh(control_of(ctx), as_json, "refresh") else 0)


@click.command()
@click.argument("group", shell_complete=known_groups)
@json_option
@click.pass_context
def undo(ctx: click.Context, group: str, as_json: bool) -> None:
    """Make the version of GROUP active that was so before the present one, and pin the group to it.

    `director unpin GROUP` lets `refresh` load newer ones again. A second undo goes back one more.
    """
    control = control_of(ctx)
    with progress(f"going back with {group}"):
        loaded = control.undo(group)
    _show(loaded, as_json, "undo")
    pinned = control.pins()[group] if group in control.pinned_groups() else None
    if pinned is not None and pinned.file == loaded.path.name:
        tell(f"director: {group} is pinned to {pinned.file}; `director unpin {group}` ends that")


@click.command("list")
@click.argument("group", required=False, shell_complete=known_groups)
@json_option
@click.pass_context
def list_command(ctx: click.Context, group: str | None, as_json: bool) -> None:
    """List the loaded sources and their actors, of all groups or of GROUP.

    Of each source its hash, whether it is active, and its version; of each actor its address, class, role and start.
    """
    control = control_of(ctx)
    groups = control.loaded()
    if group and group not in groups:
        hint = nearest(group, groups) or "`director list` shows what is."
        raise NotFound(f"No source of a group {group!r} is loaded.", hint=hint)
    wanted = {name: told for name, told in groups.items() if group in (None, "", name)}
    show(as_json, lambda: documents().listing(wanted), listing(wanted))


@click.command()
@click.argument("source_hash")
@json_option
@click.pass_context
def unload(ctx: click.Context, source_hash: str, as_json: bool) -> None:
    """Unload the source with this hash; its actors end, an older loaded version takes over.

    SOURCE_HASH is as `director list` and `director avail` show it. The actors get OnDeactivate, then ActorExitRequest.
    The version that takes over is the highest that is still loaded; its actors get OnReactivate.
    """
    control_of(ctx).unload(source_hash)
    told = {"source_hash": source_hash}
    show(as_json, lambda: documents().done("unload", **told), [f"Unloaded {source_hash}"])
