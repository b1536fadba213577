"""Every host of a convention decides for itself which sources run there (guide 2.2), also under a hostile leader."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from director.tls.keys import SigningKey, generate_key
from tests.conftest import make_tls
from tests.system.hosts import Lab, LabHost, three_hosts, wait_for, why_not

pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(why_not()), reason=why_not())]

TLI = "{'Actors': {'word.Word': {'OnLoad': {'Role': 'Word'}}}}"
WORD = """
    import os
    from thespian.actors import ActorTypeDispatcher, requireCapability

    with open(%r, "a") as trace:
        print(os.readlink("/proc/self/ns/net"), file=trace)

    @requireCapability("Two")
    class Word(ActorTypeDispatcher):
        def receiveMsg_dict(self, message, sender):
            self.send(sender, "word")
"""

#: A leader under somebody else's hand: its authority takes everything, and its Admin gives the opened archive away
#: whatever a member asked for, which Thespian's own member then imports unchecked.
HOSTILE = """
import io, json, sys, time
from datetime import timedelta
from thespian.system.admin import convention
from thespian.system.messages.convention import SourceHashTransferRequest
from thespian.actors import ActorSystem, ActorTypeDispatcher, ValidatedSource

class Anything(ActorTypeDispatcher):
    def receiveMsg_str(self, message, sender):
        self.registerSourceAuthority()
        self.send(sender, "ok")
    def receiveMsg_ValidateSource(self, message, sender):
        self.send(sender, ValidatedSource(message.sourceHash, open(sys.argv[2], "rb").read(), sys.argv[4]))

if sys.argv[3] == "opened":
    honest = convention.ConventioneerAdmin.h_SourceHashTransferRequest
    def opened(self, envelope):
        envelope.message.prefer_original = False
        return honest(self, envelope)
    convention.ConventioneerAdmin.h_SourceHashTransferRequest = opened

system = ActorSystem("multiprocTCPBase", {"Admin Port": 1900, "Convention Address.IPv4": "10.77.0.1:1900"})
try:
    anything = system.createActor(Anything)
    system.ask(anything, "stand up", timedelta(seconds=5))
    def offered():
        source = io.BytesIO(open(sys.argv[1], "rb").read())
        source.name = "word-1.tls"
        return source
    hash_ = system.loadActorSource(offered())
    told, began = "", time.monotonic()
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        began = time.monotonic()
        try:
            told = repr(system.ask(system.createActor("word.Word", sourceHash=hash_), {}, timedelta(seconds=3)))
            break
        except Exception as problem:
            told = f"{type(problem).__name__}: {problem}"
            if "does not match" in told:  # it came before the authority was registered
                system.loadActorSource(offered())
            elif "No compatible" not in told and "NoCompatible" not in told:
                break
        time.sleep(0.2)
    print(json.dumps([told, time.monotonic() - began]))
finally:
    system.shutdown()
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Iterator[Lab]:
    with three_hosts(tmp_path_factory.mktemp("lab"), key) as made:
        yield made


def hostile(
    leader: LabHost, home: Path, how: str, sealed: bytes, opened: bytes, name: str = "x"
) -> Any:
    """What the creator heard, and after how many seconds; the leader offers it under this name."""
    (home / "sealed").write_bytes(sealed)
    (home / "opened").write_bytes(opened)
    script = home / "hostile.py"
    script.write_text(HOSTILE)
    command = [sys.executable, str(script), str(home / "sealed"), str(home / "opened"), how, name]
    environ = {
        "PATH": "/usr/bin:/bin:/usr/sbin",
        "CONVENTION_REREGISTRATION_PERIOD": "0:03",
        "CONVENTION_RESTART_PERIOD": "0:02",
    }
    told = subprocess.run(
        leader.command(*command), capture_output=True, text=True, timeout=60, env=environ
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout.splitlines()[-1])


@pytest.mark.parametrize("how", ["original", "opened"])
def test_a_member_runs_nothing_that_a_hostile_leader_offers(
    lab: Lab, tmp_path: Path, how: str
) -> None:
    leader, member, _ = lab.hosts
    member.done("start")
    trace = tmp_path / "ran"
    word = textwrap.dedent(WORD % str(trace))
    forged = make_tls(generate_key(2048), "word", "1", TLI, {"word.py": word})
    opened = io.BytesIO()
    with zipfile.ZipFile(opened, "w") as archive:
        archive.writestr("word.py", word)
    told, seconds = hostile(leader, tmp_path, how, forged, opened.getvalue())
    assert "None of this host's 1 keys signed it" in told or "never validated" in told, told
    assert ("never validated" in told) is (how == "opened")
    assert seconds < 3
    # The hostile host may run what it likes; it imports the class to see where it fits.
    assert trace.read_text().splitlines()
    assert member.network() not in trace.read_text().splitlines()
    assert not member.actors()
    digest = hashlib.md5(forged, usedforsecurity=False).hexdigest()
    wait_for(lambda: (digest if how == "opened" else "refused (signature)") in member.log())


#: What a hostile leader makes of a signed file, whose signature it keeps, and the code that a member refuses it with.
OFFERS = {
    "another TLI": "signature",
    "another version": "signature",
    "40 MB more": "signature",
}


def offered(offer: str, good: bytes, word: str) -> bytes:
    """The file that a hostile leader offers; it has signed ones, and no key."""
    other, signature = generate_key(2048), good[-256:]
    if offer == "another TLI":
        tli = TLI.replace("'Role': 'Word'", "'Role': 'Root'")
        return make_tls(other, "word", "1", tli, {"word.py": word})[:-256] + signature
    if offer == "another version":
        return make_tls(other, "word", "9", TLI, {"word.py": word})[:-256] + signature
    return good + bytes(40 << 20)


@pytest.mark.parametrize("offer", OFFERS)
def test_a_member_refuses_what_a_hostile_leader_makes_of_signed_files(
    lab: Lab, key: SigningKey, tmp_path: Path, offer: str
) -> None:
    leader, member, _ = lab.hosts
    if not member.processes():
        member.done("start")
    trace = tmp_path / "ran"
    word = textwrap.dedent(WORD % str(trace))
    good = make_tls(key, "word", "1", TLI, {"word.py": word})
    opened = io.BytesIO()
    with zipfile.ZipFile(opened, "w") as archive:
        archive.writestr("word.py", word)
    told, seconds = hostile(
        leader, tmp_path, "original", offered(offer, good, word), opened.getvalue()
    )
    wait_for(lambda: f"refused ({OFFERS[offer]})" in member.log())
    assert seconds < 6, told
    assert trace.read_text().splitlines()  # the leader itself may run what it likes
    assert member.network() not in trace.read_text().splitlines()
    assert not member.actors()


@pytest.mark.parametrize(("group", "name"), [("aged", "aged-1.tls"), ("nameless", "")])
def test_a_member_refuses_an_old_signed_version_by_its_own_marks(
    lab: Lab, key: SigningKey, tmp_path: Path, group: str, name: str
) -> None:
    """The leader under somebody else's hand offers it under its right name, or under none."""
    leader, member, _ = lab.hosts
    if not member.processes():
        member.done("start")
    trace = tmp_path / "ran"
    word = textwrap.dedent(WORD % str(trace))
    newer = tmp_path / f"{group}-3.tls"
    newer.write_bytes(make_tls(key, group, "3", TLI, {"word.py": word}))
    member.done("install", str(newer))
    old = make_tls(key, group, "1", TLI, {"word.py": word})
    opened = io.BytesIO()
    with zipfile.ZipFile(opened, "w") as archive:
        archive.writestr("word.py", word)
    before = member.log().count("refused (downgrade)")
    told, seconds = hostile(leader, tmp_path, "original", old, opened.getvalue(), name)
    assert member.log().count("refused (downgrade)") == before + 1, (told, member.log())
    assert "older than 3" in told and seconds < 6, told
    assert trace.read_text().splitlines()  # the leader itself may run what it likes
    assert member.network() not in trace.read_text().splitlines()
    assert not member.actors()


def test_a_member_runs_an_old_signed_version_whose_bytes_it_accepted_before(
    lab: Lab, key: SigningKey, tmp_path: Path
) -> None:
    leader, member, _ = lab.hosts
    if not member.processes():
        member.done("start")
    trace = tmp_path / "ran"
    word = textwrap.dedent(WORD % str(trace))
    old = make_tls(key, "back", "1", TLI, {"word.py": word})
    for version, data in (("1", old), ("3", make_tls(key, "back", "3", TLI, {"word.py": ""}))):
        file = tmp_path / f"back-{version}.tls"
        file.write_bytes(data)
        member.done("install", str(file))
    opened = io.BytesIO()
    with zipfile.ZipFile(opened, "w") as archive:
        archive.writestr("word.py", word)
    told, _ = hostile(leader, tmp_path, "original", old, opened.getvalue(), "back-1.tls")
    assert told == "'word'" and member.network() in trace.read_text().splitlines()
    assert (
        "accepted before, older than the mark"
        in (member.directory / ".state" / "audit.jsonl").read_text()
    )


def test_the_operators_own_word_about_remote_sources_wins(lab: Lab, tmp_path: Path) -> None:
    leader, member, other = lab.hosts
    told = "{'Two': True, 'AllowRemoteActorSources': 'No'}"
    (member.directory / "othercaps.cfg").write_text(told)
    if member.processes():
        member.done("shutdown")
    for host in (leader, member, other):
        host.done("start")
    trace = tmp_path / "ran"
    leader.put("word", "1", TLI, {"word.py": textwrap.dedent(WORD % str(trace))})
    refused = leader.run("load", "word")
    assert refused.returncode == 1 and "no host of the convention takes" in refused.stderr, refused
    assert not member.actors() and "word-1.tls" not in member.log()
    # A host that has the capability too, and whose operator said nothing, takes it.
    other.done("shutdown")
    (other.directory / "othercaps.cfg").write_text("{'Two': True}")
    other.done("start")
    leader.done("load", "word")
    assert other.network() in trace.read_text() and member.network() not in trace.read_text()
