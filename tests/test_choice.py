"""Which version a boot keeps: tables over histories and files."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from director.choice import Phase, Present, chosen_before, still_failed
from director.history import Event

OLD, NEW = "/d/app-1.0.tls", "/d/app-2.0.tls"


def event(at: int, what: str, file: str) -> Event:
    time = datetime.fromtimestamp(at, UTC).isoformat()
    return Event(time, "app", what, None, file, file, "")


def both(new_came: float) -> list[Present]:
    return [Present(NEW, new_came), Present(OLD, 1)]


@pytest.mark.parametrize(
    ("events", "files", "kept"),
    [
        ([], both(2), None),
        ([event(10, "active", OLD)], [], None),
        # A newer file came after: a boot is how it is taken up.
        ([event(10, "active", OLD)], both(20), None),
        # It was there when the older one was loaded by its name, or by undo.
        ([event(10, "active", NEW), event(30, "active", OLD)], both(5), OLD),
        ([event(10, "active", NEW), event(30, "undone", OLD)], both(5), OLD),
        ([event(30, "active", OLD)], both(20), OLD),
        # ... and something new came after that.
        ([event(30, "active", OLD)], [Present("/d/app-3.0.tls", 40), *both(5)], None),
        ([event(10, "active", OLD), event(30, "active", NEW)], both(5), None),
        ([event(30, "active", OLD), event(40, "actor-died", OLD)], both(5), OLD),
        # What was unloaded or is gone cannot stay.
        ([event(30, "active", OLD), event(40, "unloaded", OLD)], both(5), None),
        ([event(30, "active", OLD), event(40, "unloaded", NEW)], both(5), OLD),
        ([event(30, "active", "/d/app-0.1.tls")], both(5), None),
        # Of a path elsewhere, the name counts.
        ([event(30, "active", "/elsewhere/app-1.0.tls")], both(5), OLD),
    ],
)
def test_what_was_chosen_stays_until_something_new_comes(
    events: list[Event], files: list[Present], kept: str | None
) -> None:
    assert chosen_before(events, files) == kept


@pytest.mark.parametrize(
    ("events", "files", "chosen", "kept"),
    [
        # A restart after a crash made it active again, though a newer file had come: no choice.
        ([event(10, "active", OLD), event(60, "active", OLD)], both(20), False, None),
        # It had been chosen before that; what comes later still wins.
        ([event(30, "active", OLD), event(60, "active", OLD)], both(20), True, OLD),
        ([event(30, "active", OLD), event(60, "active", OLD)], both(80), True, None),
        # The operator spoke after it.
        ([event(60, "active", NEW), event(75, "active", OLD)], both(20), False, OLD),
    ],
)
def test_what_a_service_loaded_by_itself_is_no_choice(
    events: list[Event], files: list[Present], chosen: bool, kept: str | None
) -> None:
    phase = Phase(50, 70, frozenset(["app"] if chosen else []), {"other": "it does not read"})
    assert Phase.of(phase.to_bytes()) == phase
    assert chosen_before(events, files, phase) == kept


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"begin": "x", "end": 1, "chosen": []}',
        b'{"begin": 1, "end": 1, "chosen": [], "failed": 3}',
    ],
)
def test_a_damaged_file_tells_nothing(data: bytes) -> None:
    assert Phase.of(data) is None


@pytest.mark.parametrize(
    ("what", "at", "still"),
    [("active", 30, True), ("failed", 90, True), ("active", 90, False), ("unloaded", 90, False)],
)
def test_what_a_start_failed_to_load_counts_until_an_operator_dealt_with_it(
    what: str, at: int, still: bool
) -> None:
    phase = Phase(50, 70, frozenset(), {"app": "it does not read"})
    assert still_failed([event(at, what, OLD)], phase) is still
