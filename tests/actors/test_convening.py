"""What the leader's Director tells of its convention, by the Director's shell alone."""

from __future__ import annotations

import time
from typing import Any

import pytest
from thespian.actors import ActorAddress, ChildActorExited

from director.actors import versions as m
from director.actors.messages import Message
from director.settings.tli import tli_from_definition
from tests.actors.test_director import Shell, started

__all__ = ["started"]

TLI = tli_from_definition({"Actors": {"a.A": {"OnLoad": {"Role": "A"}}}})


def joined(leader: Shell, number: int = 2) -> Any:
    """A member that is there and was met."""
    member = leader.members.join(
        f"(T|10.0.0.{number}:1900)", f"h{number}/1", {}, time.monotonic() - 60
    )
    member.director = ActorAddress(f"director {number}")
    return member


def serving(leader: Shell, source_hash: str, version: str, at: Any = None) -> m.Version:
    """A version of the group g that is active now, its actor at this member or at home."""
    made = m.Version(source_hash, "g", version, f"g-{version}.tls", TLI)
    leader.groups.load(version, made, time.monotonic())
    leader.groups.source_loaded(source_hash, time.monotonic())
    actor = made.actors[0].id
    leader.actors.addresses[actor] = leader.actors.met[actor] = ActorAddress(f"actor {actor}")
    if at is not None:
        leader.members.places[actor] = at.admin
    leader.groups.actor_ready(actor, source_hash, time.monotonic())
    assert made.state is m.State.ACTIVE
    return made


def told(leader: Shell) -> list[Message]:
    answer = leader.hear({"DirectorOp": "Convention"})
    assert answer is not None and answer["Success"], answer
    hosts: list[Message] = answer["Hosts"]
    return hosts


@pytest.mark.parametrize(
    ("ours", "theirs", "missing"),
    [
        ({}, {"f": "a_tls.key"}, [["a_tls.key"], []]),
        ({"f": "a_tls.key"}, {}, [[], ["a_tls.key"]]),
        ({"f": "a_tls.key"}, {"f": "b_tls.key"}, [[], []]),
        ({"f": "a_tls.key"}, {"g": "b_tls.key"}, [["b_tls.key"], ["a_tls.key"]]),
    ],
)
def test_a_leader_that_lacks_a_members_key_is_told_of_as_a_member_is(
    started: Shell,
    monkeypatch: pytest.MonkeyPatch,
    ours: dict[str, str],
    theirs: dict[str, str],
    missing: list[list[str]],
) -> None:
    monkeypatch.setattr(started, "_keys", lambda token: ours)
    joined(started).report = {"Keys": theirs}
    assert [one["MissingKeys"] for one in told(started)] == missing


def test_a_role_is_told_once_while_an_older_version_is_still_loaded(
    started: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(started, "_keys", lambda token: {})
    member = joined(started)
    serving(started, "h1", "1", member)
    serving(started, "h2", "2", member)
    assert [one["Roles"] for one in told(started)] == [[], ["g:A"]]


def test_a_beat_that_was_long_on_its_way_tells_nothing_of_a_clock(started: Shell) -> None:
    member = joined(started)
    report = {
        "MemberOp": "Report", "Admin": member.admin, "Host": member.host, "Trust": "", "Refused": {}, "Over": [],
        "Gone": [], "Died": [], "Lacking": [], "Leaving": False,
    }  # fmt: skip
    for since, wanted in ((3.4, None), (0.01, 0.0), (3.4, 0.0), (None, 0.0)):
        sent = time.monotonic() - since if since else None
        started.hear({**report, "Sent": sent, "Time": time.time()}, "director 2")
        found = member.report["Offset"]
        assert found is None if wanted is None else abs(found) < 0.1


def starting(leader: Shell, source_hash: str) -> tuple[m.Version, int]:
    """A version whose actor was created and has not been heard of."""
    made = m.Version(source_hash, "g", "1", "g-1.tls", TLI)
    number = leader._remember({"DirectorOp": "LoadSource", "Wait": True}, ActorAddress("client"))
    leader.bytes[source_hash] = (b"its bytes", "g-1.tls")
    leader._perform(leader.groups.load(number, made, time.monotonic()))
    leader._perform(leader.groups.source_loaded(source_hash, time.monotonic()))
    return made, made.actors[0].id


def test_what_was_starting_on_a_host_that_is_lost_is_placed_anew(
    started: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def create(name: str, *requirements: Any, **more: Any) -> Any:
        made.append(name)
        return ActorAddress(f"{name} {len(made)}")

    monkeypatch.setattr(started, "createActor", create)
    started.members.born -= 60  # hosts have had their time to come
    started.leading = ["10.0.0.1:1900"]
    two, three = joined(started, 2), joined(started, 3)
    version, actor = starting(started, "h1")
    first = started.actors.addresses[actor]
    made.clear()
    started._left(two)
    assert made == ["a.A"] and started.actors.addresses[actor] != first
    assert [type(one).__name__ for to, one in started.said if to == first][-1] == "ActorExitRequest"
    again = [one for to, one in started.said if to == started.actors.addresses[actor]]
    assert [type(one).__name__ for one in again] == ["Thespian_StatusReq"]  # said once more
    # The other is lost too, and Thespian finds no host: the load is told at once, with the reason.
    started._left(three)
    started.receiveMsg_ChildActorExited(
        ChildActorExited(started.actors.addresses[actor]), ActorAddress("me")
    )
    answer = next(one for to, one in started.said if to == ActorAddress("client"))
    assert answer["DirectorResponse"] == "LoadResult" and not answer["Success"]
    assert "h3 (10.0.0.3:1900) left or is out of reach since" in answer["Message"]
    assert version.state is m.State.FAILED


def test_what_had_ended_or_was_heard_of_is_not_placed_anew_by_a_lost_host(
    started: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    started.members.born -= 60
    two, three = joined(started, 2), joined(started, 3)
    _, actor = starting(started, "h1")
    monkeypatch.setattr(started, "_create", lambda action: pytest.fail("was created again"))
    started.actors.met[actor] = started.actors.addresses[actor]
    started._left(two)
    del started.actors.met[actor]
    started.open.pop(actor)  # it has ended, and is tried again soon
    started._left(three)
