"""What breaks, what the operator sees then, and that the other groups go on answering."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from director.actors.doors import NOTEBOOK_CLASS
from director.actors.leftovers import port_of
from director.actors.notebook import NOTEBOOK_NAME
from director.errors import DirectorError, LoadFailed, NotRunning
from director.tls.keys import SigningKey
from tests.conftest import Asker, Host, open_host, small_disk

pytestmark = pytest.mark.system

WORKER = """
    import os
    from thespian.actors import ActorTypeDispatcher

    class Worker(ActorTypeDispatcher):
        def receiveMsg_dict(self, message, sender):
            self.send(sender, {"version": "VERSION", "pid": os.getpid(), **message})
"""


#: This host has seen what it has seen: other bytes need another version.
VERSIONS = itertools.count(2)


def tli(group: str, role: str, more: str = "") -> str:
    return f"{{'Actors': {{'{group}.work.Worker': {{'OnLoad': {{'Role': {role!r}{more}}}}}}}}}"


def put(host: Host, group: str, version: str, role: str, more: str = "", body: str = "") -> Path:
    code = (body or WORKER).replace("VERSION", version)
    members = {f"{group}/__init__.py": "", f"{group}/work.py": code}
    return host.put(group, version, tli(group, role, more), members)


@pytest.fixture
def two(host: Host) -> Host:
    """A host on which a group that breaks and one that goes on are loaded."""
    put(host, "app", "1", "App")
    put(host, "other", "1", "Other")
    host.control.load("app")
    host.control.load("other")
    return host


def pid_of(host: Host, role: str) -> int:
    found = host.control.role(role)
    assert found is not None
    return int(found.ask({})["pid"])


def back(host: Host, victim: int) -> bool:
    """Whether another process than this answers for App; what was sent to a killed one is lost."""
    found = host.control.role("App")
    try:
        return found is not None and int(found.ask({}, timeout=1)["pid"]) != victim
    except DirectorError:
        return False


def eventually(holds: Callable[[], object], seconds: float = 10, every: float = 0.05) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(every)


def director(host: Host, *words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "director", *words],
        env=host.environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )


def _listener(host: Host, pattern: str) -> int:
    """The process that listens at the port that a log line names last."""
    log = (Path(host.control.config.log_directory) / "thespian.log").read_text()
    return _listening(host, int(re.findall(pattern, log)[-1][1]))


def _listening(host: Host, port: int) -> int:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
            socket = f"socket:[{fields[9]}]"
            for pid in host.processes():
                for link in Path(f"/proc/{pid}/fd").iterdir():
                    with contextlib.suppress(OSError):  # it was closed meanwhile
                        if str(link.readlink()) == socket:
                            return pid
    raise AssertionError("nobody listens there")


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("named", ["", ", 'GlobalName': 'The App'"])
def test_a_role_actor_that_is_killed_comes_back_once(host: Host, named: str) -> None:
    put(host, "app", "1", "App", named)
    put(host, "other", "1", "Other")
    host.control.load("app")
    host.control.load("other")
    before = set(host.processes())
    other = Asker(host, "Other", {}, 5)
    victim = pid_of(host, "App")
    kill(victim)
    eventually(lambda: back(host, victim))
    assert all(answer["version"] == "1" for answer in other.answers())
    after = set(host.processes())
    assert len(after) <= len(before) and victim not in after, "no orphan, no double"
    told = director(host, "status")
    assert told.returncode == 0 and "died 1 times" in told.stdout
    assert host.control.history("app")[-1].event == "actor-died"


def test_the_director_is_killed_and_its_successor_takes_over(two: Host) -> None:
    before = {role: pid_of(two, role) for role in ("App", "Other")}
    put(two, "app", "2", "App")
    two.control.load("app")
    newer = pid_of(two, "App")
    kill(two.control.status().director_pid)
    two.control.close()
    told = director(two, "status")
    # Whoever was first brought the new one: this command, or the Source Authority.
    assert told.returncode == 0 and ("had died" in told.stderr or "has died" in log_of(two))
    assert "app.work.Worker serving" in told.stdout and "retired" in told.stdout
    assert re.search(r"^The Director before it DIED; .* at \d{4}-\d\d-\d\d", told.stdout, re.M)
    assert pid_of(two, "Other") == before["Other"] and pid_of(two, "App") == newer
    # an adopted actor is supervised as well, and its version can be upgraded and unloaded
    kill(newer)
    eventually(lambda: back(two, newer))
    put(two, "app", "3", "App")
    assert two.control.load("app").changed
    for digest in two.control.loaded("app")["app"]["Loaded"]:
        two.control.unload(digest)
    assert before["App"] not in two.processes() and pid_of(two, "Other") == before["Other"]


def log_of(host: Host) -> str:
    return (Path(host.control.config.log_directory) / "thespian.log").read_text()


@pytest.mark.parametrize("base", ["multiprocTCPBase", "multiprocUDPBase"])
def test_a_director_that_is_killed_gets_a_successor_without_any_command(
    tmp_path: Path, key: SigningKey, base: str
) -> None:
    with open_host(tmp_path, key, thespbase=base) as host:
        put(host, "app", "1", "App")
        put(host, "other", "1", "Other")
        host.control.load("app")
        host.control.load("other")
        victim, other = pid_of(host, "App"), pid_of(host, "Other")
        before = host.control.status().director_pid
        if base == "multiprocTCPBase":  # what it has to leave is kept anew
            system = host.control.connection.system
            book = system.createActor(NOTEBOOK_CLASS, globalName=NOTEBOOK_NAME)
            kill(_listening(host, port_of(book)))
            eventually(lambda: len(told_by_notebook(host)) == 2, 30)
        kill(before)
        host.control.close()
        eventually(lambda: "has taken over" in log_of(host), 15)
        # Nobody's child now, an adopted actor's death is seen all the same.
        kill(victim)
        eventually(lambda: back(host, victim))
        assert pid_of(host, "Other") == other
        now = host.control.status()
        assert now.director_pid != before and now.groups[0].well
        assert now.took_over and abs(now.took_over - datetime.now(UTC)) < timedelta(minutes=1)


def told_by_notebook(host: Host) -> list[Any]:
    """What a successor would know of versions."""
    system = host.control.connection.system
    book = system.createActor(NOTEBOOK_CLASS, globalName=NOTEBOOK_NAME)
    told = system.ask(book, {"NotebookOp": "Recall"}, 1)
    note = told.get("Note") if isinstance(told, dict) else None
    return list(note["Versions"]) if note else []


def test_a_load_over_which_the_director_dies_says_so(two: Host) -> None:
    slow = "import time; time.sleep(6)\n" + WORKER.replace("\n    ", "\n")
    put(two, "app", "2", "App", body=slow)
    command = [sys.executable, "-m", "director", "load", "app"]
    loading = subprocess.Popen(
        command, env=two.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    eventually(lambda: two.control.status("app").groups[0].loading is not None)
    kill(two.control.status().director_pid)
    _, said = loading.communicate(timeout=20)
    assert loading.returncode == 1 and "Director died over this request" in said
    two.control.close()
    assert two.control.status("app").groups[0].well
    answer = two.control.role("App")
    assert answer is not None and answer.ask({})["version"] == "1"


def test_the_source_authority_is_killed_and_the_next_load_brings_another(two: Host) -> None:
    kill(_listener(two, r"(ActorAddr-\(T\|:(\d+)\)) director\.authority"))
    put(two, "app", "2", "App")
    assert two.control.load("app").changed
    bad = two.directory / "app-3.tls"
    bad.write_bytes((two.directory / "app-2.tls").read_bytes()[:-1] + b"\0")
    request = {"DirectorOp": "LoadSource", "Source": str(bad), "Wait": True}
    assert two.control.ask(request, "LoadResult", 20)["Code"] == "signature"
    assert pid_of(two, "Other")


def test_the_admin_is_killed_status_says_so_and_start_cleans_up(two: Host) -> None:
    left = two.processes()
    admin = min(left)
    kill(admin)
    two.control.close()
    eventually(lambda: not two.control.running())
    told = director(two, "status")
    assert told.returncode == 3 and "Admin" in told.stderr and "director start" in told.stderr
    assert "dead-admin" in director(two, "doctor").stdout
    told = director(two, "start")
    assert told.returncode == 0 and "were ended" in told.stderr
    assert not set(left) & set(two.processes())
    assert pid_of(two, "App") and pid_of(two, "Other")


def test_a_cli_that_is_killed_in_mid_load_leaves_a_load_that_is_decided(two: Host) -> None:
    slow = "import time; time.sleep(2)\n" + WORKER.replace("\n    ", "\n")
    put(two, "app", "2", "App", body=slow)
    command = [sys.executable, "-m", "director", "load", "app"]
    loading = subprocess.Popen(command, env=two.environment())
    eventually(lambda: two.control.status("app").groups[0].loading is not None)
    loading.kill()
    loading.wait()
    assert pid_of(two, "Other")
    eventually(lambda: len(two.control.loaded("app")["app"]["Loaded"]) == 2)
    eventually(lambda: two.control.status("app").groups[0].loading is None)
    answer = two.control.role("App")
    assert answer is not None and answer.ask({})["version"] == "2"


def test_two_commands_that_load_at_once_are_both_answered(two: Host) -> None:
    put(two, "app", "2", "App")
    put(two, "app", "3", "App")
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "director", "load", name],
            env=two.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("app-2.tls", "app-3.tls", "app-3.tls")
    ]
    for process in processes:
        _, said = process.communicate(timeout=40)
        # Whoever comes with 2 after 3 was seen hears just that.
        assert process.returncode == 0 or "older than 3" in said, said
    states = [v.state for v in two.control.status("app").groups[0].versions]
    assert states.count("active") == 1 and len(states) in {2, 3}
    assert pid_of(two, "Other")


@pytest.mark.parametrize(
    ("where", "what", "says"),
    [
        ("import", "sys.exit(3)", "SystemExit"),
        ("import", "os._exit(3)", "ended before it was ready"),
        ("init", "sys.exit(3)", "ended before it was ready"),
        ("init", "os._exit(3)", "ended before it was ready"),
        ("init", "raise ValueError('no luck')", "no luck"),
    ],
)
def test_a_source_that_ends_its_process_fails_its_load_soon(
    breaking: Host, where: str, what: str, says: str
) -> None:
    line = f"\n    import sys, os; {what}\n"
    body = line + WORKER
    if where == "init":
        init = f"        def __init__(self):\n            import sys, os; {what}\n"
        body = WORKER + init
    path = put(breaking, "app", str(next(VERSIONS)), "App", body=body)
    started = time.monotonic()
    with pytest.raises(LoadFailed, match=says):
        breaking.control.load("app")
    assert time.monotonic() - started < 8
    path.unlink()
    assert pid_of(breaking, "Other") and pid_of(breaking, "App")


def test_a_source_that_forks_and_prints_100_mb_disturbs_nobody(breaking: Host) -> None:
    noisy = """
    import os, subprocess, sys
    for _ in range(100):
        print("x" * (1 << 20))
        print("y" * 1000, file=sys.stderr)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    subprocess.run([sys.executable, "-c", "print(1)"], check=True)
    """
    path = put(breaking, "app", str(next(VERSIONS)), "App", body=noisy + WORKER)
    breaking.control.load("app")
    found = breaking.control.role("App")
    assert found is not None and found.ask({})["version"] != "1"
    assert pid_of(breaking, "Other")
    breaking.control.load("app-1.tls")
    path.unlink()


@pytest.mark.slow
def test_a_source_that_loops_for_ever_is_given_up_and_its_process_killed(breaking: Host) -> None:
    # In its __init__: an import that loops is ended by the process itself (director.actors.runtime).
    init = "        def __init__(self):\n            while True: pass\n"
    path = put(breaking, "app", str(next(VERSIONS)), "App", body=WORKER + init)
    before = set(breaking.processes())
    with pytest.raises(LoadFailed, match=r"not ready within|took more than"):
        breaking.control.load("app")
    path.unlink()
    assert pid_of(breaking, "Other") and pid_of(breaking, "App")
    eventually(lambda: set(breaking.processes()) <= before, 15)


@pytest.mark.long
def test_a_global_name_that_thespian_gives_to_nobody_any_more_is_blocked(host: Host) -> None:
    named, drain = ", 'GlobalName': 'The App'", ", 'Drain': 0.2}"
    text = tli("app", "App", named)[:-1] + drain
    members = {"app/__init__.py": "", "app/work.py": WORKER.replace("VERSION", "1")}
    host.put("app", "1", text, members)
    host.control.load("app")
    flag = host.directory.parent / "tried"
    # The trial without the name passes; the one with it ends its process, and that poisons the name in Thespian.
    init = (
        "        def __init__(self):\n"
        f"            if os.path.exists({str(flag)!r}): os._exit(3)\n"
        f"            open({str(flag)!r}, 'w').close()\n"
    )
    host.put("app", "2", text, {**members, "app/work.py": WORKER + init})
    with pytest.raises(LoadFailed, match="ended before it was ready"):
        host.control.load("app")
    assert not host.control.status("app").groups[0].well
    eventually(lambda: bool(host.control.status("app").blocked), 45)
    host.put("app", "3", text, members)
    with pytest.raises(LoadFailed, match="restart of the actor system"):
        host.control.load("app")
    told = director(host, "status")
    assert told.returncode == 1 and "BLOCKED 'The App'" in told.stdout


@pytest.fixture(scope="module")
def breaking(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Iterator[Host]:
    """One host for many sources that break."""
    with open_host(tmp_path_factory.mktemp("breaking"), key) as made:
        put(made, "app", "1", "App")
        put(made, "other", "1", "Other")
        made.control.load("app")
        made.control.load("other")
        yield made


def test_a_missing_directory_and_a_state_that_cannot_be_written(tmp_path: Path) -> None:
    def run(directory: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "THESPIAN_DIRECTOR_DIR": str(directory), **environ}
        command = [sys.executable, "-m", "director", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)

    for words in (["avail"], ["start"], ["load", "app"], ["refresh"]):
        told = run(tmp_path / "nowhere", *words)
        assert told.returncode == 4 and "does not exist" in told.stderr
        assert "THESPIAN_DIRECTOR_DIR" in told.stderr and "Traceback" not in told.stderr
    here = tmp_path / "here"
    here.mkdir()
    # /proc takes no directories, not even from root: like a read-only file system.
    told = run(here, "start", THESPIAN_DIRECTOR_STATE="/proc/director")
    assert told.returncode in {1, 4} and "/proc/director" in told.stderr
    assert "Traceback" not in told.stderr


def fill(path: Path) -> None:
    """Write until the file system takes no more."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass


def test_a_full_disk_fails_the_load_and_what_runs_goes_on(
    tmp_path: Path, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path, "200k") as small:
        monkeypatch.setenv("THESPIAN_DIRECTOR_STATE", str(small))
        with open_host(tmp_path, key) as host:
            put(host, "app", "1", "App")
            host.control.load("app")
            members = {"app/__init__.py": "", "app/work.py": WORKER, "app/big.txt": "x" * 300_000}
            host.put("app", "2", tli("app", "App"), members)
            with pytest.raises(DirectorError, match="No space left"):
                host.control.load("app")
            fill(small / "filler")
            told = {one.code: one for one in host.control.doctor()}
            text = told["disk-full"].text
            assert str(small) in text and " is full: " in text and told["disk-full"].remedy
            done = director(host, "doctor")
            assert done.returncode == 1 and "Traceback" not in done.stderr
            assert f"The disk of {small}, for state" in done.stdout
            found = host.control.role("App")
            assert found is not None and found.ask({})
            (small / "filler").unlink()
            put(host, "app", "3", "App")
            assert host.control.load("app").changed


def test_without_a_system_nothing_is_started_by_looking(host: Host) -> None:
    with pytest.raises(NotRunning):
        host.control.status()
    assert not host.control.running()


@contextlib.contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """The directory as a read-only file system, which root has to respect too."""
    if subprocess.run(["mount", "--bind", directory, directory], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", directory], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def test_a_state_that_became_read_only_fails_the_load_and_what_runs_goes_on(two: Host) -> None:
    put(two, "app", "2", "App")
    with read_only(two.directory):
        told = director(two, "load", "app")
        assert told.returncode != 0 and "Read-only file system" in told.stderr
        assert "Traceback" not in told.stderr and "Traceback" not in told.stdout
        assert "read-only" in director(two, "doctor").stdout.lower()
        assert pid_of(two, "App") and pid_of(two, "Other")
        app = two.control.status("app").groups[0]
        assert [v.version for v in app.versions if v.state == "active"] == ["1"]
    assert two.control.load("app").changed


def test_a_director_directory_may_be_read_only_where_the_state_is_elsewhere(
    tmp_path: Path, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THESPIAN_DIRECTOR_STATE", str(tmp_path / "state"))
    with open_host(tmp_path, key) as host:
        for version in ("1", "2", "3"):
            text = tli("app", "App")[:-1] + ", 'TLS_Keep_Limit': 1}"
            members = {"app/__init__.py": "", "app/work.py": WORKER.replace("VERSION", version)}
            host.put("app", version, text, members)
        put(host, "other", "1", "Other")
        with read_only(host.directory):
            assert director(host, "start").returncode == 0
            assert pid_of(host, "App") and pid_of(host, "Other")
            eventually(lambda: "TLS_Keep_Limit of app" in log_of(host))
            assert len(list(host.directory.glob("app-*.tls"))) == 3
            host.control.shutdown()


@pytest.mark.long
def test_a_restarted_actor_that_hangs_in_its_init_is_killed_and_created_again(
    host: Host, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    body = f"""
    import os, time
    from thespian.actors import ActorTypeDispatcher

    class Worker(ActorTypeDispatcher):
        def __init__(self):
            with open({str(pids)!r}, "a") as told:
                told.write(f"{{os.getpid()}}\\n")
            with open({str(pids)!r}) as told:
                if len(told.readlines()) == 2:
                    time.sleep(300)
        def receiveMsg_dict(self, message, sender):
            self.send(sender, {{"pid": os.getpid()}})
"""
    put(host, "app", "1", "App", body=body)
    host.control.load("app")
    kill(pid_of(host, "App"))
    eventually(lambda: len(pids.read_text().split()) == 3, 60)  # 30 s to be up, 10 s to exit
    first, hung, last = map(int, pids.read_text().split())
    eventually(lambda: back(host, first))
    assert not {first, hung} & set(host.processes()) and last in host.processes()
    assert "killed" in [event.event for event in host.control.history("app")]


@pytest.mark.long
def test_an_actor_that_dies_before_a_shutdown_that_comes_to_nothing_is_created_again(
    host: Host,
) -> None:
    put(host, "app", "1", "App")
    host.control.load("app")
    victim = pid_of(host, "App")
    host.control.ask({"DirectorOp": "Closing"}, "Closing", 3.0)  # and its command is killed
    kill(victim)
    time.sleep(5)
    assert not back(host, victim)
    eventually(lambda: back(host, victim), 70)
    assert host.control.status("app").groups[0].well
