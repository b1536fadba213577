"""The messages as data: what is malformed, and that the reference page is the one that was generated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from director.actors import messages as msg

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
