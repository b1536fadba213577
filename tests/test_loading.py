"""What a load means: which file of a group, and how often the directory is read for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from director.control import DirectorControl
from director.errors import NotFound
from director.store import Available, Store


def test_loading_many_groups_reads_the_directory_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"g{number}" for number in range(20)]
    for name in names:
        (tmp_path / f"{name}-1.0.tls").touch()
    reads: list[int] = []
    found: list[Available] = []
    available = Store.available

    def counted(store: Store) -> dict[str, list[Available]]:
        reads.append(1)
        return available(store)

    def load_all(control: DirectorControl, wanted: Any, told: Any) -> list[Any]:
        found.extend(find() for _, find in wanted)
        return []

    monkeypatch.setattr(Store, "available", counted)
    monkeypatch.setattr(DirectorControl, "start", lambda control: False)
    monkeypatch.setattr(DirectorControl, "_load_all", load_all)
    control = DirectorControl(tmp_path, environ={})
    control.load_each({name: name for name in names})
    assert [one.path.name for one in found] == [f"{name}-1.0.tls" for name in names]
    assert len(reads) == 1
    with pytest.raises(NotFound, match="Did you mean 'g1'"):
        control.load_each({"x": "g_1"})
