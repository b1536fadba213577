"""Conventions: load → every member running, with up to 20 systems on one machine; and what a large source costs.

    python benchmarks/convention.py [--members 1,2,5,10,20] [--rounds N] [--megabytes 1,5,20]

The systems share one machine and one address, and differ in their ports. A group of one role a member is loaded in the
leader: each role needs a capability that one member alone has, so that every member takes, verifies and unpacks the
source. ``silent``: the longest that an Admin took for a small question meanwhile; one is asked every few milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from director.control import DirectorControl  # noqa: E402
from director.demo import free_port  # noqa: E402
from director.tls.keys import SigningKey, generate_key  # noqa: E402
from tests.conftest import make_tls  # noqa: E402

ASK = """
import json, sys, time
from director import DirectorControl
told, worst = [], 0.0
with DirectorControl(sys.argv[1]) as control:
    system = control.system
    print("ready", flush=True)
    end = time.monotonic() + float(sys.argv[2])
    while time.monotonic() < end:
        began = time.monotonic()
        system.createActor("director.Director", globalName="Director")
        told.append(time.monotonic() - began)
        time.sleep(0.005)
told.sort()
print(json.dumps([told[len(told) // 2], told[-1]]))
"""


class System:
    """A director directory whose actor system runs."""

    def __init__(self, home: Path, number: int, key: SigningKey, leader: int) -> None:
        self.directory = home / f"h{number}"
        self.directory.mkdir()
        (self.directory / "sourcekey_tls.key").write_bytes(key.public_pem)
        self.port = leader if number == 0 else free_port()
        told = {
            "adminport": str(self.port),
            "convleader": f"127.0.0.1:{leader}",
            "othercaps": repr({f"Member{number}": True}),
            "thesplogd": str(home / f"log{number}"),
        }
        for name, text in told.items():
            (self.directory / f"{name}.cfg").write_text(text)

    def run(self, *words: str) -> str:
        environ = {**os.environ, "THESPIAN_DIRECTOR_DIR": str(self.directory)}
        command = [sys.executable, "-m", "director", *words]
        done = subprocess.run(command, env=environ, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{words}: {done.stdout}{done.stderr}")
        return done.stdout

    def processes(self) -> list[int]:
        with DirectorControl(self.directory) as control:
            return control.processes.members()

    def asker(self, seconds: float) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", ASK, str(self.directory), str(seconds)]
        asking = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert asking.stdout is not None
        asking.stdout.readline()
        return asking


@contextmanager
def systems(members: int, key: SigningKey) -> Iterator[tuple[list[System], list[float]]]:
    """A leader and its members, all running; and the seconds that each took to start."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        leader, made, seconds = free_port(), [], []
        for number in range(members + 1):
            system = System(Path(folder), number, key, leader)
            began = time.monotonic()
            system.run("start")
            seconds.append(time.monotonic() - began)
            stack.callback(system.run, "shutdown")
            made.append(system)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            told = json.loads(made[0].run("status", "--convention", "--json"))["hosts"]
            if len(told) == members + 1 and all(host["python"] for host in told):
                break
            time.sleep(0.5)
        yield made, seconds


def source(key: SigningKey, name: str, members: int, data: bytes = b"") -> bytes:
    """A group with one role for each member."""
    code = "from thespian.actors import ActorTypeDispatcher, requireCapability\n"
    for number in range(1, members + 1):
        code += textwrap.dedent(f"""
            @requireCapability("Member{number}")
            class A{number}(ActorTypeDispatcher):
                pass
        """)
    actors = {f"{name}.A{n}": {"OnLoad": {"Role": f"R{n}"}} for n in range(1, members + 1)}
    files: dict[str, str | bytes] = {f"{name}.py": code, "data.bin": data}
    return make_tls(key, name, "1", repr({"Actors": actors}), files)


def resident(pids: list[int]) -> float:
    """Megabytes of these processes, what they share counted once (PSS)."""
    total = 0
    for pid in pids:
        try:
            told = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(next(x for x in told.splitlines() if x.startswith("Pss:")).split()[1])
    return total / 1024


def busy(pids: list[int]) -> float:
    """Seconds of processor that these processes have taken so far."""
    ticks = 0
    for pid in pids:
        try:
            told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(told[11]) + int(told[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def grow(members: int, rounds: int, key: SigningKey) -> dict[str, Any]:
    """One row: a convention of this many members."""
    with systems(members, key) as (made, started):
        loads, silent = [], []
        for number in range(rounds):
            name = f"bench{number}"
            (made[0].directory / f"{name}-1.tls").write_bytes(source(key, name, members))
            asking = made[0].asker(3 + members)
            began = time.monotonic()
            made[0].run("load", name)
            loads.append(time.monotonic() - began)
            out, _ = asking.communicate()
            silent.append(json.loads(out)[1])
        everything = [pid for system in made for pid in system.processes()]
        before, leader = busy(everything), busy(made[0].processes())
        time.sleep(10)
        return {
            "members": members,
            "start": statistics.median(started),
            "load": statistics.median(loads),
            "silent": max(silent),
            "idle leader %": (busy(made[0].processes()) - leader) * 10,
            "idle all %": (busy(everything) - before) * 10,
            "MB a system": resident(everything) / len(made),
        }


def large(megabytes: int, key: SigningKey) -> dict[str, Any]:
    """One row: a source of this size reaches one member."""
    with systems(1, key) as (made, _):
        data = source(key, "large", 1, os.urandom(megabytes << 20))
        (made[0].directory / "large-1.tls").write_bytes(data)
        askers = [system.asker(6 + megabytes / 2) for system in made]
        began = time.monotonic()
        made[0].run("load", "large")
        row = {"MB": megabytes, "load": time.monotonic() - began}
        told = [json.loads(asker.communicate()[0]) for asker in askers]
        return row | {
            "silent leader": told[0][1],
            "silent member": told[1][1],
            "median": told[0][0],
        }


def show(rows: list[dict[str, Any]]) -> None:
    print(" | ".join(f"{name:>13}" for name in rows[0]))
    for row in rows:
        print(
            " | ".join(
                f"{value:13.3f}" if isinstance(value, float) else f"{value:13}"
                for value in row.values()
            ),
            flush=True,
        )
    print()


def numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",") if one]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=numbers, default=[1, 2, 5, 10, 20])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=numbers, default=[1, 5, 20])
    told = parser.parse_args()
    key = generate_key(2048)
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} processors; seconds\n")
    for count in told.members:
        show([grow(count, told.rounds, key)])
    if told.megabytes:
        show([large(size, key) for size in told.megabytes])


if __name__ == "__main__":
    main()
