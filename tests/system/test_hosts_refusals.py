"""What a member refuses for reasons of its own: the creator hears it in seconds, the next host is asked."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from packaging.tags import sys_tags

import director
from director.actors.members import GATHERING
from director.files import locked
from director.tls.keys import SigningKey
from tests.conftest import make_tls
from tests.system.hosts import Lab, LabHost, three_hosts, wait_for, why_not
from tests.system.test_hosts import TLI, WORD, all_told, convention, serving

pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(why_not()), reason=why_not())]

#: A host of another kind: another Python, another version of this package, none of the tags of this one but "any", and
#: a clock that it tells to be 100 s ahead. Its Director reads the words of its authority last of all that waits there:
#: of messages that came while an actor was busy Thespian gives any first, also the leader's question why nothing was
#: created.
ELSEWHERE = """
import platform, packaging.tags
platform.python_version = lambda: "3.99.1"
packaging.tags.sys_tags = lambda: iter([packaging.tags.Tag("py3", "none", "any")])
import time, types
import director
director.__version__ = "0.0.1"
from director.actors import reporting
reporting.time = types.SimpleNamespace(time=lambda: time.time() + 100)
from datetime import timedelta
from director.actors.director import Director
take, wake = Director._take, Director.receiveMsg_WakeupMessage
def later(self, message, sender):
    told = "AuthorityOp" in message
    self.wakeupAfter(timedelta(seconds=0.3), payload=message) if told else take(self, message, sender)
def woken(self, message, sender):
    told = isinstance(message.payload, dict)
    take(self, message.payload, sender) if told else wake(self, message, sender)
Director._take, Director.receiveMsg_WakeupMessage = later, woken
"""
#: Seconds within which a creator has to hear that nobody takes it, and why.
HEARD = 6.0
#: When the leader was started: for a while it waits for members that are yet to come.
STARTED: list[float] = []


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Iterator[Lab]:
    """Three running hosts; host 2 is of another kind, and is asked first of the two workers."""
    with three_hosts(tmp_path_factory.mktemp("lab"), key) as made:
        leader, two, three = made.hosts
        leader.done("start")
        STARTED.append(time.monotonic())
        two.start_as(ELSEWHERE)
        wait_for(lambda: len(convention(leader)) == 2)
        three.done("start")
        wait_for(lambda: all_told(leader))
        yield made


def word(capability: str, version: str = "1") -> str:
    return textwrap.dedent(WORD % (capability, version))


@dataclass(frozen=True)
class Refusal:
    """Why host 2 refuses: what its operator wrote or what the source says, and the code that is heard."""

    code: str
    text: str
    source: dict[str, Any] = field(default_factory=dict)
    files: Callable[[SigningKey, bytes], dict[str, str | bytes]] = lambda key, data: {}


REFUSALS = [
    Refusal(
        "key-group",
        "may sign another, not",
        files=lambda key, data: {"keygroups.cfg": repr({key.public.fingerprint: ["another"]})},
    ),
    Refusal(
        "revoked-file",
        "leaked",
        files=lambda key, data: {"revoked.cfg": f"{hashlib.sha256(data).hexdigest()} # leaked\n"},
    ),
    Refusal(
        "revoked-key",
        "stolen",
        files=lambda key, data: {"revoked.cfg": f"{key.public.fingerprint} # stolen\n"},
    ),
    Refusal("requires-python", "3.99.1", source={"requires_python": ">=3.11,<3.90"}),
    Refusal("tags", "compiled parts", source={"tags": (str(next(sys_tags())),)}),
    Refusal("downgrade", "older than 2"),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda one: one.code)
def test_a_member_refuses_by_its_own_rules_and_the_next_is_asked(
    lab: Lab, key: SigningKey, refusal: Refusal, tmp_path: Path
) -> None:
    leader, two, three = lab.hosts
    group = refusal.code.replace("-", "_")
    data = leader.put(
        group,
        "1",
        TLI % (group, group.title()),
        {f"{group}.py": word("Worker")},
        **refusal.source,
    ).read_bytes()
    alone = f"{group}_alone"
    told = leader.put(
        alone,
        "1",
        TLI % (alone, alone.title()),
        {f"{alone}.py": word("Two")},
        **refusal.source,
    ).read_bytes()
    if refusal.code == "downgrade":
        for name in (group, alone):
            newer = tmp_path / f"{name}-2.tls"
            newer.write_bytes(make_tls(key, name, "2", "{'Actors': {}}", {f"{name}.py": ""}))
            two.done("install", str(newer))
    written = {**refusal.files(key, told), **refusal.files(key, data)}
    if refusal.code == "revoked-file":
        written["revoked.cfg"] = "".join(
            str(refusal.files(key, one)["revoked.cfg"]) for one in (data, told)
        )
    for name, text in written.items():
        (two.directory / name).write_text(str(text))
    try:
        began = time.monotonic()
        leader.done("load", group)
        assert time.monotonic() - began < HEARD
        assert leader.ask(group.title(), {})["host"] == three.network()
        assert not two.actors()
        second = wait_for(lambda: next((o for o in convention(leader) if o["refused"]), None))
        assert "10.77.0.2" in second["admin"]
        (reason,) = second["refused"].values()
        assert reason.startswith(f"{refusal.code}: ") and refusal.text in reason
        began = time.monotonic()
        failed = leader.run("load", alone)
        seconds = time.monotonic() - began
        assert failed.returncode == 1, failed
        assert f"refused it ({refusal.code})" in failed.stderr and refusal.text in failed.stderr
        assert seconds < HEARD + max(0.0, GATHERING - (began - STARTED[0]))
        assert not two.actors()
        if refusal.code == "downgrade":  # its operator may allow it, there
            for name in (group, alone):
                path = leader.directory / f"{name}-1.tls"
                two.done("install", "--allow-downgrade", str(path))
            wait_for(lambda: not any(one["refused"] for one in convention(leader)))
            leader.done("load", alone)
            assert leader.ask(alone.title(), {})["host"] == two.network()
            leader.done("unload", leader.json("list")["groups"][alone][0]["source_hash"])
    finally:
        for name in written:
            (two.directory / name).unlink()
        for name in (group, alone):
            (leader.directory / f"{name}-1.tls").unlink()
        for one in leader.json("list")["groups"].get(group, []):
            leader.done("unload", one["source_hash"])
        wait_for(lambda: not any(one["refused"] for one in convention(leader)))


def test_the_convention_tells_what_differs_between_its_hosts(lab: Lab) -> None:
    leader, two, _ = lab.hosts
    own, second, third = by_address(leader)
    assert own["python"] == third["python"] == platform.python_version()
    assert second["python"] == "3.99.1"
    assert own["package_version"] == third["package_version"] == director.__version__
    assert second["package_version"] == "0.0.1"
    assert 99 < second["offset"] < 101 and abs(third["offset"]) < 0.5 and own["offset"] == 0
    assert all(one["heard"] < 6 and not one["problem"] for one in (own, second, third))
    told = leader.done("status", "--convention")
    assert f"director 0.0.1 (the leader's is {director.__version__})" in told
    assert told.count("the leader's is") == 1
    assert "Python 3.99.1" in told and "its clock is off" in told
    (two.directory / "revoked.cfg").write_text("no such thing\n")
    try:
        wait_for(lambda: by_address(leader)[1]["problem"])
        assert "revoked.cfg" in by_address(leader)[1]["problem"]
        assert "takes nothing: " in leader.done("status", "--convention")
    finally:
        (two.directory / "revoked.cfg").unlink()
    wait_for(lambda: not by_address(leader)[1]["problem"])


def by_address(leader: LabHost) -> list[dict[str, Any]]:
    """The hosts of the convention, the leader first, in the order of their addresses."""
    return sorted(convention(leader), key=lambda one: str(one["admin"]))


def test_what_a_member_revokes_ends_there_at_its_refresh_and_goes_elsewhere(lab: Lab) -> None:
    leader, two, three = lab.hosts
    data = leader.put("late", "1", TLI % ("late", "Late"), {"late.py": word("Worker")}).read_bytes()
    revoked = two.directory / "revoked.cfg"
    digest = leader.json("load", "late")["groups"][0]["source_hash"]
    try:
        assert leader.ask("Late", {})["host"] == two.network()
        (old,) = two.actors()
        revoked.write_text(f"{hashlib.sha256(data).hexdigest()} # it phones home\n")
        assert two.actors() == [old]  # a file that was written by half, say, ends nothing
        told = two.run("refresh")
        assert told.returncode == 0 and "late" in told.stderr and "it phones home" in told.stderr
        wait_for(lambda: not two.actors(), 3)
        wait_for(lambda: serving(leader, "late"), 10)
        assert leader.ask("Late", {})["host"] == three.network()
        (second,) = [one for one in convention(leader) if "10.77.0.2" in one["admin"]]
        assert second["refused"][digest].startswith("revoked") and not second["sources"]
        # Nothing of it starts there again, also where no other host is left.
        three.done("shutdown")
        wait_for(lambda: not serving(leader, "late"))
        time.sleep(2.5)  # it is tried every second
        assert not two.actors() and not serving(leader, "late")
        three.done("start")
        wait_for(lambda: serving(leader, "late"), 15)
        wait_for(
            lambda: (
                not (two.directory / ".state" / "unpacked")
                .joinpath(hashlib.sha256(data).hexdigest())
                .exists()
            )
        )
        assert "it phones home" in (two.directory / ".state" / "audit.jsonl").read_text()
        assert two.run("refresh").stderr.count("phones home") == 0  # there is nothing left to end
    finally:
        revoked.unlink(missing_ok=True)
        (leader.directory / "late-1.tls").unlink()
        leader.done("unload", digest)


def held(host: LabHost) -> contextlib.AbstractContextManager[None]:
    """Keep the host's authority from standing: it tidies its cache first, which wants this lock."""
    (host.directory / ".state" / "unpacked").mkdir(mode=0o700, exist_ok=True)
    return locked(host.directory / ".state" / "unpack.lock", 10)


def test_a_member_takes_nothing_before_its_own_authority_stands(lab: Lab) -> None:
    """Its authority is held at its birth; the leader's Director tries every second meanwhile."""
    leader, two, _ = lab.hosts
    leader.put("early", "1", TLI % ("early", "Early"), {"early.py": word("Two")})
    if not two.processes():
        two.done("start")
    wait_for(lambda: all_told(leader))
    digest = leader.json("load", "early")["groups"][0]["source_hash"]
    try:
        (before,) = [o["host"] for o in convention(leader) if "10.77.0.2" in o["admin"]]
        two.crash()
        for path in (two.directory.parent / "log").glob("*.log"):
            path.unlink()
        with held(two):
            start = two.popen("start")
            wait_for(
                lambda: [
                    one
                    for one in convention(leader)
                    if "10.77.0.2" in one["admin"] and one["python"] and one["host"] != before
                ]
            )
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                assert not two.actors() and not serving(leader, "early")
                (joined,) = [o for o in convention(leader) if "10.77.0.2" in o["admin"]]
                assert joined["python"] and not joined["sources"] and not joined["refused"]
                time.sleep(0.3)
            assert digest not in two.log()  # not so much as the bytes came
        assert start.wait(20) == 0
        wait_for(lambda: serving(leader, "early"), 5)
        assert leader.ask("Early", {})["host"] == two.network()
    finally:
        (leader.directory / "early-1.tls").unlink()
        for one in leader.json("list")["groups"].get("early", []):
            leader.done("unload", one["source_hash"])
