"""What a Director leaves to its successor, should it be killed.

What lives here: the Notebook, an actor that keeps one note for as long as the actor system runs; what the note holds;
and whether an actor still lives that is nobody's child any more. A file would outlive the system that it tells of, and
addresses cannot be written to one.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from typing import Any

from thespian.actors import ActorTypeDispatcher

from director.actors.answers import Actors
from director.actors.groups import Groups
from director.actors.messages import Message
from director.actors.versions import LOADING, State, Version
from director.settings.tli import tli_from_definition

#: Its global name.
NOTEBOOK_NAME = "Director Notebook"
_TCP = re.compile(r"ActorAddr-\(T\|:(\d+)\)")


class Notebook(ActorTypeDispatcher):
    """Keeps what it was told last."""

    note: Any = None

    def receiveMsg_dict(self, message: Message, sender: Any) -> None:
        """``{"NotebookOp": "Keep", "Note": …}`` or ``{"NotebookOp": "Recall"}``."""
        if message.get("NotebookOp") == "Keep":
            self.note = message["Note"]
        elif message.get("NotebookOp") == "Recall":
            self.send(sender, {"NotebookResponse": "Note", "Note": self.note})


def note(groups: Groups, actors: Actors, unpacked: Mapping[str, str]) -> list[Message]:
    """All versions whose actors may live, oldest first."""
    return [
        {
            "Group": version.group,
            "Version": version.version,
            "File": version.file,
            "SourceHash": version.source_hash,
            "Definition": version.tli.definition(),
            "State": version.state.value,
            "Unpacked": unpacked.get(version.source_hash, ""),
            "Actors": [
                {
                    "Address": actors.met.get(a.id),
                    "Started": actors.started.get(a.id),
                    "Deactivated": a.deactivated,
                }
                for a in version.actors
            ],
        }
        for version in sorted(groups.versions.values(), key=lambda v: v.order)
    ]


def take_up(
    told: list[Message], groups: Groups, actors: Actors, now: float
) -> tuple[list[Any], list[str]]:
    """Make the versions of a predecessor's note our own.

    Returns:
        addresses of actors that belong to no version any more, to be ended; and where sources lie whose load was not
        decided, whose processes are to be killed: they never served.
    """
    left: list[Any] = []
    undecided = []
    for one in told:
        tli = tli_from_definition(one["Definition"])
        version = Version(one["SourceHash"], one["Group"], one["Version"], one["File"], tli)
        state = State(one["State"])
        addresses = [actor["Address"] for actor in one["Actors"]]
        if state in LOADING or state in {State.ENDING, State.FAILED}:
            left += [address for address in addresses if address is not None]
            undecided += [one["Unpacked"]] if state in LOADING and one["Unpacked"] else []
            continue
        living = [None if a["Address"] is None else bool(a["Deactivated"]) for a in one["Actors"]]
        for number, actor in enumerate(groups.adopt(version, state, living, now)):
            if actor:
                actors.addresses[actor] = actors.met[actor] = addresses[number]
                actors.started[actor] = one["Actors"][number]["Started"]
    return left, undecided


def gone(address: Any) -> bool:
    """Whether nothing listens at an actor's address any more; False where that cannot be seen.

    Thespian tells an actor's end to its parent alone, and that of an adopted actor is dead.
    """
    found = _TCP.fullmatch(str(address))
    if not found:
        return False
    try:
        with socket.create_connection(("127.0.0.1", int(found[1])), timeout=1):
            return False
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
