"""The messages as data: what is malformed, and that the reference page is the one that was generated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from director.actors import messages as msg
from director.actors.director import Director
from director.actors.versions import State, Version
from director.settings.tli import tli_from_definition
from director.store import Store

PAGE = Path(__file__).resolve().parents[2] / "docs" / "messages.md"


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"DirectorOp": "RetrieveRole"}, "needs Role"),
        ({"DirectorOp": "RetrieveRole", "Role": 3}, "Role of RetrieveRole is str, not int"),
        ({"DirectorOp": "RetrieveRole", "Role": "r", "Group": None}, ""),
        ({"DirectorOp": "RetrieveAll", "Group": []}, "str or NoneType"),
        ({"DirectorOp": "LoadSource", "Source": "f", "Wait": 1}, "bool"),
        ({"DirectorOp": "LoadSource", "Source": "f", "Settle": True}, "int or float"),
        ({"DirectorOp": "LoadSource", "Source": "f", "Settle": 2}, ""),
        ({"DirectorOp": "LoadSource", "Source": "x\0y.tls"}, "NUL"),
        ({"DirectorOp": "Pin", "Group": "g"}, "needs Version"),
        ({"DirectorOp": "Watch", "Something": "else"}, ""),
    ],
)
def test_a_malformed_request_is_told_what_is_wrong(request_: dict[str, Any], says: str) -> None:
    operation = msg.operation_of(request_)
    assert operation is not None
    told = msg.malformed(operation, request_)
    assert says in told and bool(told) is bool(says)


@pytest.mark.parametrize("name", ["Nonsense", None, 3, [], "retrieveall"])
def test_what_is_no_operation_is_none(name: Any) -> None:
    assert msg.operation_of({"DirectorOp": name}) is None


def test_the_director_handles_every_operation_that_is_told() -> None:
    from director.actors.director import Director

    for operation in msg.OPERATIONS:
        assert callable(getattr(Director, f"_do_{operation.name}"))


def test_a_reply_echoes_the_request_id_whatever_it_is() -> None:
    for value in (0, None, "x", [1]):
        assert msg.reply("K", {"RequestId": value}, True)["RequestId"] == value
    assert "RequestId" not in msg.reply("K", {}, True)


def test_the_reference_page_is_the_generated_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == msg.reference(), (
        "make it again: python -m director.actors.messages > docs/messages.md"
    )


class Alone(Director):
    """A Director without an actor system, that was told no directories."""

    myAddress = "here"  # noqa: N815 - Thespian's name

    def __init__(self) -> None:
        super().__init__()
        self.replies: list[Any] = []

    def send(self, target: Any, message: Any) -> None:
        self.replies.append(message)

    def wakeupAfter(self, period: Any, payload: Any = None) -> None:  # noqa: N802 - Thespian's name
        pass


KINDS = ["DirectorOp", "AuthorityOp", "AuthorityResponse", "NotebookResponse", "MemberOp"]
WORDS = ["Verdict", "Standing", "Word", "Note", "Meet", "Beat", "Report", "Kill", "Bytes", "Nope"]
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary()
)
BUILTINS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(SCALARS.filter(lambda v: v == v), inner, max_size=3)
    ),
    max_leaves=4,
)
NAMES = [field.name for one in msg.OPERATIONS for field in one.fields]
NAMES += ["RequestId", "ReplyTo", "SourceHash", "Valid", "Number", "May", "Refused", "Note"]


@settings(max_examples=400, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    word=BUILTINS | st.sampled_from(WORDS + [one.name for one in msg.OPERATIONS]),
    more=st.dictionaries(st.sampled_from(NAMES), BUILTINS, max_size=5),
)
def test_any_message_of_builtins_is_answered_and_none_stops_the_director(
    kind: str, word: Any, more: dict[str, Any]
) -> None:
    director = Alone()
    director.receiveMessage({**more, kind: word}, "somebody")
    known = msg.operation_of({kind: word}) if kind == "DirectorOp" else None
    if kind == "DirectorOp" and known is None and "ReplyTo" not in more:
        assert [one["Success"] for one in director.replies] == [False]


@pytest.mark.parametrize("word", [[], {}, None, 3, 2.5, b"x", float("nan"), [[]], "Nope"])
def test_what_names_no_operation_is_answered_with_success_false(word: Any) -> None:
    director = Alone()
    director.receiveMessage({"DirectorOp": word, "RequestId": [1]}, "somebody")
    told = {key: director.replies[0][key] for key in ("DirectorResponse", "Success", "RequestId")}
    assert told == {"DirectorResponse": "Unknown", "Success": False, "RequestId": [1]}


@pytest.mark.parametrize("message", [{}, {"AuthorityOp": "Verdict"}, {"AuthorityResponse": "Word"}])
def test_what_is_no_request_is_answered_with_success_false(message: dict[str, Any]) -> None:
    director = Alone()
    director.receiveMessage(message, "somebody")
    assert [one["Success"] for one in director.replies] == [False]


def test_a_group_may_be_defined_without_actors_as_the_reference_says() -> None:
    director = Alone()
    director.receiveMessage({"DirectorOp": "DefineGroup", "Group": "app", "Drain": 3}, "somebody")
    assert director.replies == [{"DirectorResponse": "DeclaredGroup", "Success": True}]
    assert director.definitions["app"].drain == 3 and director.definitions["app"].actors == ()
    assert "`Actors` (dict, optional)" in msg.reference()


@pytest.mark.parametrize("group", ["../x", "a-b", "a b", "", "föö", "x/y"])
@pytest.mark.parametrize("operation", ["DefineGroup", "LoadSource"])
def test_what_can_be_no_group_is_refused(operation: str, group: str, tmp_path: Path) -> None:
    source = tmp_path / "app-1.tls"
    source.write_bytes(b"some bytes")
    if operation == "LoadSource" and not group:
        return  # that of the file's name
    director = Alone()
    request = {"DirectorOp": operation, "Group": group, "Actors": {}, "Source": str(source)}
    director.receiveMessage(request, "somebody")
    told = director.replies[-1]
    assert (told["DirectorResponse"], told["Success"], told["Code"]) == ("Failed", False, "group")
    assert f"{group!r} cannot be a group" in told["Message"]
    assert not director.definitions and not director.groups.versions and not director.bytes


def test_a_request_that_cannot_be_done_fails_with_the_errors_code() -> None:
    director = Alone()
    actors = {"app.a.A": {"OnLoad": {"Rôle": "A"}}}
    request = {"DirectorOp": "DefineGroup", "Group": "app", "Actors": actors, "RequestId": 7}
    director.receiveMessage(request, "somebody")
    (told,) = director.replies
    assert told["DirectorResponse"] == "Failed" and told["Code"] == "settings"
    assert told["RequestId"] == 7 and "Failed" in msg.INTRODUCTION


def test_a_report_of_another_version_that_leaves_something_out_is_taken_all_the_same() -> None:
    director = Alone()
    director.store = Store(Path("/nowhere"), Path("/nowhere"))
    director.members.join("a", "h2/1", {}, 0.0)
    version = Version("h", "g", "1", "g-1.tls", tli_from_definition({"Actors": {"a.A": {}}}))
    (actor,) = director.groups.adopt(version, State.ACTIVE, [False], 0.0)
    director.actors.addresses[actor] = director.actors.met[actor] = "there"
    director.members.settle(actor, "a", "h2/1")
    director._member_op(
        {"MemberOp": "Report", "Admin": "a", "Host": "h2/1", "Gone": ["there"]}, "h2"
    )
    assert [one["Actor"] for one in director.replies if one.get("MemberOp") == "Why"] == [actor]


def test_a_request_that_waited_for_a_leader_is_answered_here_where_this_host_leads_now() -> None:
    director = Alone()
    director.held = [({"DirectorOp": "RetrieveAll"}, "somebody")]
    director._release_held()
    assert [one["DirectorResponse"] for one in director.replies] == ["AllAddresses"]
