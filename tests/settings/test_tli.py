"""TLI files: the guide's examples, every kind of mistake with its place, and the round trip."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.errors import SettingsError
from director.settings.tli import (
    ActorSpec,
    Message,
    Ready,
    Restart,
    Tli,
    parse_tli,
    tli_from_definition,
)

GUIDE = """
{'Actors': {
    'foo.fooactor.FooActor': {
        'OnLoad': {'Role': 'MainFoo', 'Message': 'StartFoo', 'GlobalName': 'Foo Primary'},
        'OnReactivate': {'Message': ('Restart', True)},
        'OnDeactivate': {'Message': {'Shutdown': True, 'timeout': 3}}},
    'foo.subdir2.barn.cowactor.CowActor': {
        'OnLoad': {'Role': 'FlyingCow', 'Message': 'Moo!'}}}}
"""
OTHER = """{'Actors': {'other.o.Other': {'OnLoad': {'Role': 'other', 'Message': 0}}},
'AutoUnload': True, 'TLS_Keep_Limit': 3}"""


def parse(text: str, **environ: str) -> Tli:
    return parse_tli(text, name="foo.tli", environ=environ)


def test_the_guides_first_example() -> None:
    found = parse(GUIDE)
    assert found.actors == (
        ActorSpec(
            "foo.fooactor.FooActor",
            "MainFoo",
            "Foo Primary",
            Message("StartFoo"),
            Message(("Restart", True)),
            Message({"Shutdown": True, "timeout": 3}),
        ),
        ActorSpec("foo.subdir2.barn.cowactor.CowActor", "FlyingCow", None, Message("Moo!")),
    )
    assert (found.auto_unload, found.keep_limit, found.drain) == (False, 0, 10.0)


def test_the_guides_second_example_where_zero_is_still_a_message() -> None:
    found = parse(OTHER)
    assert found.actors[0].on_load == Message(0)
    assert (found.auto_unload, found.keep_limit) == (True, 3)


def test_what_goes_beyond_the_guide_is_read_with_its_defaults() -> None:
    found = parse(
        "{'Actors': {'a.B': {'Ready': {'Message': 0, 'Reply': None}}}, 'Drain': 1,"
        " 'Handover': 'stop-first', 'Restart': {'Limit': 0}}"
    )
    assert found.actors[0].ready == Ready(0, Message(None), 30.0), "None is an answer too"
    assert found.handover == "stop-first" and found.restart == Restart(limit=0, within=60.0)


def test_a_message_may_use_the_environment() -> None:
    text = (
        "{'Actors': {'a.B': {'OnLoad': {'Message': 'Start %s' % os.getenv('OTHER', 'notspec')}}}}"
    )
    assert parse(text).actors[0].on_load == Message("Start notspec")
    assert parse(text, OTHER="x").actors[0].on_load == Message("Start x")
    assert parse(text, OTHER="x").variables == {"OTHER": "x"}


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("[]", 1, 1, "dictionary"),
        ("{}", 1, 1, "'Actors' is missing"),
        ("{'Actor': {}}", 1, 2, "Did you mean 'Actors'"),
        ("{'Actors': []}", 1, 2, "dictionary"),
        ("{'Actors': {\n 'fooactor': {}}}", 2, 2, "package.module.Class"),
        ("{'Actors': {1: {}}}", 1, 13, "does not name an actor"),
        ("{'Actors': {'a.B': {\n  'Onload': {}}}}", 2, 3, "Did you mean 'OnLoad'"),
        ("{'Actors': {'a.B': {'OnLoad': {\n 'Rolle': 'x'}}}}", 2, 2, "Did you mean 'Role'"),
        ("{'Actors': {'a.B': {'OnLoad': 'x'}}}", 1, 21, "OnLoad is a dictionary"),
        ("{'Actors': {'a.B': {'OnLoad': {'Role': 3}}}}", 1, 32, "Role is a text"),
        ("{'Actors': {'a.B': {'OnLoad': {'Role': 'x\\nbank: ok'}}}}", 1, 32, "of one line"),
        ("{'Actors': {'a.B': {'OnLoad': {'Role': '\\ud800'}}}}", 1, 32, "that do not show"),
        ("{'Actors': {'a.B': {'OnLoad': {'GlobalName': ' '}}}}", 1, 32, "not empty"),
        ("{'Actors': {'a.B': {'OnLoad': {'GlobalName': ''}}}}", 1, 32, "GlobalName is a text"),
        ("{'Actors': {'a.B': {'OnDeactivate': {'Role': 'x'}}}}", 1, 38, "not known"),
        ("{'Actors': {}, 'AutoUnload': 0}", 1, 16, "AutoUnload"),
        ("{'Actors': {}, 'AutoUnload': 'yes'}", 1, 16, "AutoUnload"),
        ("{'Actors': {}, 'TLS_Keep_Limit': -1}", 1, 16, "TLS_Keep_Limit"),
        ("{'Actors': {}, 'TLS_Keep_Limit': True}", 1, 16, "TLS_Keep_Limit"),
        ("{'Actors': {}, 'Drain': '3'}", 1, 16, "Drain"),
        ("{'Actors': {}, 'Drain': 1e9}", 1, 16, "Drain"),
        ("{'Actors': {}, 'Drain': 1e999 - 1e999}", 1, 16, "Drain"),
        ("{'Actors': {}, 'Handover': 'stop'}", 1, 16, "'stop-first'"),
        ("{'Actors': {}, 'Restart': 3}", 1, 16, "Restart is a dictionary"),
        ("{'Actors': {}, 'Restart': {'Limits': 3}}", 1, 28, "Did you mean 'Limit'"),
        ("{'Actors': {}, 'Restart': {'Limit': True}}", 1, 28, "Limit is a number"),
        ("{'Actors': {}, 'Restart': {'Delay': -1}}", 1, 28, "Delay is a number of seconds"),
        ("{'Actors': {'a.B': {'Ready': {}}}}", 1, 21, "Ready needs a Message"),
        ("{'Actors': {'a.B': {'Ready': {'Ask': 1}}}}", 1, 31, "not known"),
        (
            "{'Actors': {'a.B': {'Ready': {'Message': 1,\n 'Timeout': 'x'}}}}",
            2,
            2,
            "Timeout is a number of seconds",
        ),
        ("{'Actors': {}, 'Actors': {}}", 1, 16, "twice"),
        (
            "{'Actors': {'a.A': {'OnLoad': {'Role': 'r'}},\n 'a.B': {'OnLoad': {'Role': 'r'}}}}",
            2,
            21,
            "that of a.A already",
        ),
        (
            "{'Actors': {'a.A': {'OnLoad': {'GlobalName': 'r'}},\n"
            " 'a.B': {'OnLoad': {'GlobalName': 'r'}}}}",
            2,
            21,
            "that of a.A already",
        ),
    ],
)
def test_every_mistake_has_its_place(text: str, line: int, column: int, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert says in str(caught.value) and "foo.tli" in str(caught.value)


def test_a_definition_is_checked_too_and_names_its_keys() -> None:
    with pytest.raises(SettingsError, match=r"\['Actors'\]\['a\.B'\]\['OnLoad'\]\['Role'\]"):
        tli_from_definition({"Actors": {"a.B": {"OnLoad": {"Role": 3}}}})


NAMES = st.from_regex(r"[a-z]{1,5}\.[A-Z]{1,5}", fullmatch=True)
VALUES = st.none() | st.integers() | st.text()
SECONDS = st.floats(0, 100)
MESSAGES = st.none() | st.builds(Message, VALUES)
READY = st.none() | st.builds(Ready, VALUES, MESSAGES, SECONDS)


@st.composite
def tlis(draw: Any) -> Tli:
    names = draw(st.lists(NAMES, unique=True, max_size=4))
    actors = tuple(
        ActorSpec(
            name,
            draw(st.sampled_from([None, f"role {name}"])),
            draw(st.sampled_from([None, f"name {name}"])),
            draw(MESSAGES),
            draw(MESSAGES),
            draw(MESSAGES),
            draw(READY),
        )
        for name in names
    )
    auto = draw(st.booleans() | st.integers(1, 9))
    handover = draw(st.sampled_from(["start-first", "stop-first"]))
    restart = draw(st.builds(Restart, st.integers(0, 9), SECONDS, SECONDS, SECONDS))
    return Tli(actors, auto, draw(st.integers(0, 9)), draw(SECONDS), handover, restart)


@given(tlis())
def test_what_is_told_to_the_director_is_what_was_read(made: Tli) -> None:
    assert tli_from_definition(made.definition()) == made
    assert parse(repr(made.definition())) == made


def test_all_that_is_wrong_is_told_at_once_in_the_order_of_its_places() -> None:
    text = """{'Actors': {
    'a.B': {'OnLod': {}, 'OnLoad': {'Role': 7}},
    'a.C': {'OnLoad': {'Role': 'c'}, 'Ready': {'Timeout': 3}},
    'a.D': {'OnLoad': {'Role': 'c'}},
    'noclass': {},
  },
  'Drain': -1, 'Restart': {'Limt': 3, 'Within': 'x'}, 'AutoUnlod': True}"""
    with pytest.raises(SettingsError) as problem:
        parse(text)
    lines = str(problem.value).splitlines()
    assert [line.partition(" ")[0].split(":")[1] for line in lines] == [*"223457777"]
    for line, word in zip(
        lines,
        (
            "OnLod",
            "Role is",
            "Ready needs",
            "is that of a.C",
            "noclass",
            "Drain",
            "Limt",
            "Within",
            "AutoUnlod",
        ),
        strict=True,
    ):
        assert word in line, line
    assert "here. Did you mean 'OnLoad'?" in lines[0]
