"""The lines and entries that a service's log is made of."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from director.journal import PipeHandler, json_line

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
