"""Every command on a member: a right answer, or a word that says where the answer is."""

from __future__ import annotations

import os
import signal
import socket
import textwrap
import time
from collections.abc import Iterator

import jsonschema
import pytest

from director.cli import cli
from director.documents import schema
from director.tls.keys import SigningKey
from tests.system.hosts import Lab, three_hosts, wait_for, why_not
from tests.system.test_hosts import TLI, WORD, all_told, put, serving

pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(why_not()), reason=why_not())]

LEADER = "member of the convention led by 10.77.0.1:1900"
ASK = (1, "", LEADER)

#: Words of the command → exit status, what stands in its output, what in its messages.
ON_A_MEMBER = {
    "avail": (0, "THESPIAN_DIRECTOR_DIR=", ""),
    "config": (0, "Convention Leader: 10.77.0.1:1900", ""),
    "doctor": (0, "", ""),
    "help load": (0, "GROUP_OR_FILE", ""),
    "history": ASK,
    "history two": ASK,
    "list": (0, "two.Word", ""),
    "list two": (0, "two.Word", ""),
    "list nothing": (4, "", "nothing"),
    "load two": ASK,
    "load": (2, "", "GROUP_OR_FILE"),
    "logs two": (0, "here I am", ""),
    "logs nothing": (4, "", "on the leader of the convention, 10.77.0.1:1900"),
    "pin": ASK,
    "pin two": ASK,
    "pin two 1": ASK,
    "refresh": (0, "", ""),
    "start": (0, "", "already running"),
    "status": (0, "what runs here is the leader's", LEADER),
    "status two": ASK,
    "status --convention": (0, "two:Two", ""),
    "tlsinfo nothing.tls": (4, "", "does not exist"),
    "undo two": ASK,
    "unload HASH": ASK,
    "unpin two": ASK,
}
#: Those that work with files or with the machine, and not with a convention; and those that end the member.
ELSEWHERE = {
    "bootstart",
    "bootstop",
    "completion",
    "demo",
    "gensrc",
    "install",
    "keygen",
    "shutdown",
}


#: Its word is in the log of the host that it runs on.
INIT = """
    def __init__(self):
        import logging

        logging.getLogger("two").warning("here I am")
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Iterator[Lab]:
    with three_hosts(tmp_path_factory.mktemp("lab"), key) as made:
        for host in made.hosts:
            host.done("start")
        wait_for(lambda: all_told(made.hosts[0]))
        source = textwrap.dedent(WORD % ("Two", "1")) + INIT
        made.hosts[0].put("two", "1", TLI % ("two", "Two"), {"two.py": source})
        made.hosts[0].done("load", "two")
        wait_for(lambda: made.hosts[1].run("logs", "two").returncode == 0)
        yield made


def test_the_table_names_every_command() -> None:
    named = {line.split()[0] for line in ON_A_MEMBER} | ELSEWHERE
    assert named == set(cli.commands) | {"help"}


@pytest.mark.parametrize("line", ON_A_MEMBER)
def test_a_command_on_a_member(lab: Lab, line: str) -> None:
    status, out, err = ON_A_MEMBER[line]
    leader, two, _ = lab.hosts
    digest = leader.json("list")["groups"]["two"][0]["source_hash"]
    told = two.run(*line.replace("HASH", digest).split())
    assert told.returncode == status, told
    assert out in told.stdout and err in told.stderr, told
    assert "Traceback" not in told.stderr
    assert isinstance(leader.ask("Two", {}), dict)


def test_the_leader_tells_where_the_lines_of_a_group_are(lab: Lab) -> None:
    leader, two, three = lab.hosts
    told = leader.run("logs", "two")
    assert told.returncode == 0 and "here I am" not in told.stdout, told
    where = f"Two of two runs on {socket.gethostname()} (10.77.0.2:1900): its lines are in that host's log"
    assert where in told.stderr
    document = leader.json("logs", "two")
    jsonschema.validate(document, schema("logs"))
    assert [one["address"] for one in document["elsewhere"]] == ["10.77.0.2:1900"]
    assert "here I am" in two.done("logs", "two")
    assert three.run("logs", "two").returncode == 4
    # Of an actor that has ended, and with nobody to ask: its lines are in the file.
    assert leader.ask("Two", {"die": True}, 0.5)
    wait_for(lambda: two.done("logs", "two").count("here I am") == 2)


def test_a_member_says_that_its_leader_is_away(lab: Lab) -> None:
    leader, two, _ = lab.hosts
    leader.cut()
    began = time.monotonic()
    try:
        # Just after the cut nobody knows of it yet; it is said all the same, and soon.
        told = two.run("list")
        seconds = time.monotonic() - began
        print(f"list of a member whose leader was just cut off: {seconds:.1f} s")
        assert told.returncode == 1 and seconds < 5, (seconds, told)
        assert "10.77.0.1:1900, is out of reach: it has not answered since " in told.stderr
        for line in ("list", "status --convention"):
            told = two.run(*line.split())
            assert told.returncode == 1 and "10.77.0.1:1900, is out of reach" in told.stderr
        told = two.run("status")
        cut_off = "CUT OFF from the leader of the convention, 10.77.0.1:1900: heard "
        assert told.returncode == 1 and cut_off in told.stdout, told
        jsonschema.validate(two.status(), schema("status"))
        assert two.status()["leader"]["away"]
        told = two.run("doctor")
        assert told.returncode == 1 and "error: leader-away: This host is CUT OFF" in told.stdout
        assert two.run("load", "two").returncode == 1 and LEADER in two.run("load", "two").stderr
    finally:
        leader.mend()
    wait_for(lambda: two.run("status").returncode == 0)
    assert "Member of the convention led by 10.77.0.1:1900" in two.done("status")
    assert two.run("doctor").returncode == 0
    assert leader.status()["leader"] is None


def test_a_member_that_does_not_run_says_so(lab: Lab) -> None:
    two = lab.hosts[1]
    two.done("shutdown")
    for line in ("list", "status", "status --convention"):
        assert two.run(*line.split()).returncode == 3
    two.done("start")


def test_a_leader_that_is_shut_down_ends_its_actors_everywhere_and_tells_who_is_out_of_reach(
    lab: Lab,
) -> None:
    """Of a Director that took them over they are no children: Thespian does not end them with it."""
    leader, two, three = lab.hosts
    wait_for(lambda: serving(leader, "two"))
    put(leader, "three", "1", "Three")
    leader.done("load", "three")
    before = leader.status()["director_pid"]
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: leader.status().get("director_pid") not in (before, None))
    assert two.actors() and three.actors()
    three.cut()
    began = time.monotonic()
    told = leader.run("shutdown")
    print(f"shutdown with a member out of reach: {time.monotonic() - began:.1f} s")
    assert told.returncode == 0 and "Shutdown completed" in told.stdout, told
    assert "(10.77.0.3:1900) is out of reach, and 1 actor of this system may run" in told.stderr
    assert "10.77.0.2" not in told.stderr and not two.actors()
    # As the guide says: they end when a leader meets that host again.
    three.mend()
    old = three.actors()
    assert old
    leader.done("start")
    wait_for(lambda: not set(old) & set(three.actors()))
