"""The lines of a unit's journal, by a journalctl that is played."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from director import unitlog
from director.logs import MET, select

ACTOR = "ActorAddr-(T|:1)"


def entry(message: object, **fields: str) -> str:
    told = {"__REALTIME_TIMESTAMP": "1764374400123456", "PRIORITY": "4", "LOGGER": "app"}
    return json.dumps({**told, **fields, "MESSAGE": message})


def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entries: list[str]) -> None:
    """A journalctl that tells these, the last one first, as it was asked to."""
    (tmp_path / "told").write_text("".join(f"{one}\n" for one in reversed(entries)))
    program = tmp_path / "journalctl"
    program.write_text(
        f'#!/bin/sh\necho "$@" >{tmp_path}/asked\ncat {tmp_path}/told\nexec sleep 60\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def test_entries_are_lines_as_in_a_file_and_a_groups_own_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    met = MET.format(group="app", class_name="app.App", address=ACTOR)
    place = {"ACTOR_ADDRESS": ACTOR, "CODE_FILE": "/x/app.py", "CODE_LINE": "7"}
    play(
        tmp_path,
        monkeypatch,
        [
            entry("Started.", PRIORITY="6"),
            entry(met, PRIORITY="6"),
            entry(f"{ACTOR} first\nsecond", **place),
            entry(list(b"caf\xe9"), ACTOR_ADDRESS=ACTOR),
            "cut off",
            entry(None),
        ],
    )
    program = tmp_path / "journalctl"
    program.write_text(program.read_text().replace("\nexec sleep 60", ""))
    lines = unitlog.unit_lines("x")
    asked = (tmp_path / "asked").read_text()
    assert "--unit=x.service" in asked and "--output=json" in asked and "--lines=" in asked
    ours = list(select(lines, "app", []))
    assert len(ours) == 4, lines
    assert ours[1].endswith(f",123 WARNING {ACTOR} app  first [app.py:7]") and ours[2] == "second"
    assert ours[3].endswith("caf\ufffd")


def test_no_more_is_read_than_was_meant_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(tmp_path, monkeypatch, [entry(f"line {number}") for number in range(100)])
    monkeypatch.setattr(unitlog, "LONGEST", 1000)
    lines = unitlog.unit_lines("x")  # and does not wait for the rest
    assert 3 < len(lines) < 20 and lines[-1].endswith("line 99")


def test_without_a_journal_there_are_no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert unitlog.unit_lines("x") == []
