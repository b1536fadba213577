"""Every command on a member: a right answer, or a word that says where the answer is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from director.cli import cli
from director.tls.keys import SigningKey
from tests.system.hosts import Lab, three_hosts, wait_for, why_not
from tests.system.test_hosts import all_told, put

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
    "logs two": ASK,
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


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Iterator[Lab]:
    with three_hosts(tmp_path_factory.mktemp("lab"), key) as made:
        for host in made.hosts:
            host.done("start")
        wait_for(lambda: all_told(made.hosts[0]))
        put(made.hosts[0], "two", "1", "Two")
        made.hosts[0].done("load", "two")
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


def test_a_member_says_that_its_leader_is_away(lab: Lab) -> None:
    leader, two, _ = lab.hosts
    leader.cut()
    try:
        wait_for(lambda: "is out of reach" in two.run("list").stderr)
        for line in ("list", "status --convention"):
            told = two.run(*line.split())
            assert told.returncode == 1 and "10.77.0.1:1900, is out of reach" in told.stderr
        assert two.run("status").returncode == 0
        assert two.run("load", "two").returncode == 1 and LEADER in two.run("load", "two").stderr
    finally:
        leader.mend()


def test_a_member_that_does_not_run_says_so(lab: Lab) -> None:
    two = lab.hosts[1]
    two.done("shutdown")
    for line in ("list", "status", "status --convention"):
        assert two.run(*line.split()).returncode == 3
    two.done("start")
