"""What convention traffic does not protect, tried: a stranger with Thespian alone, on a host of the same network.

This is no wish. It holds docs/conventions.md to the truth: where it fails, Thespian has become safer, and the page
is to be changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from director.tls.keys import SigningKey
from tests.system.hosts import Lab, three_hosts, wait_for, why_not
from tests.system.test_hosts import put

pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(why_not()), reason=why_not())]

#: Sends one message to the admin port of host 2.
STRANGER = """
import os, sys, time
from thespian.actors import ActorAddress, ActorSystem, ActorTypeDispatcher, ValidateSource
from thespian.system.messages.admin import SystemShutdown
from thespian.system.transport.IPBase import TCPv4ActorAddress

class Pickled:
    def __reduce__(self):
        return os.mkdir, (sys.argv[2],)

class Stranger(ActorTypeDispatcher):
    def receiveMsg_str(self, what, sender):
        told = {
            "unload": lambda: ValidateSource(sys.argv[2], None),
            "pickle": Pickled,
            "shutdown": SystemShutdown,
        }[what]()
        self.send(ActorAddress(TCPv4ActorAddress("10.77.0.2", 1900, external=True)), told)

system = ActorSystem("multiprocTCPBase", {"Admin Port": 1999})
try:
    system.tell(system.createActor(Stranger), sys.argv[1])
    time.sleep(2)  # it is on its way; nothing answers
    print("1")
finally:
    system.shutdown()
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Iterator[Lab]:
    """A leader and a member with an actor; host 3 runs nothing of ours."""
    with three_hosts(tmp_path_factory.mktemp("lab"), key) as made:
        leader, two, _ = made.hosts
        for host in (leader, two):
            host.done("start")
        wait_for(lambda: len(leader.json("status", "--convention")["hosts"]) == 2)
        yield made


#: Says how long a message will be, and sends little of it.
DECLARES = """
import socket, sys, time
with socket.create_connection(("10.77.0.2", 1900), 5) as to:
    to.sendall(sys.argv[1].encode() + b">abc")
    time.sleep(0.5)
    to.sendall(bytes(100_000))
    time.sleep(0.5)
print("1")
"""


@pytest.mark.parametrize("size", ["3000000000", "9" * 12, "9" * 23])
def test_a_size_that_is_only_declared_costs_the_admin_nothing(lab: Lab, size: str) -> None:
    """It holds what came, not what was announced."""
    _, two, third = lab.hosts
    before = two.processes()
    third.python(DECLARES, size)
    peaks = [Path(f"/proc/{pid}/status").read_text() for pid in two.processes()]
    most = max(int(one.partition("VmHWM:")[2].split()[0]) for one in peaks)  # kB
    assert two.processes() == before and most < 100_000
    assert two.run("list").returncode == 0


def test_whoever_reaches_an_admin_port_can_do_all_that_an_operator_can(
    lab: Lab, tmp_path: Path
) -> None:
    leader, two, third = lab.hosts
    third.environment["THESPIAN_BASE_IPADDR"] = third.address
    put(leader, "two", "1", "Two")
    digest = leader.json("load", "two")["groups"][0]["source_hash"]
    assert two.actors()
    # Code of anybody's runs as the actor system's user, and no signature is asked for.
    made = tmp_path / "made"
    third.python(STRANGER, "pickle", str(made))
    wait_for(made.is_dir, 5)
    # A source is unloaded, with its actors.
    third.python(STRANGER, "unload", digest)
    wait_for(lambda: not leader.json("list")["groups"] and not two.actors(), 10)
    # The system ends.
    third.python(STRANGER, "shutdown", "")
    wait_for(lambda: not two.processes(), 15)
