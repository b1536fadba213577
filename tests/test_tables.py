"""What terminals show of the system is what pipes get, in tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from director import text
from director.report import FailureStatus, GroupStatus, OverrideStatus, Status, VersionStatus
from director.tables import print_status

VERSION = VersionStatus("h", "1.0", "f", "active", False, 10.0, None, None, None, False, ())
GROUP = GroupStatus("app", "h", None, None, None, (VERSION,))
LOADED = replace(GROUP, versions=(replace(VERSION, override="one"),))


@pytest.mark.parametrize(
    ("group", "lines"),
    [
        (GROUP, 0),
        (replace(GROUP, override=OverrideStatus("/d/app.tli", "one", "")), 1),
        (replace(GROUP, override=OverrideStatus("/d/app.tli", None, "first\nother")), 1),
        (replace(LOADED, override=OverrideStatus("/d/app.tli", "one", "")), 1),
        (replace(LOADED, override=OverrideStatus("/d/app.tli", "two", "")), 2),
        (LOADED, 2),
        (replace(GROUP, active=None, override=OverrideStatus("/d/app.tli", "one", "")), 1),
    ],
)
def test_an_own_tli_is_warned_of_on_a_terminal_as_in_a_pipe(
    group: GroupStatus, lines: int, capsys: pytest.CaptureFixture[str]
) -> None:
    now = datetime.now(UTC)
    status = Status("/d", "/s", 1900, "base", 1, 1, "1", now, None, (), {}, (group,))
    piped = [line.strip() for line in text.status(status) if "WARNING: " in line]
    assert len(piped) == lines
    print_status(status)
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.count("warning: ") == lines
    assert all(line.removeprefix("WARNING: ") in shown for line in piped)


def test_a_terminal_is_told_all_that_a_pipe_is(capsys: pytest.CaptureFixture[str]) -> None:
    version = replace(VERSION, revoked="stolen", expires="2026-01-01T00:00:00Z", expired=True)
    failure = FailureStatus("2.0", "/d/app-2.0.tls", "actor-died", "it died")
    now = datetime.now(UTC)
    group = replace(GROUP, versions=(version,), failure=failure)
    print_status(Status("/d", "/s", 1900, "base", 1, 1, "1", now, None, (), {}, (group,)))
    shown = " ".join(capsys.readouterr().out.split())
    assert "REVOKED: 1.0: stolen (`director refresh` unloads it)" in shown
    assert "1.0 EXPIRED on 2026-01-01T00:00:00Z" in shown
    assert "last failure (actor-died), /d/app-2.0.tls:" in shown
