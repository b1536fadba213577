"""Handles that follow a role, the Director's messages from clients and actors, and upgrades that lose nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from director.commands import DirectorControl
from director.errors import DirectorError, NotFound
from tests.conftest import Asker, Host

pytestmark = pytest.mark.system

LIMIT = timedelta(seconds=10)
FRONT = """
    from datetime import timedelta
    from thespian.actors import ActorExitRequest, ActorTypeDispatcher

    class Front(ActorTypeDispatcher):
        "Answers at once, or after so many seconds."
        def __init__(self):
            super().__init__()
            self.waiting = []
        def receiveMsg_dict(self, message, sender):
            if "later" in message:
                self.waiting.append((sender, message))
                self.wakeupAfter(timedelta(seconds=message["later"]))
            else:
                self.send(sender, {"version": "VERSION", **message})
        def receiveMsg_WakeupMessage(self, message, sender):
            who, message = self.waiting.pop(0)
            self.send(who, {"version": "VERSION", **message})
        def receiveMsg_str(self, message, sender):
            if message == "leave":
                self.send(self.myAddress, ActorExitRequest())
"""
BACK = """
    from thespian.actors import ActorTypeDispatcher
    from director import Roles

    class Back(ActorTypeDispatcher):
        "Passes questions on to the role Front, and its answers back."
        roles = None
        asker = None
        def receiveMsg_dict(self, message, sender):
            self.roles = self.roles or Roles(self)
            if self.roles.hears(message):
                return
            if "version" in message:
                self.send(self.asker, message)
            elif "n" in message:
                self.asker = sender
                self.roles.send("Front", message)
"""


def tli(more: str = "", name: str = "", stop: str = "stop") -> str:
    named = f", 'GlobalName': {name!r}" if name else ""
    return (
        f"{{'Actors': {{'app.front.Front': {{'OnLoad': {{'Role': 'Front'{named}}},"
        f" 'OnDeactivate': {{'Message': {stop!r}}}}}}}{more}}}"
    )


def put(host: Host, version: str, text: str) -> None:
    body = FRONT.replace("VERSION", version)
    host.put("app", version, text, {"app/__init__.py": "", "app/front.py": body})


def eventually(holds: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def test_a_handle_follows_its_role_and_says_when_it_is_gone(host: Host) -> None:
    put(host, "1.0", tli())
    host.control.load("app")
    front = host.control.role("Front")
    assert front is not None and front.ask({"n": 1})["version"] == "1.0"
    put(host, "2.0", tli())
    host.control.load("app")
    assert front.ask({"n": 2}) == {"version": "2.0", "n": 2}
    with pytest.raises(DirectorError, match="no answer within"):
        front.ask({"n": 3, "later": 1.5}, timeout=1)
    assert front.ask({"n": 4})["n"] == 4, "the late answer is not taken for this one's"
    for digest in host.control.loaded()["app"]["Loaded"]:
        host.control.unload(digest)
    with pytest.raises(NotFound):
        front.ask({"n": 5}, timeout=2)
    gone = host.control.role("Front")
    assert not gone and gone.address is None
    with pytest.raises(NotFound, match="No active actor has the role 'Front'") as problem:
        gone.ask({"n": 6}, timeout=2)
    assert problem.value.code == "no-role"
    put(host, "3.0", tli())
    host.control.load("app")
    assert gone.ask({"n": 7}) == {"version": "3.0", "n": 7}, "a handle may be older than its role"


def test_an_actor_of_another_group_follows_a_role_over_an_upgrade(host: Host) -> None:
    put(host, "1.0", tli())
    host.control.load("app")
    text = "{'Actors': {'back.b.Back': {'OnLoad': {'Role': 'Back'}}}}"
    host.put("back", "1", text, {"back/__init__.py": "", "back/b.py": BACK})
    host.control.load("back")
    back = host.control.role("Back")
    assert back is not None and back.ask({"n": 1}) == {"version": "1.0", "n": 1}
    put(host, "2.0", tli())
    host.control.load("app")
    eventually(lambda: bool(back.ask({"n": 2})["version"] == "2.0"))


@pytest.mark.parametrize("timeout", [1.5, 10])
def test_a_question_asked_while_the_director_is_dead_is_answered(
    host: Host, timeout: float
) -> None:
    put(host, "1.0", tli())
    host.control.load("app")
    front = host.control.role("Front")
    for number in range(2):
        os.kill(host.control.status().director_pid, signal.SIGKILL)
        assert front.ask({"n": number}, timeout=timeout) == {"version": "1.0", "n": number}
        assert host.control.role("Front")
    os.kill(host.control.status().director_pid, signal.SIGKILL)
    assert host.control.role("Front"), "a handle is found over it, too"


def test_an_actor_that_looks_for_roles_while_the_director_is_dead_finds_its_successor(
    host: Host,
) -> None:
    put(host, "1.0", tli())
    host.control.load("app")
    text = "{'Actors': {'back.b.Back': {'OnLoad': {'Role': 'Back'}}}}"
    host.put("back", "1", text, {"back/__init__.py": "", "back/b.py": BACK})
    host.control.load("back")
    back, system = host.control.role("Back").address, host.control.system
    pid = host.control.status().director_pid
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: pid not in host.control.processes.members())
    time.sleep(
        0.05
    )  # until the Admin has taken note: from then on it would create another for the actor
    answers = [system.ask(back, {"n": n}, timedelta(seconds=10)) for n in range(2)]
    assert answers[-1] == {"version": "1.0", "n": 1}
    host.control.close()
    told = host.control.status()
    assert told.director_pid != pid and told.took_over
    eventually(lambda: host.control.status().well)
    put(host, "2.0", tli())
    host.control.load("app")
    asked = host.control.role("Back").ask
    eventually(lambda: bool(asked({"n": 2})["version"] == "2.0"))
    host.control.unload(host.control.loaded()["back"]["ActiveHash"])
    os.kill(host.control.status().director_pid, signal.SIGKILL)
    host.control.close()
    # It was created for an actor of a source, which is gone.
    eventually(lambda: host.control.status().well)
    put(host, "3.0", tli())
    host.control.load("app")


def test_what_an_actor_sends_to_a_role_that_is_not_there_yet_is_kept(host: Host) -> None:
    text = "{'Actors': {'back.b.Back': {'OnLoad': {'Role': 'Back'}}}}"
    host.put("back", "1", text, {"back/__init__.py": "", "back/b.py": BACK})
    host.control.load("back")
    back = host.control.role("Back")
    assert back is not None
    put(host, "1.0", tli())
    asker = Asker(host, "Back", {}, 20, once=True)
    time.sleep(0.5)
    host.control.load("app")
    assert asker.answers() == [{"version": "1.0", "n": 1}]


def test_an_actor_that_needs_8_s_answers_although_it_was_asked_1_s_before_the_switch(
    host: Host,
) -> None:
    put(host, "1.0", tli(", 'AutoUnload': True"))
    host.control.load("app")
    put(host, "2.0", tli(", 'AutoUnload': True"))
    asker = Asker(host, "Front", {"later": 8}, 20, once=True)
    time.sleep(1)
    host.control.load("app")
    front = host.control.role("Front")
    assert front is not None and front.ask({"n": 2})["version"] == "2.0"
    assert asker.answers() == [{"version": "1.0", "n": 1, "later": 8}]
    eventually(lambda: len(host.control.loaded()["app"]["Loaded"]) == 1, 15)


@pytest.mark.parametrize("named", ["", "The Front"])
def test_no_question_is_lost_while_an_actor_leaves_at_its_on_deactivate(
    host: Host, named: str
) -> None:
    put(host, "1.0", tli(name=named, stop="leave"))
    host.control.load("app")
    asker = Asker(host, "Front", {}, 10)
    for version in ("2.0", "3.0"):
        put(host, version, tli(name=named, stop="leave"))
        host.control.load("app")
        time.sleep(0.5)
    answers = asker.answers()
    assert [answer["n"] for answer in answers] == list(range(1, len(answers) + 1))
    versions = [answer["version"] for answer in answers]
    assert versions == sorted(versions) and set(versions) == {"1.0", "2.0", "3.0"}


def test_the_guides_api_examples_run(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """Guide 2.8, with `director` in place of `thespian.director`."""
    put(host, "1.0", tli())
    host.control.load("app")
    from thespian.actors import ActorSystem

    base = {"Admin Port": host.control.config.admin_port}
    asys = ActorSystem("multiprocTCPBase", base, transientUnique=True)
    director_addr = asys.createActor("director.Director", globalName="Director")
    resp = asys.ask(director_addr, {"DirectorOp": "RetrieveAll"}, LIMIT)
    assert resp["Success"] and resp["Groups"]["app"]["ActiveHash"]
    running = resp["Groups"]["app"]["Running"][resp["Groups"]["app"]["ActiveHash"]]
    assert running[0]["Role"] == "Front" and running[0]["StartTime"]

    import director

    dc = director.DirectorControl(host.directory)
    assert dc.cmd_list() == 0 and "Group app::" in capsys.readouterr().out
    found = dc.get_role_address("Front")
    assert found is not None and found["ActorClass"] == "app.front.Front"
    assert director.ActorAddressLogFilter.__name__ == "ActorAddressLogFilter"
    dc.close()


def test_a_client_watches_and_hears_what_changed_until_it_unwatches(host: Host) -> None:
    put(host, "1.0", tli())
    first = host.control.load("app").source_hash
    with DirectorControl(host.directory) as watcher:
        told = watcher.ask({"DirectorOp": "Watch"}, "Watching")
        assert told["Groups"]["app"]["Roles"]["Front"]["State"] == "serving"
        put(host, "2.0", tli())
        second = host.control.load("app").source_hash
        news = watcher.system.listen(LIMIT)
        assert news["DirectorResponse"] == "Update" and news["What"] == "active"
        assert (news["Group"], news["ActiveHash"], news["Version"]) == ("app", second, "2.0")
        assert watcher.system.ask(news["Roles"]["Front"]["ActorAddress"], {"n": 1}, LIMIT)
        host.control.unload(second)
        assert watcher.system.listen(LIMIT)["ActiveHash"] == first
        watcher.ask({"DirectorOp": "Unwatch"}, "Unwatched")
        host.control.load("app")
        assert watcher.system.listen(timedelta(seconds=0.5)) is None


def test_messages_that_do_not_read_get_an_answer_and_stop_nothing(host: Host) -> None:
    put(host, "1.0", tli())
    host.control.load("app")
    system = host.control.system
    address = system.createActor("director.Director", globalName="Director")
    messages: list[Any] = [
        "hello",
        7,
        None,
        [],
        {},
        {"DirectorOp": None, "RequestId": 1},
        {"DirectorOp": "Nonsense", "RequestId": 2},
        {"DirectorOp": "LoadSource"},
        {"DirectorOp": "LoadSource", "Source": "/no/such-1.tls"},
        {"DirectorOp": "LoadSource", "Source": "/dev/null"},
        {"DirectorOp": "LoadSource", "Source": "\0"},
        {"DirectorOp": "LoadSource", "Source": str(host.directory), "Settle": float("nan")},
        {"DirectorOp": "DefineGroup", "Group": "g", "Actors": {"x": 1}},
        {"DirectorOp": "Pin", "Group": "../x", "Version": None},
        {"DirectorOp": "RetrieveRole", "Role": ["r"]},
    ]
    for message in messages:
        answer = system.ask(address, message, LIMIT)
        assert answer is not None and answer["Success"] is False, message
        assert answer["Code"] and answer["Message"], message
        if isinstance(message, dict) and "RequestId" in message:
            assert answer["RequestId"] == message["RequestId"]
    front = host.control.role("Front")
    assert front is not None and front.ask({"n": 1})["n"] == 1


def test_an_undeclared_group_is_created_without_actors_and_a_declared_one_with_its_own(
    host: Host,
) -> None:
    put(host, "1.0", "{'Actors': {}}")
    source = str(host.directory / "app-1.0.tls")
    host.control.start()
    ask = host.control.ask
    told = ask({"DirectorOp": "LoadSource", "Source": source, "Wait": True}, "LoadResult")
    assert told["Success"] and ask({"DirectorOp": "RetrieveAll", "Group": "app"}, "AllAddresses")[
        "Groups"
    ]["app"]["Running"] == {told["SourceHash"]: []}
    put(host, "2.0", "{'Actors': {}}")
    actors = {"app.front.Front": {"OnLoad": {"Role": "Front"}}}
    assert ask({"DirectorOp": "DefineGroup", "Group": "app", "Actors": actors}, "DeclaredGroup")
    source = str(host.directory / "app-2.0.tls")
    told = ask({"DirectorOp": "LoadSource", "Source": source, "Wait": True}, "LoadResult")
    front = host.control.role("Front")
    assert told["Success"] and front is not None and front.ask({"n": 1})["version"] == "2.0"
