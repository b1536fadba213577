"""Commands that operators wait for: this director beside Thespian's own, same directory layout, one run.

    python benchmarks/cli.py [--rounds 5]

`help`; `avail` over 200 files; `refresh` over 100 groups that are all loaded, with none newer. Each is a process of
its own, the two ways take turns; medians and their ratio are printed.
"""

from __future__ import annotations

import argparse
import compileall
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT)]

GROUPS = 100
TLI = "{'Actors': {}}"
WAYS = {
    "ours": [sys.executable, "-m", "director"],
    "theirs": [sys.executable, str(HERE / "theirs.py")],
}


def run(way: str, directory: Path, *words: str) -> float:
    """Seconds that a command takes."""
    environ = {**os.environ, "THESPIAN_DIRECTOR_DIR": str(directory), "PYTHONPATH": str(ROOT)}
    began = time.perf_counter()
    process = subprocess.Popen(
        [*WAYS[way], *words],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    # A wait with a limit of its own looks in steps of up to 50 ms, which would be all that is measured.
    limit = threading.Timer(300, process.kill)
    limit.start()
    status = process.wait()
    taken = time.perf_counter() - began
    limit.cancel()
    assert status == 0, (way, words, status)
    return taken


def lay_out(home: Path) -> dict[str, Path]:
    """A director directory each: 100 groups, two versions of every one."""
    from director.demo import free_port
    from director.tls.keys import generate_key
    from tests.conftest import make_tls

    key = generate_key(2048)
    places = {}
    for way in WAYS:
        directory = home / way
        directory.mkdir()
        (directory / "sourcekey_tls.key").write_bytes(key.public_pem)
        (directory / "adminport.cfg").write_text(str(free_port()))
        (directory / "thesplogd.cfg").write_text(str(home / "log"))
        places[way] = directory
    (home / "log").mkdir()
    for number in range(GROUPS):
        group = f"group{number:03d}"
        for version in ("1.0", "2.0"):
            members = {f"{group}/__init__.py": f"VERSION = {version!r}\n"}
            data = make_tls(key, group, version, TLI, members)
            for directory in places.values():
                (directory / f"{group}-{version}.tls").write_bytes(data)
        for directory in places.values():
            (directory / f"{group}.tli").write_text(TLI)
    return places


def main() -> None:
    """Each command by both ways."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {rounds} rounds, medians")
    # As pip does for what it installs; PYTHONDONTWRITEBYTECODE would have a checkout compiled at each call.
    compileall.compile_dir(ROOT / "director", quiet=1)
    with tempfile.TemporaryDirectory(prefix="bench-cli-") as folder:
        places = lay_out(Path(folder))
        try:
            for way, directory in places.items():
                print(f"  loading {GROUPS} groups, {way}: {run(way, directory, 'refresh'):.1f} s")
            time.sleep(5)  # their refresh comes back before the sources are validated
            for words in (["help"], ["avail"], ["refresh"]):
                taken: dict[str, list[float]] = {way: [] for way in WAYS}
                for way, directory in places.items():
                    run(way, directory, *words)  # warm
                for _ in range(rounds):
                    for way, directory in places.items():
                        taken[way].append(run(way, directory, *words))
                ours, theirs = (statistics.median(taken[way]) for way in WAYS)
                print(
                    f"{words[0]:8} ours {ours * 1000:6.0f} ms   theirs {theirs * 1000:6.0f} ms   "
                    f"ratio {ours / theirs:.2f}",
                    flush=True,
                )
        finally:
            for way, directory in places.items():
                run(way, directory, "shutdown")


if __name__ == "__main__":
    main()
