"""What makes `status` say that something is not well is a finding of the doctor's, with what to do about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from director.control import DirectorControl
from director.demo import free_port
from director.doctor.running import running
from director.report import (
    ActorStatus,
    FailureStatus,
    GroupStatus,
    LeaderStatus,
    Status,
    VersionStatus,
)
from director.tls.keys import SigningKey

ACTOR = ActorStatus("app.Echo", "Echo", "ActorAddr-(T|:1)", "serving", 0, None, None)
VERSION = VersionStatus(
    "h", "1.0", "/d/app-1.0.tls", "active", False, 10.0, None, None, None, False, (ACTOR,)
)
GROUP = GroupStatus("app", "h", None, None, None, (VERSION,))
WELL = Status("/d", "/s", 1900, "base", 1, 1, "1", datetime.now(UTC), None, (), {}, (GROUP,))
OVER = "2026-01-01T00:00:00Z"


def with_version(**changes: object) -> Status:
    return replace(WELL, groups=(replace(GROUP, versions=(replace(VERSION, **changes),)),))  # type: ignore[arg-type]


def with_actor(**changes: object) -> Status:
    return with_version(actors=(replace(ACTOR, **changes),))  # type: ignore[arg-type]


def with_group(**changes: object) -> Status:
    return replace(WELL, groups=(replace(GROUP, **changes),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "code", "says", "remedy"),
    [
        (replace(WELL, blocked={"N": "the name gives no actor"}), "blocked", "The name gives", "Restart"),
        (replace(WELL, leader=LeaderStatus("10.0.0.1", None, True)), "leader-away", "CUT OFF", "host runs"),
        (with_version(revoked="stolen key"), "revoked", "app: 1.0 is loaded and revoked: stolen key.", "refresh"),
        (with_version(revoked=""), "revoked", "app: 1.0 is loaded and revoked.", "refresh"),
        (with_version(expires=OVER, expired=True), "expired", f"over on {OVER}", "Install a newer"),
        (with_actor(silent_for=12.3), "not-answering", "app: Echo has not answered for 12 s", "unload h"),
        (with_actor(state="restarting", deaths=2), "not-serving", "Echo is restarting, after 2 deaths", "logs app"),
        (
            with_group(active=None, versions=(), failure=FailureStatus("1", "f", "no-host", "A: none\nh3 refused it")),
            *("no-host", "f: A: none; h3 refused it", "status app"),
        ),
        (with_group(active=None), "not-active", "no version of it is active", "load app"),
        (
            with_group(active=None, versions=(), failure=FailureStatus(None, "app", "start", "It was\nso")),
            *("start", "app: It was", "status app"),
        ),
    ],
)  # fmt: skip
def test_what_is_not_well_is_an_error_that_says_what_to_do(
    status: Status, code: str, says: str, remedy: str
) -> None:
    assert not status.well
    (found,) = running(status, [])
    assert (found.level, found.code) == ("error", code)
    assert says in found.text and remedy in found.remedy, found


def test_what_is_well_is_no_finding() -> None:
    assert list(running(WELL, [])) == []
    assert list(running(with_actor(state="moving"), [])) == []
    (found,) = running(with_group(active=None, loading="h"), [])
    assert (found.level, found.code) == ("warning", "pending")


def test_where_nothing_runs_the_doctor_says_so_and_errors_come_first(
    tmp_path: Path, key: SigningKey
) -> None:
    (tmp_path / "sourcekey_tls.key").write_bytes(key.public_pem)
    (tmp_path / "adminport.cfg").write_text(str(free_port()))
    (tmp_path / "thesplogd.cfg").write_text(str(tmp_path))
    (tmp_path / ".state").mkdir(mode=0o700)
    control = DirectorControl(tmp_path, environ={})
    assert "not-running" in [one.code for one in control.doctor()]
    (tmp_path / "app.tli").write_text("{")
    levels = [one.level for one in control.doctor()]
    assert levels == sorted(levels) and levels[0] == "error" and levels[-1] == "warning"
