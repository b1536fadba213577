"""The Director is killed in mid hand-over: its successor brings the roles back and says what was cut off."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from director.actors import leftovers
from director.errors import DirectorError
from tests.conftest import Host
from tests.system.test_faults import director, eventually, kill, pid_of, put

pytestmark = pytest.mark.system

WORKER = """
    import os
    from thespian.actors import ActorTypeDispatcher

    class Worker(ActorTypeDispatcher):
        heard = ()
        def receiveMsg_str(self, message, sender):
            SLOW
            self.heard += (message,)
        def receiveMsg_dict(self, message, sender):
            self.send(sender, {"version": "VERSION", "pid": os.getpid(), "heard": self.heard})
"""


@pytest.mark.parametrize("how", ["named", "stop-first"])
def test_a_hand_over_that_its_director_did_not_survive_is_taken_back(host: Host, how: str) -> None:
    named = ", 'GlobalName': 'The App'" if how == "named" else ""
    text = (
        f"{{'Actors': {{'app.work.Worker': {{'OnLoad': {{'Role': 'App', 'Message': 'load'{named}}}, "
        "'OnDeactivate': {'Message': 'stop'}, 'OnReactivate': {'Message': 'again'}}}, 'Drain': 8"
        + (", 'Handover': 'stop-first'}" if how == "stop-first" else "}")
    )
    for version, slow in (("1", ""), ("2", "import time; time.sleep(4)")):
        code = WORKER.replace("VERSION", version).replace("SLOW", slow or "pass")
        host.put("app", version, text, {"app/__init__.py": "", "app/work.py": code})
    host.control.load("app-1.tls")
    before, worker = pid_of(host, "App"), host.control.role("App")
    assert worker is not None
    command = [sys.executable, "-m", "director", "load", "app"]
    loading = subprocess.Popen(command, env=host.environment(), stderr=subprocess.DEVNULL)
    system = host.control.connection.system
    eventually(lambda: "stop" in system.ask(worker.address, {}, 5)["heard"], 20)
    kill(host.control.status().director_pid)
    assert loading.wait(timeout=30) == 1
    host.control.close()
    eventually(lambda: answers(host).get("pid") == before, 20)
    assert answers(host) == {"version": "1", "pid": before, "heard": ("load", "stop", "again")}
    group = host.control.status("app").groups[0]
    assert group.well and group.failure is not None and group.failure.code == "interrupted"
    eventually(lambda: len(host.control.loaded("app")["app"]["Loaded"]) == 1)
    told = director(host, "load", "app")
    assert told.returncode == 0, told.stderr
    assert answers(host)["version"] == "2" and host.control.status("app").groups[0].well


def test_nobody_ends_by_a_message_to_one_who_was_just_killed(host: Host) -> None:
    """The kernel's SIGPIPE is ignored, as in any Python process; the sender hears an error instead."""
    put(host, "app", "1", "App")
    host.control.load("app")
    for pid in host.processes():
        told = Path(f"/proc/{pid}/status").read_text().partition("SigIgn:")[2].split()[0]
        assert int(told, 16) >> (signal.SIGPIPE - 1) & 1, pid


def newborn(host: Host, known: set[int]) -> int:
    """The process of the actor system that comes next."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        for pid in set(host.control.processes.members()) - known:
            return pid
    raise AssertionError("nobody was born")


def told_new(host: Host, known: set[int]) -> bool:
    return bool(set(host.control.processes.members()) - known)


def test_a_successor_that_is_killed_before_it_took_over_has_one_too(host: Host) -> None:
    put(host, "app", "1", "App")
    host.control.load("app")
    worker, old = pid_of(host, "App"), host.control.status().director_pid
    system = host.control.connection.system
    book = system.createActor("director.actors.doors.Notebook", globalName="Director Notebook")
    keeper = leftovers.listener(leftovers.port_of(book), host.processes())
    host.control.close()
    os.kill(
        keeper, signal.SIGSTOP
    )  # what the successor asks it is not answered, and so nobody by that
    try:
        known = set(host.control.processes.members())
        kill(old)
        first = newborn(host, known)
        time.sleep(1.5)
        kill(first)
    finally:
        os.kill(keeper, signal.SIGCONT)
    eventually(lambda: told_new(host, {*known, first}), 15)  # though no command asks for it
    assert host.control.status().director_pid not in {old, first}
    assert pid_of(host, "App") == worker


def test_where_the_name_of_the_director_is_lost_that_is_said_and_a_restart_mends_it(
    host: Host,
) -> None:
    put(host, "app", "1", "App")
    host.control.load("app")
    for _ in range(5):
        old = host.control.status().director_pid
        host.control.close()
        known = set(host.control.processes.members())
        kill(old)
        with contextlib.suppress(ProcessLookupError):
            kill(newborn(host, known))
        time.sleep(1)
        if director(host, "status").returncode:
            break
    for words in (["status"], ["load", "app"], ["start"]):
        begin = time.monotonic()
        told = director(host, *words)
        assert time.monotonic() - begin < 15, words
        assert told.returncode == 1 and "director shutdown" in told.stderr, (words, told.stderr)
        assert "Traceback" not in told.stderr
    begin = time.monotonic()
    told = director(host, "shutdown")
    assert time.monotonic() - begin < 45
    assert told.returncode == 0 and "Traceback" not in told.stderr, told.stderr
    assert not host.control.processes.members()
    told = director(host, "start")
    assert told.returncode == 0, told.stderr
    eventually(lambda: host.control.role("App") is not None, 20)


def answers(host: Host) -> dict[str, object]:
    found = host.control.role("App")
    try:
        return dict(found.ask({}, timeout=2)) if found else {}
    except DirectorError:
        return {}
