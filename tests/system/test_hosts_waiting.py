"""What waits for a host, and what a member refuses for a while: it comes by itself, and the reason can be seen."""

from __future__ import annotations

import shutil
import textwrap
import time
from collections.abc import Iterator
from functools import partial

import pytest

from director.actors.members import GATHERING
from director.tls.keys import SigningKey
from tests.system.hosts import Lab, LabHost, three_hosts, wait_for, why_not
from tests.system.test_hosts import WORD, all_told, serving

pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(why_not()), reason=why_not())]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Iterator[Lab]:
    """Three running hosts, nothing loaded."""
    with three_hosts(tmp_path_factory.mktemp("lab"), key) as made:
        leader = made.hosts[0]
        (leader.directory / "othercaps.cfg").write_text("{'One': True}")
        for host in made.hosts:
            host.done("start")
        wait_for(lambda: all_told(leader))
        yield made


def put(leader: LabHost, group: str, *capabilities: str, version: str = "1") -> None:
    """A source with a role ``GROUP_home`` on the leader, and ``GROUP_CAPABILITY`` for each of these."""
    names = {"home": "One", **{one.lower(): one for one in capabilities}}
    actors = ", ".join(
        f"'{group}_{name}.Word': {{'OnLoad': {{'Role': '{group}_{name}'}}}}" for name in names
    )
    code = {
        f"{group}_{name}.py": textwrap.dedent(WORD % (one, version)) for name, one in names.items()
    }
    leader.put(group, version, f"{{'Actors': {{{actors}}}}}", code)


def unload(leader: LabHost, group: str) -> None:
    for one in leader.json("list")["groups"].get(group, []):
        leader.done("unload", one["source_hash"])
    for path in leader.directory.glob(f"{group}-*.tls"):
        path.unlink()


def failure(leader: LabHost, group: str) -> str:
    told = next(one for one in leader.status()["groups"] if one["name"] == group)
    return f"{told['failure']['code']}: {told['failure']['text']}" if told["failure"] else ""


def refused(leader: LabHost, group: str, reason: str) -> bool:
    return reason in failure(leader, group)


def test_what_was_active_is_back_after_the_leaders_restart_though_a_member_is_away(
    lab: Lab,
) -> None:
    leader, two, three = lab.hosts
    put(leader, "kept", "Two", "Three")
    leader.done("load", "kept")
    two.done("shutdown")
    leader.done("shutdown")
    began = time.monotonic()
    told = leader.run("start", limit=90)
    seconds = time.monotonic() - began
    try:
        assert seconds < GATHERING + 8
        waits = "The role 'kept_two' of kept waits for a host with the capability 'Two'."
        assert 'director: warning: "kept": ' in told.stderr and waits in told.stderr, told
        assert told.returncode == 0, told  # what waits for a host keeps no host down
        assert isinstance(leader.ask("kept_home", {}), dict)
        assert leader.ask("kept_three", {})["host"] == three.network()
        assert len(three.actors()) == 1  # what served for the earlier leader has ended
        shown = leader.run("status")
        reason = "no host of the convention takes kept_two.Word"
        assert shown.returncode == 1 and reason in shown.stdout, shown
        put(leader, "fresh", "Two")  # it was never active, and has to find its hosts now
        told = leader.run("load", "fresh")
        assert told.returncode == 1 and "takes fresh_two.Word" in told.stderr, told
        (leader.directory / "fresh-1.tls").unlink()
        two.done("start")
        wait_for(lambda: serving(leader, "kept"), 10)
        assert leader.ask("kept_two", {})["host"] == two.network()
        assert not failure(leader, "kept")
    finally:
        if not two.processes():
            two.done("start")
        unload(leader, "kept")


def test_what_a_member_refused_for_a_while_comes_there_by_itself(lab: Lab) -> None:
    """It cannot unpack. The roles are of active versions, whose reason is told as it is now."""
    leader, _, three = lab.hosts
    for group in ("room", "later"):
        put(leader, group, "Three")
        leader.done("load", group)
    unpacked = three.directory / ".state" / "unpacked"
    three.done("shutdown")
    shutil.rmtree(unpacked)
    unpacked.write_text("no directory can be made here")
    try:
        three.done("start")
        reason = "(10.77.0.3:1900) refused it ("
        for group in ("room", "later"):
            wait_for(partial(refused, leader, group, reason), 20)
            assert failure(leader, group).startswith("host-refused: ")
        assert leader.run("doctor").stdout.count(reason) == 2
        told = leader.run("load", "room")
        assert told.returncode == 1 and reason in told.stderr, told
        waits = "The role 'room_three' of room waits until a host that fits accepts its source."
        assert waits in told.stderr, told
        unpacked.unlink()
        assert '"room"' in leader.done("load", "room")  # it is offered again at once
        assert leader.ask("room_three", {})["host"] == three.network()
        wait_for(lambda: serving(leader, "later"), 25)  # and so is any other after a while
        assert leader.ask("later_three", {})["host"] == three.network()
        assert not failure(leader, "room") and not failure(leader, "later")
    finally:
        if unpacked.is_file():
            unpacked.unlink()
        for group in ("room", "later"):
            unload(leader, group)


def test_after_an_undo_the_hosts_that_may_refuse_it_are_named_and_a_load_waits_for_the_other(
    lab: Lab,
) -> None:
    leader = lab.hosts[0]
    for version in ("1", "2"):
        put(leader, "back", "Worker", version=version)
        leader.done("load", "back")
    try:
        host = leader.ask("back_worker", {})["host"]
        other = next(one for one in lab.hosts[1:] if one.network() != host)
        warning = f"({other.address}:1900) may not take its roles over"
        undone = leader.run("undo", "back")
        assert undone.returncode == 0 and warning in undone.stderr, undone
        assert undone.stderr.count("may not take its roles over") == 1, undone
        pinned = leader.run("pin", "back", "1")
        assert pinned.returncode == 0 and warning in pinned.stderr, pinned
        other.done("install", "--allow-downgrade", str(leader.directory / "back-1.tls"))
        assert leader.ask("back_worker", {})["version"] == "1"
        # Its host is shut down: the other takes it now, and a load at that moment waits for that.
        one = next(one for one in lab.hosts[1:] if one is not other)
        one.done("shutdown")
        assert '"back"' in leader.done("load", "back")
        assert leader.ask("back_worker", {})["host"] == other.network()
        one.done("start")
        wait_for(lambda: all_told(leader))
    finally:
        leader.run("unpin", "back")
        unload(leader, "back")
