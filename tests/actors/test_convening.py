"""What the leader's Director tells of its convention, by the Director's shell alone."""

from __future__ import annotations

import time
from typing import Any

import pytest
from thespian.actors import ActorAddress

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


@pytest.mark.parametrize("asked", [0.0, 30.0])
def test_a_beat_that_was_long_on_its_way_tells_nothing_of_a_clock(
    started: Shell, asked: float
) -> None:
    member = joined(started)
    report = {
        "MemberOp": "Report", "Admin": member.admin, "Host": member.host, "Trust": "", "Refused": {}, "Over": [],
        "Gone": [], "Died": [], "Lacking": [], "Leaving": False,
    }  # fmt: skip
    member.asked = time.monotonic() - 0.01
    started.hear({**report, "Time": time.time()}, "director 2")
    assert abs(member.report["Offset"]) < 0.5
    member.asked = time.monotonic() - asked if asked else 0.0  # 0.0: nothing was asked
    started.hear({**report, "Time": time.time()}, "director 2")
    assert abs(member.report["Offset"]) < 0.5
