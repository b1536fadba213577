"""What is replaced under a running system: this package, and the base that the system stands on."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import director
from director.demo import free_port
from director.documents import schema
from director.tls.keys import SigningKey
from tests.conftest import Host, open_host
from tests.system.test_running import ask, sources, tli

pytestmark = pytest.mark.system


class Installed:
    """The package in an environment of its own, as a command and an actor system find it there."""

    def __init__(self, home: Path, host: Host) -> None:
        self.host = host
        self.package = home / "lib" / "director"
        shutil.copytree(
            Path(director.__file__).parent,
            self.package,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        venv.create(home / "venv", with_pip=False)
        self.python = home / "venv" / "bin" / "python"
        (site,) = (home / "venv" / "lib").glob("python*/site-packages")
        others = [path for path in sys.path if path.endswith("-packages")]
        (site / "here.pth").write_text("\n".join([str(self.package.parent), *others]))

    def speak(self, protocol: int | None) -> None:
        """Be a version of the package that speaks this protocol; None: the one of the tests."""
        there = self.package / "actors" / "messages.py"
        text = (Path(director.__file__).parent / "actors" / "messages.py").read_text()
        if protocol is not None:
            text, times = re.subn(r"^PROTOCOL = \d+$", f"PROTOCOL = {protocol}", text, flags=re.M)
            assert times == 1
        there.write_text(text)

    def run(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [self.python, "-m", "director", *words],
            cwd="/",
            env=self.host.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == status and "Traceback" not in done.stderr, done
        return done

    def document(self, *words: str, status: int = 0, name: str = "") -> Any:
        told = json.loads(self.run(*words, "--json", status=status).stdout)
        jsonschema.validate(told, schema(name or words[0]))
        return told


def test_after_an_upgrade_of_the_package_the_mismatch_is_told_and_the_procedure_mends_it(
    tmp_path: Path, host: Host
) -> None:
    """docs/operating.md, "After an upgrade of this package"."""
    installed = Installed(tmp_path, host)
    installed.speak(10_001)
    host.put("app", "1.0", tli(), sources("one"))
    installed.run("load", "app")
    installed.run("pin", "app")
    assert installed.document("status")["protocol"] == 10_001
    before = host.processes()

    installed.speak(None)
    for words in (["status"], ["load", "app"], ["list"], ["refresh"]):
        told = installed.document(*words, status=1, name="error")["error"]
        assert told["code"] == "protocol" and "10001" in told["message"], words
        assert "director shutdown" in told["hint"] and "director start" in told["hint"]
    assert "speaks protocol 10001" in installed.run("status", status=1).stderr
    found = {one["code"]: one for one in installed.document("doctor", status=1)["findings"]}
    assert "director shutdown" in found["protocol"]["remedy"]
    assert host.processes() == before, "nothing was changed by it"

    told = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
    page = told.partition("## After an upgrade of this package")[2].partition("\n## ")[0]
    procedure = re.findall(r"^    director (\w+)$", page, re.M)
    assert procedure == ["shutdown", "start"]
    for command in procedure:
        installed.run(command)
    assert ask(host, {})["word"] == "one"
    assert installed.document("status")["groups"][0]["pinned"] == "app-1.0.tls", "pins stay"
    events = [one["event"] for one in installed.document("history")["events"]]
    assert events.count("active") == 2 and not set(before) & set(host.processes())


@pytest.mark.parametrize(
    ("old", "new"),
    [("multiprocTCPBase", "multiprocUDPBase"), ("multiprocUDPBase", "multiprocTCPBase")],
)
def test_a_start_after_a_change_of_the_base_ends_the_system_of_the_old_one(
    tmp_path: Path, key: SigningKey, old: str, new: str
) -> None:
    with open_host(tmp_path, key, thespbase=old) as host:
        host.put("app", "1.0", tli(), sources("one"))
        command = [sys.executable, "-m", "director"]

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*command, *words],
                env={**os.environ, **host.environment()},
                capture_output=True,
                text=True,
                timeout=60,
                stdin=subprocess.DEVNULL,
            )

        assert run("load", "app").returncode == 0
        before = set(host.processes())
        (host.directory / "thespbase.cfg").write_text(new)
        (host.directory / "oldthespbase.cfg").write_text(old)
        done = run("start")
        assert done.returncode == 0 and f"of {old} was running and was shut down" in done.stderr, (
            done
        )
        told = json.loads(run("status", "--json").stdout)
        assert told["system_base"] == new and told["groups"][0]["active"]
        assert before and not before & set(told["processes"]), "nothing of the old one is left"
        config = run("config").stdout
        assert f"System Base: {new}" in config and f"OLD System Base: {old}" in config
        assert "already running" in run("start").stderr
        assert run("shutdown").stdout == "Shutdown completed\n" and not host.processes()


@pytest.mark.parametrize("setting", ["adminport", "thespbase"])
def test_a_change_of_port_or_base_counts_from_the_next_start_and_harms_nothing_that_runs(
    tmp_path: Path, key: SigningKey, setting: str
) -> None:
    with open_host(tmp_path, key) as host:
        host.put("app", "1.0", tli(), sources("one"))
        command = [sys.executable, "-m", "director"]

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*command, *words],
                env={**os.environ, **host.environment()},
                capture_output=True,
                text=True,
                timeout=60,
                stdin=subprocess.DEVNULL,
            )

        assert run("load", "app").returncode == 0
        before = sorted(host.processes())
        port = (host.directory / "adminport.cfg").read_text().strip()
        new = {"adminport": str(free_port()), "thespbase": "multiprocUDPBase"}[setting]
        (host.directory / f"{setting}.cfg").write_text(new)
        for words in (["start"], ["refresh"], ["load", "app"], ["list"], ["status"]):
            done = run(*words)
            assert done.returncode == 0, done
            assert f"while {setting}.cfg says {new}. That counts from the next start" in done.stderr
            assert sorted(host.processes()) == before
        told = json.loads(run("status", "--json").stdout)
        assert str(told["admin_port"]) == port and told["system_base"] == "multiprocTCPBase"
        found = json.loads(run("doctor", "--json").stdout)["findings"]
        assert [one["code"] for one in found if one["code"] in ("not-followed", "dead-admin")] == [
            "not-followed"
        ]
        assert run("shutdown").stdout == "Shutdown completed\n" and not host.processes()
        done = run("start")
        assert done.returncode == 0 and "next start" not in done.stderr
        told = json.loads(run("status", "--json").stdout)
        assert new in (str(told["admin_port"]), told["system_base"])
        assert run("shutdown").returncode == 0 and not host.processes()
