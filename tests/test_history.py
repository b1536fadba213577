"""The history: what is written is read, what was cut off is left out, and what undo means."""

from __future__ import annotations

from pathlib import Path

import pytest

from director import history as h


def event(what: str, version: str, group: str = "app") -> h.Event:
    return h.Event("2026-01-01T00:00:00Z", group, what, version, version, f"{version}.tls", "")


def test_events_come_back_in_order_and_by_group(tmp_path: Path) -> None:
    history = h.History(tmp_path / "state")
    assert history.read() == []
    told = [event("active", "1"), event("active", "9", "other"), event("failed", "2")]
    for one in told:
        history.append(one)
    assert history.read() == told
    assert history.read("app") == [told[0], told[2]]
    assert (tmp_path / "state" / "history.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_line_that_a_crash_cut_off_is_left_out(tmp_path: Path) -> None:
    history = h.History(tmp_path)
    history.append(event("active", "1"))
    with history.path.open("a") as stream:
        stream.write('{"time": "2026')
    assert history.read() == [event("active", "1")]


def test_the_history_does_not_grow_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h, "LARGEST", 1000)
    history = h.History(tmp_path)
    for number in range(20):
        history.append(event("active", str(number)))
    assert history.path.stat().st_size <= 1200
    assert history.read()[-1] == event("active", "19"), "the newest stay"


@pytest.mark.parametrize(
    ("events", "target"),
    [
        ([], None),
        (["1"], None),
        (["1", "2"], "1"),
        (["1", "2", "1"], "2"),
        (["1", "2", "3", "undone 2"], "1"),
        (["1", "2", "undone 1"], None),
        (["1", "2", "3", "undone 2", "4"], "2"),
        (["1", "2", "went-back 2", "active 1"], None),
        (["1", "3", "2", "went-back 2", "active 3"], "1"),
    ],
)
def test_undo_walks_back_as_an_editor_does(events: list[str], target: str | None) -> None:
    told = [event("active", "9", "other")]
    for text in events:
        what, _, version = text.rpartition(" ")
        told.append(event(what or "active", version))
    found = h.undo_target(told, "app")
    assert (found.version if found else None) == target


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([], "no version of 'app' was active yet"),
        (
            [("active", "1"), ("active", "2"), ("undone", "1")],
            "undo goes back no further than 1.tls",
        ),
    ],
)
def test_why_there_is_nothing_to_undo_is_true_of_what_was_active(
    events: list[tuple[str, str]], says: str
) -> None:
    assert h.nothing_to_undo([event(*one) for one in events], "app") == says
