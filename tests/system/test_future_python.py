"""CPython 3.15 loads no module by ``load_module`` any more; Thespian's own root loader has nothing else.

Simulated: the fallback of the import system is taken away in the process that an actor system is forked from.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Host
from tests.system.test_running import ask, sources, tli

pytestmark = pytest.mark.system

WITHOUT = """
import _frozen_importlib, sys

def gone(spec):
    raise ImportError(f"the loader of {spec.name} has load_module only")

_frozen_importlib._load_backward_compatible = gone
"""

HOST = WITHOUT + "from director.actors.host import main\nsys.exit(main(sys.argv[1:]))\n"

THESPIANS_OWN = (
    WITHOUT
    + """
import io, zipfile
from thespian.system.sourceLoader import loadModuleFromHashSource
stream = io.BytesIO()
with zipfile.ZipFile(stream, "w") as archive:
    archive.writestr("app/__init__.py", "WORD = 1")
loadModuleFromHashSource("0" * 32, {"0" * 32: stream.getvalue()}, "app", "WORD")
"""
)


def test_thespians_own_importer_finds_nothing_there() -> None:
    done = subprocess.run(
        [sys.executable, "-c", THESPIANS_OWN], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1 and "load_module only" in done.stderr


def test_sources_load_there_all_the_same(host: Host, tmp_path: Path) -> None:
    state = host.control.state
    for place in (state, host.control.config.log_directory):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    result = tmp_path / "result.json"
    subprocess.run(
        [sys.executable, "-I", "-c", HOST, str(host.directory), str(state), str(result)],
        cwd="/",
        env={**host.environment(), "DIRECTOR_SYSTEM": str(state)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        check=True,
        timeout=60,
    )
    assert json.loads(result.read_text())["ok"]
    host.put("app", "1.0", tli(), sources("one"))
    host.control.load("app")
    assert ask(host, {})["word"] == "one"
