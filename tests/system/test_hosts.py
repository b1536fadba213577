"""Roles across three hosts: created where they fit, found, supervised, upgraded, through crashes and cuts."""

from __future__ import annotations

import os
import signal
import socket
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from director.documents import schema
from director.tls.keys import SigningKey, generate_key
from tests.system.hosts import Lab, LabHost, three_hosts, wait_for, why_not

pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(why_not()), reason=why_not())]

TLI = "{'Actors': {'%s.Word': {'OnLoad': {'Role': '%s'}}}, 'AutoUnload': True, 'Drain': 0}"
WORD = """
    import os
    from thespian.actors import ActorTypeDispatcher, requireCapability

    @requireCapability("%s")
    class Word(ActorTypeDispatcher):
        def receiveMsg_dict(self, message, sender):
            if "die" in message:
                os._exit(1)
            told = {"version": %r, "pid": os.getpid(), "host": os.readlink("/proc/self/ns/net")}
            self.send(sender, told)
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Iterator[Lab]:
    """Three running hosts; a group ``two`` that only host 2 takes, and ``worker``, which both members may."""
    with three_hosts(tmp_path_factory.mktemp("lab"), key) as made:
        for host in made.hosts:
            host.done("start")
        leader = made.hosts[0]
        for group, capability in (("two", "Two"), ("worker", "Worker")):
            put(leader, group, "1", capability)
            leader.done("load", group)
        wait_for(lambda: all_told(leader))
        yield made


def put(leader: LabHost, group: str, version: str, capability: str) -> None:
    source = textwrap.dedent(WORD % (capability, version))
    leader.put(group, version, TLI % (group, group.title()), {f"{group}.py": source})


def serving(leader: LabHost, group: str) -> bool:
    """Whether every actor of the group serves."""
    told = next(one for one in leader.status()["groups"] if one["name"] == group)
    active = next(one for one in told["versions"] if one["source_hash"] == told["active"])
    return all(actor["state"] == "serving" for actor in active["actors"])


def convention(host: LabHost) -> list[dict[str, Any]]:
    """The hosts that are there."""
    return [one for one in everybody(host) if one["gone"] is None]


def everybody(host: LabHost) -> list[dict[str, Any]]:
    """The hosts that are there, and those that were."""
    told = host.json("status", "--convention")
    jsonschema.validate(told, schema("convention"))
    return list(told["hosts"])


def all_told(host: LabHost) -> list[dict[str, Any]]:
    """The three hosts, once each has told of itself."""
    found = convention(host)
    return found if len(found) == 3 and all(one["python"] for one in found) else []


def test_a_role_is_created_where_its_capability_is_and_found_by_clients_everywhere(
    lab: Lab,
) -> None:
    leader, two, three = lab.hosts
    told = [host.ask("Two", {}) for host in lab.hosts]
    assert told[0]["host"] == two.network() and told == [told[0]] * 3
    assert two.actors() and not leader.actors() and not three.actors()

    def loaded(host: LabHost) -> dict[str, list[str]]:
        groups = host.json("list")["groups"]
        return {name: [one["source_hash"] for one in told] for name, told in groups.items()}

    assert loaded(leader) == loaded(two) == loaded(three) and len(loaded(two)) == 2


def test_the_convention_can_be_seen_from_every_host(lab: Lab) -> None:
    leader, two, _ = lab.hosts
    extra = leader.directory / "extra_tls.key"
    extra.write_bytes(generate_key(2048).public_pem)

    try:
        found = wait_for(
            lambda: (
                [one for one in all_told(leader) if not one["admin"] or one["missing_keys"]][2:]
                and all_told(leader)
            )
        )
        own, second, third = found
        assert own["admin"] == "" and not own["missing_keys"]
        assert "10.77.0.2" in second["admin"] and "10.77.0.3" in third["admin"]
        assert second["missing_keys"] == third["missing_keys"] == ["extra_tls.key"]
        assert second["roles"] == ["two:Two", "worker:Worker"] and not third["roles"]
        assert abs(second["offset"]) < 0.5 and len(second["sources"]) == 2
        assert [one["host"] for one in convention(two)] == [one["host"] for one in found]
        shown = two.done("status", "--convention")
        assert "lacks the key extra_tls.key" in shown
        assert [f"source two-1  {one}" in shown for one in second["sources"]].count(True) == 1
    finally:
        extra.unlink()


def test_a_member_leaves_loads_to_its_leader(lab: Lab) -> None:
    leader, two, _ = lab.hosts
    put(two, "worker", "7", "Worker")
    for command in (["load", "worker"], ["unload", "0" * 32], ["undo", "worker"]):
        told = two.run(*command)
        assert told.returncode == 1 and "10.77.0.1:1900" in told.stderr, told
    told = two.run("refresh")
    assert told.returncode == 0 and "worker-7.tls are not loaded from here" in told.stderr
    assert leader.ask("Worker", {})["version"] == "1"


def test_a_member_that_refuses_is_passed_over_and_the_creator_learns_why(lab: Lab) -> None:
    leader, two, three = lab.hosts
    keys = [host.directory / "sourcekey_tls.key" for host in (two, three)]
    pem = keys[0].read_bytes()
    put(leader, "careful", "1", "Worker")
    try:
        keys[0].unlink()
        began = time.monotonic()
        digest = leader.json("load", "careful")["groups"][0]["source_hash"]
        assert time.monotonic() - began < 5
        assert leader.ask("Careful", {})["host"] == three.network()
        refused = wait_for(lambda: convention(leader)[1]["refused"])
        assert list(refused) == [digest] and "no-keys" in refused[digest]
        # The key comes back: the member thinks better of it without another load.
        keys[0].write_bytes(pem)
        wait_for(lambda: digest in convention(leader)[1]["sources"])
        assert not convention(leader)[1]["refused"]
        leader.done("unload", digest)
        for path in keys:
            path.unlink()
        put(leader, "careful", "2", "Worker")
        began = time.monotonic()
        told = leader.run("load", "careful")
        seconds = time.monotonic() - began
        assert told.returncode == 1 and told.stderr.count("refused it (no-keys)") == 2, told
        for address in ("10.77.0.2:1900", "10.77.0.3:1900"):
            assert f"({address}) refused it (no-keys)" in told.stderr, told
        assert seconds < 10
        # Members report with their next Beat.
        wait_for(lambda: leader.done("status", "--convention").count("refused careful-2  ") == 2)
    finally:
        for path in keys:
            path.write_bytes(pem)
        for version in ("1", "2"):
            (leader.directory / f"careful-{version}.tls").unlink()


def test_an_actor_that_fails_on_a_member_tells_its_own_traceback(lab: Lab) -> None:
    leader = lab.hosts[0]
    source = textwrap.dedent(WORD % ("Two", "1")) + "    def __init__(self):\n        1 / 0\n"
    leader.put("broken", "1", TLI % ("broken", "Broken"), {"broken.py": source})
    told = leader.run("load", "broken")
    (leader.directory / "broken-1.tls").unlink()
    assert told.returncode == 1 and "ZeroDivisionError" in told.stderr, told


def test_a_class_that_imports_slowly_is_placed_where_it_may_run_all_the_same(lab: Lab) -> None:
    leader, two, _ = lab.hosts
    source = "import time; time.sleep(1.5)\n" + textwrap.dedent(WORD % ("Two", "1"))
    leader.put("slow", "1", TLI % ("slow", "Slow"), {"slow.py": source})
    try:
        leader.done("load", "slow")
        assert leader.ask("Slow", {})["host"] == two.network()
        leader.done(
            "unload",
            next(g["active"] for g in leader.status()["groups"] if g["name"] == "slow"),
        )
    finally:
        (leader.directory / "slow-1.tls").unlink()


def test_a_role_that_no_host_takes_fails_to_load_and_says_so(lab: Lab) -> None:
    leader = lab.hosts[0]
    put(leader, "nowhere", "1", "Nowhere")
    told = leader.run("load", "nowhere")
    (leader.directory / "nowhere-1.tls").unlink()
    assert told.returncode == 1, told
    assert "no host of the convention takes nowhere.Word" in told.stderr
    name = socket.gethostname()
    hosts = f"{name} (which leads), {name} (10.77.0.2:1900), {name} (10.77.0.3:1900)"
    wanted = "without the capability 'Nowhere' that its requireCapability asks for"
    assert f"{hosts} {wanted}" in told.stderr


def test_an_upgrade_reaches_the_member_and_leaves_nothing_of_the_old_version(lab: Lab) -> None:
    leader, two, _ = lab.hosts
    before = leader.ask("Two", {})
    put(leader, "two", "2", "Two")
    leader.done("load", "two")
    after = leader.ask("Two", {})
    assert after["version"] == "2" and after["host"] == before["host"]
    wait_for(lambda: before["pid"] not in two.processes())
    unpacked = two.directory / ".state" / "unpacked"
    wait_for(lambda: len([d for d in unpacked.iterdir() if "." not in d.name]) == 2)


def test_an_actor_that_dies_on_a_member_comes_again(lab: Lab) -> None:
    leader = lab.hosts[0]
    before = leader.ask("Two", {})
    leader.ask("Two", {"die": True}, 1)
    after = wait_for(lambda: isinstance(told := leader.ask("Two", {}), dict) and told)
    assert after["pid"] != before["pid"] and after["host"] == before["host"]


def test_a_dead_host_is_noticed_and_gets_its_actors_again(lab: Lab) -> None:
    leader, two, three = lab.hosts
    two.crash()
    began = time.monotonic()
    wait_for(lambda: three.actors())  # worker went there
    assert time.monotonic() - began < 16
    assert leader.ask("Worker", {})["host"] == three.network()
    told = leader.status()
    failure = next(one["failure"] for one in told["groups"] if one["name"] == "two")
    assert failure["code"] in {"host-lost", "no-host"} and "out of reach" in failure["text"]
    (gone,) = [one for one in everybody(leader) if one["gone"] is not None]
    assert "10.77.0.2" in gone["admin"] and gone["python"] and gone["gone"] < 60
    assert len(convention(leader)) == 2
    assert "(T|10.77.0.2:1900)  GONE since " in leader.done("status", "--convention")
    two.done("start")
    began = time.monotonic()
    wait_for(lambda: serving(leader, "two"))
    assert time.monotonic() - began < 10
    assert leader.ask("Two", {})["host"] == two.network()
    assert len(everybody(leader)) == 3 == len(convention(leader))


def test_a_host_that_is_shut_down_in_order_costs_its_actors_no_life(lab: Lab) -> None:
    leader, two, _ = lab.hosts
    strict = "{'Actors': {'strict.Word': {'OnLoad': {'Role': 'Strict'}}}, 'Restart': {'Limit': 0}}"
    leader.put("strict", "1", strict, {"strict.py": textwrap.dedent(WORD % ("Two", "1"))})
    leader.done("load", "strict")
    two.done("shutdown")
    wait_for(lambda: not serving(leader, "strict"), 3)  # the leader was told
    told = next(one for one in leader.status()["groups"] if one["name"] == "strict")
    assert told["failure"]["code"] in {"host-lost", "no-host"}, told
    waits = "The role 'Strict' of strict waits for a host with the capability 'Two'"
    with ThreadPoolExecutor() as both:  # active, and yet nobody is served: each waits for a host
        answers = [both.submit(leader.run, *one) for one in (("load", "strict"), ("refresh",))]
    for answer in [one.result() for one in answers]:
        assert answer.returncode == 1 and waits in answer.stderr, answer
        assert '"strict" is up to date' not in answer.stdout, answer
    two.done("start")
    wait_for(lambda: serving(leader, "strict"))
    assert '"strict" is up to date' in leader.done("load", "strict")
    events = leader.run("history", "strict").stdout
    assert "actor-lost" in events and "is being shut down" in events, events
    assert "actor-died" not in events and "actor-failed" not in events, events
    (leader.directory / "strict-1.tls").unlink()
    leader.done("unload", told["active"])
    wait_for(lambda: serving(leader, "two"))


@pytest.mark.parametrize(
    "seconds",
    [
        5,
        pytest.param(30, marks=pytest.mark.long),
        pytest.param(90, marks=pytest.mark.long),
    ],
)
def test_a_cut_heals_without_orphans_or_doubles(lab: Lab, seconds: int) -> None:
    leader, two, three = lab.hosts
    assert leader.ask("Two", {})["host"] == two.network()
    before = len(two.processes())
    two.cut()
    time.sleep(seconds)
    two.mend()
    began = time.monotonic()
    # After a long cut Thespian's own connections wait longer between their attempts (TCP's back-off).
    limit = 12 if seconds < 60 else 45
    wait_for(lambda: serving(leader, "two") and serving(leader, "worker"), limit)
    served = time.monotonic() - began
    assert served < limit

    def one_of_each() -> bool:
        return len(two.actors()) + len(three.actors()) == 2

    wait_for(one_of_each, 45)
    alone = time.monotonic() - began
    print(f"cut of {seconds} s: serving after {served:.1f} s, orphans gone after {alone:.1f} s")
    time.sleep(3)
    assert one_of_each()
    for role in ("Two", "Worker"):
        assert isinstance(leader.ask(role, {}), dict)
    wait_for(lambda: len(two.processes()) <= before, 45)


def test_a_leader_that_died_loads_what_was_active_and_members_come_back(lab: Lab) -> None:
    leader, two, three = lab.hosts
    leader.done("pin", "worker", "1")
    put(leader, "worker", "2", "Worker")
    before = two.actors() + three.actors()
    leader.crash()
    assert sorted(two.actors() + three.actors()) == sorted(before)  # they serve on
    away = "The leader of the convention, 10.77.0.1:1900, is out of reach"
    wait_for(lambda: away in two.run("list").stderr)
    began = time.monotonic()
    leader.done("start")
    wait_for(lambda: all_told(leader))
    back = time.monotonic() - began
    wait_for(lambda: serving(leader, "two") and serving(leader, "worker"))
    served = time.monotonic() - began
    print(f"leader restarted: members back after {back:.1f} s, all serving after {served:.1f} s")
    assert back < 10 and served < 15
    wait_for(lambda: not set(before) & set(two.actors() + three.actors()))
    assert len(two.actors() + three.actors()) == 2
    assert [host.ask("Worker", {})["version"] for host in lab.hosts] == ["1"] * 3
    assert leader.ask("Two", {})["version"] == "2"
    assert "pinned" in leader.done("history", "worker")


def test_an_actor_that_died_during_a_short_cut_comes_again(lab: Lab) -> None:
    leader, two, _ = lab.hosts
    before = leader.ask("Two", {})
    two.cut()
    os.kill(before["pid"], signal.SIGKILL)
    time.sleep(1)
    two.mend()
    after = wait_for(lambda: isinstance(told := leader.ask("Two", {}, 3), dict) and told)
    assert after["pid"] != before["pid"] and after["host"] == before["host"]
    wait_for(lambda: len(two.actors() + lab.hosts[2].actors()) == 2)


def test_a_members_director_that_was_killed_has_a_successor(lab: Lab) -> None:
    leader, two, _ = lab.hosts
    sources = convention(leader)[1]["sources"]
    assert sources
    os.kill(two.json("status")["director_pid"], signal.SIGKILL)
    killed = time.monotonic()
    wait_for(lambda: convention(leader)[1]["heard"] < time.monotonic() - killed - 1)
    told = convention(leader)[1]
    assert told["sources"] == sources and told["roles"]
    assert isinstance(two.ask("Two", {}), dict)


def test_a_leaders_director_that_died_while_a_host_is_away_has_a_successor_that_knows(
    lab: Lab,
) -> None:
    """What it does not know of where actors run, nobody tells: they answer no more."""
    leader, two, three = lab.hosts
    at_two = leader.ask("Worker", {})["host"] == two.network()
    away, other = (two, three) if at_two else (three, two)
    put(leader, "own", "1", "Two" if at_two else "Three")
    leader.done("load", "own")
    assert len(two.actors() + three.actors()) == 3
    away.cut()
    time.sleep(2)
    before = leader.status()["director_pid"]
    os.kill(before, signal.SIGKILL)
    cut = time.monotonic()
    wait_for(lambda: not serving(leader, "own") and serving(leader, "worker"), 25)
    print(f"cut, and the Director killed: elsewhere after {time.monotonic() - cut:.1f} s")
    worker = leader.ask("Worker", {})
    assert worker["host"] == other.network()
    told = leader.status()
    failure = next(one["failure"] for one in told["groups"] if one["name"] == "own")
    assert failure["code"] in {"host-lost", "no-host"} and leader.run("status").returncode == 1
    assert not convention(leader)[0]["roles"] and told["director_pid"] != before
    # The next one knows, too, what is to be ended when that host is back.
    os.kill(told["director_pid"], signal.SIGKILL)
    wait_for(
        lambda: leader.status().get("director_pid") not in (before, told["director_pid"], None)
    )
    away.mend()
    wait_for(lambda: serving(leader, "own"), 20)
    wait_for(lambda: len(two.actors() + three.actors()) == 3, 30)
    # Worker is older than that Director, and none that another leader left: a new Director there ends it not.
    ended = other.log().count("another leader left")
    os.kill(other.status()["director_pid"], signal.SIGKILL)
    killed = time.monotonic()
    (at,) = [n for n, one in enumerate(convention(leader)) if f"|{other.address}:" in one["admin"]]
    wait_for(lambda: convention(leader)[at]["heard"] < time.monotonic() - killed - 1)
    assert leader.ask("Worker", {}) == worker
    assert other.log().count("another leader left") == ended
    leader.done("unload", told["groups"][0]["active"])
    (leader.directory / "own-1.tls").unlink()


def nothing_in(unpacked: Path) -> bool:
    return not [one for one in unpacked.glob("*") if "." not in one.name]


def test_what_is_unloaded_leaves_every_host(lab: Lab) -> None:
    leader, two, three = lab.hosts
    for group in leader.json("list")["groups"].values():
        for one in group:
            leader.done("unload", one["source_hash"])
    wait_for(lambda: not two.actors() and not three.actors())
    for host in (two, three):
        unpacked = host.directory / ".state" / "unpacked"
        wait_for(partial(nothing_in, unpacked))
    wait_for(lambda: not any(one["sources"] for one in convention(leader)))


@pytest.mark.long
def test_a_backup_leads_while_the_first_is_away_and_lets_go_when_it_is_back(
    tmp_path: Path, key: SigningKey
) -> None:
    with three_hosts(tmp_path, key) as lab:
        first, backup, member = lab.hosts
        for host in lab.hosts:
            (host.directory / "convleader.cfg").write_text("['10.77.0.1', '10.77.0.2']")
            host.done("start")
        for host in (first, backup):
            put(host, "three", "1", "Three")
        first.done("load", "three")
        wait_for(lambda: all_told(first))
        assert "do it there" in backup.run("load", "three").stderr
        before = member.actors()
        first.crash()
        wait_for(lambda: backup.run("load", "three").returncode == 0)
        assert backup.ask("Three", {}) == member.ask("Three", {})
        wait_for(lambda: len(member.actors()) == 1 and member.actors() != before)
        before = member.actors()
        first.done("start")
        wait_for(lambda: len(member.actors()) == 1 and member.actors() != before)
        time.sleep(6)
        told = [host.ask("Three", {}) for host in lab.hosts]
        assert told == [told[0]] * 3 and [told[0]["pid"]] == member.actors()
        # It leads once more, and has what it loaded the first time still.
        first.done("shutdown")
        wait_for(lambda: backup.run("load", "three").returncode == 0)
        wait_for(lambda: len(member.actors()) == 1)
        assert backup.ask("Three", {})["pid"] == member.actors()[0] != told[0]["pid"]
