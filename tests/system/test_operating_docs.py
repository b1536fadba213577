"""docs/operating.md: its commands one after the other, its TLI, and its examples for clients and actors."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from director.settings.tli import parse_tli
from tests.conftest import Host

pytestmark = pytest.mark.system

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")
FRONT = """
    from thespian.actors import ActorTypeDispatcher

    class Front(ActorTypeDispatcher):
        def receiveMsg_dict(self, message, sender):
            self.send(sender, {"ready": True} if message == {"ask": "ready"} else message)
"""


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.S)


def test_the_page_works_as_it_is_written(host: Host) -> None:
    tli, client, actor = blocks("python")
    parse_tli(tli, name="operating.md", environ={})
    tli = tli.replace("'Drain': 10", "'Drain': 0.2")  # its GlobalName waits for that at each switch
    for version in ("1.0", "2.0"):
        members = {"app/__init__.py": "", "app/front.py": FRONT}
        host.put("app", version, tli, members)
    host.put(
        "back",
        "1",
        "{'Actors': {'back.Back': {'OnLoad': {'Role': 'Back', 'Message': {'n': 1}}}}}",
        {"back.py": actor},
    )
    bin_ = Path(sys.executable).parent
    environ = {**host.environment(), "PATH": f"{bin_}:/usr/bin:/bin"}
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert lines[-1] == "director shutdown"
    for line in lines[:-1]:
        done = subprocess.run(line.split(), env=environ, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    done = subprocess.run(
        [sys.executable, "-c", client], env=environ, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "{'ask': 'status'}\n", done.stderr
    assert host.control.role("Back") is not None
    done = subprocess.run(
        lines[-1].split(), env=environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
