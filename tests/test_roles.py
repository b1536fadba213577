"""How long a handle looks for its role, and what it says where no Director answers; the Director is not real here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

import pytest

from director.connection import Connection
from director.errors import DirectorError, NotFound
from director.roles import Role, Roles

FOUND = {"Success": True, "ActorAddress": "there"}
PASSING = {"Success": False, "Code": "moving", "Message": "it moves"}
NONE = {"Success": False, "Code": "no-role", "Message": "no such role"}


def died() -> DirectorError:
    return DirectorError("The Director died.", hint="Wait.", code="director-died")


class Line:
    """A connection that gives these answers; the last one again and again."""

    def __init__(self, *answers: dict[str, Any] | DirectorError) -> None:
        self.answers = list(answers)
        self.limits: list[float] = []
        self.system = self
        self.told: list[Any] = []

    def ask(self, request: dict[str, Any], kind: str, limit: float) -> dict[str, Any]:
        self.limits.append(limit)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, DirectorError):
            raise answer
        return answer

    def tell(self, address: Any, message: Any) -> None:
        self.told.append((address, message))

    def handle(self) -> Role:
        return Role("app", "Front", None, None, None, None, cast(Connection, self))


def test_the_successor_of_a_dead_director_is_waited_for() -> None:
    line = Line(died(), died(), PASSING, died(), FOUND)
    line.handle().tell("hello", timeout=5)
    assert line.told == [("there", "hello")] and len(line.limits) == 5
    assert all(0 < limit <= 5 for limit in line.limits), "no look-up takes longer than was allowed"


def test_where_none_comes_it_is_told_when_the_time_is_over() -> None:
    begin = time.monotonic()
    with pytest.raises(DirectorError) as problem:
        Line(died()).handle().tell("hello", timeout=0.3)
    assert 0.2 < time.monotonic() - begin < 3
    assert problem.value.code == "director-died" and problem.value.hint == "Wait."
    assert problem.value.message == (
        "The role Front of app could not be looked up within 0.3 s: The Director died."
    )


@pytest.mark.parametrize("problem", [NONE, DirectorError("it ended", code="system-died")])
def test_what_does_not_pass_is_told_at_once(problem: dict[str, Any] | DirectorError) -> None:
    line = Line(problem)
    with pytest.raises(DirectorError) as caught:
        line.handle().tell("hello", timeout=60)
    assert len(line.limits) == 1 and isinstance(caught.value, NotFound) == (problem is NONE)


class Actor:
    """What `Roles` needs of an actor."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def createActor(self, name: str, globalName: str) -> str:  # noqa: N802, N803
        return globalName

    def send(self, address: Any, message: Any) -> None:
        self.sent.append((address, message))


@pytest.mark.parametrize(
    "happens", [lambda roles: roles.send("Front", 2), lambda roles: roles.hears("hello")]
)
def test_an_actor_whose_wish_a_dead_director_got_asks_again(
    monkeypatch: pytest.MonkeyPatch, happens: Callable[[Roles], None]
) -> None:
    now = [100.0]
    monkeypatch.setattr("director.roles.time.monotonic", lambda: now[0])
    actor = Actor()
    roles = Roles(actor)
    watch = ("Director", {"DirectorOp": "Watch"})
    roles.send("Front", 1)
    assert actor.sent == [watch]
    now[0] += 1.5
    happens(roles)
    assert actor.sent == [watch, watch]
    told = {"Roles": {"Front": {"ActorAddress": "there"}}}
    assert roles.hears({"DirectorResponse": "Watching", "Groups": {"app": told}})
    assert ("there", 1) in actor.sent
    now[0] += 60
    roles.send("Other", 3)
    assert actor.sent.count(watch) == 2, "who was answered gets all news"
