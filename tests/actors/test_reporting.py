"""What a member tells of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from director.actors import apart, reporting
from director.errors import DirectorError
from director.store import Store


def test_keys_are_read_once_for_what_lies_there_also_where_they_do_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    answers: list[dict[str, str] | DirectorError] = []

    def ask(store: Store) -> dict[str, str]:
        asked.append(store)
        told = answers.pop(0)
        if isinstance(told, DirectorError):
            raise told
        return told

    monkeypatch.setattr(apart, "keys", ask)
    store, keys = Store(tmp_path, tmp_path), reporting.Keys()
    answers += [{"a": "a_tls.key"}, DirectorError("broken"), {"b": "b_tls.key"}]
    for now in (0.0, 2.0):
        assert keys.read(store, "one", now) == {"a": "a_tls.key"}
    for now in (4.0, 6.0, 8.0):
        with pytest.raises(DirectorError, match="broken"):
            keys.read(store, "two", now)
    assert len(asked) == 2
    assert keys.read(store, "two", 4.0 + reporting.AGAIN) == {"b": "b_tls.key"}
