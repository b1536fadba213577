"""The Director is killed in mid hand-over: its successor brings the roles back and says what was cut off."""

from __future__ import annotations

import subprocess
import sys

import pytest

from director.errors import DirectorError
from tests.conftest import Host
from tests.system.test_faults import director, eventually, kill, pid_of

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


def answers(host: Host) -> dict[str, object]:
    found = host.control.role("App")
    try:
        return dict(found.ask({}, timeout=2)) if found else {}
    except DirectorError:
        return {}
