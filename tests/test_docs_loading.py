"""docs/loading.md: the figures that it tells are those of the code."""

from __future__ import annotations

from pathlib import Path

from director.actors import placer, runtime
from director.control import UDP_LIMIT

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "loading.md").read_text(encoding="utf-8")


def test_limits_are_the_codes_own() -> None:
    assert f"An import may take {runtime.IMPORT_LIMIT:.0f} s" in TEXT
    assert f"for at most {placer.LIMIT} s" in TEXT
    assert f"up to {UDP_LIMIT:,} bytes" in TEXT
