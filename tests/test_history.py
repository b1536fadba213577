"""The history: what is written is read, what was cut off is left out, and what undo means."""

from __future__ import annotations

import json
import multiprocessing
import resource
import signal
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director import history as h

WHEN = "2026-01-01T00:00:00Z"


def event(what: str, version: str, group: str = "app") -> h.Event:
    return h.Event(WHEN, group, what, version, version, f"{version}.tls", "")


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


@pytest.mark.parametrize(
    "end", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r", "\n", "\udc80"]
)
def test_no_character_of_a_text_ends_its_line(tmp_path: Path, end: str) -> None:
    history = h.History(tmp_path)
    told = h.Event(WHEN, "app", "went-back", "2", "2", f"{end}.tls", f"died{end}over it")
    history.append(event("active", "1"))
    history.append(event("active", "2"))
    history.append(told)
    assert history.read()[-1] == told
    assert h.nothing_to_undo(history.read(), "app") == "undo goes back no further than 1.tls"


def test_what_follows_a_line_that_a_crash_cut_off_is_not_lost_with_it(tmp_path: Path) -> None:
    history = h.History(tmp_path)
    history.append(event("active", "1"))
    whole = history.path.read_bytes()
    for cut in range(1, len(whole)):
        history.path.write_bytes(whole + whole[:cut])
        history.append(event("active", "2"))
        read = history.read()
        assert read[0] == event("active", "1") and read[-1] == event("active", "2")


def _without_room(state: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    history = h.History(state)
    limit = history.path.stat().st_size + 20
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with pytest.raises(OSError, match="No space left"):
        history.append(event("active", "2"))


def test_a_full_disk_is_an_error_and_leaves_no_part_of_a_line(tmp_path: Path) -> None:
    history = h.History(tmp_path)
    history.append(event("active", "1"))
    before = history.path.read_bytes()
    process = multiprocessing.get_context("fork").Process(target=_without_room, args=(tmp_path,))
    process.start()
    process.join(60)
    assert process.exitcode == 0 and history.path.read_bytes() == before
    history.append(event("active", "3"))
    assert history.read() == [event("active", "1"), event("active", "3")]


@pytest.mark.parametrize(
    "line",
    [
        *("", "{", "[]", "5", "[" * 100_000, json.dumps({"time": WHEN})),
        *(json.dumps({**asdict(event("active", "1")), "version": 1}),),
        *(json.dumps({**asdict(event("active", "1")), "time": "once"}),),
        *(json.dumps({**asdict(event("active", "1")), "more": ""}),),
    ],
)
def test_a_line_that_is_no_event_is_left_out(tmp_path: Path, line: str) -> None:
    history = h.History(tmp_path)
    history.append(event("active", "1"))
    with history.path.open("a") as stream:
        stream.write(line + "\n")
    history.append(event("active", "2"))
    assert history.read() == [event("active", "1"), event("active", "2")]


def test_the_history_does_not_grow_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h, "LARGEST", 2000)
    history = h.History(tmp_path)
    sizes = set()
    for number in range(60):
        history.append(event("active", str(number), f"group{number}"))
        sizes.add(history.path.stat().st_size)
    assert max(sizes) <= 2200
    found = history.read()
    assert found[-1] == event("active", "59", "group59"), "the newest stay"
    assert found == sorted(found, key=lambda one: int(one.version or 0))


def test_one_groups_many_deaths_take_nothing_from_the_others_trails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h, "LARGEST", 40_000)
    history = h.History(tmp_path)
    for version in ("1", "2", "3"):
        history.append(event("active", version, "quiet"))
    history.append(event("undone", "2", "quiet"))
    history.append(event("pinned", "2", "quiet"))
    history.append(event("failed", "4", "quiet"))
    for number in range(700):
        history.append(event("actor-died", str(number), "noisy"))
    assert history.path.stat().st_size <= 40_000 < 700 * 100
    told = history.read("quiet")
    target, last = h.undo_target(told, "quiet"), h.last_active(told)
    assert target and target.version == "1" and last and last.version == "2"
    assert told[-1] == event("failed", "4", "quiet"), "what else is told of it stays, too"
    assert history.read("noisy")[-1] == event("actor-died", "699", "noisy")


@given(st.lists(st.tuples(st.sampled_from(sorted(h.DECIDING)), st.sampled_from("123"))))
def test_a_trail_whose_beginning_was_cut_off_is_right_if_not_as_deep(
    told: list[tuple[str, str]],
) -> None:
    events = [event(*one) for one in told]
    lines = [json.dumps(asdict(one)).encode() for one in events]
    for limit in range(0, sum(map(len, lines)) + len(lines) + 1, 200):
        kept = [one for one in map(h._event, h._newest(lines, limit)) if one]
        assert kept == events[len(events) - len(kept) :]
        trail, whole = ([e.version for e in h._trail(one, "app")] for one in (kept, events))
        assert trail == whole[len(whole) - len(trail) :]


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
