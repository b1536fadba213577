"""Boot wiring on a machine that really boots systemd: bootstart, reboots, crashes, stops, bootstop.

The tests share one machine and are in the order of its life.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from director.tls.keys import SigningKey
from tests.conftest import make_tls
from tests.system.machine import Machine, cannot_boot

pytestmark = [pytest.mark.system, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
NAME = "thespian.director"
UNIT = f"{NAME}.service"
DIRECTORY = "/opt/thespian/director"
DIRECTOR = "/opt/venv/bin/director"
TLI = """{'Actors': {'app.echo.Echo': {'OnLoad': {
    'Role': 'Echo', 'Message': 'hello %s' % os.getenv('BOOT_WORD', 'nobody')}}}}"""
ECHO = """
    import logging, os
    from thespian.actors import ActorTypeDispatcher

    class Echo(ActorTypeDispatcher):
        heard = ""
        def receiveMsg_str(self, message, sender):
            self.heard = message
            logging.getLogger("app").warning("heard %s", message)
            logging.getLogger("app.large").warning("large %s", "y" * 300_000)
        def receiveMsg_dict(self, message, sender):
            told = {"version": VERSION, "heard": self.heard, "uid": os.getuid()}
            self.send(sender, told)
"""
CLIENT = """
import json
from datetime import timedelta
from director import DirectorControl
with DirectorControl() as control:
    role = control.role("Echo")
    print(json.dumps(control.system.ask(role.address, {}, timedelta(seconds=10))))
"""
SNAPSHOT = """
import hashlib, os, stat
for top, deep in (("/etc", 9), ("/opt", 0), ("/opt/thespian", 9), ("/usr/local", 1), ("/var/lib", 0),
                  ("/var/log", 0), ("/var/lib/private", 0), ("/var/log/private", 0),
                  ("/lib/systemd/system", 1)):
    for folder, names, files in os.walk(top):
        depth = folder[len(top):].count("/")
        for name in names + files:
            path = os.path.join(folder, name)
            # The user database has a lock and a copy of its last state.
            if folder == "/etc" and (name.endswith("-") or name == ".pwd.lock"):
                continue
            found = os.lstat(path)
            # Log files come and go, here and in the layer below; services make directories.
            if deep == 0 and (name == "private" or stat.S_ISREG(found.st_mode)):
                continue
            told = os.readlink(path) if os.path.islink(path) else ""
            if os.path.isfile(path) and not told and deep > 2:
                told = hashlib.sha256(open(path, "rb").read()).hexdigest()
            print(path, oct(found.st_mode), found.st_uid, told)
        if depth >= deep:
            names.clear()
"""


def tls(key: SigningKey, version: str) -> bytes:
    source = f"VERSION = {version!r}\n" + "\n".join(line[4:] for line in ECHO.splitlines())
    return make_tls(key, "app", version, TLI, {"app/__init__.py": "", "app/echo.py": source})


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Iterator[Machine]:
    work = tmp_path_factory.mktemp("machine")
    reason = cannot_boot(work)
    if reason:
        pytest.skip(f"NO MACHINE WAS BOOTED, boot wiring is not tested here: {reason}")
    made = Machine(work)
    directory = made.disk / DIRECTORY[1:]
    directory.mkdir(parents=True)
    (directory / "sourcekey_tls.key").write_bytes(key.public_pem)
    (directory / "app-1.0.tls").write_bytes(tls(key, "1.0"))
    (made.disk / "opt/client.py").write_text(CLIENT)
    (made.disk / "opt/snapshot.py").write_text(SNAPSHOT)
    (made.disk / "etc/default").mkdir(parents=True)
    (made.disk / "etc/default" / NAME).write_text("BOOT_WORD='from the file'\n")
    wheels = made.disk / "opt/wheels"
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(wheels), str(ROOT)], check=True, timeout=120)
    made.prepare("/usr/bin/python3", "-m", "venv", "/opt/venv")
    install = ["/opt/venv/bin/pip", "install", "--quiet", "--disable-pip-version-check"]
    (wheel,) = wheels.glob("*.whl")
    made.prepare(*install, f"/opt/wheels/{wheel.name}")
    try:
        made.boot()
        yield made
        made.power_off()
    finally:
        made.kill()


@pytest.fixture(scope="module")
def before(machine: Machine) -> list[str]:
    """The tree before bootstart touched it."""
    return snapshot(machine)


def snapshot(machine: Machine) -> list[str]:
    return sorted(machine.run("python3", "/opt/snapshot.py").splitlines())


def changes(machine: Machine, before: list[str]) -> list[str]:
    """What is not as it was, by the machine's own doing: the layer below its disk is a machine that lives on."""
    different = sorted(set(snapshot(machine)) ^ set(before))
    return [line for line in different if os.path.lexists(machine.disk / line.split()[0][1:])]


def answer(machine: Machine) -> dict[str, object]:
    told = machine.run("/opt/venv/bin/python", "/opt/client.py").splitlines()[-1]
    found: dict[str, object] = json.loads(told)
    return found


def show(machine: Machine, name: str) -> str:
    return machine.run("systemctl", "show", "--value", f"--property={name}", UNIT).strip()


def state(machine: Machine) -> str:
    return show(machine, "ActiveState")


def actors(machine: Machine) -> list[str]:
    """The processes of any actor system on the machine."""
    listed = machine.run("ps", "-eo", "pid=,user=,args=").splitlines()
    return [line for line in listed if "director" in line and "ps -eo" not in line]


def pid_of(machine: Machine, who: str) -> int:
    if who == "main":
        return int(show(machine, "MainPID"))
    code = (
        "from director import DirectorControl as C\n"
        "print(C().ask({'DirectorOp': 'Identify'}, 'Identity')"
        f"[{'AdminPid' if who == 'admin' else 'Pid'!r}])"
    )
    return int(machine.run("/opt/venv/bin/python", "-c", code))


def test_bootstart_is_one_command_and_the_actor_answers(
    machine: Machine, before: list[str]
) -> None:
    shown = machine.run(DIRECTOR, "bootstart", "--print")
    assert f"# /etc/systemd/system/{UNIT} (mode 0644)" in shown
    assert changes(machine, before) == [], "--print changes nothing"

    told = machine.run(DIRECTOR, "bootstart")
    assert told.splitlines()[0] == f"wrote /etc/systemd/system/{UNIT}"
    assert state(machine) == "active"
    assert show(machine, "StatusText") == "1 group active"
    found = answer(machine)
    assert found["version"] == "1.0" and found["heard"] == "hello from the file"
    assert found["uid"] != 0


def test_running_it_again_changes_nothing_and_says_so(machine: Machine) -> None:
    main = show(machine, "MainPID")
    assert machine.run(DIRECTOR, "bootstart") == "nothing to do: all is as it should be\n"
    assert show(machine, "MainPID") == main


def test_the_unit_verifies_and_its_exposure_is_at_most_2(machine: Machine) -> None:
    path = f"/etc/systemd/system/{UNIT}"
    assert machine.run("systemd-analyze", "verify", "--man=no", path) == ""
    told = machine.run("systemd-analyze", "security", "--no-pager", UNIT)
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", told)
    assert level and float(level[1]) <= 2.0, told


def test_the_journal_has_level_and_actor(machine: Machine) -> None:
    lines = machine.run("journalctl", "-u", UNIT, "-o", "json").splitlines()
    entries = [json.loads(line) for line in lines]
    (heard,) = [one for one in entries if one.get("LOGGER") == "app"]
    assert heard["PRIORITY"] == "4" and heard["ACTOR_ADDRESS"].startswith("ActorAddr-")
    assert "heard hello from the file" in heard["MESSAGE"]
    assert any(str(one.get("MESSAGE", "")).startswith("up: 1 group") for one in entries)
    whole = machine.run("journalctl", "-u", UNIT, "-o", "json", "--all").splitlines()
    (large,) = [one for one in map(json.loads, whole) if one.get("LOGGER") == "app.large"]
    assert large["MESSAGE"].endswith("y" * 300_000), "too large for a datagram"


def test_logs_of_a_group_are_read_from_the_journal(machine: Machine) -> None:
    lines = machine.run(DIRECTOR, "logs", "app").splitlines()
    (heard,) = [line for line in lines if "heard hello from the file" in line]
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} WARNING ActorAddr-\S+ app  heard", heard)
    assert any("group app: app.echo.Echo is ActorAddr-" in line for line in lines)


def test_a_name_whose_runtime_directory_is_another_services_is_refused(machine: Machine) -> None:
    machine.run("mkdir", "-p", "/run/web/socket", "/opt/other")
    elsewhere = ("env", "THESPIAN_DIRECTOR_DIR=/opt/other")
    done = machine.result(*elsewhere, DIRECTOR, "bootstart", "web", "nostart")
    machine.run("rm", "-r", "/run/web", "/opt/other")
    assert done.returncode == 5 and "/run/web is there" in done.stdout, done.stdout


def test_commands_by_hand_use_the_units_system(machine: Machine, key: SigningKey) -> None:
    (machine.disk / "opt/app-2.0.tls").write_bytes(tls(key, "2.0"))
    machine.run("cp", "/opt/app-2.0.tls", DIRECTORY)
    machine.run(DIRECTOR, "load", "app")
    assert answer(machine)["version"] == "2.0"
    assert all(" root " not in line for line in actors(machine)), actors(machine)
    assert not Path(machine.disk / DIRECTORY[1:] / ".state").exists()
    watched = machine.result("timeout", "--preserve-status", "6", DIRECTOR, "start", "wait")
    assert watched.returncode == 0 and "was not started here" in watched.stdout, watched.stdout
    assert state(machine) == "active" and answer(machine)["version"] == "2.0"


@pytest.mark.parametrize("victim", ["admin", "director", "main"])
def test_it_recovers_by_itself_with_what_was_active(machine: Machine, victim: str) -> None:
    # With the service's variables: else its TLI would be another than that of the version that is active already.
    machine.run("env", "BOOT_WORD=from the file", DIRECTOR, "load", "app-1.0.tls")
    machine.run("systemctl", "reset-failed", UNIT)  # the start limit is not what is tested
    restarts, main = int(show(machine, "NRestarts")), show(machine, "MainPID")
    # The main process asks what is active every five seconds.
    machine.eventually(lambda: "app-1.0.tls" in machine.run("cat", f"/run/{NAME}/active.json"))
    machine.run("kill", "-9", str(pid_of(machine, victim)))
    machine.eventually(lambda: show(machine, "MainPID") not in (main, "0"))
    machine.eventually(lambda: state(machine) == "active")
    assert int(show(machine, "NRestarts")) == restarts + 1
    assert answer(machine)["version"] == "1.0"
    assert len({line.split()[1] for line in actors(machine)}) == 1


def test_reload_loads_what_is_new(machine: Machine, key: SigningKey) -> None:
    (machine.disk / "opt/app-3.0.tls").write_bytes(tls(key, "3.0"))
    machine.run("cp", "/opt/app-3.0.tls", DIRECTORY)
    machine.run("systemctl", "reload", UNIT)
    assert answer(machine)["version"] == "3.0", "reload ends when it is loaded"
    assert state(machine) == "active"


def test_the_watchdog_kills_a_director_that_hangs_but_no_reload_that_takes_long(
    machine: Machine, key: SigningKey
) -> None:
    drop_in = f"/run/systemd/system/{UNIT}.d/watchdog.conf"
    text = "[Service]\\nWatchdogSec=5\\nTimeoutStartSec=5\\n"
    machine.run("sh", "-c", f"mkdir -p $(dirname {drop_in}); printf '{text}' > {drop_in}")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", UNIT)
    restarts = int(show(machine, "NRestarts"))
    slow = {"slow/__init__.py": "import time\ntime.sleep(7)\nclass Slow: pass\n"}
    tli = "{'Actors': {'slow.actor.Slow': {'OnLoad': {'Role': 'Slow'}}}}"
    slow["slow/actor.py"] = "from thespian.actors import Actor\nclass Slow(Actor): pass\n"
    (machine.disk / "opt/slow-1.0.tls").write_bytes(make_tls(key, "slow", "1.0", tli, slow))
    machine.run("cp", "/opt/slow-1.0.tls", DIRECTORY)
    machine.run("systemctl", "reload", UNIT)
    assert "Slow: slow.actor.Slow serving" in machine.run(DIRECTOR, "status")
    assert int(show(machine, "NRestarts")) == restarts
    machine.run("rm", f"{DIRECTORY}/slow-1.0.tls", "/opt/slow-1.0.tls")
    machine.run("systemctl", "stop", UNIT)
    machine.run("systemctl", "start", UNIT)

    restarts, main = int(show(machine, "NRestarts")), show(machine, "MainPID")
    machine.run("kill", "-STOP", str(pid_of(machine, "director")))
    machine.eventually(lambda: show(machine, "MainPID") not in (main, "0"))
    machine.eventually(lambda: state(machine) == "active")
    assert int(show(machine, "NRestarts")) == restarts + 1
    assert "Watchdog timeout" in machine.run("journalctl", "-u", UNIT, "-n", "60", "-o", "cat")
    assert answer(machine)["version"] == "3.0"
    machine.run("rm", "-r", f"/run/systemd/system/{UNIT}.d")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", UNIT)


def test_stop_leaves_no_process_and_start_by_hand_starts_the_unit(machine: Machine) -> None:
    machine.run("systemctl", "stop", UNIT)
    assert state(machine) == "inactive" and show(machine, "Result") == "success"
    assert actors(machine) == []
    machine.run(DIRECTOR, "start")
    assert state(machine) == "active"
    assert answer(machine)["version"] == "3.0"


def test_shutdown_by_another_user_sends_nothing(machine: Machine) -> None:
    main = show(machine, "MainPID")
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    done = machine.result(*nobody, DIRECTOR, "shutdown")
    assert done.returncode == 1 and "Root may" in done.stdout, done.stdout
    assert answer(machine)["version"] == "3.0" and show(machine, "MainPID") == main


def test_a_pin_is_obeyed_by_the_restart_after_a_crash(machine: Machine) -> None:
    machine.run(DIRECTOR, "pin", "app", "1.0")
    machine.run("systemctl", "reset-failed", UNIT)
    main = show(machine, "MainPID")
    machine.run("kill", "-9", main)
    machine.eventually(lambda: show(machine, "MainPID") not in (main, "0"))
    machine.eventually(lambda: state(machine) == "active")
    assert show(machine, "StatusText") == "1 group active"
    assert answer(machine)["version"] == "1.0"
    machine.run(DIRECTOR, "unpin", "app")
    machine.run("systemctl", "restart", UNIT)
    assert answer(machine)["version"] == "3.0", "a restart by hand is none after a crash"


def test_shutdown_by_hand_is_a_meant_end(machine: Machine) -> None:
    machine.run(DIRECTOR, "shutdown")
    machine.eventually(lambda: state(machine) == "inactive")
    assert show(machine, "Result") == "success" and actors(machine) == []
    machine.run("sleep", "2")  # longer than RestartSec
    assert state(machine) == "inactive"
    machine.run(DIRECTOR, "refresh")
    assert state(machine) == "active"


def test_after_a_reboot_it_answers_with_the_version_that_was_pinned(
    machine: Machine, key: SigningKey
) -> None:
    machine.run(DIRECTOR, "load", "app-1.0.tls")
    machine.run(DIRECTOR, "pin", "app")
    (machine.disk / "opt/app-4.0.tls").write_bytes(tls(key, "4.0"))
    machine.run("cp", "/opt/app-4.0.tls", DIRECTORY)
    machine.reboot()
    machine.eventually(lambda: state(machine) == "active")
    assert answer(machine)["version"] == "1.0"


def test_a_start_keeps_what_was_chosen_and_else_takes_the_newest(machine: Machine) -> None:
    machine.run(DIRECTOR, "unpin", "app")
    machine.run(DIRECTOR, "refresh")
    assert answer(machine)["version"] == "4.0"
    machine.run(DIRECTOR, "load", "app-3.0.tls")
    machine.run("systemctl", "stop", UNIT)
    machine.run("systemctl", "start", UNIT)
    assert answer(machine)["version"] == "3.0", "as it was chosen"
    machine.run("touch", f"{DIRECTORY}/app-4.0.tls")  # as if it came just now
    machine.run("systemctl", "stop", UNIT)
    machine.run("systemctl", "start", UNIT)
    assert answer(machine)["version"] == "4.0"


def test_a_broken_setting_is_a_failed_unit_whose_journal_says_where(machine: Machine) -> None:
    broken = f"{DIRECTORY}/othercaps.cfg"
    machine.run("sh", "-c", f'printf \'{{"a": 1,\\n  "b": nonsense}}\' > {broken}')
    ended = machine.run(DIRECTOR, "shutdown")
    assert f"{broken}:2:8:" in ended and "Shutdown completed" in ended, (
        "it does not keep it running"
    )
    machine.eventually(lambda: state(machine) == "inactive")
    assert show(machine, "Result") == "success" and actors(machine) == []
    done = machine.result("systemctl", "start", UNIT)
    assert done.returncode != 0 and state(machine) == "failed"
    assert show(machine, "ExecMainStatus") == "8" and show(machine, "NRestarts") == "0"
    invocation = f"_SYSTEMD_INVOCATION_ID={show(machine, 'InvocationID')}"
    told = machine.run("journalctl", invocation, "-o", "cat")
    assert told.count(f"{broken}:2:8:") == 1, told
    again = machine.result(DIRECTOR, "bootstart")
    assert again.returncode == 8 and f"{broken}:2:8:" in again.stdout
    machine.run("rm", broken)
    machine.run("systemctl", "start", UNIT)
    assert answer(machine)["version"] == "4.0"


def test_bootstop_leaves_the_tree_as_it_was(machine: Machine, before: list[str]) -> None:
    told = machine.result(DIRECTOR, "bootstop", "--purge").stdout
    assert f"removed /etc/systemd/system/{UNIT}" in told
    assert actors(machine) == []
    machine.run("sh", "-c", f"rm {DIRECTORY}/app-[234].0.tls /opt/app-*.tls")
    assert changes(machine, before) == []
    assert show(machine, "LoadState") == "not-found"
    assert machine.result(DIRECTOR, "bootstop").returncode == 4


def test_a_user_of_its_own_is_made_where_asked_and_goes_with_purge(
    machine: Machine, before: list[str]
) -> None:
    refused = machine.result(DIRECTOR, "bootstart", "actors", "--user", "actors")
    assert refused.returncode == 5 and "--create-user" in refused.stdout
    machine.run(DIRECTOR, "bootstart", "actors", "--user", "actors", "--create-user")
    assert answer(machine)["uid"] == int(machine.run("id", "-u", "actors"))
    told = machine.run("systemd-analyze", "security", "--no-pager", "actors.service")
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", told)
    assert level and float(level[1]) <= 2.0, told
    again = machine.run(DIRECTOR, "bootstart", "actors", "--user", "actors", "--create-user")
    assert again == "nothing to do: all is as it should be\n"
    machine.run(DIRECTOR, "bootstop", "actors", "--purge")
    assert changes(machine, before) == []


def test_a_service_that_does_not_come_up_is_taken_back_whole(
    machine: Machine, before: list[str]
) -> None:
    # A port that the service may not open, which only shows when it starts.
    machine.run("sh", "-c", f"printf 80 > {DIRECTORY}/adminport.cfg")
    done = machine.result(DIRECTOR, "bootstart")
    assert done.returncode == 5 and "`systemctl restart" in done.stdout, done.stdout
    assert "may not listen at port 80" in done.stdout, f"not its own words: {done.stdout}"
    machine.run("rm", f"{DIRECTORY}/adminport.cfg")
    for place in ("lib", "log"):
        machine.run("rm", "-rf", f"/var/{place}/private/{NAME}", f"/var/{place}/{NAME}")
    assert changes(machine, before) == []
    assert show(machine, "LoadState") == "not-found"


def test_odd_paths_and_the_longest_name_boot_also_as_another_user_and_go_whole(
    machine: Machine, before: list[str]
) -> None:
    name, directory, python = "n" * 190, "/opt/50% $HOME\\", "/opt/$ve/bin/python"
    machine.run("mkdir", directory)
    machine.run("ln", "-s", "/opt/venv", "/opt/$ve")
    director = ("env", f"THESPIAN_DIRECTOR_DIR={directory}", DIRECTOR)
    start = (*director, "bootstart", name, "--python", python)
    machine.run(*start)
    main = machine.run("systemctl", "show", "--value", "--property=MainPID", name).strip()
    told = machine.run("cat", f"/proc/{main}/environ")
    assert f"THESPIAN_DIRECTOR_DIR={directory}" in told.split("\0")
    assert machine.run("cat", f"/proc/{main}/cmdline").split("\0")[0] == python
    assert machine.run(*start) == "nothing to do: all is as it should be\n"

    machine.run("systemctl", "stop", name)
    link = f"/run/{name}"
    assert machine.run("readlink", link).strip() == f"private/{name}", "systemd leaves it"
    assert machine.result("test", "-e", link).returncode == 1
    told = machine.run(*start, "--user", "daemon")
    assert f"removed {link}, a link to nowhere" in told
    assert machine.run("systemctl", "is-active", name) == "active\n"
    machine.run(*start)  # a user that is made at each start again
    machine.run(*director, "bootstop", name, "--purge")
    assert machine.result("readlink", link).returncode == 1
    machine.run("rm", "-r", directory, "/opt/$ve")
    assert changes(machine, before) == []


def test_a_service_that_was_started_too_often_is_told_with_what_helps(machine: Machine) -> None:
    machine.run(DIRECTOR, "bootstart")
    drop_in = f"/run/systemd/system/{UNIT}.d"
    text = "[Unit]\\nStartLimitBurst=1\\n"
    machine.run("sh", "-c", f"mkdir {drop_in}; printf '{text}' > {drop_in}/limit.conf")
    machine.run("systemctl", "daemon-reload")

    def killed() -> str:
        main = show(machine, "MainPID")
        machine.run("kill", "-9", main)
        machine.eventually(
            lambda: show(machine, "MainPID") != main and state(machine) in ("active", "failed")
        )
        return state(machine)

    # daemon-reload may forget what was counted by then: the second time is too often.
    assert "failed" in (killed(), killed() if state(machine) == "active" else "")
    for command, status in (("start", 1), ("bootstart", 5)):
        done = machine.result(DIRECTOR, command)
        assert done.returncode == status, done.stdout
        assert f"`systemctl reset-failed {NAME}`" in done.stdout, done.stdout
        assert "group active" not in done.stdout, "of its last life"
    assert state(machine) != "active"
    machine.run("systemctl", "reset-failed", NAME)
    machine.run(DIRECTOR, "start")
    assert state(machine) == "active"
    machine.run("rm", "-r", drop_in)
    machine.run(DIRECTOR, "bootstop", "--purge")


def test_the_commands_of_the_manual_work_one_after_the_other(
    machine: Machine, before: list[str]
) -> None:
    manual = (ROOT / "docs" / "boot.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    ((?:director|systemctl|journalctl) .*)$", manual, re.MULTILINE)
    assert len(commands) == 10
    for command in commands:
        done = machine.result("sh", "-c", f"PATH=/opt/venv/bin:$PATH; {command}")
        assert done.returncode == 0, f"{command}: {done.stdout}"
    assert "PRIORITY=4" in machine.run("journalctl", "-u", UNIT, "-p", "warning", "-o", "export")
    assert answer(machine)["version"] == "1.0"
    machine.run(DIRECTOR, "bootstop", "--purge")
    assert changes(machine, before) == []


def test_the_containers_command_runs_as_its_user_on_a_read_only_disk(machine: Machine) -> None:
    """What the Containerfile says, as the first process of its own namespace: no engine is needed for that."""
    lines = (ROOT / "docs/container/Containerfile").read_text(encoding="utf-8").splitlines()
    image = lines[lines.index("COPY --from=build /opt/venv /opt/venv") :]
    told = [line.split(maxsplit=1) for line in image if line[:1].isupper()]
    variables = [value for word, value in told if word == "ENV"]
    (user,) = [value.split(":")[0] for word, value in told if word == "USER"]
    (prepare,) = [value for word, value in told if word == "RUN"]
    command = [
        one for word, value in told if word in ("ENTRYPOINT", "CMD") for one in json.loads(value)
    ]
    machine.run("sh", "-c", prepare)
    unshare = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child", "--mount"]
    state = [value.split("=")[1] for value in variables if "_STATE=" in value]
    binds = f'mount --bind {state[0]} {state[0]}; mount -o remount,bind,ro /; exec "$@"'
    drop = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs"]
    bounds = ["--bounding-set=-all", "--inh-caps=-all"]
    process = subprocess.Popen(
        machine.words(
            *unshare, "sh", "-ec", binds, "sh", *drop, *bounds, "env", *variables, *command
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        heard: list[str] = []
        for line in process.stdout:
            heard.append(json.loads(line)["message"])
            if {"up: 1 group active", "heard hello nobody"} <= set(heard):
                break
        assert process.poll() is None, heard

        manifest = yaml.safe_load((ROOT / "docs/container/kubernetes.yaml").read_text())
        (container,) = manifest["spec"]["template"]["spec"]["containers"]
        for probe in ("startupProbe", "readinessProbe"):
            words = container[probe]["exec"]["command"]
            done = machine.result("env", *variables, *words)
            assert done.returncode == 0, done.stdout
        machine.run("pkill", "-TERM", "-o", "-f", "director start wait --json-log", "-u", user)
        rest = [json.loads(line)["message"] for line in process.stdout]
        assert process.wait(30) == 0 and "shutting down" in rest
        assert actors(machine) == []
    finally:
        machine.result("pkill", "-KILL", "-u", user)
        process.communicate(timeout=30)
