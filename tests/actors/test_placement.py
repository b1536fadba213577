"""Where an actor may run, asked in a process apart: the answers, their keeping, and how long the Admin is held up."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from director.actors import placement, placer
from director.actors.placer import LIMIT, Patience
from director.actors.words import is_alive
from tests.system.test_running import eventually


class Picky:
    """Takes gold, and asks for red."""

    @staticmethod
    def actorSystemCapabilityCheck(capabilities: Any, requirements: Any) -> bool:  # noqa: N802 - Thespian's name
        return bool(capabilities.get("gold")) and requirements.get("colour", "red") == "red"


def picky(module: str, name: str) -> Any:
    return Picky


Make = Callable[..., placement.Placement]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes the placement of a source; ``started`` tells the processes that were asked."""
    made: list[placement.Placement] = []
    started: list[placer.Placer] = []

    class Counted(placer.Placer):
        def __init__(self, *arguments: Any) -> None:
            started.append(self)
            super().__init__(*arguments)

    monkeypatch.setattr(placement, "Placer", Counted)

    def new(find: Any = picky, patience: Patience | None = None) -> placement.Placement:
        made.append(placement.Placement(find, patience or Patience()))
        return made[-1]

    new.started = started  # type: ignore[attr-defined]
    yield new
    for one in made:
        one.end()


def test_an_answer_holds_for_its_class_capabilities_and_requirements_alone(make: Make) -> None:
    answers = make()
    for _ in range(3):
        assert answers.fits("m", "A", {"gold": True, "b": 1}, {})
        assert answers.fits("m", "A", {"b": 1, "gold": True}, {}), "the order means nothing"
        assert not answers.fits("m", "A", {"gold": False}, {})
        assert not answers.fits("m", "A", {"gold": True, "b": 1}, {"colour": "blue"})
    assert len(answers._known) == 3


def test_a_check_that_is_none_accepts_no_system_as_in_thespian(make: Make) -> None:
    none = type("None_", (), {"actorSystemCapabilityCheck": None})
    assert not make(lambda module, name: none).fits("m", "A", {"gold": True}, {})
    assert make(lambda module, name: object).fits("m", "A", {}, {}), "there is none"


def test_one_process_imports_a_source_once_for_all_its_classes_and_systems(make: Make) -> None:
    answers = make()
    for name in "ABC":
        assert [answers.fits("m", name, {"gold": n % 2}, None) for n in range(4)] == [
            False,
            True,
        ] * 2
    assert len(make.started) == 1  # type: ignore[attr-defined]


def test_what_no_pipe_carries_is_asked_of_a_further_process(make: Make) -> None:
    answers = make()
    for colour in (Path("red"), Path("blue")):
        assert not answers.fits("m", "A", {"gold": True}, {"colour": colour})
    assert len(make.started) == 2  # type: ignore[attr-defined]


def test_the_dictionary_that_thespian_changes_later_is_asked_about_as_it_was(make: Make) -> None:
    """Its Admin has one dictionary of capabilities, and each update of one changes it."""
    answers, capabilities = make(), {"gold": True}
    for name in "ABC":
        for gold in (True, False, True):
            capabilities["gold"] = gold
            assert answers.fits("m", name, capabilities, None) is gold
            assert len(answers._known) <= 6


def test_also_where_the_answer_comes_when_it_has_changed(make: Make) -> None:
    def slow(module: str, name: str) -> Any:
        time.sleep(LIMIT + 0.3)
        return Picky

    answers, capabilities = make(slow), {"gold": True}
    assert answers.fits("m", "A", capabilities, None)
    capabilities["gold"] = False
    assert answers.fits("m", "A", capabilities, None), "it is not known yet"
    capabilities["gold"] = True

    eventually(lambda: not answers.fits("m", "A", {"gold": False}, None))
    assert answers.fits("m", "A", {"gold": True}, None) and len(answers._known) == 2


@pytest.mark.parametrize("how", [SystemExit(3), ImportError("none"), None])
def test_a_class_that_cannot_be_asked_may_run_and_is_asked_again(
    make: Make, how: BaseException | None
) -> None:
    def failing(module: str, name: str) -> Any:
        if how is None:
            os._exit(3)
        raise how

    answers = make(failing)
    assert answers.fits("m", "A", {}, None) and answers.fits("m", "A", {}, None)
    assert not answers._known


def test_whatever_is_created_of_slow_sources_holds_the_admin_up_for_the_limit_in_all(
    make: Make,
) -> None:
    def endless(module: str, name: str) -> Any:
        while True:
            time.sleep(60)

    def slow(module: str, name: str) -> Any:
        time.sleep(0.8 * LIMIT)
        return Picky

    patience = Patience()
    sources, began = [make(endless, patience), make(slow, patience)], time.monotonic()
    for number in range(30):
        for answers in sources:
            assert answers.fits(f"m{number}", "A", {}, None)
    assert LIMIT <= time.monotonic() - began < LIMIT + 0.2
    assert len(make.started) == 1, "there was no time for the other"  # type: ignore[attr-defined]


def test_patience_comes_back_while_there_is_nothing_to_do() -> None:
    clock, worked = [0.0], [0.0]
    patience = Patience(lambda: clock[0], lambda: worked[0])
    clock[0] = LIMIT
    patience.spend(LIMIT)
    assert patience.left == 0, "what it waited itself is no idle time"
    clock[0], worked[0] = clock[0] + 1, 1.0
    assert patience.left == 0, "it worked all the time"
    clock[0] += LIMIT
    assert patience.left == pytest.approx(LIMIT * placer.SHARE)
    clock[0] += 60
    assert patience.left == LIMIT


@pytest.mark.parametrize("how", ["answers", "hangs"])
def test_what_a_module_starts_when_it_is_imported_ends_with_the_process(
    make: Make, tmp_path: Path, how: str
) -> None:
    told = tmp_path / "pid"

    def starting(module: str, name: str) -> Any:
        child = subprocess.Popen(["sleep", "60"])
        told.write_text(str(child.pid))
        if how == "hangs":
            time.sleep(60)
        return Picky

    answers = make(starting)
    assert answers.fits("m", "A", {"gold": True}, None)
    pid = int(told.read_text())
    assert is_alive(pid)
    if how == "hangs":
        answers.end()
    eventually(lambda: not is_alive(pid))  # nobody asked any more
    assert answers.fits("m", "B", {"gold": True}, None), "it is asked anew"


def test_an_actor_is_handed_nothing_of_it(make: Make) -> None:
    """Actors are forks of the Admin."""
    answers = make()
    assert answers.fits("m", "A", {"gold": True}, None)
    ours = make.started[0]._ours.fileno()  # type: ignore[attr-defined]
    child = os.fork()
    if child == 0:
        try:
            os.fstat(ours)
        except OSError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_an_import_that_never_ends_does_not_run_for_ever(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(module: str, name: str) -> Any:
        while True:
            time.sleep(60)

    monkeypatch.setattr(placer, "LONGEST", 0.5)
    assert make(endless).fits("m", "A", {}, None)
    pid = make.started[0]._pid  # type: ignore[attr-defined]
    assert is_alive(pid)
    eventually(lambda: not is_alive(pid))


def test_a_process_that_ended_by_itself_stays_no_zombie(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGCHLD, lambda number, frame: heard.append(number))
    monkeypatch.setattr(placer, "IDLE", 0.1)
    try:
        answers = make()
        assert answers.fits("m", "A", {"gold": True}, None)
        pid = make.started[0]._pid  # type: ignore[attr-defined]
        eventually(lambda: not Path(f"/proc/{pid}").exists())
        assert heard, "what was told of it before is told still"
        for number in range(3):
            assert not answers.fits("m", str(number), {"gold": False}, None)
        assert len(make.started) == 2  # type: ignore[attr-defined]
        answers.end()
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_what_a_buried_process_answered_is_heard_still(make: Make) -> None:
    def slow(module: str, name: str) -> Any:
        time.sleep(LIMIT + 0.1)
        return Picky

    answers = make(slow)
    assert answers.fits("m", "A", {"gold": False}, None), "it is not known yet"
    pid = make.started[0]._pid  # type: ignore[attr-defined]
    eventually(lambda: not is_alive(pid))
    assert not answers.fits("m", "A", {"gold": False}, None)
    assert len(make.started) == 1  # type: ignore[attr-defined]
