"""What a large source costs a running system: the load, and how long another group waits for an answer meanwhile.

    python benchmarks/size.py [MEGABYTES …]      (default 20 50 100 200)

Each size gets a system of its own with a small group, which a process asks over and over while a file with so many
megabytes of random data is loaded. Told are the seconds of `load`, the longest answer of the small group, and the
highest resident memory of any process of the system.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from director.tls.keys import SigningKey, generate_key  # noqa: E402
from tests.conftest import Host, open_host  # noqa: E402

ACTOR = """
from thespian.actors import ActorTypeDispatcher

class Worker(ActorTypeDispatcher):
    def receiveMsg_dict(self, message, sender):
        self.send(sender, {})
"""
TLI = "{{'Actors': {{'{0}.Worker': {{'OnLoad': {{'Role': '{0}'}}}}}}}}"


def ask() -> None:
    """The asking process: until its input is closed; prints the longest answer, seconds."""
    import select

    from director import DirectorControl

    with DirectorControl() as control:
        small = control.role("small")
        small.ask({})
        print("ready", flush=True)
        longest = 0.0
        while not select.select([sys.stdin], [], [], 0.01)[0]:
            began = time.monotonic()
            small.ask({}, timeout=60)
            longest = max(longest, time.monotonic() - began)
    print(longest)


def peak(host: Host) -> int:
    """The highest resident memory that a process of the system had, MB."""
    told = [Path(f"/proc/{pid}/status").read_text() for pid in host.processes()]
    return max(int(text.split("VmHWM:")[1].split()[0]) for text in told) >> 10


def measure(megabytes: int, key: SigningKey) -> str:
    """One size; its row."""
    with tempfile.TemporaryDirectory() as folder, open_host(Path(folder), key) as host:
        host.put("small", "1", TLI.format("small"), {"small.py": ACTOR})
        host.control.load("small")
        data = os.urandom(megabytes * 1_000_000)
        host.put("big", "1", TLI.format("big"), {"big.py": ACTOR, "big_data/data.bin": data})
        asking = subprocess.Popen(
            [sys.executable, __file__, "ask"],
            env={**host.environment(), "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert asking.stdin and asking.stdout
        asking.stdout.readline()
        began = time.monotonic()
        host.control.load("big")
        took = time.monotonic() - began
        told = peak(host)
        longest = float(asking.communicate("\n", timeout=90)[0])
    return f"{megabytes:>6} MB {took:>8.1f} s {longest:>8.2f} s {told:>6} MB"


def main() -> None:
    """All sizes."""
    print("   file      load    longest   peak")
    key = generate_key(2048)
    for megabytes in [int(word) for word in sys.argv[1:]] or [20, 50, 100, 200]:
        print(measure(megabytes, key), flush=True)


if __name__ == "__main__":
    ask() if sys.argv[1:] == ["ask"] else main()
