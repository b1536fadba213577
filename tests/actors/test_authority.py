"""The Source Authority's shell by itself: what wakes it, and what it does then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from thespian.actors import UnloadedSource, WakeupMessage

from director.actors import authority as shell
from director.errors import DirectorError


class Authority(shell.SourceAuthority):
    """One without an actor system: its alarms are noted."""

    def __init__(self) -> None:
        super().__init__()
        self.alarms: list[Any] = []
        self.swept = 0

    def send(self, target: Any, message: Any) -> None:
        pass

    def wakeupAfter(self, period: Any, payload: Any = None) -> None:  # noqa: N802
        self.alarms.append((period.total_seconds(), payload))

    def ring(self) -> list[float]:
        """All alarms ring; after how many seconds the next ones will."""
        alarms, self.alarms = self.alarms, []
        for _, payload in alarms:
            self.receiveMessage(WakeupMessage(None, payload), "me")
        return [seconds for seconds, _ in self.alarms]


def test_one_sweep_goes_on_however_many_sources_are_unloaded_while_one_is_in_use(
    monkeypatch: Any, tmp_path: Any
) -> None:
    made, problems = Authority(), [DirectorError("locked")]

    def sweep() -> bool:
        made.swept += 1
        if problems:
            raise problems.pop()
        return made.swept < 10

    made.store = SimpleNamespace(state=tmp_path, cache=SimpleNamespace(sweep=sweep))  # type: ignore[assignment]
    monkeypatch.setattr(shell, "recall", lambda state, source_hash: None)
    for number in range(3):
        made.receiveMessage(UnloadedSource(str(number), None), "admin")
    assert made.ring() == [2 * shell.SWEEP_FIRST] and made.swept == 1
    assert made.ring() == [4 * shell.SWEEP_FIRST]
    made.receiveMessage(UnloadedSource("3", None), "admin")
    assert made.ring() == [2 * shell.SWEEP_FIRST], "soon again, and no more often than that"
    while made.ring():
        pass
    assert made.swept == 10
