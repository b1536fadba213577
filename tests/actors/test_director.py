"""The Director's shell by itself: what it is sent is turned into events, and actions into Thespian's calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from thespian.actors import (
    ActorAddress,
    ActorExitRequest,
    ChildActorExited,
    InvalidActorAddress,
    UnloadedSource,
    WakeupMessage,
)

from director.actors import director as shell
from director.actors import requests
from director.actors import versions as m
from director.actors.messages import Message
from director.history import Event
from director.settings.tli import tli_from_definition


class Shell(shell.Director):
    """A Director without an actor system: what it does is noted."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[Any, Any]] = []
        self.wakes: list[Any] = []
        self.handed: list[str] = []

    def send(self, target: Any, message: Any) -> None:
        if not isinstance(target, ActorAddress):
            raise InvalidActorAddress(target, "not an ActorAddress")
        self.said.append((target, message))

    def wakeupAfter(self, period: Any, payload: Any = None) -> None:  # noqa: N802
        self.wakes.append(payload)

    def createActor(self, name: str, *requirements: Any, **more: Any) -> Any:  # noqa: N802
        return ActorAddress(name)

    @property
    def myAddress(self) -> Any:  # noqa: N802
        return ActorAddress("me")

    def loadActorSource(self, source: Any) -> None:  # noqa: N802
        self.handed.append(source.name)

    def unloadActorSource(self, source_hash: str) -> None:  # noqa: N802
        self.handed.append(f"unload {source_hash}")

    def notifyOnSourceAvailability(self, enable: bool = True) -> None:  # noqa: N802
        pass

    def notifyOnSystemRegistrationChanges(self, enable: bool = True) -> None:  # noqa: N802
        pass

    def hear(self, message: Message, sender: str = "client") -> Message | None:
        """What it replied to the sender, the last of it."""
        before = len(self.said)
        self.receiveMessage(message, ActorAddress(sender))
        told = [one for target, one in self.said[before:] if target == ActorAddress(sender)]
        return told[-1] if told else None


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A Director that was told its directories, and that it has no predecessor."""
    monkeypatch.setattr(requests, "disown", lambda actor: None)
    (tmp_path / "state").mkdir()
    made = Shell()
    places = {"Directory": str(tmp_path), "State": str(tmp_path / "state")}
    made.hear({"DirectorOp": "Startup", **places}, "authority")
    made.hear({"NotebookResponse": "Note", "Note": None}, "notebook")
    return made


@pytest.mark.parametrize("address", [None, "client", 7, ("T", 80)])
def test_a_request_to_answer_somebody_who_has_no_address_is_malformed(
    started: Shell, address: Any
) -> None:
    for operation in ("Watch", "RequestNotification", "Status", "Unwatch"):
        told = started.hear({"DirectorOp": operation, "ReplyTo": address})
        assert told is not None and told["Code"] == "malformed"
    assert not started.watchers and not started.once


def test_one_that_cannot_be_told_of_a_change_keeps_no_other_from_it(started: Shell) -> None:
    started.watchers = [(None, None), (ActorAddress("good"), None)]
    started.once = [None, ActorAddress("once")]
    started.said.clear()
    started._perform([m.Changed("app", "active"), m.Timer(("ready", "1", 1), 30.0)])
    told = [
        (target, one["DirectorResponse"])
        for target, one in started.said
        if one.get("DirectorResponse")
    ]
    once, update = "NotificationOfUpdate", "Update"
    assert told == [(ActorAddress("once"), once), (ActorAddress("good"), update)]
    assert started.watchers == [(ActorAddress("good"), None)]
    assert ("ready", "1", 1) in started.wakes


def test_an_action_that_cannot_be_done_keeps_no_other_from_being_done(
    started: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*told: Any) -> None:
        raise InvalidActorAddress(None, "not an ActorAddress")

    monkeypatch.setattr(started, "_tell_watchers", refuse)
    started._perform([m.Changed("app", "active"), m.Timer(("ready", "1", 1), 30.0)])
    assert ("ready", "1", 1) in started.wakes


def test_what_happens_before_a_shutdown_that_comes_to_nothing_counts_when_that_is_clear(
    started: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Any] = []
    monkeypatch.setattr(started, "_exited", done.append)

    def timer(key: Any, now: float) -> list[m.Action]:
        done.append(key)
        return []

    monkeypatch.setattr(started.groups, "timer", timer)
    started.actors.addresses[7] = ActorAddress("worker")
    due = ("restart", "1", 0)

    def happens() -> None:
        started.receiveMessage(ChildActorExited(ActorAddress("worker")), ActorAddress("me"))
        started.receiveMessage(WakeupMessage(None, due), ActorAddress("me"))

    started.hear({"DirectorOp": "Closing"})
    first = started.wakes[-1]
    happens()
    started.hear({"DirectorOp": "Closing"})
    second = started.wakes[-1]
    started.receiveMessage(WakeupMessage(None, first), ActorAddress("me"))
    assert not done and started.closing, "the second word of it is not a minute old"
    started.receiveMessage(WakeupMessage(None, second), ActorAddress("me"))
    assert done == [7, due]
    happens()
    assert done == [7, due] * 2, "and nothing waits any more"
    started.hear({"DirectorOp": "Closing"})
    started.receiveMessage(ActorExitRequest(), ActorAddress("admin"))
    happens()
    started.receiveMessage(WakeupMessage(None, started.wakes[-1]), ActorAddress("me"))
    assert done == [7, due] * 2, "this time it does go down"


def test_a_load_before_the_director_was_told_its_directories_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    made, path = Shell(), tmp_path / "app-1.tls"
    path.write_bytes(b"its bytes")
    request = {"DirectorOp": "LoadSource", "Source": str(path), "Definition": {"Actors": {}}}
    told = made.hear({**request, "Wait": True})
    assert told is not None and told["Code"] == "not-started"
    assert not made.groups.versions and not made.requests and not made.bytes


def test_an_undo_that_waits_is_told_that_its_version_was_unloaded_meanwhile(
    started: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = m.Version("1", "app", "1", "app-1.tls", tli_from_definition({"Actors": {}}))
    first.state = m.State.RETIRED
    started.groups.versions["1"] = first
    target = Event("", "app", "active", "1", "1", "app-1.tls", "")
    monkeypatch.setattr(requests, "undo_target", lambda events, group: target)
    told = started.hear({"DirectorOp": "Undo", "Group": "app"})
    assert told is None, "the authority is asked first"
    done = started.hear({"DirectorOp": "UnloadSource", "SourceHash": "1"}, "other")
    assert done is not None and done["Success"]
    asked = max(one for one in started.asked if isinstance(one, int))
    word = {"AuthorityResponse": "Word", "Number": asked, "May": "1", "Refused": {}}
    started.hear(word, "authority")
    started.receiveMessage(UnloadedSource("1", None), ActorAddress("admin"))
    told = started.said[-1][1]
    assert told["DirectorResponse"] == "UndoResult" and told["Code"] == "not-loaded"
    assert started.said[-1][0] == ActorAddress("client") and told["File"] == "app-1.tls"
    assert not started.requests and "1" not in started.groups.versions
