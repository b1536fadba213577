"""What real actors are told, in order: load, upgrade, unload, reactivation, shutdown (guide 2.6 and 2.7.2).

Each actor appends what it hears to one file; one that hears nothing more has ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from director.errors import LoadFailed
from tests.conftest import Host

pytestmark = pytest.mark.system

#: Two roles, one with a GlobalName: their words stand in the file as `VERSION ROLE WORD`.
RECORDER = """
    import os
    from thespian.actors import ActorExitRequest, ActorTypeDispatcher

    class Recorder(ActorTypeDispatcher):
        name = "?"
        def receiveMessage(self, message, sender):
            if isinstance(message, ActorExitRequest):
                self.write("exit")
            elif isinstance(message, tuple) and len(message) == 2:
                self.name, word = message
                self.write(word)
                if word == "die":
                    os._exit(9)
                if word == "ready?":
                    self.send(sender, "READY")
        def write(self, word):
            with open(LOG, "a") as stream:
                stream.write("VERSION %s %s\\n" % (self.name, word))

    class Named(Recorder):
        pass
"""


def tli(*, name: str | None = None, more: str = "", extra: str = "") -> str:
    def actor(class_name: str, role: str, on_load: str = "") -> str:
        return (
            f"'app.rec.{class_name}': {{'OnLoad': {{'Role': {role!r}, 'Message': ({role!r}, 'load')"
            f"{on_load}}}, 'OnReactivate': {{'Message': ({role!r}, 'again')}},"
            f" 'OnDeactivate': {{'Message': ({role!r}, 'stop')}}{extra}}}"
        )

    named = f", {actor('Named', 'N', f', {chr(39)}GlobalName{chr(39)}: {name!r}')}" if name else ""
    return f"{{'Actors': {{{actor('Recorder', 'P')}{named}}}{more}}}"


class Story:
    """A host whose actors write into one file."""

    def __init__(self, host: Host, path: Path) -> None:
        self.host = host
        self.path = path
        path.touch()

    def put(self, version: str, text: str) -> None:
        body = RECORDER.replace("LOG", repr(str(self.path))).replace("VERSION", version)
        self.host.put("app", version, text, {"app/__init__.py": "", "app/rec.py": body})

    def load(self, version: str, text: str) -> str:
        self.put(version, text)
        return self.host.control.load(f"app-{version}.tls").source_hash

    def told(self) -> list[str]:
        return self.path.read_text().splitlines()

    def await_told(self, *words: str, seconds: float = 15) -> None:
        """Wait until exactly these lines have been added since the last call, and no other."""
        wanted = list(words)
        deadline = time.monotonic() + seconds
        while len(self.told()) < len(wanted) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)  # what should not come had time to
        assert self.told() == wanted
        self.path.write_text("")


@pytest.fixture
def story(host: Host, tmp_path: Path) -> Story:
    return Story(host, tmp_path / "told.txt")


def eventually(holds: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def test_load_upgrade_unload_reactivation_and_shutdown(story: Story) -> None:
    first = story.load("1", tli())
    story.await_told("1 P load")
    second = story.load("2", tli())
    story.await_told("2 P load", "1 P stop")
    third = story.load("3", tli())
    story.await_told("3 P load", "2 P stop")
    # another version than the active one: it has had its OnDeactivate already
    story.host.control.unload(first)
    story.await_told("1 P exit")
    # the active one: OnDeactivate, then the exit; the highest that is left hears OnReactivate
    story.host.control.unload(third)
    eventually(lambda: len(story.told()) == 3)
    told = story.told()
    assert [line for line in told if line[0] == "3"] == ["3 P stop", "3 P exit"]
    assert [line for line in told if line[0] == "2"] == ["2 P again"]
    story.path.write_text("")
    assert story.host.control.loaded()["app"]["ActiveHash"] == second
    story.host.control.shutdown()
    story.await_told("2 P exit")


def test_a_shutdown_right_after_a_load_ends_all_and_deactivates_none(story: Story) -> None:
    story.load("1", tli())
    story.load("2", tli())
    story.await_told("1 P load", "2 P load", "1 P stop")
    story.host.control.shutdown()
    eventually(lambda: len(story.told()) >= 2)
    time.sleep(0.5)
    assert sorted(story.told()) == ["1 P exit", "2 P exit"]


def test_a_global_name_passes_on_and_each_holder_hears_its_words(story: Story) -> None:
    drain = ", 'Drain': 0.3"
    story.load("1", tli(name="The N", more=drain))
    # The plain actor and the trial of the named one are two processes: either may be first.
    eventually(lambda: len(story.told()) == 3)
    first = story.told()
    story.path.write_text("")
    assert sorted(first[:2]) == ["1 ? exit", "1 P load"] and first[2] == "1 N load"
    story.load("2", tli(name="The N", more=drain))
    eventually(lambda: "1 P stop" in story.told())
    told = story.told()
    # The trial of the class has no name and no message; it is ended before the holder is told.
    assert sorted(told[:2]) == ["2 ? exit", "2 P load"]
    rest = [line for line in told if line not in {"2 P load", "2 ? exit"}]
    assert rest == ["1 N stop", "1 N exit", "2 N load", "1 P stop"]


def test_stop_first_stops_before_anything_of_the_new_version_starts(story: Story) -> None:
    more = ", 'Handover': 'stop-first'"
    story.load("1", tli(more=more))
    story.await_told("1 P load")
    story.load("2", tli(more=more))
    story.await_told("1 P stop", "2 P load")
    text = story.host.control.history("app")[-1].text
    assert "handed over in" in text


def test_a_stop_first_load_that_fails_reactivates_the_old_version(story: Story) -> None:
    more = ", 'Handover': 'stop-first'"
    story.load("1", tli(more=more))
    story.await_told("1 P load")
    body = {"app/__init__.py": "", "app/rec.py": "raise RuntimeError('no')\n"}
    story.host.put("app", "2", tli(more=more), body)
    with pytest.raises(LoadFailed, match="RuntimeError: no"):
        story.host.control.load("app")
    story.await_told("1 P stop", "1 P again")


def test_the_ready_question_is_asked_before_the_switch_and_its_answer_counts(story: Story) -> None:
    ready = ", 'Ready': {'Message': ('P', 'ready?'), 'Reply': 'READY', 'Timeout': 5}"
    story.load("1", tli(extra=ready))
    story.await_told("1 P load", "1 P ready?")
    other = ready.replace("'READY'", "'YES'").replace("5}", "0.5}")
    with pytest.raises(LoadFailed, match="its last answer was 'READY'"):
        story.load("2", tli(extra=other))
    story.await_told("2 P load", "2 P ready?", "2 P exit")


def test_a_death_within_the_tentative_period_goes_back_and_settle_tells_it(story: Story) -> None:
    story.load("1", tli())
    story.await_told("1 P load")
    # Version 2 is told to die by itself a moment after its start.
    dying = RECORDER.replace('if word == "die":', 'if word == "load":').replace(
        "os._exit(9)", "self.wakeupAfter(__import__('datetime').timedelta(seconds=0.6))"
    )
    dying = dying.replace(
        "if isinstance(message, ActorExitRequest):",
        "if type(message).__name__ == 'WakeupMessage':\n                os._exit(9)\n"
        "            elif isinstance(message, ActorExitRequest):",
    )
    body = dying.replace("LOG", repr(str(story.path))).replace("VERSION", "2")
    story.host.put("app", "2", tli(), {"app/__init__.py": "", "app/rec.py": body})
    with pytest.raises(LoadFailed, match="went back to 1"):
        story.host.control.load("app", settle=5)
    story.await_told("2 P load", "1 P stop", "1 P again")
    status = story.host.control.status("app").groups[0]
    assert status.well and status.failure is not None and status.failure.code == "went-back"
