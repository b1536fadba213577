"""What the Director replies about groups: pure functions from the state machine to messages.

What lives here: the content of AllAddresses, RoleAddress, Update and Status. What does not: sending anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from director.actors.groups import Groups
from director.actors.messages import Message
from director.actors.silence import Silence
from director.actors.versions import RoleActor, State, Version
from director.pins import Pin


@dataclass
class Actors:
    """What the Director knows of role actors beyond the state machine: address and start, by incarnation.

    ``met``: addresses of those that gave a sign of life. Only they may stand in messages: Thespian holds a message back
    until every address in it is known to exist, which that of an actor that never comes up never is.
    """

    addresses: dict[int, Any] = field(default_factory=dict)
    met: dict[int, Any] = field(default_factory=dict)
    started: dict[int, datetime] = field(default_factory=dict)
    silence: Silence = field(default_factory=Silence)

    def id_of(self, address: Any) -> int:
        """The incarnation of an address, 0 for a stranger (addresses cannot be hashed)."""
        return next((key for key, known in self.addresses.items() if known == address), 0)

    def forget(self, actor_id: int) -> None:
        """An incarnation has ended."""
        self.addresses.pop(actor_id, None)
        self.met.pop(actor_id, None)
        self.started.pop(actor_id, None)

    def describe(self, actor: RoleActor) -> Message:
        """One entry of ``Running``."""
        return {
            "ActorClass": actor.spec.class_name,
            "Role": actor.spec.role,
            "ActorAddress": self.met.get(actor.id),
            "StartTime": self.started.get(actor.id),
        }


def all_addresses(groups: Groups, actors: Actors, wanted: str | None) -> Message:
    """``Groups`` of RetrieveAll."""
    found = {}
    for name in _names(groups, wanted):
        versions = groups.of_group(name)
        if not versions:
            continue
        found[name] = {
            "ActiveHash": groups.active.get(name),
            "Loaded": [v.source_hash for v in versions],
            "Running": {v.source_hash: [actors.describe(a) for a in v.actors] for v in versions},
            "Versions": {
                v.source_hash: {"Version": v.version, "File": v.file, "State": v.state.value}
                for v in versions
            },
        }
    return found


def role_address(
    groups: Groups, actors: Actors, role: str, wanted: str | None
) -> tuple[bool, Message]:
    """Whether RetrieveRole found a serving actor, and the fields of its reply."""
    missing: Message = {"Code": "no-role", "Message": f"no active actor has the role {role!r}"}
    for name in sorted(groups.active):
        version = groups.active_version(name)
        if version is None or (wanted and name != wanted):
            continue
        for actor in version.actors:
            if actor.spec.role != role:
                continue
            state = state_of(version, actor)
            if state == "serving":
                told = {"Group": name, "SourceHash": version.source_hash}
                return True, told | actors.describe(actor)
            code = {"failed": "actor-failed", "starting": "restarting"}.get(state, state)
            missing = {"Code": code, "Message": f"the role {role!r} of {name} is {state}"}
    nothing = dict.fromkeys(("SourceHash", "ActorClass", "ActorAddress", "StartTime"))
    return False, {"Group": wanted, "Role": role, **nothing, **missing}


def state_of(version: Version, actor: RoleActor) -> str:
    """Of a role actor: serving, starting, moving, restarting, failed, retired, ending or gone."""
    if actor.failed:
        return "failed"
    if version.state in {State.ENDING, State.FAILED}:
        return "ending" if actor.id else "gone"
    if version.state is State.RETIRED:
        return "retired" if actor.id else "gone"
    if actor.moving or actor.deactivated:
        return "moving"
    if not actor.id:
        return "restarting" if version.state is State.ACTIVE else "starting"
    return "serving" if actor.ready and not actor.trial else "starting"


def waiting(version: Version) -> list[Message]:
    """The actors of a version that wait for a host, and why."""
    return [
        {
            "Role": actor.spec.role,
            "ActorClass": actor.spec.class_name,
            "Code": actor.why[0],
            "Text": actor.why[1],
        }
        for actor in version.actors
        if actor.lost
    ]


def update(groups: Groups, actors: Actors, name: str, what: str) -> Message:
    """The content of an ``Update`` about a group."""
    version = groups.active_version(name)
    roles = {}
    for actor in version.actors if version else []:
        if version and actor.spec.role is not None:
            state = state_of(version, actor)
            address = actors.met.get(actor.id) if state == "serving" else None
            told = {"ActorAddress": address, "ActorClass": actor.spec.class_name, "State": state}
            roles[actor.spec.role] = told
    return {
        "Group": name,
        "What": what,
        "ActiveHash": version.source_hash if version else None,
        "Version": version.version if version else None,
        "Roles": roles,
    }


def status(
    groups: Groups, actors: Actors, pins: Mapping[str, Pin], wanted: str | None, now: float
) -> Message:
    """``Groups`` of Status; ``now`` as everywhere in the state machine."""
    found = {}
    for name in _names(groups, wanted):
        loading = groups.loading(name)
        failure = groups.failures.get(name)
        found[name] = {
            "Active": groups.active.get(name),
            "Loading": loading.source_hash if loading else None,
            "Pinned": pins[name].file if name in pins else None,
            "Failure": {
                "Version": failure.version,
                "File": failure.file,
                "Code": failure.code,
                "Text": failure.text,
            }
            if failure
            else None,
            "Versions": [
                {
                    "SourceHash": v.source_hash,
                    "Version": v.version,
                    "File": v.file,
                    "State": v.state.value,
                    "Tentative": v.tentative,
                    "Drain": v.tli.drain,
                    "Override": v.tli.override or None,
                    "Actors": [
                        {
                            **actors.describe(a),
                            "State": state_of(v, a),
                            "Deaths": a.deaths,
                            "Lost": a.lost,
                            "SilentFor": actors.silence.seconds(a.id, now),
                        }
                        for a in v.actors
                    ],
                }
                for v in groups.of_group(name)
            ],
        }
    return found


def _names(groups: Groups, wanted: str | None) -> list[str]:
    names = {version.group for version in groups.versions.values()} | set(groups.failures)
    return sorted(name for name in names if not wanted or name == wanted)
