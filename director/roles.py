"""Handles that follow a role over upgrades: one for clients outside, one for actors of other groups.

What lives here: finding the actor that has a role *now*. What does not: who that is (the Director knows).

A client outside asks the Director before each message. That is one more round trip, and needs no agreement on time: a
cached address would go on naming a retired version until news of the switch has arrived, and Thespian hands news and
answers to a client outside through the same `listen`, so that an `ask` could get the one in place of the other. Inside
an actor each message arrives by itself, so there `Roles` keeps a standing `Watch`. In both cases a role that is just
passing on makes the sender wait, and the Director tells so a moment before the old actor is told to stop: what is on
its way arrives.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from director.connection import ASK_LIMIT, Connection
from director.errors import DirectorError, NotFound

#: Seconds between two questions for a role that is just passing on.
PAUSE = 0.05
#: Codes of RetrieveRole that mean: ask again in a moment.
PASSING = {"moving", "restarting"}
#: Codes of errors that mean: the Director is dying, or has died; it has a successor in a moment.
PASSING_AWAY = {"director-died", "no-director", "no-answer"}
#: Seconds that a handle may take to be found.
FIND_LIMIT = 15.0
#: Seconds without the Director's answer after which an actor asks for its news again.
WATCH_AGAIN = 1.0


@dataclass(frozen=True)
class Role:
    """A role; `ask` and `tell` find who has it now, and follow it to later versions.

    ``address`` and what is told beside it are those of the moment in which it was looked for: after an upgrade they are
    the old version's. Where no actor had the role then, they are None, and the handle is false; ``group`` is None
    where any group's will do.
    """

    group: str | None
    role: str
    actor_class: str | None
    source_hash: str | None
    address: Any
    started: datetime | None
    connection: Connection = field(repr=False, compare=False)

    def __bool__(self) -> bool:
        return self.address is not None

    def ask(self, message: Any, timeout: float = 10.0) -> Any:
        """Send a message to the role's present actor and return its answer.

        Args:
            message: of builtin types (guide 3.3).
            timeout: seconds, for finding the actor and its answer together.

        Raises:
            DirectorError: code ``no-answer``: its time has passed. The question may still be answered later; that
                answer is never taken for another question's. Code ``director-died`` or ``no-director``: within that
                time no Director said who has the role. Code ``unreachable``: the actor died, perhaps over the question,
                which is not asked again of its successor, for it may have been done; or it answered None, which
                Thespian's ask does not tell from no answer.
            NotFound: no actor has the role, with the code that RetrieveRole told: ``no-role``, ``actor-failed``.
        """
        deadline = time.monotonic() + timeout
        address = self._now(timeout)
        asked = time.monotonic()
        left = max(deadline - asked, 0.01)
        answer = self.connection.system.ask(address, message, timedelta(seconds=left))
        if answer is None:
            self.connection.close()  # a late answer goes to an address that nobody listens at
            waited = time.monotonic() - asked
            if waited < left * 0.9:  # Thespian gives up at once where nobody listens
                raise DirectorError(
                    f"{self._name} gave no answer: after {waited:.2f} s its actor had died, perhaps over this "
                    "question, or it answered None, which Thespian does not tell from that.",
                    hint="Ask again if it does no harm when it was done already; `director status` shows how it is.",
                    code="unreachable",
                )
            raise DirectorError(
                f"{self._name} gave no answer within {timeout:g} s.",
                hint="`director status` shows how it is.",
                code="no-answer",
            )
        return answer

    def tell(self, message: Any, timeout: float = 10.0) -> None:
        """Send a message to the role's present actor; no answer is awaited.

        Args:
            timeout: seconds for finding the actor.
        """
        self.connection.system.tell(self._now(timeout), message)

    @property
    def _name(self) -> str:
        return f"The role {self.role}" + (f" of {self.group}" if self.group else "")

    def _now(self, timeout: float) -> Any:
        try:
            found = _look_up(self.connection, self.role, self.group, timeout)
        except DirectorError as problem:
            if problem.code not in PASSING_AWAY:
                raise
            raise DirectorError(
                f"{self._name} could not be looked up within {timeout:g} s: {problem.message}",
                hint=problem.hint,
                code=problem.code,
            ) from None
        if found["Success"]:
            return found["ActorAddress"]
        told = str(found.get("Message", "no such role"))
        raise NotFound(
            f"{told[:1].upper()}{told[1:]}.",
            hint="`director status` shows why.",
            code=str(found.get("Code", "no-role")),
        )


def retrieve(
    connection: Connection, role: str, group: str | None, limit: float = ASK_LIMIT
) -> dict[str, Any]:
    """RetrieveRole's reply; ``limit`` in seconds."""
    request = {"DirectorOp": "RetrieveRole", "Role": role, "Group": group}
    return connection.ask(request, "RoleAddress", limit)


def _look_up(
    connection: Connection, role: str, group: str | None, timeout: float
) -> dict[str, Any]:
    """RetrieveRole's reply; a role that is passing on is waited for, and the successor of a Director that died."""
    deadline = time.monotonic() + timeout
    while True:
        left = max(deadline - time.monotonic(), PAUSE)
        try:
            found = retrieve(connection, role, group, min(left, ASK_LIMIT))
        except DirectorError as problem:
            if problem.code not in PASSING_AWAY or time.monotonic() + PAUSE > deadline:
                raise
        else:
            if found.get("Code") not in PASSING or time.monotonic() + PAUSE > deadline:
                return found
        time.sleep(PAUSE)


def find_role(connection: Connection, role: str, group: str | None) -> Role:
    """The handle of a role; one that is just passing on is waited for, a moment."""
    told = _look_up(connection, role, group, FIND_LIMIT)
    if not told["Success"]:
        return Role(group, role, None, None, None, None, connection)
    return Role(
        told["Group"],
        told["Role"],
        told["ActorClass"],
        told["SourceHash"],
        told["ActorAddress"],
        told["StartTime"],
        connection,
    )


class Roles:
    """For an actor: sends to whoever has a role now, and keeps what is sent while a role passes on.

    In the actor::

        def receiveMessage(self, message, sender):
            self.roles = self.roles or Roles(self)
            if self.roles.hears(message):
                return
            self.roles.send("MainFoo", {"ask": "report"})

    Args:
        actor: the actor that sends.
        limit: so many messages are kept for one role; the oldest is dropped beyond.
    """

    def __init__(self, actor: Any, limit: int = 1000) -> None:
        self.actor = actor
        self.limit = limit
        self.addresses: dict[str, dict[str, Any]] = {}
        self.kept: defaultdict[tuple[str, str | None], list[Any]] = defaultdict(list)
        self._heard = False
        self._watch()

    def _watch(self) -> None:
        director = self.actor.createActor("director.Director", globalName="Director")
        self.actor.send(director, {"DirectorOp": "Watch"})
        self._watched = time.monotonic()

    def _watch_again(self) -> None:
        # For a moment after its death Thespian still gives the address of a dead Director, which hears nothing.
        if not self._heard and time.monotonic() - self._watched > WATCH_AGAIN:
            self._watch()

    def send(self, role: str, message: Any, group: str | None = None) -> None:
        """Send to the role's present actor, or as soon as it has one."""
        address = self._address(role, group)
        if address is not None:
            self.actor.send(address, message)
            return
        kept = self.kept[role, group]
        kept.append(message)
        del kept[: -self.limit]
        self._watch_again()

    def hears(self, message: Any) -> bool:
        """Take the Director's news; True when the message was one, and so is done with."""
        kind = message.get("DirectorResponse") if isinstance(message, dict) else None
        if kind == "Watching":
            self.addresses = {name: _serving(told) for name, told in message["Groups"].items()}
        elif kind == "Update":
            self.addresses[message["Group"]] = _serving(message)
        else:
            self._watch_again()
            return False
        self._heard = True
        for (role, group), kept in self.kept.items():
            address = self._address(role, group)
            while kept and address is not None:
                self.actor.send(address, kept.pop(0))
        return True

    def _address(self, role: str, group: str | None) -> Any:
        for name in sorted(self.addresses):
            if group in (None, name) and self.addresses[name].get(role) is not None:
                return self.addresses[name][role]
        return None


def _serving(update: dict[str, Any]) -> dict[str, Any]:
    return {role: told["ActorAddress"] for role, told in update["Roles"].items()}
