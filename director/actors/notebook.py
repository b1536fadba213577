"""What a Director leaves to its successor, should it be killed.

What lives here: the Notebook, an actor that keeps one note for as long as the actor system runs; what the note holds;
and whether an actor still lives that is nobody's child any more. A file would outlive the system that it tells of, and
addresses cannot be written to one.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from thespian.actors import ActorTypeDispatcher

from director.actors import leftovers
from director.actors.answers import Actors
from director.actors.groups import Groups
from director.actors.members import Members
from director.actors.messages import Message
from director.actors.versions import LOADING, State, Version
from director.settings.tli import tli_from_definition

#: Its global name.
NOTEBOOK_NAME = "Director Notebook"


class Notebook(ActorTypeDispatcher):
    """Keeps what it was told last."""

    note: Any = None

    def receiveMsg_dict(self, message: Message, sender: Any) -> None:
        """``{"NotebookOp": "Keep", "Note": …}`` or ``{"NotebookOp": "Recall"}``."""
        if message.get("NotebookOp") == "Keep":
            self.note = message["Note"]
        elif message.get("NotebookOp") == "Recall":
            self.send(sender, {"NotebookResponse": "Note", "Note": self.note})


def note(
    groups: Groups, actors: Actors, unpacked: Mapping[str, str], members: Members
) -> list[Message]:
    """All versions whose actors may live, oldest first."""
    return [
        {
            "Group": version.group,
            "Version": version.version,
            "File": version.file,
            "SourceHash": version.source_hash,
            "Definition": version.tli.definition(),
            "Override": version.tli.override,
            "State": version.state.value,
            "Unpacked": unpacked.get(version.source_hash, ""),
            "Actors": [
                {
                    "Address": actors.met.get(a.id),
                    "Started": actors.started.get(a.id),
                    "Deactivated": a.deactivated,
                    "Place": members.place(a.id),
                }
                for a in version.actors
            ],
        }
        for version in sorted(groups.versions.values(), key=lambda v: v.order)
    ]


def take_up(
    told: list[Message], groups: Groups, actors: Actors, members: Members, now: float
) -> list[tuple[str, str]]:
    """Make the versions of a predecessor's note our own.

    A version that was ending goes on to end. One whose load was not decided never served: what it started is to be
    killed, and it goes.

    Returns:
        source hash and place of those, to be killed before anything else is done.
    """
    undecided = []
    for one in told:
        tli = replace(tli_from_definition(one["Definition"]), override=one.get("Override", ""))
        version = Version(one["SourceHash"], one["Group"], one["Version"], one["File"], tli)
        state = State(one["State"])
        addresses = [actor["Address"] for actor in one["Actors"]]
        if state is State.VALIDATING:
            continue  # Thespian may have it pending, and must not be told to unload it then
        living = [None if a["Address"] is None else bool(a["Deactivated"]) for a in one["Actors"]]
        if state in LOADING:
            undecided.append((version.source_hash, str(one["Unpacked"])))
        for number, actor in enumerate(groups.adopt(version, state, living, now)):
            if actor:
                actors.addresses[actor] = actors.met[actor] = addresses[number]
                actors.started[actor] = one["Actors"][number]["Started"]
                place = one["Actors"][number]["Place"]
                if place is not None:
                    members.settle(actor, *place)
    return undecided


def gone(addresses: Iterable[Any]) -> list[Any]:
    """Those addresses at which nothing takes messages any more, as far as that can be seen.

    Thespian tells an actor's end to its parent alone, and that of an adopted actor is dead.
    """
    ports = [(address, leftovers.port_of(address)) for address in addresses]
    if not ports:
        return []
    taking = leftovers.taking()
    if taking:
        return [address for address, port in ports if port and port not in taking]
    return [address for address, port in ports if port and _refused(port)]


def _refused(port: int) -> bool:
    """Where the kernel does not tell its sockets: whether nothing takes connections there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return False
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
