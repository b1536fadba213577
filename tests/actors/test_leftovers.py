"""Processes of a source: what proves that they are, with real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from director.actors import leftovers
from director.actors.leftovers import (
    Process,
    listener,
    of_source,
    port_of,
    sockets,
    stranded,
    taking,
)
from director.actors.notebook import gone
from director.actors.words import last_words
from tests.actors.test_words import child

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
HASH = "0123456789abcdef0123456789abcdef"
#: Becomes an actor of a source, as `director.actors.runtime` does it, and starts something; then it goes on, or ends.
ACTOR = """
import os, subprocess, sys, time
from director.actors import runtime
from director.actors.words import leave_mark
directory, how = sys.argv[1:]
leave_mark(directory, "app.Actor")
runtime._hold(directory)
os.environ["DIRECTOR_SOURCE"] = "HASH"
if how == "fork":
    if os.fork() == 0:
        time.sleep(60)
elif how == "program":
    subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
elif how == "session":
    if os.fork() == 0:
        os.setsid()
        time.sleep(60)
elif how == "bare":
    subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env={})
elif how == "program in a session":
    subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True)
print("ready", flush=True)
sys.stdin.read()
""".replace("HASH", HASH)


@pytest.fixture
def actor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts the process of an actor of the source in ``tmp_path / "source"``."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / ".complete").touch()
    monkeypatch.setenv("DIRECTOR_SYSTEM", str(tmp_path))
    started = []

    def start(how: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", ACTOR, str(tmp_path / "source"), how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
    for one in of_source(str(tmp_path / "source"), HASH):
        one.signal(signal.SIGKILL)


@pytest.mark.parametrize("how", ["fork", "program", "session", "bare", "program in a session"])
def test_everything_that_an_actor_started_is_of_its_source(
    tmp_path: Path, actor: Callable[[str], subprocess.Popen[bytes]], how: str
) -> None:
    process = actor(how)
    directory = str(tmp_path / "source")
    found = of_source(directory, HASH)
    assert process.pid in {one.pid for one in found} and len(found) == 2
    assert stranded(directory) == [], "its actor lives"
    process.kill()
    process.wait()
    left = of_source(directory, HASH)
    assert [one.pid for one in left] == [one.pid for one in found if one.pid != process.pid]
    if "session" not in how:
        assert stranded(directory) == left
    assert left[0].there and left[0].signal(signal.SIGKILL)


def test_a_group_of_which_nobody_is_left_is_forgotten(
    tmp_path: Path, actor: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    process = actor("nothing")
    process.kill()
    process.wait()
    assert stranded(str(tmp_path / "source")) == []
    assert list((tmp_path / "source.errors").glob("*.group")) == []


def test_a_later_process_of_the_same_number_is_another() -> None:
    assert not Process(os.getpid(), 1).there and not Process(os.getpid(), 1).signal(signal.SIGTERM)


def test_who_listens_at_a_port_is_found_and_what_waits_there() -> None:
    with socket.socket() as taking, socket.socket() as knocking:
        taking.bind(("127.0.0.1", 0))
        taking.listen()
        port = taking.getsockname()[1]
        assert listener(port, [os.getpid()]) == os.getpid()
        assert listener(port, [os.getppid()]) == 0
        assert [one.waiting for one in sockets({port}) if one.taking] == [0]
        knocking.connect(("127.0.0.1", port))
        assert [one.waiting for one in sockets({port}) if one.taking] == [1]
        assert not list(sockets(())) and {one.port for one in sockets({port})} == {port}
    assert not [one for one in sockets({port}) if one.taking]


def test_the_ports_at_which_messages_arrive_are_told_however_many_connections_there_are() -> None:
    """Linux writes its sockets in pieces of a page: that those which listen come first holds beyond one."""
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(60)]
        ports = [one.getsockname()[1] for one in opened]
        calling = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            for port in ports
            for _ in range(3)
        ]
        datagrams = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        datagrams.bind(("127.0.0.1", 0))
        told = taking()
        assert told >= {*ports, datagrams.getsockname()[1]}
        assert not told & {one.getsockname()[1] for one in calling}
    assert not taking() & set(ports)


@pytest.mark.parametrize(
    ("address", "port"),
    [
        ("ActorAddr-(T|:4711)", 4711),
        ("ActorAddr-(UDP|:4711)", 4711),
        ("ActorAddr-(T|10.0.0.1:4711)", 0),
        ("ActorAddr-LocalAddr.3", 0),
        (None, 0),
    ],
)
def test_the_port_of_an_address(address: object, port: int) -> None:
    assert port_of(address) == port


@pytest.mark.parametrize(
    ("then", "says"),
    [
        ("sys.exit(7)", "sys.exit was called"),
        ("sys.exit(0)", "sys.exit was called"),
        ("os._exit(7)", "os._exit was called"),
        ("os._exit(0)", "os._exit was called"),
        ("raise SystemExit(7)", "exit status 7"),
    ],
)
def test_how_a_process_left_is_told_and_where(tmp_path: Path, then: str, says: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "app.py").write_text(f"import os, sys\ndef leave():\n    {then}\n")
    # As multiprocessing does it: every process of its making ends by os._exit.
    child(
        source,
        "import os\nsys.path.insert(0, sys.argv[1])\nimport app\n"
        "try:\n    app.leave()\nexcept SystemExit as problem:\n    os._exit(problem.code)\n",
    )
    told = last_words(source)
    assert says in told and f"exit status {7 if '7' in then else 0}" in told
    if "raise" not in then:
        assert 'app.py", line 3, in leave' in told


def test_an_end_that_is_meant_leaves_no_word(tmp_path: Path) -> None:
    child(tmp_path / "source", "import os; os._exit(0)")
    assert last_words(tmp_path / "source") == ""


def test_sockets_are_read_where_an_address_is_asked_about_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A member is asked every two seconds, most often about nothing."""
    looks = []

    def look() -> set[int]:
        looks.append(1)
        return set()

    monkeypatch.setattr(leftovers, "taking", look)
    assert gone([]) == [] and not looks
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = f"ActorAddr-(T|:{server.getsockname()[1]})"
        assert gone([here]) == [] and looks == [1]
    assert gone([here, "ActorAddr-(T|10.0.0.1:7)"]) == [here]
