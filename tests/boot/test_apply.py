"""Performing plans and taking them back, with a runner that plays the service manager."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from director.boot import render
from director.boot.apply import install, remove
from director.boot.commands import Done, run_command
from director.boot.host import detect
from director.boot.plan import Plan, Service
from director.errors import BootError, NotFound
from director.service import find_unit

UNIT = "etc/systemd/system/x.service"


def plan(directory: str = "/opt/thespian/director") -> Plan:
    return render("systemd", Service("x", "/opt/venv/bin/python", directory))


@dataclass
class Systemctl:
    """A manager that remembers; ``broken`` names words on which it fails."""

    enabled: bool = False
    active: bool = False
    failed: bool = False
    user: bool = False
    broken: str = ""
    journal: str = "the service's last words"
    ran: list[str] = field(default_factory=list)

    def __call__(self, words: Sequence[str]) -> Done:
        if words[0] == "journalctl":
            return Done(0, "" if words[1] == "--sync" else self.journal)
        verb = words[1] if words[0] == "systemctl" else words[0]
        if verb == "id":
            return Done(0 if self.user else 1, "")
        if verb == "is-enabled":
            return Done(0 if self.enabled else 1, "")
        if verb == "is-active":
            return Done(0 if self.active else 3, "")
        if verb == "show":
            told = {
                "--property=ActiveState": "active"
                if self.active
                else "failed"
                if self.failed
                else "inactive",
                "--property=UnitFileState": "enabled" if self.enabled else "disabled",
            }
            return Done(0, told.get(words[3], "1 group active"))
        self.ran.append(" ".join(words[1:]))
        if self.broken == verb:
            if verb in ("start", "restart"):  # what does not come up is tried again by itself
                self.active = True
            return Done(1, f"no {verb} today")
        if verb in ("enable", "disable"):
            self.enabled = verb == "enable"
        if verb in ("start", "restart", "stop"):
            self.active = verb in ("start", "restart")
        if verb in ("systemd-sysusers", "userdel"):
            self.user = verb == "systemd-sysusers"
        return Done(0, "")


def test_it_writes_enables_and_starts_then_has_nothing_to_do(tmp_path: Path) -> None:
    systemctl = Systemctl()
    told = install(plan(), start=True, run=systemctl, root=str(tmp_path))
    assert told[0] == f"wrote {tmp_path / UNIT}"
    assert systemctl.ran == ["daemon-reload", "enable x.service", "restart x.service"]
    assert (tmp_path / UNIT).stat().st_mode & 0o777 == 0o644
    systemctl.ran.clear()
    again = install(plan(), start=True, run=systemctl, root=str(tmp_path))
    assert again == ["nothing to do: all is as it should be"] and systemctl.ran == []


def test_only_what_differs_is_changed(tmp_path: Path) -> None:
    systemctl = Systemctl()
    install(plan(), start=True, run=systemctl, root=str(tmp_path))
    systemctl.ran.clear()
    told = install(plan("/srv/other"), start=True, run=systemctl, root=str(tmp_path))
    assert told[0] == f"changed {tmp_path / UNIT}"
    assert systemctl.ran == ["daemon-reload", "restart x.service"]
    systemctl.ran.clear()
    systemctl.active = False
    told = install(plan("/srv/other"), start=True, run=systemctl, root=str(tmp_path))
    assert told == ["start x.service"] and systemctl.ran == ["start x.service"]


def test_nostart_starts_nothing(tmp_path: Path) -> None:
    systemctl = Systemctl()
    install(plan(), start=False, run=systemctl, root=str(tmp_path))
    assert systemctl.enabled and not systemctl.active


@pytest.mark.parametrize("broken", ["daemon-reload", "enable", "restart"])
def test_a_command_that_fails_is_named_and_everything_is_taken_back(
    tmp_path: Path, broken: str
) -> None:
    systemctl = Systemctl(broken=broken)
    with pytest.raises(BootError, match=f"`systemctl {broken}.*no {broken} today") as caught:
        install(plan(), start=True, run=systemctl, root=str(tmp_path))
    assert caught.value.exit_status == 5 and "as it was before" in caught.value.hint
    if broken == "restart":
        assert "the service's last words" in caught.value.message
        assert "stop x.service" in systemctl.ran, "else the manager would start it again"
    assert list(tmp_path.iterdir()) == [] and not systemctl.enabled and not systemctl.active


@dataclass
class Interrupted:
    """A manager over whose command the operator loses patience, again and again."""

    manager: Systemctl
    verb: str
    number: signal.Signals = signal.SIGINT

    def __call__(self, words: Sequence[str]) -> Done:
        done = self.manager(words)  # which goes on with it all the same
        if self.verb in words:
            os.kill(os.getpid(), self.number)
            time.sleep(0.01)
        return done


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("verb", ["daemon-reload", "enable", "restart"])
def test_an_interruption_takes_everything_back(
    tmp_path: Path, verb: str, number: signal.Signals
) -> None:
    systemctl, before = Systemctl(), signal.getsignal(number)
    with pytest.raises(BootError, match="interrupted") as caught:
        install(plan(), start=True, run=Interrupted(systemctl, verb, number), root=str(tmp_path))
    assert caught.value.exit_status == 5 and "as it was before" in caught.value.hint
    assert list(tmp_path.iterdir()) == [] and not systemctl.enabled and not systemctl.active
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("verb", ["stop", "disable", "daemon-reload"])
def test_an_interrupted_removal_brings_the_service_back(tmp_path: Path, verb: str) -> None:
    systemctl = Systemctl()
    install(plan(), start=True, run=systemctl, root=str(tmp_path))
    with pytest.raises(BootError, match="interrupted") as caught:
        remove(plan(), run=Interrupted(systemctl, verb), root=str(tmp_path))
    assert "The service is as it was before" in caught.value.hint
    assert (tmp_path / UNIT).is_file() and systemctl.enabled and systemctl.active


def test_a_mistake_of_ours_takes_everything_back_and_stays_one(tmp_path: Path) -> None:
    systemctl = Systemctl()

    def broken(words: Sequence[str]) -> Done:
        if "restart" in words:
            raise RuntimeError("nobody foresaw this")
        return systemctl(words)

    with pytest.raises(RuntimeError):
        install(plan(), start=True, run=broken, root=str(tmp_path))
    assert list(tmp_path.iterdir()) == [] and not systemctl.enabled


def test_a_change_that_fails_brings_the_old_service_back(tmp_path: Path) -> None:
    systemctl = Systemctl()
    install(plan(), start=True, run=systemctl, root=str(tmp_path))
    before = (tmp_path / UNIT).read_bytes()
    systemctl.broken = "restart"
    with pytest.raises(BootError, match="no restart today"):
        install(plan("/srv/other"), start=True, run=systemctl, root=str(tmp_path))
    assert (tmp_path / UNIT).read_bytes() == before
    assert systemctl.enabled and systemctl.active and systemctl.ran[-1] == "start x.service"


@pytest.mark.parametrize("broken", ["restart", "start"])
def test_a_change_that_fails_leaves_a_service_that_did_not_run_as_it_was(
    tmp_path: Path, broken: str
) -> None:
    systemctl = Systemctl()
    install(plan(), start=True, run=systemctl, root=str(tmp_path))
    before = (tmp_path / UNIT).read_bytes()
    systemctl.broken = broken
    systemctl.active = False
    other = plan("/srv/other") if broken == "restart" else plan()
    with pytest.raises(BootError, match=f"no {broken} today"):
        install(other, start=True, run=systemctl, root=str(tmp_path))
    assert (tmp_path / UNIT).read_bytes() == before
    assert systemctl.enabled and not systemctl.active


def test_a_service_that_was_started_too_often_is_told_with_what_helps(tmp_path: Path) -> None:
    said = "x.service: Start request repeated too quickly.\nx.service: Failed with result 'signal'."
    systemctl = Systemctl(journal=said)
    install(plan(), start=True, run=systemctl, root=str(tmp_path))
    systemctl.broken, systemctl.active = "start", False
    with pytest.raises(BootError, match="repeated too quickly") as caught:
        install(plan(), start=True, run=systemctl, root=str(tmp_path))
    assert "`systemctl reset-failed x`" in caught.value.hint
    assert "1 group active" not in str(caught.value), "the words of its last life"


def user_plan() -> Plan:
    return render("systemd", Service("x", "/opt/python", "/opt/d", user="daemon"))


def test_a_link_to_nowhere_that_systemd_left_does_not_keep_a_users_service_from_starting(
    tmp_path: Path,
) -> None:
    link = tmp_path / "run/x"
    link.parent.mkdir()
    link.symlink_to("private/x")
    install(plan(), start=True, run=Systemctl(), root=str(tmp_path))
    assert link.is_symlink(), "systemd itself uses it again"
    told = install(user_plan(), start=True, run=Systemctl(), root=str(tmp_path))
    assert not link.is_symlink() and f"removed {link}, a link to nowhere" in told


@pytest.mark.parametrize("what", ["private/x", "private/y", "there", "directory"])
def test_bootstop_takes_that_link_along_and_no_other(tmp_path: Path, what: str) -> None:
    link = tmp_path / "run/x"
    link.parent.mkdir()
    install(plan(), start=True, run=Systemctl(), root=str(tmp_path))
    if what == "directory":
        link.mkdir()
    else:
        link.symlink_to(what.replace("there", "private/x"))
    if what == "there":
        (tmp_path / "run/private/x").mkdir(parents=True)
    remove(plan(), run=Systemctl(active=True, enabled=True), root=str(tmp_path))
    assert os.path.lexists(link) is (what != "private/x")


def test_what_cannot_be_taken_back_is_told(tmp_path: Path) -> None:
    class Stubborn(Systemctl):
        def __call__(self, words: Sequence[str]) -> Done:
            return Done(1, "no way") if words[1] == "disable" else super().__call__(words)

    with pytest.raises(BootError) as caught:
        install(plan(), start=True, run=Stubborn(broken="restart"), root=str(tmp_path))
    assert "`systemctl disable x.service`: no way" in caught.value.hint


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path, kind: str) -> None:
    target = tmp_path / UNIT
    target.parent.mkdir(parents=True)
    if kind == "file":
        target.write_text("[Service]\nExecStart=/bin/other\n")
    else:
        target.symlink_to("/dev/null")
    with pytest.raises(BootError, match=f"{target} was not written by bootstart"):
        install(plan(), start=True, run=Systemctl(), root=str(tmp_path))
    if kind == "link":  # even one to a file of ours
        (tmp_path / "own").write_text(plan().files[0].text)
        target.unlink()
        target.symlink_to(tmp_path / "own")
    with pytest.raises(BootError, match=f"{target} was not written by bootstart"):
        remove(plan(), run=Systemctl(), root=str(tmp_path))
    assert target.exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("no directory")
    with pytest.raises(BootError, match=r"x\.service cannot be written"):
        install(plan(), start=True, run=Systemctl(), root=str(tmp_path))
    assert (tmp_path / "etc").read_text() == "no directory"


def test_an_image_whose_link_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "image" / "etc").symlink_to(tmp_path / "outside")
    with pytest.raises(BootError, match="leads out of"):
        install(plan(), start=False, run=Systemctl(), root=str(tmp_path / "image"))
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("enabled", [True, False])
def test_a_link_by_which_enable_would_write_outside_of_the_image_is_refused(
    tmp_path: Path, enabled: bool
) -> None:
    """systemctl --root follows it, and would ask, enable and disable on the host."""
    image, outside = tmp_path / "image", tmp_path / "outside"
    wants = image / "etc/systemd/system/multi-user.target.wants"
    wants.parent.mkdir(parents=True)
    outside.mkdir()
    made = render("systemd", Service("x", "/opt/p", "/opt/d", root=str(image), offline=True))
    ran: list[str] = []

    def run(words: Sequence[str]) -> Done:
        ran.append(words[2])
        return Done(0 if enabled or words[2] != "is-enabled" else 1, "")

    install(made, start=False, run=run, root=str(image))
    wants.symlink_to(outside)
    ran.clear()
    with pytest.raises(BootError, match=r"target\.wants leads out of") as caught:
        remove(made, run=run, root=str(image))
    assert "Make a directory" in caught.value.hint and (image / UNIT).exists()
    (image / UNIT).unlink()
    with pytest.raises(BootError, match=r"target\.wants leads out of"):
        install(made, start=False, run=run, root=str(image))
    assert ran == [] and not (image / UNIT).exists()


@pytest.mark.skipif(os.name != "posix", reason="there is no root")
@pytest.mark.parametrize("user", [0, 1000])
def test_who_may_not_even_look_is_told_that_root_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int
) -> None:
    install(plan(), start=True, run=Systemctl(), root=str(tmp_path))
    look = Path.lstat

    def lstat(path: Path) -> os.stat_result:
        if "private" in path.parts:
            raise PermissionError(13, "Permission denied")
        return look(path)

    monkeypatch.setattr(Path, "lstat", lstat)
    monkeypatch.setattr("os.geteuid", lambda: user)
    with pytest.raises(BootError, match="private/x cannot be looked at") as caught:
        remove(plan(), purge=True, run=Systemctl(), root=str(tmp_path))
    assert ("root" in caught.value.hint) is (user != 0)


def test_who_comes_second_to_remove_finds_nothing_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for the first one, and looks after that."""
    systemctl = Systemctl()
    install(plan(), start=True, run=systemctl, root=str(tmp_path))

    @contextlib.contextmanager
    def after_the_first() -> Iterator[None]:
        (tmp_path / UNIT).unlink()
        yield

    monkeypatch.setattr("director.boot.apply.alone", after_the_first)
    systemctl.ran.clear()
    with pytest.raises(NotFound):
        remove(plan(), run=systemctl, root=str(tmp_path))
    assert systemctl.ran == []


@dataclass
class Windows:
    """schtasks, PowerShell and nssm as they remember; ``broken`` names a word on which they fail."""

    known: str = ""
    running: bool = False
    broken: str = ""
    root: Path = Path()
    ran: list[str] = field(default_factory=list)

    def __call__(self, words: Sequence[str]) -> Done:
        if words[0] == "powershell":
            return Done(0, "Running\n" if self.running else "Ready\n")
        verb = words[1].strip("/").lower()
        if verb == "query":
            return Done(0 if self.known else 1, "")
        if verb == "status":
            told = "SERVICE_RUNNING" if self.running else "SERVICE_STOPPED"
            return Done(0, told) if self.known else Done(3, "no such service")
        self.ran.append(verb)
        if verb == self.broken:
            return Done(1, f"no {verb} today")
        if verb in ("create", "install", "delete", "remove"):
            self.known = "" if verb in ("delete", "remove") else "known"
        if verb == "create":
            self.known = (self.root / words[5]).read_bytes().decode("utf-16")
        if verb in ("run", "restart", "end", "stop", "delete"):
            self.running = verb in ("run", "restart")
        return Done(0, "")


WINDOWS = {"task": ("", "create", "end", "run"), "nssm": ("nssm", "install", "set", "restart")}


def windows_plan(nssm: str, directory: str = "C:\\d") -> Plan:
    return render("windows", Service("x", "C:\\python.exe", directory, nssm=nssm))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where paths like C:\\x, which are relative here, become files."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", WINDOWS)
def test_on_windows_a_second_run_does_nothing_and_says_so(here: Path, kind: str) -> None:
    nssm, *verbs = WINDOWS[kind]
    host = Windows(root=here)
    install(windows_plan(nssm), start=True, run=host)
    assert list(dict.fromkeys(host.ran)) == verbs and host.running
    host.ran.clear()
    again = install(windows_plan(nssm), start=True, run=host)
    assert again == ["nothing to do: all is as it should be"] and host.ran == []
    install(windows_plan(nssm, "C:\\other"), start=True, run=host)
    assert verbs[-1] in host.ran, "what changed is told, and started with"
    assert kind == "nssm" or "C:\\other" in host.known
    host.ran.clear()
    host.running = False
    told = install(windows_plan(nssm, "C:\\other"), start=True, run=host)
    assert host.ran == verbs[-1:] and len(told) == 1


@pytest.mark.parametrize("kind", WINDOWS)
@pytest.mark.parametrize("running", [True, False])
def test_on_windows_a_change_that_fails_deletes_nothing(
    here: Path, kind: str, running: bool
) -> None:
    nssm, *verbs = WINDOWS[kind]
    host = Windows(root=here)
    install(windows_plan(nssm), start=True, run=host)
    before, host.running, host.ran = host.known, running, []

    class Once(Windows):
        def __call__(self, words: Sequence[str]) -> Done:
            done = super().__call__(words)
            self.broken = "" if done.status == 1 else self.broken
            return done

    once = Once(before, running, verbs[-1], here)
    with pytest.raises(BootError, match=f"no {verbs[-1]} today") as caught:
        install(windows_plan(nssm, "C:\\other"), start=True, run=once)
    assert once.known == before and once.running is running
    assert not {"delete", "remove"} & set(once.ran)
    assert ("run bootstart again" in caught.value.hint) is (kind == "nssm"), caught.value.hint
    (note,) = here.iterdir()
    assert "other" not in note.read_text("utf-8" if nssm else "utf-16")


@pytest.mark.parametrize("kind", WINDOWS)
def test_on_windows_a_first_run_that_fails_leaves_nothing(here: Path, kind: str) -> None:
    nssm, *verbs = WINDOWS[kind]
    host = Windows(root=here, broken=verbs[-1])
    with pytest.raises(BootError, match=f"no {verbs[-1]} today"):
        install(windows_plan(nssm), start=True, run=host)
    assert host.known == "" and not host.running and list(here.iterdir()) == []


def test_what_nssm_prints_two_bytes_a_character_is_read() -> None:
    assert run_command(["printf", "R\\0U\\0N\\0"]).output == "RUN"


def test_remove_stops_first_and_takes_away_what_was_written(tmp_path: Path) -> None:
    systemctl = Systemctl()
    install(plan(), start=True, run=systemctl, root=str(tmp_path))
    systemctl.ran.clear()
    told = remove(plan(), run=systemctl, root=str(tmp_path))
    assert systemctl.ran == [
        "stop x.service",
        "disable x.service",
        "daemon-reload",
        "reset-failed x.service",
    ]
    assert f"removed {tmp_path / UNIT}" in told and not (tmp_path / UNIT).exists()
    with pytest.raises(NotFound):
        remove(plan(), run=systemctl, root=str(tmp_path))


@pytest.mark.parametrize("broken", ["stop", "disable", "userdel", "daemon-reload"])
@pytest.mark.parametrize("state", ["active", "inactive", "failed"])
def test_a_removal_that_fails_brings_the_service_back(
    tmp_path: Path, broken: str, state: str
) -> None:
    active = state == "active"
    systemctl = Systemctl()
    made = render("systemd", Service("x", "/opt/python", "/opt/d", user="actors", create_user=True))
    install(made, start=True, run=systemctl, root=str(tmp_path))
    text = (tmp_path / UNIT).read_bytes()
    systemctl.active, systemctl.failed = active, state == "failed"
    systemctl.broken = broken
    if broken == "stop" and not active:
        return  # what does not run is not stopped
    with pytest.raises(BootError, match=f"no {broken} today") as caught:
        remove(made, purge=True, run=systemctl, root=str(tmp_path))
    assert caught.value.exit_status == 5
    assert (tmp_path / UNIT).read_bytes() == text
    assert systemctl.active == active and systemctl.enabled and systemctl.user
    systemctl.broken = ""
    remove(made, purge=True, run=systemctl, root=str(tmp_path))
    assert not (systemctl.active or systemctl.enabled or systemctl.user)
    assert list(tmp_path.rglob("*.service")) == []


def test_purge_removes_directories_before_the_unit_is_gone_and_a_link_but_not_its_target(
    tmp_path: Path,
) -> None:
    systemctl = Systemctl()
    root = tmp_path / "root"
    install(plan(), start=True, run=systemctl, root=str(root))
    state, outside = root / "var/lib/private/x", tmp_path / "outside"
    (state / "deep").mkdir(parents=True)
    outside.mkdir()
    (outside / "precious").touch()
    (state / "deep/link").symlink_to(outside)
    (root / "var/lib/x").symlink_to(outside)
    told = remove(plan(), purge=True, run=systemctl, root=str(root))
    assert told.index(f"removed {state}") < told.index(f"removed {root / UNIT}")
    assert not state.exists() and not (root / "var/lib/x").is_symlink()
    assert (outside / "precious").exists()


@pytest.mark.parametrize("what", ["unit", "state"])
def test_what_cannot_be_removed_is_told_before_anything_is_stopped(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl = Systemctl()
    install(plan(), start=True, run=systemctl, root=str(tmp_path))
    state = tmp_path / "var/log/private/x"
    state.mkdir(parents=True)
    systemctl.ran.clear()
    shut = {"unit": (tmp_path / UNIT).parent, "state": state}[what]
    # Root may write everywhere but to a disk that is read-only.
    monkeypatch.setattr("os.access", lambda path, mode: path != shut)
    with pytest.raises(BootError, match=f"cannot be removed.*{shut} is not writable") as caught:
        remove(plan(), purge=True, run=systemctl, root=str(tmp_path))
    assert caught.value.exit_status == 5 and systemctl.ran == [] and state.exists()


def test_a_unit_that_cannot_be_removed_after_all_leaves_the_service_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl = Systemctl()
    install(plan(), start=True, run=systemctl, root=str(tmp_path))

    def unlink(path: Path, missing_ok: bool = False) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", unlink)
        with pytest.raises(BootError, match=r"x\.service cannot be removed: Input/output error"):
            remove(plan(), run=systemctl, root=str(tmp_path))
    assert (tmp_path / UNIT).exists() and systemctl.active and systemctl.enabled


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives directories away")
def test_directories_are_taken_back_too(tmp_path: Path) -> None:
    made = render("upstart", Service("x", "/opt/python", "/opt/d"))

    def run(words: Sequence[str]) -> Done:
        return Done(1 if words[:2] == ("initctl", "start") else 0, "no")

    with pytest.raises(BootError, match="initctl start x"):
        install(made, start=True, run=run, root=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_command_ends_with_127_and_no_shell_reads_the_words() -> None:
    assert run_command(["no-such-command-at-all"]).status == 127
    assert run_command(["echo", "$HOME; `x`"]).output == "$HOME; `x`\n"


def test_commands_find_the_unit_of_their_directory_and_only_that(tmp_path: Path) -> None:
    install(plan(), start=False, run=Systemctl(), root=str(tmp_path))
    (tmp_path / UNIT).with_name("gone.service").symlink_to("/nowhere")
    directory = Path("/opt/thespian/director")
    found = find_unit(directory, {}, tmp_path)
    assert found is not None and found.name == "x" and found.state == "/var/lib/private/x"
    assert found.start_command() == ("systemctl", "start", "x.service")
    assert find_unit(Path("/other"), {}, tmp_path) is None
    (tmp_path / "link").symlink_to(directory)
    linked = find_unit(tmp_path / "link", {}, tmp_path)
    assert linked == found, "by another name it is the same directory"
    for variable in ("DIRECTOR_SERVICE", "THESPIAN_DIRECTOR_STATE"):
        assert find_unit(directory, {variable: "x"}, tmp_path) is None
    of_another_unit = {"STATE_DIRECTORY": "/var/lib/deploy"}
    assert find_unit(directory, of_another_unit, tmp_path) == found, (
        "else it starts a second system"
    )


@pytest.mark.parametrize(
    ("platform", "there", "root", "manager"),
    [
        ("linux", {"/run/systemd/system"}, "", "systemd"),
        ("linux", {"/run/systemd/system", "/etc/init", "/sbin/initctl"}, "", "systemd"),
        ("linux", {"/etc/init", "/sbin/initctl"}, "", "upstart"),
        ("linux", {"/lib/systemd/systemd"}, "/image", "systemd"),
        ("linux", {"/etc/init", "/usr/sbin/initctl"}, "/image", "upstart"),
        ("darwin", set(), "", "launchd"),
        ("win32", set(), "", "windows"),
    ],
)
def test_the_manager_is_found_by_what_is_there(
    platform: str, there: set[str], root: str, manager: str
) -> None:
    assert detect(platform, there.__contains__, root) == manager


@pytest.mark.parametrize("there", [{"/lib/systemd/systemd"}, {"/sbin/initctl"}, set()])
def test_no_manager_that_runs_is_told(there: set[str]) -> None:
    with pytest.raises(BootError, match="No service manager") as caught:
        detect("linux", there.__contains__)
    assert "--manager" in caught.value.hint
