"""A group that waits for a host is no failed start: a service loads it, and goes on."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from director.control import Refreshed
from director.errors import LoadFailed
from director.history import Event, last_active
from director.notify import Notifier
from director.startup import Loads


def control(tmp_path: Path, code: str) -> Any:
    """What a service asks, where the one group's load ends like this."""
    result = Refreshed("g", None, LoadFailed("no host takes a.A", code=code))
    active = {"ActiveHash": "h", "Versions": {"h": {"File": "g-1.tls"}}}
    return SimpleNamespace(
        state=tmp_path,
        environ={},
        store=SimpleNamespace(available=lambda: {"g": []}),
        pinned_groups=set,
        history=lambda group: [],
        refresh=lambda leave: [result],
        load_each=lambda targets: [result],
        ask=lambda *told: {"Groups": {"g": active if code == "no-host" else {}}},
    )


def test_a_group_that_waits_for_a_host_is_loaded_and_a_warning_tells_of_it(tmp_path: Path) -> None:
    told: list[tuple[int, str]] = []
    loads = Loads(
        control(tmp_path, "no-host"), lambda level, text: told.append((level, text)), Notifier({})
    )
    assert loads.at_start() == "1 group active" and not loads.failed
    ((level, text),) = told
    assert level == logging.WARNING and "waits for a host" in text and "a.A" in text
    told.clear()
    assert loads._load_each({"g": "g-1.tls"}, "restored") == []
    assert [level for level, _ in told] == [logging.WARNING]


def test_a_group_whose_actor_died_is_none_that_waits(tmp_path: Path) -> None:
    told: list[tuple[int, str]] = []
    loads = Loads(
        control(tmp_path, "actor-died"),
        lambda level, text: told.append((level, text)),
        Notifier({}),
    )
    assert loads.at_start() == "0 groups active; not loaded: g"
    assert [level for level, _ in told] == [logging.ERROR]


def event(kind: str, source_hash: str) -> Event:
    return Event("2026-01-01T00:00:00Z", "g", kind, "1", source_hash, "g-1.tls", "")


def test_what_was_active_last_is_what_nobody_unloaded_since() -> None:
    events = [event("active", "a"), event("active", "b"), event("unloaded", "a")]
    last = last_active(events)
    assert last and last.source_hash == "b"
    last = last_active([*events, event("failed", "c"), event("undone", "a")])
    assert last and last.source_hash == "a"
    assert last_active([*events, event("unloaded", "b")]) is None
    assert last_active([]) is None


def test_a_file_that_cannot_be_written_is_told_of_once_whatever_else_can(tmp_path: Path) -> None:
    told: list[str] = []
    loads = Loads(control(tmp_path, "no-host"), lambda level, text: told.append(text), Notifier({}))
    (tmp_path / "full").write_text("no directory")
    for _ in range(3):
        loads._note(tmp_path / "full" / "active.json", b"{}")
        loads._note(tmp_path / "phase", b"{}")
    (text,) = told
    assert "active.json cannot be written" in text
    (tmp_path / "full").unlink()
    (tmp_path / "full").mkdir()
    loads._note(tmp_path / "full" / "active.json", b"{}")
    (tmp_path / "full" / "active.json").unlink()
    (tmp_path / "full").rmdir()
    loads._note(tmp_path / "full" / "active.json", b"{}")
    assert len(told) == 2, "it could be written meanwhile"
