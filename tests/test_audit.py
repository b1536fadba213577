"""The audit log: whole lines from several processes, rotation, and what a full disk or a crash leaves."""

from __future__ import annotations

import json
import multiprocessing
import resource
import signal
from pathlib import Path
from typing import Any

import pytest

from director.audit import Audit, who


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def _write(state: Path, writer: int, count: int) -> None:
    for number in range(count):
        Audit(state, limit=4000, kept=200).append(
            {"writer": writer, "number": number, "x": "y" * 90}
        )


def test_several_processes_lose_and_mix_no_line_while_it_is_rotated(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    started = [context.Process(target=_write, args=(tmp_path, one, 60)) for one in range(4)]
    for process in started:
        process.start()
    for process in started:
        process.join(60)
        assert process.exitcode == 0
    found = [line for path in tmp_path.glob("audit.jsonl*") for line in lines(path)]
    assert sorted((one["writer"], one["number"]) for one in found) == [
        (writer, number) for writer in range(4) for number in range(60)
    ]
    assert all(path.stat().st_size <= 4000 for path in tmp_path.glob("audit.jsonl*"))
    assert len(list(tmp_path.glob("audit.jsonl*"))) > 3


def test_only_so_many_old_files_are_kept(tmp_path: Path) -> None:
    audit = Audit(tmp_path, limit=200, kept=2)
    for number in range(20):
        audit.append({"number": number, "x": "y" * 80})
    names = sorted(path.name for path in tmp_path.glob("audit.jsonl*"))
    assert names == ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]
    assert lines(audit.path)[-1]["number"] == 19


def test_it_is_private_and_says_when_and_who(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "state")
    audit.append({"who": who()})
    assert audit.path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    told = lines(audit.path)[0]
    assert next(iter(told)) == "when" and told["when"].endswith("+00:00") and told["who"]


def test_a_line_that_a_crash_cut_short_spoils_no_other(tmp_path: Path) -> None:
    audit = Audit(tmp_path)
    audit.append({"number": 1})
    with audit.path.open("ab") as stream:
        stream.write(b'{"when": "20')
    audit.append({"number": 2})
    told = audit.path.read_text().splitlines()
    assert json.loads(told[0])["number"] == 1 and json.loads(told[-1])["number"] == 2


def _fill(state: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    size = Audit(state).path.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, size + 20))
    with pytest.raises(OSError):
        Audit(state).append({"number": 2, "x": "y" * 500})


def test_a_full_disk_leaves_no_part_of_a_line(tmp_path: Path) -> None:
    Audit(tmp_path).append({"number": 1})
    process = multiprocessing.get_context("fork").Process(target=_fill, args=(tmp_path,))
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert [one["number"] for one in lines(Audit(tmp_path).path)] == [1]


def test_a_rotation_that_fails_tells_why_and_closes_nothing_of_others(tmp_path: Path) -> None:
    audit = Audit(tmp_path, limit=100, kept=1)
    audit.append({"x": "y" * 200})
    Path(f"{audit.path}.1").mkdir()
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 0
    with pytest.raises(IsADirectoryError):
        audit.append({"x": "z"})
    if before:
        assert len(list(Path("/proc/self/fd").iterdir())) == before
    Path(f"{audit.path}.1").rmdir()
    audit.append({"x": "z"})
    assert [one["x"] for one in lines(audit.path)] == ["z"]
