"""What could be wrong with what runs, as the Director tells it: whatever makes `status` say that it is not well.

What lives here: findings made of a `director.report.Status`. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from director.actors.endings import HOST_CODES
from director.doctor.finding import Finding, error, warning
from director.report import GroupStatus, Status


def running(status: Status, not_loaded: Iterable[str]) -> Iterator[Finding]:
    """The findings about a running system.

    Args:
        status: of all groups.
        not_loaded: groups that should be and are not.
    """
    if status.leader and status.leader.away:
        yield error(
            "leader-away",
            f"This host is {status.leader}.",
            "See that the host runs (`director status` there) and that each of the two reaches the other at every "
            "TCP port. What runs here goes on, and nobody starts, upgrades or ends it meanwhile.",
        )
    for why in status.blocked.values():
        yield error(
            "blocked",
            f"{why[:1].upper()}{why[1:]}.",
            "Restart the actor system when its groups may rest: `director shutdown`, then `director start`.",
        )
    for group in status.groups:
        yield from _failure(group)
        found = [*_versions(group), *_actors(group)]
        yield from found
        if not (group.well or group.starting or group.failure or found):
            text = f"{group.name}: no version of it is active."
            yield error("not-active", text, f"`director load {group.name}` loads the newest.")
        if group.loading:
            text = f"{group.name}: the load of {group.loading} is not decided yet."
            yield warning("pending", text, "Wait, then look at `director status` again.")
    for name in not_loaded:
        text = f"{name}: it has a file or a pin here, and is not loaded."
        yield warning("not-loaded", text, f"`director load {name}` loads it.")


def _failure(group: GroupStatus) -> Iterator[Finding]:
    if group.failure is None:
        return
    file = "" if group.failure.file == group.name else f"{group.failure.file}: "
    lines = group.failure.text.splitlines()
    # Which host does not take an actor, and why, is the cause itself; else the lines that follow are a traceback.
    what = "; ".join(lines) if group.failure.code in HOST_CODES else lines[0]
    text = f"{group.name}: {file}{what}"
    remedy = f"`director status {group.name}` shows all of it."
    if group.failure.code == "actor-failed":
        remedy += f" `director load {group.name}` starts it again."
    yield error(group.failure.code, text, remedy)


def _versions(group: GroupStatus) -> Iterator[Finding]:
    for version in group.versions:
        which = f"{group.name}: {version.version or version.file}"
        if version.revoked is not None:
            why = f": {version.revoked}" if version.revoked else ""
            text = f"{which} is loaded and revoked{why.rstrip('.')}."
            yield error("revoked", text, "`director refresh` unloads it.")
        if version.expired and version.source_hash == group.active:
            text = f"{which} is active, and its time was over on {version.expires}: it would not start again."
            yield error("expired", text, "Install a newer version, then `director refresh`.")


def _actors(group: GroupStatus) -> Iterator[Finding]:
    """Of the active version: those that take no messages, unless they are given up, which is the group's failure."""
    for version in group.versions:
        for actor in version.actors if version.source_hash == group.active else ():
            which = f"{group.name}: {actor.role or actor.actor_class}"
            look = f"`director logs {group.name}` may show why."
            if actor.silent_for is not None:
                text = f"{which} has not answered for {actor.silent_for:.0f} s, and messages wait at it."
                ends = f"{look} Nothing ends it but a newer version, or `director unload {version.source_hash}`."
                yield error("not-answering", text, ends)
            elif actor.state not in {"serving", "moving", "failed"}:
                died = f", after {actor.deaths} deaths" if actor.deaths else ""
                yield error("not-serving", f"{which} is {actor.state}{died}.", look)
