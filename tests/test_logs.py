"""Which lines of a system's log are a group's."""

from __future__ import annotations

from director.logs import MET, select

MINE, OTHER = "ActorAddr-(T|:1)", "ActorAddr-(T|:2)"


def line(text: str, address: str = "ActorAddr-(T|:9)") -> str:
    return f"2026-01-01 00:00:00,000 1 INFO {address} {text}"


def met(group: str, address: str) -> str:
    return line(MET.format(group=group, class_name="a.A", address=address))


def test_what_an_actor_said_before_it_was_met_is_its_groups() -> None:
    """A member's Director learns with its leader's next Beat whose an actor is."""
    log = [
        line("in __init__", MINE),
        "a continued line",
        line("in __init__", OTHER),
        met("other", OTHER),
        met("mine", MINE),
        line("later", MINE),
        line("elsewhere"),
    ]
    found = list(select(log, "mine", []))
    assert found == [log[0], log[1], log[4], log[5]]


def test_an_address_that_is_anothers_now_is_the_groups_no_more() -> None:
    log = [met("mine", MINE), line("ours", MINE), met("other", MINE), line("theirs", MINE)]
    assert list(select(log, "mine", [])) == log[:2]
    assert list(select(log, "other", [])) == log[2:]
    assert list(select([*log, met("mine", MINE), line("again", MINE)], "mine", [MINE])) == [
        *log[:2],
        met("mine", MINE),
        line("again", MINE),
    ]
