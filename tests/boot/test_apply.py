"""Performing plans and taking them back, with a runner that plays the service manager."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from director.boot import render
from director.boot.apply import Done, install, remove, run_command
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
    user: bool = False
    broken: str = ""
    ran: list[str] = field(default_factory=list)

    def __call__(self, words: Sequence[str]) -> Done:
        verb = words[1] if words[0] == "systemctl" else words[0]
        if verb == "id":
            return Done(0 if self.user else 1, "")
        if verb == "is-enabled":
            return Done(0 if self.enabled else 1, "")
        if verb == "is-active":
            return Done(0 if self.active else 3, "")
        if verb == "show":
            told = {
                "--property=ActiveState": "active" if self.active else "inactive",
                "--property=UnitFileState": "enabled" if self.enabled else "disabled",
            }
            return Done(0, told.get(words[3], "the service's last words"))
        self.ran.append(" ".join(words[1:]))
        if self.broken == verb:
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


def test_a_change_that_fails_brings_the_old_service_back(tmp_path: Path) -> None:
    systemctl = Systemctl()
    install(plan(), start=True, run=systemctl, root=str(tmp_path))
    before = (tmp_path / UNIT).read_bytes()
    systemctl.broken = "restart"
    systemctl.active = False
    with pytest.raises(BootError):
        install(plan("/srv/other"), start=True, run=systemctl, root=str(tmp_path))
    assert (tmp_path / UNIT).read_bytes() == before
    assert systemctl.enabled and systemctl.active and systemctl.ran[-1] == "start x.service"


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
@pytest.mark.parametrize("active", [True, False])
def test_a_removal_that_fails_brings_the_service_back(
    tmp_path: Path, broken: str, active: bool
) -> None:
    systemctl = Systemctl()
    made = render("systemd", Service("x", "/opt/python", "/opt/d", user="actors", create_user=True))
    install(made, start=True, run=systemctl, root=str(tmp_path))
    text = (tmp_path / UNIT).read_bytes()
    systemctl.active = active
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
    for variable in ("DIRECTOR_SERVICE", "THESPIAN_DIRECTOR_STATE", "STATE_DIRECTORY"):
        assert find_unit(directory, {variable: "x"}, tmp_path) is None


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
