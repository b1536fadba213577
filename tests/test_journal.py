"""The lines and entries that a service's log is made of."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
from pathlib import Path

import pytest

from director.journal import JournalHandler, PipeHandler, json_line

#: A name of bytes that are no UTF-8, as `os.fsdecode` gives it, and half a pair from a program's own mistake.
ODD = "caf\udce9 \ud800 ü"


def test_a_line_of_json_with_half_a_surrogate_pair_has_bytes_and_reads_as_it_was() -> None:
    line = json_line("INFO", "app", ODD)
    assert json.loads(line.encode("utf-8"))["message"] == ODD
    assert line.isascii(), "whatever the encoding of the stream"


def test_no_record_is_dropped_for_half_a_surrogate_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    path.touch()
    handler = PipeHandler(str(path))
    record = logging.LogRecord("app", logging.INFO, __file__, 1, "read %s", (ODD,), None)
    monkeypatch.setattr(handler, "handleError", lambda record: pytest.fail("it was dropped"))
    handler.emit(record)
    handler.stream.close()
    assert json.loads(path.read_bytes())["message"] == f"read {ODD}"


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the journal is Linux's")
def test_a_record_too_large_for_a_datagram_reaches_the_journal_whole(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "socket"))
        journal.settimeout(5)
        handler = JournalHandler(str(tmp_path / "socket"))
        handler.emit(logging.LogRecord("app", 30, "x.py", 7, "y" * 1_000_000, None, None))
        handler.close()
        data, handles, _, _ = socket.recv_fds(journal, 1 << 21, 1)
    assert data == b"" and len(handles) == 1
    seals = fcntl.fcntl(handles[0], fcntl.F_GET_SEALS)
    with os.fdopen(handles[0], "rb") as stream:
        stream.seek(0)
        assert b"MESSAGE=" + b"y" * 1_000_000 + b"\n" in stream.read()
    assert seals & fcntl.F_SEAL_WRITE and seals & fcntl.F_SEAL_SHRINK


@pytest.mark.parametrize("kind", [JournalHandler, PipeHandler])
def test_arguments_that_do_not_fit_are_told_and_raise_nothing(
    tmp_path: Path, kind: type[logging.Handler], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log").touch()
    handler = kind(str(tmp_path / "log"))
    handler.emit(logging.LogRecord("app", 30, "x.py", 7, "%d", ("x",), None))
    handler.close()
    assert "Logging error" in capsys.readouterr().err
