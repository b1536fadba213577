"""`director start wait` as its service manager sees it: a real system, a real notify socket, real signals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from director.journal import JournalHandler
from tests.conftest import Host

pytestmark = pytest.mark.system

TLI = "{'Actors': {'app.echo.Echo': {'OnLoad': {'Role': 'Echo', 'Message': 'hello'}}}}"
ECHO = """
    import logging
    from thespian.actors import ActorTypeDispatcher

    class Echo(ActorTypeDispatcher):
        def receiveMsg_str(self, message, sender):
            logging.getLogger("app").warning("heard %s\\nand more", message)
"""
SOURCES = {"app/__init__.py": "", "app/echo.py": ECHO}
OTHER_TLI = "{'Actors': {'other.echo.Echo': {'OnLoad': {'Role': 'Other', 'Message': 'hello'}}}}"
OTHER = {"other/__init__.py": "", "other/echo.py": ECHO}
BROKEN = {"app/__init__.py": "", "app/echo.py": "import no_such_module_at_all\n"}


class Manager:
    """Starts `start wait` and reads what it tells, as systemd would."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host = host
        self.folder = folder
        self.told: list[str] = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(b"\0director-test-%d" % os.getpid())
        self.socket.settimeout(0.1)
        self.process: subprocess.Popen[str] | None = None
        self.errors = folder / "stderr"

    def start(self, *words: str, **environment: str) -> None:
        self.drain()
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "director", "start", "wait", *words],
                env={
                    **self.host.environment(),
                    "NOTIFY_SOCKET": f"@director-test-{os.getpid()}",
                    "WATCHDOG_USEC": "3000000",
                    **environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def hear(self, line: str, seconds: float = 30) -> None:
        """Wait until the service tells this; what was told before does not count."""
        deadline = time.monotonic() + seconds
        while not any(told.startswith(line) for told in self.told):
            assert time.monotonic() < deadline, f"{line} was not told: {self.told} {self.log()}"
            self.listen()
        self.told.clear()

    def listen(self) -> None:
        try:
            self.told += self.socket.recv(4096).decode().splitlines()
        except TimeoutError:
            assert self.process is not None

    def drain(self) -> None:
        """Forget what was told until now."""
        with contextlib.suppress(TimeoutError):
            while True:
                self.socket.recv(4096)
        self.told.clear()

    def log(self) -> str:
        return self.errors.read_text()

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def ended(self, seconds: float = 30) -> int:
        """The exit status; nothing of the system is left by then."""
        assert self.process is not None
        status = self.process.wait(seconds)
        assert self.host.processes() == [], self.log()
        return status

    def stop(self) -> None:
        """End it, however far it is."""
        self.host.control.close()
        if self.process is not None:
            if self.process.poll() is None:
                self.process.terminate()
            self.process.wait(30)
            assert self.process.stdout is not None
            self.process.stdout.close()
        self.socket.close()

    def identity(self) -> dict[str, Any]:
        return self.host.control.ask({"DirectorOp": "Identify"}, "Identity")


@pytest.fixture
def manager(host: Host, tmp_path: Path) -> Iterator[Manager]:
    made = Manager(host, tmp_path)
    try:
        yield made
    finally:
        made.stop()


def active(host: Host) -> str:
    groups = host.control.loaded()
    return str(groups["app"]["Versions"][groups["app"]["ActiveHash"]]["Version"])


def test_ready_comes_when_every_group_was_tried_and_a_bad_one_keeps_nothing_down(
    manager: Manager, host: Host
) -> None:
    host.put("app", "1.0", TLI, SOURCES)
    host.put("bad", "1.0", TLI, BROKEN)
    manager.start()
    deadline = time.monotonic() + 30
    while "READY=1" not in manager.told and time.monotonic() < deadline:
        manager.listen()
    assert "STATUS=1 group active; not loaded: bad" in manager.told
    assert active(host) == "1.0"
    assert 'error: "bad"' in manager.log() and "no_such_module_at_all" in manager.log()
    manager.hear("WATCHDOG=1")

    host.put("app", "2.0", TLI, SOURCES)
    manager.signal(signal.SIGHUP)
    manager.hear("RELOADING=1")
    manager.hear("READY=1")
    assert active(host) == "2.0"

    manager.signal(signal.SIGTERM)
    manager.hear("STOPPING=1")
    assert manager.ended() == 0


@pytest.mark.parametrize("victim", ["AdminPid", "Pid"])
def test_a_dead_admin_or_director_fails_the_service_and_leaves_nothing(
    manager: Manager, host: Host, victim: str
) -> None:
    host.put("app", "1.0", TLI, SOURCES)
    manager.start()
    manager.hear("READY=1")
    os.kill(manager.identity()[victim], signal.SIGKILL)
    assert manager.ended() == 1
    assert {"AdminPid": "The Admin died", "Pid": "The Director died"}[victim] in manager.log()


def test_shutdown_by_hand_is_a_meant_end(manager: Manager, host: Host) -> None:
    manager.start()
    manager.hear("READY=1")
    subprocess.run(
        [sys.executable, "-m", "director", "shutdown"], env=host.environment(), check=True
    )
    assert manager.ended() == 0
    assert "the actor system was shut down" in manager.log()


def test_no_watchdog_word_while_the_director_does_not_answer(manager: Manager, host: Host) -> None:
    manager.start()
    manager.hear("READY=1")
    pid = manager.identity()["Pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        quiet = time.monotonic() + 4
        while time.monotonic() < quiet:
            manager.listen()
        # One answer may have been under way.
        assert manager.told.count("WATCHDOG=1") <= 1, manager.told
    finally:
        os.kill(pid, signal.SIGCONT)
    manager.hear("WATCHDOG=1")


def test_sigterm_while_groups_are_being_loaded_ends_at_once(manager: Manager, host: Host) -> None:
    slow = {"app/__init__.py": "", "app/echo.py": "import time\ntime.sleep(60)\n"}
    host.put("app", "1.0", TLI, slow)
    manager.start()
    manager.hear("STATUS=loading")
    manager.signal(signal.SIGTERM)
    assert manager.ended(15) == 0  # the load itself is given up after 25 s


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_first_moments_ends_it_cleanly(
    manager: Manager, host: Host, number: signal.Signals
) -> None:
    """As soon as Python runs our first line: long before the command line is imported."""
    manager.start()
    assert manager.process is not None
    status = Path(f"/proc/{manager.process.pid}/status")
    deadline = time.monotonic() + 10
    while not blocked(status) >> (number - 1) & 1:
        assert time.monotonic() < deadline and manager.process.poll() is None
    manager.signal(number)
    assert manager.ended() == 0, manager.log()
    assert "Traceback" not in manager.log() and "STATUS=loading" not in manager.told


def test_told_to_stop_over_and_over_it_still_ends_in_order(manager: Manager, host: Host) -> None:
    """`timeout` tells its command twice, an impatient operator more often."""
    manager.start()
    manager.hear("READY=1")
    assert manager.process is not None
    deadline = time.monotonic() + 30
    while manager.process.poll() is None and time.monotonic() < deadline:
        manager.signal(signal.SIGTERM)
        time.sleep(0.001)
    assert manager.ended() == 0, manager.log()


def blocked(status: Path) -> int:
    """The signals that a process has blocked, as a bit mask (proc(5), SigBlk)."""
    (line,) = [one for one in status.read_text().splitlines() if one.startswith("SigBlk")]
    return int(line.split()[1], 16)


def test_no_process_of_the_system_has_signals_blocked(manager: Manager, host: Host) -> None:
    manager.start()
    manager.hear("READY=1")
    for pid in (manager.identity()["AdminPid"], manager.identity()["Pid"]):
        assert blocked(Path(f"/proc/{pid}/status")) == 0
    manager.signal(signal.SIGTERM)
    assert manager.ended() == 0


def watcher(host: Host, **environment: str) -> subprocess.Popen[str]:
    """A further `start wait` by hand, which has come up."""
    process = subprocess.Popen(
        [sys.executable, "-m", "director", "start", "wait"],
        env={**host.environment(), **environment},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "up: " in line:
            return process
    raise AssertionError("it did not come up")


def ended(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    process.send_signal(number)
    _, told = process.communicate(timeout=30)
    return process.returncode, told


def test_a_second_start_wait_watches_the_firsts_system_and_takes_over_when_the_first_was_killed(
    manager: Manager, host: Host
) -> None:
    manager.start()
    manager.hear("READY=1")
    status, told = ended(watcher(host), signal.SIGTERM)
    assert status == 0 and "the actor system goes on" in told
    assert manager.process is not None and manager.process.poll() is None
    assert host.control.running()

    manager.process.kill()
    manager.process.wait(30)
    assert host.control.running()
    status, told = ended(watcher(host), signal.SIGTERM)
    assert status == 0 and "shutting down" in told
    assert host.processes() == []


def test_a_system_of_start_without_wait_is_only_watched(host: Host) -> None:
    host.control.start()
    status, told = ended(watcher(host), signal.SIGINT)
    assert status == 0 and "the actor system goes on" in told
    assert host.control.running()


@pytest.mark.parametrize("stop", [False, True], ids=["left alone", "SIGTERM"])
def test_a_director_that_goes_on_hanging_fails_the_service_and_hinders_no_stop(
    host: Host, stop: bool
) -> None:
    """There is not everywhere a watchdog: a limit of our own, here a shorter one."""
    code = """
import director.foreground, director.system
from director.cli import main
director.foreground.SILENCE = 2.0
director.system.SystemProcesses.wait_until_gone.__defaults__ = (3.0,)
main()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, "start", "wait"],
        env={**host.environment(), "WATCHDOG_USEC": "3000000"},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "up: " in line:
            break
    os.kill(host.control.ask({"DirectorOp": "Identify"}, "Identity")["Pid"], signal.SIGSTOP)
    host.control.close()
    if stop:
        process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=40)
    if stop:
        assert process.returncode == 0 and "shutting down" in told, told
    else:
        assert process.returncode == 1 and "has not answered for 2 s" in told, told
    assert "Traceback" not in told and host.processes() == []


def test_a_reload_is_over_when_what_is_new_was_loaded_and_fails_with_a_group(
    manager: Manager, host: Host, tmp_path: Path
) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    host.put("app", "1.0", TLI, SOURCES)
    manager.start(RUNTIME_DIRECTORY=str(runtime))
    manager.hear("READY=1")
    assert manager.process is not None
    words = [sys.executable, "-I", "-m", "director.reload", str(manager.process.pid)]
    environment = {**host.environment(), "RUNTIME_DIRECTORY": str(runtime)}

    def reload() -> subprocess.CompletedProcess[str]:
        manager.drain()  # there is room for ten messages
        return subprocess.run(
            words, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    host.put("app", "2.0", TLI, SOURCES)
    done = reload()
    assert done.returncode == 0 and done.stderr == "" and active(host) == "2.0"
    host.put("bad", "1.0", TLI, BROKEN)
    done = reload()
    assert done.returncode == 1 and "not loaded: bad" in done.stderr
    assert active(host) == "2.0" and manager.process.poll() is None
    manager.signal(signal.SIGTERM)
    assert manager.ended() == 0
    assert reload().returncode == 1, "there is no such process any more"

    (host.directory / "bad-1.0.tls").unlink()
    manager.start(RUNTIME_DIRECTORY=str(runtime))  # as after a restart, which keeps the directory
    manager.hear("READY=1")
    words[-1] = str(manager.process.pid)
    assert reload().returncode == 0
    manager.signal(signal.SIGTERM)
    assert manager.ended() == 0


def test_settings_that_do_not_read_are_told_once_in_one_place(manager: Manager, host: Host) -> None:
    broken = host.directory / "othercaps.cfg"
    broken.write_text("{ 'a': nonsense }")
    for words in ([], ["--json-log"]):
        manager.start(*words)
        assert manager.process is not None and manager.process.stdout is not None
        assert manager.process.wait(30) == 8
        out = manager.process.stdout.read()
        assert (out + manager.log()).count(str(broken)) == 1, (out, manager.log())
        if words:
            assert manager.log() == "" and json.loads(out)["level"] == "ERROR"
        manager.process.stdout.close()
    broken.unlink()


def test_settings_that_do_not_read_exit_8_and_tell_file_line_and_column(
    manager: Manager, host: Host
) -> None:
    (host.directory / "othercaps.cfg").write_text("{ 'a': 1,\n  'b': nonsense }")
    manager.start()
    assert manager.process is not None and manager.process.wait(30) == 8
    assert f"{host.directory}/othercaps.cfg:2:8:" in manager.log()
    (host.directory / "othercaps.cfg").unlink()


def test_a_restart_after_a_crash_restores_what_was_active_a_new_start_takes_the_newest(
    manager: Manager, host: Host, tmp_path: Path
) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    host.put("app", "1.0", TLI, SOURCES)
    manager.start(RUNTIME_DIRECTORY=str(runtime))
    manager.hear("READY=1")
    host.put("app", "2.0", TLI, SOURCES)  # not loaded yet, and a crash is no refresh
    os.kill(manager.identity()["AdminPid"], signal.SIGKILL)
    assert manager.ended() == 1
    host.control.close()

    manager.start(RUNTIME_DIRECTORY=str(runtime))
    manager.hear("READY=1")
    assert active(host) == "1.0"
    manager.signal(signal.SIGINT)
    assert manager.ended() == 0
    host.control.close()

    assert not (runtime / "active.json").exists(), "which systemd keeps for `systemctl restart`"
    manager.start(RUNTIME_DIRECTORY=str(runtime))
    manager.hear("READY=1")
    assert active(host) == "2.0"


def command(host: Host, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "director", *words],
        env=host.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def crash(manager: Manager, host: Host) -> None:
    os.kill(manager.identity()["AdminPid"], signal.SIGKILL)
    assert manager.ended() == 1
    host.control.close()


def test_a_restart_after_a_crash_obeys_a_pin_and_forgets_no_group_that_it_cannot_restore(
    manager: Manager, host: Host, tmp_path: Path
) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    host.put("app", "1.0", TLI, SOURCES)
    other = host.put("other", "1.0", OTHER_TLI, OTHER)
    manager.start(RUNTIME_DIRECTORY=str(runtime))
    manager.hear("READY=1")
    host.put("app", "2.0", TLI, SOURCES)
    host.control.load("app")
    manager.hear("WATCHDOG=1")  # so it has asked what is active
    assert "2.0" in (runtime / "active.json").read_text()
    host.control.pin("app", "1.0")
    good = other.read_bytes()
    other.write_bytes(b"damaged")
    crash(manager, host)

    manager.start(RUNTIME_DIRECTORY=str(runtime))
    manager.hear("STATUS=1 group active; not loaded: other")
    assert active(host) == "1.0", "the pinned one"
    assert "not restored: other" in manager.log()
    told = host.control.status()
    (bad,) = [one for one in told.groups if not one.well]
    assert bad.name == "other" and bad.failure and "`director load other`" in bad.failure.text
    findings = [one for one in host.control.doctor() if one.level == "error"]
    assert any(one.code == "start" and "other" in one.text for one in findings), findings
    shown = command(host, "status")
    assert shown.returncode == 1 and "other: NOT WELL" in shown.stdout
    crash(manager, host)
    other.write_bytes(good)

    manager.start(RUNTIME_DIRECTORY=str(runtime))
    manager.hear("STATUS=2 groups active")
    assert active(host) == "1.0"
    other.unlink()
    newer = host.put("other", "1.1", OTHER_TLI, OTHER)
    crash(manager, host)

    manager.start(RUNTIME_DIRECTORY=str(runtime))
    manager.hear("STATUS=2 groups active")
    assert newer.name in str(host.control.loaded("other"))
    host.put("third", "1.0", TLI, SOURCES)
    shown = command(host, "status")
    assert shown.returncode == 0 and "`director load third`" in shown.stderr
    assert ("not-loaded", "third") in [
        (one.code, one.text.split(":")[0]) for one in host.control.doctor()
    ]


def test_json_log_has_our_lines_and_the_actors_a_document_a_line(
    manager: Manager, host: Host
) -> None:
    host.put("app", "1.0", TLI, SOURCES)
    manager.start("--json-log")
    manager.hear("READY=1")
    manager.signal(signal.SIGTERM)
    assert manager.process is not None and manager.process.stdout is not None
    lines = [json.loads(line) for line in manager.process.stdout]
    assert manager.ended() == 0
    (heard,) = [line for line in lines if line["logger"] == "app"]
    assert heard["level"] == "WARNING" and heard["message"] == "heard hello\nand more"
    assert heard["actor"].startswith("ActorAddr-") and heard["time"].endswith("+00:00")
    assert any(line["message"].startswith("up: 1 group active") for line in lines)


def test_a_system_that_was_started_elsewhere_is_watched_not_ended_and_no_service_takes_it(
    manager: Manager, host: Host
) -> None:
    host.control.start()
    # With another state directory, as a service has one, the system is not its own.
    other = str(manager.folder / "state")
    manager.start(THESPIAN_DIRECTOR_STATE=other)
    manager.hear("READY=1")
    manager.signal(signal.SIGTERM)
    assert manager.process is not None and manager.process.wait(30) == 0
    assert host.control.running()

    manager.start(THESPIAN_DIRECTOR_STATE=other, DIRECTOR_SERVICE="x")
    assert manager.process.wait(30) == 1
    assert "not this service's" in manager.log() and host.control.running()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_process_of_a_container_waits_for_orphans_and_ends_on_a_signal(
    host: Host, tmp_path: Path, number: signal.Signals
) -> None:
    """The command as PID 1 of a PID namespace of its own; needs root or user namespaces."""
    host.put("app", "1.0", TLI, SOURCES)
    unshare = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("no PID namespace can be made here: the test of PID 1 was NOT run")
    process = subprocess.Popen(
        [*unshare, sys.executable, "-m", "director", "start", "wait", "--json-log"],
        env=host.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    heard = []
    for line in process.stdout:
        heard.append(line)
        if "up: 1 group" in line:
            break
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    first = int(children[0])
    orphan = [
        "nsenter",
        "-t",
        str(first),
        "-p",
        "-m",
        "sh",
        "-c",
        "for i in 1 2 3 4 5; do (sleep 0.2 &) ; done",
    ]
    subprocess.run(orphan, check=True)
    deadline = time.monotonic() + 10
    zombies = ["?"]
    while zombies and time.monotonic() < deadline:
        time.sleep(0.1)
        listed = subprocess.run(
            ["ps", "-o", "stat=,comm=", "--ppid", str(first)], capture_output=True, text=True
        ).stdout.splitlines()
        zombies = [line for line in listed if line.startswith("Z") or "sleep" in line]
    assert not zombies
    os.kill(first, number)
    heard += process.stdout.readlines()
    assert process.wait(30) == 0
    # A document a line, and nothing else.
    assert "shutting down" in [json.loads(line)["message"] for line in heard]
    process.stdout.close()


def test_the_journal_gets_level_actor_and_whole_tracebacks(tmp_path: Path) -> None:
    import logging

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(b"\0director-journal-%d" % os.getpid())
        handler = JournalHandler(f"\0director-journal-{os.getpid()}")
        record = logging.LogRecord("app", 40, "x.py", 7, "two\nlines", None, None)
        record.actorAddress = "ActorAddr-1"
        handler.emit(record)
        handler.close()
        entry = journal.recv(4096)
    message = b"ActorAddr-1 two\nlines"
    assert b"MESSAGE\n" + len(message).to_bytes(8, "little") + message + b"\n" in entry
    assert b"PRIORITY=3\n" in entry and b"ACTOR_ADDRESS=ActorAddr-1\n" in entry
