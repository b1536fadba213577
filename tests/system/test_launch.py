"""What a start leaves when it is broken off, and whose processes are whatever they call themselves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from director import kernel
from director.errors import DirectorError
from director.tls.keys import SigningKey
from tests.conftest import Host, open_host, small_disk
from tests.system import test_faults
from tests.system.test_faults import fill

pytestmark = pytest.mark.system

#: A start goes on quickly.
eventually = partial(test_faults.eventually, seconds=30, every=0.005)

LOOP = """
    import time
    from thespian.actors import ActorTypeDispatcher

    class Loop(ActorTypeDispatcher):
        def receiveMsg_dict(self, message, sender):
            while True:
                time.sleep(1)
"""


def command(host: Host, *words: str, python: str = sys.executable) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [python, "-m", "director", *words],
        env=host.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(host: Host, *words: str, python: str = sys.executable) -> tuple[int, str]:
    process = command(host, *words, python=python)
    out, _ = process.communicate(timeout=90)
    return process.returncode, out


def record(host: Host) -> dict[str, object]:
    try:
        found: dict[str, object] = json.loads((host.control.state / "system.json").read_text())
    except OSError:
        return {}
    return found


def marked(host: Host) -> list[int]:
    """The processes of the host's actor system, by what the kernel tells of their start."""
    mark = f"DIRECTOR_SYSTEM={host.control.state}".encode()
    return [
        pid
        for pid in kernel.all_pids()
        if mark in kernel.environment_of(pid) and kernel.is_there(pid)
    ]


def admin_dies(host: Host) -> None:
    host.control.close()
    os.kill(int(str(record(host)["admin_pid"])), signal.SIGKILL)
    eventually(lambda: not host.control.processes.admin_lives())


def test_a_start_that_is_interrupted_leaves_nothing(host: Host) -> None:
    starting = command(host, "start")
    eventually(lambda: len(marked(host)) > 1)
    starting.send_signal(signal.SIGINT)
    told, _ = starting.communicate(timeout=30)
    assert starting.returncode == 1 and "interrupted" in told
    assert not marked(host)
    assert host.control.start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_start_whose_command_is_killed_leaves_a_system_that_is_known(
    host: Host, number: signal.Signals
) -> None:
    starting = command(host, "start")
    eventually(lambda: record(host))
    starting.send_signal(number)
    starting.communicate(timeout=30)
    eventually(lambda: "session" in record(host))
    assert host.control.processes.members()
    admin_dies(host)
    status, told = run(host, "start")
    assert status == 0 and "were ended before the new one was started" in told
    assert set(marked(host)) == set(host.control.processes.members())


def test_what_is_left_of_a_start_whose_own_process_is_killed_is_ended(host: Host) -> None:
    starting = command(host, "start")
    eventually(lambda: "starting" in record(host) and len(marked(host)) > 2)
    os.kill(int(str(record(host)["starting"])), signal.SIGKILL)
    starting.kill()
    starting.communicate(timeout=30)
    assert marked(host) and not host.control.running()
    status, told = run(host, "start")
    assert status == 0, told
    assert set(marked(host)) == set(host.control.processes.members())


def test_a_system_whose_record_cannot_be_written_is_ended_again(host: Host) -> None:
    path = host.control.state / "system.json"

    def hinder() -> None:
        eventually(path.exists)  # from the first word of the start on
        path.rename(path.with_name("away"))
        (path / "full").mkdir(parents=True)

    thread = threading.Thread(target=hinder)
    thread.start()
    with pytest.raises(DirectorError, match=r"system\.json") as caught:
        host.control.start()
    thread.join()
    assert caught.value.code == "state" and "Make room" in caught.value.hint
    assert not marked(host)
    shutil.rmtree(path)
    assert host.control.start()


def test_nothing_is_started_whose_record_finds_no_room(
    tmp_path: Path, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path, "64k") as small:
        monkeypatch.setenv("THESPIAN_DIRECTOR_STATE", str(small))
        with open_host(tmp_path, key) as host:
            fill(small / "filler")
            status, told = run(host, "start")
            assert status == 1 and "No actor system was started" in told and "Make room" in told
            assert not marked(host)
            (small / "filler").unlink()
            assert host.control.start()


@pytest.mark.long
def test_processes_are_known_though_the_package_setproctitle_gives_them_titles(
    host: Host, tmp_path: Path
) -> None:
    """Thespian uses it where it is installed: here in an environment beside ours."""
    place, made = tmp_path / "titles", tmp_path / "venv"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(place)]
    subprocess.run([*pip, "setproctitle"], check=True, timeout=120)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(made)], check=True)
    (site,) = made.glob("lib/python3*/site-packages")
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n{place}\n")
    python = str(made / "bin/python")
    tli = "{'Actors': {'app.loop.Loop': {'OnLoad': {'Role': 'Loop'}}}}"
    host.put("app", "1.0", tli, {"app/__init__.py": "", "app/loop.py": LOOP})
    assert run(host, "start", python=python)[0] == 0
    members = host.control.processes.members()
    titles = [b" ".join(kernel.command_line_of(pid)) for pid in members]
    assert any(title.startswith(b"MultiProcAdmin") for title in titles), "it is used"

    def all_are_known() -> bool:  # one may begin or end between the two looks
        found = set(host.control.processes.members())
        return len(found) >= 5 and found == set(marked(host))

    eventually(all_are_known)

    admin_dies(host)
    status, told = run(host, "start", python=python)
    assert status == 0 and "were ended" in told
    role = host.control.role("Loop")
    host.control.system.ask(role.address, {}, timedelta(seconds=0.5))  # it loops from now on
    host.control.close()
    status, told = run(host, "shutdown", python=python)
    assert status == 0 and "was killed" in told
    assert not marked(host)
