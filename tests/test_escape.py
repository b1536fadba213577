"""What somebody else wrote makes up no lines of ours."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from director import text
from director.escape import shown
from director.report import FailureStatus, GroupStatus, Status


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("plain: Grüße, 東京", "plain: Grüße, 東京"),
        ("a\tb", "a\tb"),
        ("a\nbank: ok", "a\\nbank: ok"),
        ("\x1b[2J\x9b1m", "\\x1b[2J\\x9b1m"),
        ("\ud800", "\\ud800"),
        ("\u202egro.", "\\u202egro."),
        ("\u2028\r", "\\u2028\\r"),
    ],
)
def test_what_does_not_show_is_an_escape(told: str, expected: str) -> None:
    assert shown(told) == expected and "\n" not in shown(told)


def test_a_traceback_makes_up_no_group_in_status() -> None:
    forged = "RuntimeError: x\rbank: ok\n\x1b[1A\x1b[2Kbank: ok"
    failure = FailureStatus("1", "app-1.tls", "actor-died", forged)
    group = GroupStatus("app", None, None, None, failure, ())
    now = datetime.now(UTC)
    status = Status("/d", "/s", 1900, "base", 1, 1, "1", now, None, (), {}, (group,), "")
    lines = list(text.status(status))
    assert [line for line in lines if not line.startswith(" ")][-1] == "app: NOT WELL"
    assert not any("\x1b" in line or "\r" in line for line in lines)
