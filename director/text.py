"""Text for people, made of what DirectorControl returns. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from director.escape import shown

if TYPE_CHECKING:
    from director.doctor import Finding
    from director.history import Event
    from director.report import Convention, GroupStatus, Status, VersionStatus


#: Seconds between two hosts' clocks that an operator should know of.
CLOCK = 5.0
#: For how long a Director's death is told.
RECENT = timedelta(hours=1)


def listing(groups: Mapping[str, Any]) -> Iterator[str]:
    """The lines of ``director list``.

    Args:
        groups: what `director.control.DirectorControl.loaded` returned.
    """
    for name, told in sorted(groups.items()):
        yield f"Group {name}::"
        for digest in told["Loaded"]:
            version = told["Versions"][digest]
            active = "  [ACTIVE]" if digest == told["ActiveHash"] else f"  [{version['State']}]"
            yield f"  Source hash {digest}{active}  {version['Version'] or 'no version'}"
            for actor in told["Running"].get(digest, []):
                role = f" ({actor['Role']})" if actor["Role"] else ""
                where = actor["ActorAddress"] or "not running"
                since = ""
                if actor["StartTime"]:
                    since = f"  (since {actor['StartTime']:%Y-%m-%d %H:%M:%S})"
                yield f"      {where} -- {actor['ActorClass']}{role}{since}"


def status(told: Status, *, member: bool = False) -> Iterator[str]:
    """The lines of ``director status``; a ``member`` of a convention looks after no group."""
    yield from system(told)
    for group in told.groups:
        yield from _group(group)
    if not told.groups:
        yield no_groups(member)


def no_groups(member: bool) -> str:
    """What there is to say of no group at all."""
    return (
        "No group is looked after here: what runs here is the leader's."
        if member
        else "No source is loaded."
    )


def system(told: Status) -> Iterator[str]:
    """The lines of ``director status`` that are about no group."""
    yield f"Actor system at admin port {told.admin_port} ({told.system_base}), {len(told.processes)} processes"
    since = f"{told.started.astimezone():%Y-%m-%d %H:%M:%S}"
    yield f"Director {told.package_version}, process {told.director_pid}, since {since}"
    if told.took_over and datetime.now(UTC) - told.took_over < RECENT:
        when = f"{told.took_over.astimezone():%Y-%m-%d %H:%M:%S}"
        yield f"The Director before it DIED; this one took over its groups at {when}"
    if told.leader:
        text = str(told.leader)
        yield f"{text[0].upper()}{text[1:]}"
    for name, why in told.blocked.items():
        yield f"BLOCKED {name!r}: {why}"
    if told.problem:
        yield f"NOT KNOWN what is revoked: {told.problem}"
    if told.pins_problem:
        yield f"NOT KNOWN what is pinned: {told.pins_problem}"


def _group(group: GroupStatus) -> Iterator[str]:
    pinned = f", pinned to {group.pinned}" if group.pinned else ""
    word = "ok" if group.well else "starting" if group.starting else "NOT WELL"
    yield f"{group.name}: {word}{pinned}"
    yield from (f"  WARNING: {line}" for line in override(group))
    for version in group.versions:
        tentative = ", tentative" if version.tentative else ""
        yield f"  {version.version or 'no version'}  {version.state}{tentative}  {version.source_hash}"
        if version.override:
            yield f"    WARNING: {replaced(group, version)}"
        if version.revoked is not None:
            yield f"    REVOKED: {version.revoked} (`director refresh` unloads it)"
        if version.expires is not None:
            word = "EXPIRED" if version.expired else "expires"
            yield f"    {word} on {version.expires}"
        for actor in version.actors:
            deaths = f", died {actor.deaths} times" if actor.deaths else ""
            role = actor.role or "-"
            if actor.silent_for is not None:
                deaths += f", NOT ANSWERING for {actor.silent_for:.0f} s"
            yield f"    {role}: {actor.actor_class} {actor.state}{deaths} {actor.address or ''}".rstrip()
    if group.failure:
        yield f"  last failure ({group.failure.code}), {group.failure.file}:"
        yield from (f"    {shown(line)}" for line in group.failure.text.splitlines())


def replaced(group: GroupStatus, version: VersionStatus) -> str:
    """What there is to say of a version that was loaded with another TLI than its signed one."""
    name = version.version or "it"
    return f"the operator's own {group.name}.tli replaced the signed TLI when {name} was loaded"


def override(group: GroupStatus) -> Iterator[str]:
    """What the next load of a group does otherwise than the last, because of the operator's own TLI."""
    own, before = group.override, group.overridden
    if own and own.problem:
        yield f"a load of it fails now: {'; '.join(map(shown, own.problem.splitlines()))}"
    elif own and own.sha256 != before:
        text = f"{shown(own.file)} replaces the signed TLI at the next load"
        than = "another" if before else "the signed one"
        yield f"{text}; what runs was loaded with {than}" if group.active else text
    elif before and not own:
        yield "the next load takes the signed TLI: the own one that what runs was loaded with is gone"


def convention(told: Convention) -> Iterator[str]:
    """The lines of ``director status --convention``."""
    leads = next((host.package_version for host in told.hosts if not host.admin), None)

    def name(source_hash: str) -> str:
        return f"{told.names.get(source_hash, 'not known here')}  {source_hash}"

    for host in told.hosts:
        where = host.admin or "leads"
        if not host.ours:
            yield f"{where}: not a system of this package"
            continue
        if host.gone is not None:
            since = datetime.now().astimezone() - timedelta(seconds=host.gone)
            yield f"{host.name}  {where}  GONE since {since:%Y-%m-%d %H:%M:%S}: it left, or is out of reach"
            continue
        yield f"{host.name}  {where}"
        if host.python is None:
            yield "    has not told of itself yet"
            continue
        other = f" (the leader's is {leads})" if host.package_version != leads else ""
        yield f"    Python {host.python}, director {host.package_version}{other}"
        if host.admin:
            clock = f"{host.offset:+.2f} s" if host.offset is not None else "unknown"
            heard = f"{host.heard:.1f} s ago" if host.heard is not None else "never"
            yield f"    clock {clock}, heard {heard}"
            if abs(host.offset or 0.0) > CLOCK:
                yield "    its clock is off: what was signed just now may be from the future there"
        if host.problem:
            yield f"    takes nothing: {host.problem}"
        yield f"    roles: {', '.join(host.roles) or 'none'}"
        yield from (f"    source {name(one)}" for one in host.sources)
        yield from (f"    refused {name(one)}: {why}" for one, why in host.refused.items())
        yield from (f"    lacks the key {name}" for name in host.missing_keys)


def history(events: Iterable[Event]) -> Iterator[str]:
    """The lines of ``director history``: of each text the first line."""
    for event in events:
        first = event.text.splitlines()[0] if event.text else ""
        yield f"{event.time}  {event.group} {event.version or '-'}  {event.event}  {shown(first)}".rstrip()


def findings(found: Iterable[Finding]) -> Iterator[str]:
    """The lines of ``director doctor``."""
    for finding in found:
        yield f"{finding.level}: {finding.code}: {shown(finding.text)}"
        yield f"  → {shown(finding.remedy)}"


def nearest(word: str, known: Iterable[str]) -> str:
    """What was probably meant, as a hint; "" where nothing is near."""
    import difflib  # only mistakes need it

    near = difflib.get_close_matches(word, list(known), n=1)
    return f"Did you mean {near[0]!r}?" if near else ""
