"""`start wait` where nothing more can be written or read, or something goes wrong that nobody foresaw."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from director.tls.keys import SigningKey
from tests.conftest import Host, open_host, small_disk
from tests.system.test_faults import eventually, fill
from tests.system.test_foreground import SOURCES, TLI, Manager, manager

pytestmark = pytest.mark.system
__all__ = ["manager"]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, "256k") as place:
        yield place


def test_a_full_runtime_directory_ends_no_service(
    small: Path, manager: Manager, host: Host
) -> None:
    host.put("app", "1.0", TLI, SOURCES)
    manager.start(RUNTIME_DIRECTORY=str(small))
    manager.hear("READY=1")
    eventually((small / "active.json").exists)
    fill(small / "filler")
    host.put("app", "2.0", TLI, SOURCES)
    assert manager.process is not None
    done = subprocess.run(
        [sys.executable, "-I", "-m", "director.reload", str(manager.process.pid)],
        env={**os.environ, "RUNTIME_DIRECTORY": str(small)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1 and "No space left" in done.stderr
    manager.hear("READY=1")
    manager.hear("WATCHDOG=1")
    manager.hear("WATCHDOG=1")
    assert manager.process.poll() is None
    assert manager.log().count("active.json cannot be written: No space left") == 1
    (small / "filler").unlink()
    eventually(lambda: "app-2.0.tls" in (small / "active.json").read_text())
    manager.signal(signal.SIGTERM)
    assert manager.ended() == 0


def test_a_state_directory_that_is_full_when_the_groups_are_loaded_leaves_the_service_up(
    small: Path, tmp_path: Path, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THESPIAN_DIRECTOR_STATE", str(small))
    with open_host(tmp_path, key) as host:
        made = Manager(host, tmp_path)
        try:
            made.start()
            eventually(lambda: "session" in _record(small))
            fill(small / "filler")
            made.hear("READY=1")
            assert "boot.json cannot be written: No space left" in made.log()
            (small / "filler").unlink()
            made.signal(signal.SIGTERM)
            assert made.ended() == 0
        finally:
            made.stop()


def _record(state: Path) -> str:
    try:
        return (state / "system.json").read_text()
    except OSError:
        return ""


def test_what_nobody_foresaw_leaves_no_process_behind(host: Host) -> None:
    code = """
import director.startup
from director.cli import main
def fail(self):
    raise RuntimeError("nobody foresaw this")
director.startup.Loads.at_start = fail
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "start", "wait"],
        env=host.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1 and "RuntimeError: nobody foresaw this" in done.stderr
    assert host.control.processes.members() == []


@pytest.mark.parametrize("words", [(), ("--json-log",)])
def test_a_director_directory_that_is_missing_is_told_and_not_made(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    missing = tmp_path / "missing"
    done = subprocess.run(
        [sys.executable, "-m", "director", "start", "wait", *words],
        env={**os.environ, "THESPIAN_DIRECTOR_DIR": str(missing)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 4 and not missing.exists()
    told = json.loads(done.stdout)["message"] if words else done.stderr
    assert f"{missing} does not exist" in told


def test_a_reader_of_the_json_log_that_stalls_holds_up_neither_start_nor_end(
    manager: Manager, host: Host
) -> None:
    import fcntl

    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, b"x" * 4096)
    process = subprocess.Popen(
        [sys.executable, "-m", "director", "start", "wait", "--json-log"],
        env={**host.environment(), "NOTIFY_SOCKET": f"@director-test-{os.getpid()}"},
        stdin=subprocess.DEVNULL,
        stdout=writing,
        text=True,
    )
    os.close(writing)
    manager.process = process
    try:
        manager.hear("READY=1")
        process.terminate()
        assert process.wait(30) == 0
        assert host.processes() == []
    finally:
        process.kill()
        process.wait(30)
        manager.process = None
        os.close(reading)


def test_a_stop_while_the_actor_system_is_being_started_takes_it_back(
    manager: Manager, host: Host
) -> None:
    manager.start()
    assert manager.process is not None
    eventually(lambda: "starting" in _record(host.control.state))
    hanging = json.loads(_record(host.control.state))["starting"]
    os.kill(hanging, signal.SIGSTOP)
    manager.signal(signal.SIGTERM)
    assert manager.ended(20) == 0
    assert not Path(f"/proc/{hanging}").exists() and host.control.processes.strays() == []
