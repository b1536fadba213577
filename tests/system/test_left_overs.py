"""What actors start, and actors that do not end: nothing of it goes on unseen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from director.actors.introducer import LIFE
from director.actors.words import is_alive
from director.convention import HOST
from director.errors import DirectorError, LoadFailed
from director.tls.keys import SigningKey
from tests.conftest import Host, open_host
from tests.system.test_faults import WORKER, director, eventually, kill, pid_of, put

pytestmark = pytest.mark.system

#: Asked to, it forks, starts a program, or loops.
STARTER = """
    import os, subprocess, sys, time
    from thespian.actors import ActorTypeDispatcher

    class Worker(ActorTypeDispatcher):
        def receiveMsg_dict(self, message, sender):
            pid = 0
            if message.get("do") == "fork":
                pid = os.fork()
                if pid == 0:
                    time.sleep(600)
            elif message.get("do") == "session":
                pid = os.fork()
                if pid == 0:
                    os.setsid()
                    time.sleep(600)
            elif message.get("do") == "program":
                pid = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL).pid
            self.send(sender, {"version": "VERSION", "pid": os.getpid(), "child": pid})
            while message.get("do") == "loop":
                pass
"""


def start(host: Host, what: str) -> int:
    found = host.control.role("App")
    assert found is not None
    return int(found.ask({"do": what})["child"])


def zombies(host: Host) -> list[int]:
    """Dead processes that nobody has buried, of any process of the host's system."""
    parents = host.control.processes.members()
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = place.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state == "Z" and int(parent) in parents:
            found.append(int(place.parent.name))
    return found


def test_no_dead_process_stays_behind_a_load(host: Host) -> None:
    """Neither the one that is asked about placement nor the one that compiles."""
    picky = WORKER.replace(
        "class Worker", "@requireCapability('Python Version')\n    class Worker"
    ).replace("import ActorTypeDispatcher", "import ActorTypeDispatcher, requireCapability")
    assert picky.count("requireCapability") == 2
    for version in "12":
        put(host, "app", version, "App", body=picky)
        host.control.load("app")
    assert host.control.role("App")
    eventually(lambda: not zombies(host), 15)


@pytest.mark.parametrize("what", ["fork", "program"])
def test_what_an_actor_started_ends_with_it_and_is_told(host: Host, what: str) -> None:
    put(host, "app", "1", "App", body=STARTER)
    put(host, "other", "1", "Other")
    host.control.load("app")
    host.control.load("other")
    child, victim = start(host, what), pid_of(host, "App")
    kill(victim)
    eventually(lambda: not is_alive(child))
    eventually(lambda: any(one.event == "left-over" for one in host.control.history("app")))
    assert str(child) in next(
        one.text for one in host.control.history("app") if one.event == "left-over"
    )
    assert pid_of(host, "Other") and pid_of(host, "App") != victim


@pytest.mark.parametrize("what", ["fork", "program", "session"])
def test_what_a_source_started_ends_with_its_unload(host: Host, what: str) -> None:
    put(host, "app", "1", "App", body=STARTER)
    put(host, "other", "1", "Other")
    digest = host.control.load("app").source_hash
    host.control.load("other")
    child, before = start(host, what), pid_of(host, "Other")
    assert is_alive(child)
    host.control.unload(digest)
    eventually(lambda: not is_alive(child))
    assert pid_of(host, "Other") == before


def test_a_shutdown_ends_what_actors_started_wherever_it_went(host: Host) -> None:
    put(host, "app", "1", "App", body=STARTER)
    host.control.load("app")
    children = [start(host, what) for what in ("fork", "session", "program")]
    host.control.shutdown()
    assert not [pid for pid in children if is_alive(pid)]


def test_a_holder_of_a_name_that_ignores_its_exit_is_killed_and_the_next_version_takes_it(
    host: Host,
) -> None:
    named = ", 'GlobalName': 'The App'"
    drain = ", 'Drain': 0.2}"
    members = {"app/__init__.py": "", "app/work.py": STARTER.replace("VERSION", "1")}
    text = f"{{'Actors': {{'app.work.Worker': {{'OnLoad': {{'Role': 'App'{named}}}}}}}{drain}"
    host.put("app", "1", text, members)
    put(host, "other", "1", "Other")
    host.control.load("app")
    host.control.load("other")
    victim = pid_of(host, "App")
    start(host, "loop")
    host.put("app", "2", text, {**members, "app/work.py": WORKER.replace("VERSION", "2")})
    loaded = host.control.load("app")
    assert loaded.changed and not is_alive(victim)
    found = host.control.role("App")
    assert found is not None and found.ask({})["version"] == "2"
    assert any(one.event == "killed" for one in host.control.history("app"))
    assert host.control.status().groups[0].well and pid_of(host, "Other")


def test_a_director_that_is_killed_while_a_version_ends_leaves_no_orphan(host: Host) -> None:
    put(host, "app", "1", "App", body=STARTER)
    put(host, "other", "1", "Other")
    digest = host.control.load("app").source_hash
    host.control.load("other")
    victim, other = pid_of(host, "App"), pid_of(host, "Other")
    start(host, "loop")
    unloading = subprocess.Popen(
        [*director_command(), "unload", digest],
        env=host.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    eventually(lambda: host.control.status("app").groups[0].versions[0].state == "ending")
    kill(host.control.status().director_pid)
    host.control.close()
    told = director(host, "status")
    assert "app" in told.stdout and "ending" in told.stdout, told.stdout + told.stderr
    eventually(lambda: not is_alive(victim), 20)
    eventually(lambda: "app" not in host.control.loaded())
    assert pid_of(host, "Other") == other
    unloading.wait(30)
    assert host.control.load("app").changed, "the source can be loaded again"


def director_command() -> list[str]:
    return [sys.executable, "-m", "director"]


@pytest.mark.parametrize(
    ("what", "status"), [("sys.exit(7)", 7), ("os._exit(7)", 7), ("os._exit(0)", 0)]
)
def test_a_load_tells_how_the_process_left_and_where(host: Host, what: str, status: int) -> None:
    init = f"        def __init__(self):\n            import sys, os; {what}\n"
    put(host, "app", "1", "App", body=WORKER + init)
    with pytest.raises(LoadFailed, match=f"exit status {status}") as problem:
        host.control.load("app")
    assert "work.py" in str(problem.value) and "in __init__" in str(problem.value)


@pytest.mark.parametrize("what", ["KeyboardInterrupt", "GeneratorExit('why')", "SystemExit(5)"])
@pytest.mark.parametrize("where", ["__init__", "receiveMsg_str"])
def test_what_is_no_exception_fails_a_load_with_its_traceback_as_one_does(
    host: Host, where: str, what: str
) -> None:
    arguments = "self" if where == "__init__" else "self, message, sender"
    body = WORKER + f"        def {where}({arguments}):\n            raise {what}\n"
    text = "{'Actors': {'app.work.Worker': {'OnLoad': {'Role': 'App', 'Message': 'go'}}}}"
    host.put("app", "1", text, {"app/__init__.py": "", "app/work.py": body})
    with pytest.raises(LoadFailed) as problem:
        host.control.load("app")
    for told in (str(problem.value), director(host, "status").stdout):
        assert f"in {where}" in told and what.partition("(")[0] in told and "Traceback" in told
        assert f"raise {what}" in told, "with the line of the source"


def test_groups_are_loaded_at_once_each_told_as_it_ends_and_a_bad_one_stops_none(
    host: Host, tmp_path: Path
) -> None:
    """Every slow group comes up only when all of them have begun to."""
    wait = (
        "\n    import os, time\n"
        f"    open(os.path.join({str(tmp_path)!r}, 'up-' + __name__), 'w').close()\n"
        f"    while len([n for n in os.listdir({str(tmp_path)!r}) if n.startswith('up-')]) < 3:\n"
        "        time.sleep(0.01)\n"
    )
    for name in ("slow1", "slow2", "slow3"):
        put(host, name, "1", name, body=wait + WORKER)
    put(host, "bad", "1", "Bad", body="\n    raise ValueError('no luck')\n" + WORKER)
    put(host, "good", "1", "Good")
    told: list[str] = []
    results = host.control.refresh(told=lambda one: told.append(one.group))
    assert sorted(told) == ["bad", "good", "slow1", "slow2", "slow3"]
    assert [one.group for one in results] == sorted(told)
    wrong = [one for one in results if one.error]
    assert [one.group for one in wrong] == ["bad"] and "no luck" in str(wrong[0].error)
    assert all(pid_of(host, role) for role in ("Good", "slow1", "slow2", "slow3"))
    done = director(host, "refresh")
    assert done.returncode == 1 and done.stdout.count("is up to date") == 4
    assert "no luck" in done.stderr


@pytest.mark.parametrize(
    "base", ["multiprocTCPBase", pytest.param("multiprocUDPBase", marks=pytest.mark.long)]
)
def test_status_says_that_an_actor_in_an_endless_loop_does_not_answer(
    tmp_path: Path, key: SigningKey, base: str
) -> None:
    with open_host(tmp_path, key, thespbase=base) as host:
        put(host, "app", "1", "App", body=STARTER)
        put(host, "other", "1", "Other")
        digest = host.control.load("app").source_hash
        host.control.load("other")
        start(host, "loop")
        assert director(host, "status").returncode == 0, "nobody has asked it anything since"
        found = host.control.role("App")
        with pytest.raises(DirectorError, match="no answer within"):
            found.ask({"n": 1}, timeout=1)
        eventually(lambda: not host.control.status("app").groups[0].well, 30)
        told = director(host, "status")
        assert told.returncode == 1 and "NOT ANSWERING for" in told.stdout
        assert "other: ok" in told.stdout and pid_of(host, "Other")
        host.control.unload(digest)


def test_an_introducer_that_its_leader_lost_sight_of_ends_by_itself(host: Host) -> None:
    """As after a cut that comes between its creation and the word that it may go."""
    host.control.start()
    (own,) = host.control.ask({"DirectorOp": "Convention"}, "Convention")["Hosts"]
    before = set(host.processes())
    host.control.system.createActor("director.actors.introducer.Introducer", {HOST: own["Host"]})
    eventually(lambda: set(host.processes()) > before)
    eventually(lambda: set(host.processes()) == before, LIFE + 10)
