"""Upgrades under clients that ask without pause: this director beside Thespian's own, same files, one run.

    python benchmarks/upgrade.py [--upgrades 10] [--clients 4]

Each way gets a director directory of its own with the same signed files, an actor with a Role, and so many clients,
each a process that finds the role and asks it over and over as that way's documentation says. Then the upgrades follow
one another. Counted are asks without an answer within 10 s (lost), answers that came twice or to another question, and
answers of an older version to questions asked after the `load` of a newer one had come back (stale). The gap is the
longest time without any answer.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT), str(HERE)]

#: Seconds that an answer may take before it counts as lost.
PATIENCE = 10.0
ACTOR = """
from thespian.actors import ActorTypeDispatcher

class Front(ActorTypeDispatcher):
    def receiveMsg_dict(self, message, sender):
        self.send(sender, {"n": message["n"], "version": VERSION})
"""
TLI = "{'Actors': {'app.front.Front': {'OnLoad': {'Role': 'Front'}}}}"


def ask_ours(stop: threading.Event) -> list[list[float]]:
    """Questions over the handle of a role."""
    from director import DirectorControl
    from director.errors import DirectorError

    told = []
    number = 0
    with DirectorControl() as control:
        front = control.role("Front")
        assert front is not None
        print("ready", flush=True)
        while not stop.is_set():
            number += 1
            sent = time.monotonic()
            try:
                answer = front.ask({"n": number}, PATIENCE)
            except DirectorError:
                answer = None
            told.append(_record(number, sent, answer))
        told += _late(control.system)
    return told


def ask_theirs(stop: threading.Event) -> list[list[float]]:
    """Questions to the address that get_role_address gives (guide 2.8)."""
    import theirs  # noqa: F401 - puts base64.decodestring back
    from thespian.director import DirectorControl

    control = DirectorControl()
    told = []
    number = 0
    print("ready", flush=True)
    while not stop.is_set():
        number += 1
        sent = time.monotonic()
        role = control.get_role_address("Front", silent=True)
        answer = None
        if role and role["ActorAddress"]:
            limit = timedelta(seconds=PATIENCE)
            answer = control.asys.ask(role["ActorAddress"], {"n": number}, limit)
        told.append(_record(number, sent, answer))
    return told + _late(control.asys)


def _record(number: int, sent: float, answer: Any) -> list[float]:
    """number, sent, received, version (0: lost), 1 if it is another question's answer."""
    if not isinstance(answer, dict) or "n" not in answer:
        return [number, sent, time.monotonic(), 0, 0]
    return [number, sent, time.monotonic(), answer["version"], int(answer["n"] != number)]


def _late(system: Any) -> list[list[float]]:
    """Answers that come when nothing is asked any more came twice."""
    found = []
    while (answer := system.listen(timedelta(seconds=0.5))) is not None:
        if isinstance(answer, dict) and "n" in answer:
            found.append([answer["n"], 0.0, 0.0, answer["version"], 1])
    return found


@dataclass
class Way:
    """One of the two directors, and how its upgrades went."""

    name: str
    command: list[str]
    client: str
    loads: list[float] = field(default_factory=list)
    told: list[tuple[float, int]] = field(default_factory=list)


def measure(way: Way, upgrades: int, clients: int, home: Path, files: list[bytes]) -> str:
    """Run it; the line about it."""
    directory = home / way.client
    directory.mkdir()
    from director.demo import free_port

    (directory / "sourcekey_tls.key").write_bytes((home / "key").read_bytes())
    (directory / "adminport.cfg").write_text(str(free_port()))
    (directory / "thesplogd.cfg").write_text(str(home / "log"))
    (directory / "app.tli").write_text(TLI)
    environ = {**os.environ, "THESPIAN_DIRECTOR_DIR": str(directory), "PYTHONPATH": str(ROOT)}

    def run(*words: str) -> None:
        subprocess.run(
            [*way.command, *words],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=120,
        )

    (directory / "app-1.tls").write_bytes(files[0])
    processes: list[subprocess.Popen[str]] = []
    try:
        run("load", "app")
        time.sleep(3)  # their load comes back before the source is validated
        for _ in range(clients):
            command = [sys.executable, __file__, "--client", way.client]
            processes.append(
                subprocess.Popen(
                    command,
                    env=environ,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
            )
        for process in processes:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(1)
        for number in range(2, upgrades + 2):
            (directory / f"app-{number}.tls").write_bytes(files[number - 1])
            began = time.monotonic()
            run("load", "app")
            way.loads.append(time.monotonic() - began)
            way.told.append((time.monotonic(), number))
            time.sleep(1)
        records: list[list[float]] = []
        for process in processes:
            out, _ = process.communicate("", timeout=60)
            records += json.loads(out.splitlines()[-1])
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
        run("shutdown")
    return _line(way, records)


def _line(way: Way, records: list[list[float]]) -> str:
    asked = [one for one in records if one[1]]
    lost = sum(1 for one in asked if not one[3])
    twice = sum(int(one[4]) for one in records)
    stale = sum(
        1
        for one in asked
        if one[3] and one[3] < max((n for when, n in way.told if when < one[1]), default=0)
    )
    arrived = sorted(one[2] for one in asked if one[3])
    gap = max((b - a for a, b in itertools.pairwise(arrived)), default=0.0)
    slow = max((one[2] - one[1] for one in asked if one[3]), default=0.0)
    last = max((int(one[3]) for one in asked), default=0)
    loads = sorted(way.loads)
    return (
        f"{way.name:22} asked {len(asked):6d}  lost {lost:4d}  twice or wrong {twice:4d}  "
        f"stale {stale:5d}  longest gap {gap * 1000:6.0f} ms  slowest answer {slow * 1000:6.0f} ms  "
        f"load, median {loads[len(loads) // 2] * 1000:5.0f} ms  last version seen {last}"
    )


def main() -> None:
    """Both ways, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--upgrades", type=int, default=10)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--client", choices=["ours", "theirs"])
    told = parser.parse_args()
    if told.client:
        stop = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
        print(json.dumps((ask_ours if told.client == "ours" else ask_theirs)(stop)), flush=True)
        return
    from director.tls.keys import generate_key
    from tests.conftest import make_tls

    key = generate_key(2048)
    print(
        f"{told.upgrades} upgrades, {told.clients} clients, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores"
    )
    with tempfile.TemporaryDirectory(prefix="bench-upgrade-") as folder:
        home = Path(folder)
        (home / "key").write_bytes(key.public_pem)
        (home / "log").mkdir()
        files = []
        for number in range(1, told.upgrades + 2):
            members = {"app/__init__.py": "", "app/front.py": ACTOR.replace("VERSION", str(number))}
            files.append(make_tls(key, "app", str(number), TLI, members))
        for way in (
            Way("this director", [sys.executable, "-m", "director"], "ours"),
            Way("Thespian's director", [sys.executable, str(HERE / "theirs.py")], "theirs"),
        ):
            print(measure(way, told.upgrades, told.clients, home, files), flush=True)


if __name__ == "__main__":
    main()
