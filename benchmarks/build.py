"""How long a build takes: whole processes, side by side, in turns.

    python benchmarks/build.py [--files 300] [--rounds 9]

Compared are hatchling's own wheel of the files, and a process that signs it; ``hatchling build -t tls`` of the same
files, without and with dependencies; our gensrc; and the gensrc of Thespian's own director, which neither checks nor
describes but imports every file in its own process. The resolver's and the check's time (the syntax of each file, the
import of the actors) are told apart, as the build itself reports them. Prints medians and ratios.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from director.tls.keys import generate_key

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tests.wheels import make_wheel  # noqa: E402 - the checkout's own

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "app"
version = "1.0"

[tool.hatch.build.targets.wheel]
packages = ["app"]
"""
HOOK = """
[tool.hatch.build.hooks.thespian]
sources = ["app/"]
tli = "app.tli"
"""
#: Signing the wheel afterwards, as one would without us.
SIGN = """
import sys
from pathlib import Path
from director.tls.keys import load_signing_key
key = load_signing_key(Path(sys.argv[1]).read_bytes(), name="key")
for wheel in Path("dist").glob("*.whl"):
    wheel.with_suffix(".sig").write_bytes(key.sign(wheel.read_bytes()))
"""
MODULE = '''"""Module {n} of the benchmark."""

from dataclasses import dataclass


@dataclass
class Record{n}:
    name: str
    number: int = {n}

    def text(self) -> str:
        return f"{self.name} has {self.number}"


''' + "\n\n".join(
    f'def helper_{k}(value):\n    """Number {k}."""\n    return [value + {k}, str(value), {{"k": {k}}}]'
    for k in range(12)
)
#: Thespian's director was written for Pythons before 3.9.
SHIM = "import base64\nbase64.decodestring = base64.decodebytes\nbase64.encodestring = base64.encodebytes\n"


def project(home: Path, name: str, files: int, table: str) -> Path:
    """A project of so many modules, with one actor."""
    root = home / name
    (root / "app").mkdir(parents=True)
    (root / "pyproject.toml").write_text(PROJECT + table)
    (root / "app/__init__.py").write_text("")
    (root / "app/actor.py").write_text(
        "from thespian.actors import Actor\nclass Main(Actor): pass\n"
    )
    for number in range(files - 2):
        (root / f"app/m{number}.py").write_text(MODULE.replace("{n}", str(number)))
    (root / "app.tli").write_text("{'Actors': {'app.actor.Main': {'OnLoad': {'Role': 'Main'}}}}")
    return root


def timed(command: list[str], at: Path, environ: dict[str, str]) -> tuple[float, str]:
    """Seconds of a whole process, and what it said."""
    started = time.perf_counter()
    done = subprocess.run(command, cwd=at, env=environ, capture_output=True, text=True)
    took = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stdout}{done.stderr}")
    return took, done.stdout + done.stderr


def step(said: str, word: str) -> float:
    """Seconds of all steps that begin so, as the build told them; 0 where it had none."""
    return sum(float(took) for took in re.findall(rf"{word}.*\(([0-9.]+) s\)", said))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-build-") as folder:
        home = Path(folder)
        key = generate_key(2048)
        (home / "key.pem").write_bytes(key.private_pem(None))
        (home / "shim").mkdir()
        (home / "shim/sitecustomize.py").write_text(SHIM)
        (home / "director").mkdir()
        make_wheel(home / "shelf", "scales", requires=["weights"])
        make_wheel(home / "shelf", "weights")
        environ = {k: v for k, v in os.environ.items() if not k.startswith("THESPIAN_")}
        environ |= {"THESPIAN_SIGNING_KEY_FILE": str(home / "key.pem"), "PIP_NO_INDEX": "1"}
        environ |= {
            "PIP_FIND_LINKS": str(home / "shelf"),
            "THESPIAN_DIRECTOR_DIR": str(home / "director"),
        }
        files = chosen.files
        plain = project(home, "plain", files, "")
        hooked = project(home, "hooked", files, HOOK)
        bundling = project(home, "bundling", files, HOOK + 'deps = ["scales"]\n')
        hatchling = [sys.executable, "-m", "hatchling", "build", "-t"]
        sources = ["app/*.py"]
        theirs = [sys.executable, "-m", "thespian.director", "gensrc", "app", str(home / "key.pem")]
        ours = [sys.executable, "-m", "director", "verbose", *theirs[3:]]
        runs = {
            "wheel by hatchling": ([*hatchling, "wheel"], plain, environ),
            "signing it": ([sys.executable, "-c", SIGN, str(home / "key.pem")], plain, environ),
            "tls": ([*hatchling, "tls"], hooked, environ),
            "tls with 2 deps": ([*hatchling, "tls"], bundling, environ),
            "gensrc": ([*ours, ".", "version:1", *sources], hooked, environ),
            "gensrc of Thespian": (
                [*theirs, str(plain), "version:1", *sources],
                plain,
                environ | {"PYTHONPATH": str(home / "shim")},
            ),
        }
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        parts: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
        for _ in range(chosen.rounds):
            for name, (command, at, variables) in runs.items():
                if name != "signing it":
                    shutil.rmtree(at / "dist", ignore_errors=True)
                took, said = timed(command, at, variables)
                seconds[name].append(took)
                parts[name].append((step(said, "resolved"), step(said, "checked")))
        wheel = statistics.median(seconds["wheel by hatchling"])
        sign = statistics.median(seconds["signing it"])
        print(f"{files} files, {chosen.rounds} rounds, medians in seconds")
        print(
            f"{'':22}{'whole':>8}{'resolver':>10}{'check':>8}{'the rest':>10}{'rest / (wheel + signature)':>28}"
        )
        for name in runs:
            whole = statistics.median(seconds[name])
            resolver = statistics.median(one[0] for one in parts[name])
            check = statistics.median(one[1] for one in parts[name])
            rest = statistics.median(
                took - sum(two) for took, two in zip(seconds[name], parts[name], strict=True)
            )
            print(
                f"{name:22}{whole:8.3f}{resolver:10.3f}{check:8.3f}{rest:10.3f}{rest / (wheel + sign):28.2f}"
            )


if __name__ == "__main__":
    main()
