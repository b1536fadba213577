"""How a running system is, as typed values: what ``director status`` shows and `DirectorControl.status` returns.

What lives here: the model, made of the Director's Status reply. No I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from director.convention import plain_address


@dataclass(frozen=True)
class ActorStatus:
    """A role actor; ``state`` is one of `director.actors.answers.state_of`, ``address`` text or None.

    ``silent_for``: seconds for which messages have been waiting at it; None where that is not long.
    """

    actor_class: str
    role: str | None
    address: str | None
    state: str
    deaths: int
    silent_for: float | None
    started: datetime | None


@dataclass(frozen=True)
class VersionStatus:
    """A loaded version of a group; ``drain`` in seconds, ``revoked`` the reason or None.

    ``override``: SHA-256 of the operator's own GROUP.tli that it was loaded with in place of its signed TLI, None where
    the signed one counts. ``expires`` is the time of its manifest (RFC 3339), where this host knows one; ``expired``:
    it is over.
    """

    source_hash: str
    version: str | None
    file: str
    state: str
    tentative: bool
    drain: float
    override: str | None
    revoked: str | None
    expires: str | None
    expired: bool
    actors: tuple[ActorStatus, ...]


@dataclass(frozen=True)
class FailureStatus:
    """What went wrong last, with the actor's own traceback where it left one."""

    version: str | None
    file: str
    code: str
    text: str


@dataclass(frozen=True)
class OverrideStatus:
    """An operator's own GROUP.tli as it lies there now; what runs may have been loaded with another.

    ``sha256``: of its text; None where it cannot be read. ``problem``: why a load from here would fail over it, or "".
    """

    file: str
    sha256: str | None
    problem: str


@dataclass(frozen=True)
class GroupStatus:
    """A group; ``active`` and ``loading`` are source hashes, ``pinned`` a file name.

    ``override`` is what the next load takes in place of the signed TLI; `VersionStatus.override` is what was taken.
    """

    name: str
    active: str | None
    loading: str | None
    pinned: str | None
    failure: FailureStatus | None
    versions: tuple[VersionStatus, ...]
    override: OverrideStatus | None = None

    @property
    def overridden(self) -> str | None:
        """SHA-256 of the own TLI that the active version was loaded with; None where its signed one counts."""
        return next((v.override for v in self.versions if v.source_hash == self.active), None)

    @property
    def starting(self) -> bool:
        """Its first version is on its way to become active."""
        revoked = any(one.revoked is not None for one in self.versions)
        return self.active is None and self.loading is not None and not revoked

    @property
    def well(self) -> bool:
        """A version is active, all its actors serve and take messages, none is revoked, nor the active one expired."""
        actors = [a for v in self.versions if v.source_hash == self.active for a in v.actors]
        return (
            self.active is not None
            and all(a.state in {"serving", "moving"} and a.silent_for is None for a in actors)
            and not any(v.revoked is not None for v in self.versions)
            and not any(v.expired for v in self.versions if v.source_hash == self.active)
        )


@dataclass(frozen=True)
class LeaderStatus:
    """Who leads the convention that this host is a member of; ``heard``: seconds ago, None where it was not yet.

    ``away``: it is out of reach, so that nobody looks after what runs here.
    """

    address: str
    heard: float | None
    away: bool

    def __str__(self) -> str:
        """What an operator should know, without a full stop."""
        if not self.away:
            return f"member of the convention led by {self.address}"
        heard = "it was not heard yet" if self.heard is None else f"heard {self.heard:.0f} s ago"
        return f"CUT OFF from the leader of the convention, {self.address}: {heard}"


@dataclass(frozen=True)
class Status:
    """A running actor system; ``blocked`` maps global names that give no actor any more to the reason.

    ``problem``: why this host's marks or settings do not read, so that nobody knows what is revoked; "" where they do.
    ``took_over``: when this Director took up what one that died had left; None where none died. ``leader``: where this
    host is a member of a convention. ``pins_problem``: why nobody knows which groups are pinned; "" where that reads.
    """

    directory: str
    state: str
    admin_port: int
    system_base: str
    director_pid: int
    protocol: int
    package_version: str
    started: datetime
    took_over: datetime | None
    processes: tuple[int, ...]
    blocked: dict[str, str]
    groups: tuple[GroupStatus, ...]
    problem: str = ""
    leader: LeaderStatus | None = None
    pins_problem: str = ""

    @property
    def well(self) -> bool:
        """Whether there is nothing that an operator should look at."""
        return (
            all(one.well or one.starting for one in self.groups)
            and not self.blocked
            and not self.problem
            and not self.pins_problem
            and not (self.leader and self.leader.away)
        )


@dataclass(frozen=True)
class HostStatus:
    """A host of a convention, as the leader sees it.

    ``host`` names the running system, ``admin`` is its address ("": the leader itself). ``ours``: it runs this package.
    ``sources`` are hashes of what its authority validated, ``refused`` maps those that it did not to the reason.
    ``roles`` are ``GROUP:ROLE``. ``offset``: seconds that its clock is ahead; ``heard``: seconds since it told of
    itself, None where it has not yet. ``missing_keys``: key files that the leader has and it has not; of the
    leader: those that a member has.
    ``problem``: why its keys or settings do not read, so that it takes nothing; "" where they do. ``gone``: seconds
    since it left or went out of reach, None where it is there; what is told of such a host is what it told last.
    """

    host: str
    name: str | None
    admin: str
    ours: bool
    python: str | None
    package_version: str | None
    sources: tuple[str, ...]
    refused: dict[str, str]
    roles: tuple[str, ...]
    offset: float | None
    heard: float | None
    missing_keys: tuple[str, ...]
    problem: str
    gone: float | None

    @property
    def address(self) -> str:
        """``HOST:PORT`` of its Admin; "" of the leader."""
        return plain_address(self.admin)


@dataclass(frozen=True)
class Convention:
    """All hosts of a convention, the leader first, those that have gone last; ``names``: of sources, by hash."""

    leader: str
    hosts: tuple[HostStatus, ...]
    names: dict[str, str]


@dataclass(frozen=True)
class Elsewhere:
    """Actors of a group on another host: its name and address, and their roles (classes, where they have none)."""

    host: str
    address: str
    roles: tuple[str, ...]


def elsewhere(told: Convention, group: str) -> list[Elsewhere]:
    """Where actors of a group run that do not run on the leader."""
    found = []
    for host in told.hosts:
        roles = [one.partition(":")[2] for one in host.roles if one.partition(":")[0] == group]
        if host.admin and roles:
            found.append(Elsewhere(host.name or "a host", host.address, tuple(roles)))
    return found


def may_refuse(told: Convention, group: str, source_hash: str, *, active: bool) -> list[str]:
    """Members that have not this source now, to which it might be a downgrade; none where none runs a role of it.

    Args:
        active: it runs, so that a member that runs a role of its group has it, told by its report or not yet.
    """
    if not elsewhere(told, group):
        return []
    there = [one for one in told.hosts if one.admin and one.ours and one.gone is None]
    return [
        f"{one.name or 'a host'} ({one.address})"
        for one in there
        if source_hash not in one.sources
        and not (active and any(role.partition(":")[0] == group for role in one.roles))
    ]


def host_status(told: Mapping[str, Any]) -> HostStatus:
    """One host of a Convention reply."""
    return HostStatus(
        str(told["Host"]),
        told.get("Name"),
        str(told["Admin"]),
        bool(told["Host"]),
        told.get("Python"),
        told.get("PackageVersion"),
        tuple(told.get("Sources", ())),
        {one: f"{code}: {text}" for one, (code, text) in told.get("Refused", {}).items()},
        tuple(told["Roles"]),
        told.get("Offset"),
        told.get("Heard"),
        tuple(told["MissingKeys"]) if told.get("Python") and not told.get("Problem") else (),
        str(told.get("Problem", "")),
        told.get("GoneFor"),
    )


def group_status(
    name: str,
    told: Mapping[str, Any],
    revoked: Mapping[str, str],
    expires: Mapping[str, tuple[str | None, bool]],
) -> GroupStatus:
    """One group of a Status reply.

    Args:
        told: the group in the reply.
        revoked: why a source is revoked, by source hash.
        expires: when a source's time ends, and whether it has, by source hash.
    """
    failure = told["Failure"]
    return GroupStatus(
        name,
        told["Active"],
        told["Loading"],
        told["Pinned"],
        FailureStatus(failure["Version"], failure["File"], failure["Code"], failure["Text"])
        if failure
        else None,
        tuple(_version(version, revoked, expires) for version in told["Versions"]),
    )


def _version(
    told: Mapping[str, Any],
    revoked: Mapping[str, str],
    expires: Mapping[str, tuple[str | None, bool]],
) -> VersionStatus:
    actors = tuple(
        ActorStatus(
            actor["ActorClass"],
            actor["Role"],
            None if actor["ActorAddress"] is None else str(actor["ActorAddress"]),
            actor["State"],
            actor["Deaths"],
            actor.get("SilentFor"),
            actor["StartTime"],
        )
        for actor in told["Actors"]
    )
    when, over = expires.get(told["SourceHash"], (None, False))
    return VersionStatus(
        told["SourceHash"],
        told["Version"],
        told["File"],
        told["State"],
        told["Tentative"],
        told["Drain"],
        told.get("Override"),
        revoked.get(told["SourceHash"]),
        when,
        over,
        actors,
    )
