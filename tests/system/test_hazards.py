"""What Thespian does that could hurt, driven against real systems."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from director.actors.host import OPEN_FILES
from director.errors import LoadFailed, NotRunning
from director.kernel import session_members
from tests.conftest import Host
from tests.system.test_running import ask, director, eventually, sources, tli

pytestmark = pytest.mark.system

BROKEN = "        def __init__(self):\n            {what}\n"


def admin_of(host: Host) -> int:
    """The Admin's process id, as the Director tells it."""
    return int(host.control.ask({"DirectorOp": "Identify"}, "Identity")["AdminPid"])


@pytest.mark.parametrize(
    "what",
    [
        "raise ValueError('no luck')",
        # Thespian tells nobody of this end: only the time-out of readiness notices it.
        pytest.param("import os; os._exit(7)", marks=pytest.mark.slow),
    ],
)
def test_a_failed_start_of_a_named_actor_does_not_poison_its_name(host: Host, what: str) -> None:
    broken = sources("broken")
    broken["app/echo.py"] += BROKEN.format(what=what)
    host.put("app", "1.0", tli(name="The Echo"), broken)
    with pytest.raises(LoadFailed):
        host.control.load("app")
    host.put("app", "1.1", tli(name="The Echo"), sources("mended"))
    host.control.load("app")
    assert ask(host, {})["word"] == "mended"


def test_after_a_failed_create_list_and_load_go_on_working(host: Host) -> None:
    host.put("app", "1.0", tli().replace("echo.Echo", "echo.NoSuch"), sources())
    with pytest.raises(LoadFailed, match="NoSuch"):
        host.control.load("app")
    assert host.control.loaded() == {}
    host.put("app", "1.1", tli(), sources())
    host.control.load("app")
    assert list(host.control.loaded()) == ["app"]


def test_an_answer_that_comes_too_late_is_never_taken_for_another_ones(host: Host) -> None:
    host.put("app", "1.0", tli(), sources())
    host.control.load("app")
    role = host.control.role("Echo")
    assert role is not None
    host.control.system.tell(role.address, {"stray": True})
    eventually(lambda: host.control.role("Echo") is not None)
    assert host.control.ask({"DirectorOp": "Identify"}, "Identity")["Success"]


def test_a_dead_admin_is_told_and_what_it_left_is_ended_by_shutdown(host: Host) -> None:
    host.put("app", "1.0", tli(), sources())
    host.control.load("app")
    members = host.processes()
    os.kill(admin_of(host), signal.SIGKILL)
    eventually(lambda: not host.control.running(), 1)
    assert len(host.processes()) > 1, "its actors go on without it"
    host.control.close()
    with pytest.raises(NotRunning):
        host.control.loaded()
    done = director(host, "shutdown")
    assert done.returncode == 0 and "died and left" in done.stderr
    assert not host.processes() and len(members) > 2
    assert director(host, "shutdown").returncode == 3


def test_a_start_after_a_dead_admin_ends_what_it_left_first(host: Host) -> None:
    host.put("app", "1.0", tli(), sources("one"))
    host.control.load("app")
    session = os.getsid(admin_of(host))
    os.kill(admin_of(host), signal.SIGKILL)
    eventually(lambda: not host.control.running(), 1)
    host.control.close()
    done = director(host, "load", "app")
    assert done.returncode == 0 and "died and left" in done.stderr
    assert not session_members(session)
    assert ask(host, {})["word"] == "one"


def test_a_session_number_that_is_another_ones_by_now_ends_nobody(host: Host) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"],
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    try:
        assert other.stdout is not None
        other.stdout.readline()
        host.control.state.mkdir(parents=True, exist_ok=True)
        (host.control.state / "system.json").write_text(f'{{"session": {other.pid}}}')
        assert session_members(other.pid) == [other.pid]
        assert director(host, "shutdown").returncode == 3
        assert other.poll() is None
    finally:
        other.kill()
        other.communicate()


def test_neither_path_nor_signals_nor_modules_of_the_caller_reach_an_actor(
    host: Host, tmp_path: Path
) -> None:
    (tmp_path / "stray").mkdir()
    (tmp_path / "stray" / "stray_module.py").write_text("")
    told = sources()
    told["app/words.py"] = (
        "import importlib.util, signal, sys\n"
        "WORD = {'path': sys.path, 'rich': 'rich' in sys.modules,\n"
        "        'stray': importlib.util.find_spec('stray_module') is not None,\n"
        "        'hup': signal.getsignal(signal.SIGUSR2) is signal.SIG_IGN}\n"
    )
    host.put("app", "1.0", tli(), told)
    caller = (
        "import signal, sys, rich\n"
        "signal.signal(signal.SIGUSR2, signal.SIG_IGN)\n"
        "from director import DirectorControl\n"
        "with DirectorControl() as control:\n"
        "    control.load('app')\n"
    )
    subprocess.run(
        [sys.executable, "-c", caller],
        env={**host.environment(), "PYTHONPATH": str(tmp_path / "stray")},
        cwd=tmp_path / "stray",
        check=True,
        timeout=60,
    )
    word = ask(host, {})["word"]
    assert not word["stray"] and not word["rich"] and not word["hup"]
    assert "" not in word["path"] and str(tmp_path / "stray") not in word["path"]


def test_a_file_of_12_mb_loads(host: Host) -> None:
    big = sources()
    noise = os.urandom(6_000_000).hex()  # 12 MB of text that deflates to half
    big["app/noise.txt"] = noise + os.urandom(3_000_000).hex()
    path = host.put("app", "1.0", tli(), big)
    assert path.stat().st_size > 9_000_000
    host.control.load("app")
    assert ask(host, {})["word"] == "one"
    done = director(host, "tlsinfo", "app-1.0.tls", "contents")
    assert done.returncode == 0 and "18000000  app/noise.txt" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/PID/limits")
def test_more_connections_than_the_callers_limit_of_open_files_do_not_end_the_admin(
    host: Host,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        host.control.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    host.put("app", "1.0", tli(), sources())
    host.control.load("app")
    wanted = min(hard, OPEN_FILES)
    pids = [admin_of(host), ask(host, {})["pid"]]
    port = json.loads((host.directory / ".state" / "system.json").read_text())["admin_port"]
    with contextlib.ExitStack() as held:
        for _ in range(300):
            held.enter_context(socket.create_connection(("127.0.0.1", port), 5))
        assert host.control.loaded()
    assert admin_of(host) == pids[0]
    for pid in pids:  # an actor is a fork of the Director
        assert f"Max open files            {wanted} " in Path(f"/proc/{pid}/limits").read_text()


@pytest.mark.slow
def test_a_port_where_something_else_answers_is_told_within_seconds(host: Host) -> None:
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", host.control.config.admin_port))
        server.listen()
        started = time.monotonic()
        done = director(host, "list")
        assert done.returncode == 1 and "no actor system" in done.stderr
        assert "Traceback" not in done.stderr
        assert time.monotonic() - started < 40


def test_two_loads_at_once_start_one_system_and_both_tell_the_truth(host: Host) -> None:
    host.put("app", "1.0", tli(), sources("one"))
    host.put("other", "1.0", tli().replace("'Echo'", "'Other'"), sources("other"))
    commands = [
        subprocess.Popen(
            [sys.executable, "-m", "director", "load", group],
            env=host.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for group in ("app", "other")
    ]
    for command in commands:
        out, err = command.communicate(timeout=60)
        assert command.returncode == 0 and out.startswith("Loaded"), err
    assert set(host.control.loaded()) == {"app", "other"}


@pytest.mark.slow
def test_an_actor_that_ignores_its_exit_is_killed_at_shutdown(host: Host) -> None:
    stuck = sources()
    stuck["app/echo.py"] += (
        "        def receiveMsg_tuple(self, message, sender):\n"
        "            import time\n"
        "            time.sleep(600)\n"
    )
    host.put("app", "1.0", tli(), stuck)
    host.control.load("app")
    role = host.control.role("Echo")
    assert role is not None
    host.control.system.tell(role.address, ("sleep",))
    assert host.control.system.ask(role.address, {}, timedelta(seconds=1)) is None
    done = director(host, "shutdown", timeout=90)
    assert done.returncode == 0 and not host.processes()
