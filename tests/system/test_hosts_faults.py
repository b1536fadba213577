"""What can go wrong with an actor on a member, and what a client there sees of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from director.tls.keys import SigningKey
from tests.system.hosts import Lab, LabHost, three_hosts, wait_for, why_not
from tests.system.test_hosts import TLI, WORD, all_told, convention, put, serving

pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(why_not()), reason=why_not())]

#: A client that watches, on whatever host it is started: an Update a line.
WATCH = """
import sys, time
from director import DirectorControl
with DirectorControl() as control:
    told = control.ask({"DirectorOp": "Watch"}, "Watching")
    print("watching", sorted(told["Groups"]), flush=True)
    while True:
        told = control.system.listen(1)
        if isinstance(told, dict) and "DirectorResponse" in told:
            roles = told.get("Roles", {})
            state = ",".join(f"{name}={one['State']}" for name, one in roles.items())
            print(told["DirectorResponse"], told.get("Group"), told.get("What"), told.get("Version"), state, flush=True)
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Iterator[Lab]:
    """Three running hosts, nothing loaded."""
    with three_hosts(tmp_path_factory.mktemp("lab"), key) as made:
        for host in made.hosts:
            host.done("start")
        wait_for(lambda: all_told(made.hosts[0]))
        yield made


def unload(leader: LabHost, group: str) -> None:
    for one in leader.json("list")["groups"].get(group, []):
        leader.done("unload", one["source_hash"])
    for path in leader.directory.glob(f"{group}-*.tls"):
        path.unlink()


@pytest.mark.parametrize(
    "leaving", ["    def __init__(self):\n        os._exit(3)\n", "\nos._exit(3)\n"]
)
def test_an_actor_that_leaves_while_it_starts_on_a_member_is_noticed_soon(
    lab: Lab, leaving: str
) -> None:
    leader = lab.hosts[0]
    code = textwrap.dedent(WORD % ("Two", "1")) + leaving
    group = "leaves" if "init" in leaving else "leaves_at_once"
    leader.put(group, "1", TLI % (group, "Leaves"), {f"{group}.py": code})
    began = time.monotonic()
    told = leader.run("load", group)
    seconds = time.monotonic() - began
    (leader.directory / f"{group}-1.tls").unlink()
    assert told.returncode == 1 and "ended before it was ready" in told.stderr, told
    assert seconds < 6


def test_a_crash_in_native_code_on_a_member_tells_where(lab: Lab) -> None:
    leader = lab.hosts[0]
    code = textwrap.dedent(WORD % ("Two", "1"))
    code += "    def __init__(self):\n        import ctypes\n        ctypes.string_at(0)\n"
    leader.put("crashes", "1", TLI % ("crashes", "Crashes"), {"crashes.py": code})
    told = leader.run("load", "crashes")
    (leader.directory / "crashes-1.tls").unlink()
    assert told.returncode == 1 and "Segmentation fault" in told.stderr, told


def test_an_orphan_that_does_not_listen_is_killed_when_its_host_is_back(lab: Lab) -> None:
    """It was replaced while its host was cut off, and takes no ActorExitRequest: it loops."""
    leader, two, three = lab.hosts
    code = textwrap.dedent(WORD % ("Worker", "1")).replace(
        "os._exit(1)", "[None for _ in iter(int, 1)]"
    )
    leader.put("stuck", "1", TLI % ("stuck", "Stuck"), {"stuck.py": code})
    leader.done("load", "stuck")
    try:
        first = leader.ask("Stuck", {})
        away = two if first["host"] == two.network() else three
        leader.ask("Stuck", {"die": True}, 0.5)
        away.cut()
        wait_for(lambda: serving(leader, "stuck") and len(two.actors() + three.actors()) == 2, 20)
        second = leader.ask("Stuck", {})
        assert second["host"] != first["host"]
        away.mend()
        began = time.monotonic()
        wait_for(lambda: not away.actors(), 30)
        assert time.monotonic() - began < 25
        assert leader.ask("Stuck", {}) == second
        assert "did not exit; killed" in away.log()
    finally:
        unload(leader, "stuck")


def test_a_members_authority_that_was_killed_has_a_successor_that_validates(lab: Lab) -> None:
    leader, two, _ = lab.hosts
    put(leader, "before", "1", "Two")
    leader.done("load", "before")
    ports = authorities(two)
    os.kill(listener(two, ports[-1]), signal.SIGKILL)
    killed = time.monotonic()
    put(leader, "after", "1", "Two")
    leader.done("load", "after")  # it waits at the member until its Director has looked after that
    assert time.monotonic() - killed < 20
    assert leader.ask("After", {})["host"] == two.network()
    assert authorities(two)[-1] != ports[-1]
    unload(leader, "before")
    unload(leader, "after")


@pytest.mark.long
@pytest.mark.parametrize("killed", [False, True], ids=["failed", "leader's Director killed"])
def test_an_unload_waits_for_a_member_whose_authority_is_still_deciding(
    lab: Lab, killed: bool
) -> None:
    """One that came in between would end the Admin there (adminCore.unloadActorSource of a pending source)."""
    leader, two, _ = lab.hosts
    put(leader, "first", "1", "Two")  # so that the authority there has logged, and is found
    leader.done("load", "first")
    admin = json.loads((two.directory / ".state" / "system.json").read_text())["admin_pid"]
    authority = listener(two, authorities(two)[-1])
    group = "cut_off" if killed else "late"
    broken = "" if killed else f", '{group}.Broken': {{}}"
    actors = f"{{'Actors': {{'{group}.Word': {{}}{broken}}}, 'Drain': 0}}"
    code = textwrap.dedent(WORD % ("Two", "1")) + textwrap.dedent("""
        class Broken(ActorTypeDispatcher):
            def __init__(self):
                1 / 0
    """)
    leader.put(group, "1", actors, {f"{group}.py": code})
    os.kill(authority, signal.SIGSTOP)
    try:
        load = leader.popen("load", group)
        if killed:
            wait_for(lambda: any(one["loading"] for one in leader.status()["groups"]))
            time.sleep(1)  # the question is at the member, which nothing tells
            os.kill(leader.status()["director_pid"], signal.SIGKILL)
        assert load.wait(60) == 1
        deadline = time.monotonic() + 20  # END_LIMIT and KILL_LIMIT, and some
        while time.monotonic() < deadline:
            assert admin in two.processes(), "its Admin ended"
            time.sleep(0.5)
        assert group not in leader.json("list")["groups"]
    finally:
        os.kill(authority, signal.SIGCONT)
        (leader.directory / f"{group}-1.tls").unlink()
    wait_for(lambda: len(two.actors()) == 1, 15)
    assert admin in two.processes()
    unload(leader, "first")


def authorities(host: LabHost) -> list[int]:
    """The ports of the Source Authorities that logged here, in their order."""
    told = re.findall(r"ActorAddr-\(T\|:(\d+)\) director\.authority", host.log())
    assert told
    return [int(port) for port in told]


def listener(host: LabHost, port: int) -> int:
    """The process of a host that listens at a port."""
    for pid in host.processes():
        for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
            told = line.split()
            if told[3] == "0A" and int(told[1].rpartition(":")[2], 16) == port:
                for link in Path(f"/proc/{pid}/fd").iterdir():
                    with contextlib.suppress(OSError):
                        if os.readlink(link) == f"socket:[{told[9]}]":  # noqa: PTH115
                            return pid
    raise AssertionError(f"nobody listens at {port}")


def test_a_global_name_on_a_member_comes_again_and_is_upgraded_and_unloaded(lab: Lab) -> None:
    leader, two, three = lab.hosts

    def put_named(version: str) -> None:
        actors = "{'named.Word': {'OnLoad': {'GlobalName': 'The One', 'Role': 'Named'}}}"
        tli = f"{{'Actors': {actors}, 'AutoUnload': True, 'Drain': 0}}"
        code = textwrap.dedent(WORD % ("Two", version))
        leader.put("named", version, tli, {"named.py": code})

    def told(other_than: object = None) -> dict[str, object] | None:
        answer = leader.ask("Named", {}, 2)
        return answer if isinstance(answer, dict) and answer["pid"] != other_than else None

    put_named("1")
    leader.done("load", "named")
    before = told()
    assert before and before["host"] == two.network()
    assert [host.ask("Named", {}) for host in lab.hosts] == [before] * 3
    for _ in range(2):  # Thespian's own way holds once
        leader.ask("Named", {"die": True}, 0.5)
        began = time.monotonic()
        before = wait_for(partial(told, before["pid"]), 10)
        print(f"named: back after {time.monotonic() - began:.1f} s")
    put_named("2")
    leader.done("load", "named")
    upgraded = told()
    assert upgraded and upgraded["version"] == "2" and upgraded["host"] == two.network()
    wait_for(lambda: two.actors() == [upgraded["pid"]])
    # The host is started anew, and has neither the source nor the name.
    two.crash()
    wait_for(lambda: not serving(leader, "named"), 20)
    two.done("start")
    again = wait_for(told, 20)
    assert again["version"] == "2" and again["host"] == two.network()
    unload(leader, "named")
    wait_for(lambda: not two.actors())
    # Its name is free: whoever asks next gets it.
    put_named("3")
    leader.done("load", "named")
    assert (last := told()) and last["version"] == "3" and two.actors() == [last["pid"]]
    unload(leader, "named")
    wait_for(lambda: not two.actors() and not three.actors())


def test_one_hung_actor_on_a_member_is_killed_and_its_name_goes_on(lab: Lab) -> None:
    """It holds a name that the next version waits for, and takes no ActorExitRequest."""
    leader, two, _ = lab.hosts
    actors = "{'hung.Word': {'OnLoad': {'GlobalName': 'Hung', 'Role': 'Hung'}}}"
    for version in ("1", "2"):
        code = textwrap.dedent(WORD % ("Two", version))
        code = code.replace("os._exit(1)", "[None for _ in iter(int, 1)]")
        tli = f"{{'Actors': {actors}, 'AutoUnload': True, 'Drain': 0}}"
        leader.put("hung", version, tli, {"hung.py": code})
        if version == "1":
            leader.done("load", "hung")
            first = leader.ask("Hung", {})
            leader.ask("Hung", {"die": True}, 0.5)
    began = time.monotonic()
    leader.done("load", "hung")
    print(f"hung: killed and followed after {time.monotonic() - began:.1f} s")
    told = leader.ask("Hung", {})
    assert told["version"] == "2" and told["host"] == two.network()
    assert first["pid"] not in two.processes()
    assert "did not exit; killed" in two.log()
    unload(leader, "hung")
    wait_for(lambda: not two.actors())


@pytest.mark.long
def test_an_unload_that_a_member_missed_is_said_again(lab: Lab) -> None:
    leader, two, _ = lab.hosts
    put(leader, "missed", "1", "Two")
    digest = leader.json("load", "missed")["groups"][0]["source_hash"]
    two.cut()
    wait_for(lambda: not serving(leader, "missed"), 20)
    unload(leader, "missed")
    two.mend()
    began = time.monotonic()
    wait_for(lambda: any("10.77.0.2" in one["admin"] for one in convention(leader)), 60)

    def sources() -> list[str]:
        (second,) = [one for one in convention(leader) if "10.77.0.2" in one["admin"]]
        return list(second["sources"])

    wait_for(lambda: not two.actors(), 30)
    wait_for(lambda: digest not in sources(), 90)
    print(f"missed unload: gone after {time.monotonic() - began:.1f} s")
    assert not list((two.directory / ".state" / "unpacked").glob("[0-9a-f]*[0-9a-f]"))


class Watcher:
    """A watching client on a host."""

    def __init__(self, host: LabHost) -> None:
        environ = {**os.environ, "THESPIAN_DIRECTOR_DIR": str(host.directory)}
        command = host.command(sys.executable, "-c", WATCH)
        self.process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.out = self.process.stdout.fileno()
        os.set_blocking(self.out, False)
        self.heard = ""

    def hears(self, text: str, limit: float = 10) -> None:
        def there() -> bool:
            with contextlib.suppress(BlockingIOError):
                self.heard += os.read(self.out, 65536).decode()
            return text in self.heard

        wait_for(there, limit)
        self.heard = self.heard.partition(text)[2]

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def test_a_watch_on_a_member_is_the_leaders_and_outlives_it(lab: Lab) -> None:
    leader, two, _ = lab.hosts
    put(leader, "seen", "1", "Two")
    leader.done("load", "seen")
    watcher = Watcher(two)
    try:
        watcher.hears("watching ['seen']")
        leader.ask("Seen", {"die": True}, 0.5)
        watcher.hears("Update seen actor 1 Seen=restarting", 5)
        watcher.hears("Update seen actor 1 Seen=serving", 10)
        put(leader, "seen", "2", "Two")
        leader.done("load", "seen")
        watcher.hears("Update seen active 2 Seen=serving")
        leader.crash()
        leader.done("start")
        # The new leader's Director knows nobody: the member asks it again.
        watcher.hears("Watching", 20)
        wait_for(lambda: serving(leader, "seen"), 20)
        leader.ask("Seen", {"die": True}, 0.5)
        watcher.hears("Update seen actor 2 Seen=restarting", 5)
        watcher.hears("Update seen actor 2 Seen=serving", 10)
        put(leader, "seen", "3", "Two")
        leader.done("load", "seen")
        watcher.hears("Update seen active 3 Seen=serving")
    finally:
        watcher.end()
        unload(leader, "seen")


SILENT = """
import json, sys, time
from director import DirectorControl
worst = 0.0
with DirectorControl() as control:
    system = control.system
    print("ready", flush=True)
    end = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        began = time.monotonic()
        system.createActor("director.Director", globalName="Director")
        worst = max(worst, time.monotonic() - began)
        time.sleep(0.005)
print(json.dumps(worst))
"""


def test_a_large_source_reaches_a_member_and_stalls_no_admin(lab: Lab) -> None:
    """20 MB; issue: neither Admin is silent for more than 0.5 s."""
    leader, two, _ = lab.hosts
    code = textwrap.dedent(WORD % ("Two", "1"))
    leader.put(
        "large", "1", TLI % ("large", "Large"), {"large.py": code, "d.bin": os.urandom(20 << 20)}
    )
    askers = []
    for host in (leader, two):
        environ = {**os.environ, "THESPIAN_DIRECTOR_DIR": str(host.directory)}
        command = host.command(sys.executable, "-c", SILENT, "12")
        asking = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
        assert asking.stdout is not None
        asking.stdout.readline()
        askers.append(asking)
    began = time.monotonic()
    digest = leader.json("load", "large")["groups"][0]["source_hash"]
    seconds = time.monotonic() - began
    silent = [json.loads(one.communicate(timeout=30)[0]) for one in askers]
    # The hash is one and the same wherever it is shown, and what createActor takes.
    assert leader.json("avail")["groups"]["large"][0]["source_hash"] == digest
    assert [host.json("list")["groups"]["large"][0]["source_hash"] for host in lab.hosts] == [
        digest
    ] * 3
    (second,) = [one for one in convention(leader) if "10.77.0.2" in one["admin"]]
    assert digest in second["sources"]
    made = leader.python(CREATE, digest)
    assert made["host"] == two.network()
    unload(leader, "large")
    assert seconds < 10 and max(silent) < 0.5, (seconds, silent)


CREATE = """
import json, sys
from director import DirectorControl
with DirectorControl() as control:
    actor = control.system.createActor("large.Word", sourceHash=sys.argv[1])
    print(json.dumps(control.system.ask(actor, {}, 10)))
    from thespian.actors import ActorExitRequest
    control.system.tell(actor, ActorExitRequest())
"""
