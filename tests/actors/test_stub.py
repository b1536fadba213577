"""What Thespian gets instead of a source: a few bytes that read, and say why they are not the source."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import pytest

from director.actors.stub import refusal_archive, stub_archive


def test_the_stub_of_a_source_of_twenty_packages_has_a_few_kilobytes() -> None:
    tops = [f"package_{number}" for number in range(20)]
    made = stub_archive(tops)
    assert len(made) < 6000
    assert zipfile.ZipFile(io.BytesIO(made)).namelist() == [f"{top}/__init__.py" for top in tops]


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (stub_archive(["app_of_a_stub"]), "not started by the director"),
        (refusal_archive('it\'s "revoked"\n', ["app_of_a_stub"]), 'it\'s "revoked"'),
    ],
)
def test_who_imports_it_all_the_same_hears_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: bytes, reason: str
) -> None:
    archive = tmp_path / "stub.zip"
    archive.write_bytes(made)
    monkeypatch.syspath_prepend(str(archive))
    with pytest.raises(ImportError, match=reason):
        __import__("app_of_a_stub")
    assert "app_of_a_stub" not in sys.modules
