"""What the doctor finds: each finding brought about, with its remedy; and nothing where nothing is wrong."""

from __future__ import annotations

import grp
import multiprocessing
import os
import pwd
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from director.boot import render
from director.boot.plan import Service
from director.control import DirectorControl
from director.demo import free_port
from director.doctor import Finding, places, ports
from director.doctor.units import units
from director.files import open_temporary
from director.pins import Pin, Pins
from director.tls.keys import SigningKey, generate_key
from tests.trust_cases import Workshop

ROOM = {"f_flag": 0, "f_bavail": 1 << 20, "f_frsize": 4096, "f_files": 100, "f_favail": 50}


def codes(found: list[Finding]) -> list[tuple[str, str]]:
    assert all(one.remedy and one.text.endswith(".") for one in found), found
    return [(one.level, one.code) for one in found]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, []),
        ({"f_bavail": 0}, [("error", "disk-full")]),
        ({"f_bavail": 255}, [("error", "disk-full")]),
        ({"f_bavail": 256}, [("warning", "disk-full")]),
        ({"f_bavail": 25600}, []),
        ({"f_favail": 0}, [("error", "no-inodes")]),
        ({"f_files": 0, "f_favail": 0}, []),  # a file system that counts none
        ({"f_flag": os.ST_RDONLY, "f_bavail": 0}, [("error", "read-only")]),
    ],
)
def test_a_disk_is_full_or_read_only_before_a_load_finds_out(
    tmp_path: Path, told: dict[str, int], expected: list[tuple[str, str]]
) -> None:
    looked = {"for state": tmp_path / "not" / "there", "for logs": tmp_path}
    found = list(places.disks(looked, lambda _: SimpleNamespace(**{**ROOM, **told})))
    assert codes(found) == expected, "and one disk is told of once"
    assert all(str(tmp_path / "not" / "there") in one.text for one in found)


def test_a_disk_that_does_not_answer_is_told(tmp_path: Path) -> None:
    def broken(path: Path) -> Any:
        raise OSError(5, "Input/output error")

    (found,) = places.disks({"for state": tmp_path}, broken)
    assert found.level == "error" and "Input/output error" in found.text


def test_a_state_directory_that_is_missing(tmp_path: Path) -> None:
    place = tmp_path / ".state"

    def look(running: bool = False) -> list[tuple[str, str]]:
        return codes(list(places.state(place, running=running, port=1900)))

    assert look() == [("warning", "no-state")]
    assert look(running=True) == [("error", "no-state")]
    place.write_text("a file")
    assert look() == [("error", "state")]
    place.unlink()
    place.mkdir()
    assert look() == look(running=True) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_state_directory_that_cannot_be_made(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    found = list(places.state(tmp_path / ".state", running=False, port=1900))
    tmp_path.chmod(0o700)
    assert codes(found) == [("error", "no-state")] and "mkdir -m 700" in found[0].remedy


@pytest.mark.parametrize(
    ("number", "reserved", "warned"),
    [
        (32767, "", False),
        (32768, "", True),
        (60999, "\n", True),
        (61000, "", False),
        (40000, "39000-41000\n", False),
        (40000, "1900,40000\n", False),
        (40000, "1900,40001-40002", True),
        (40000, "nonsense", True),
    ],
)
def test_a_port_that_the_kernel_may_give_away(
    tmp_path: Path, number: int, reserved: str, warned: bool
) -> None:
    for name, text in ((ports.RANGE, "32768\t60999\n"), (ports.RESERVED, reserved)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = list(ports.port(number, tmp_path))
    assert codes(found) == ([("warning", "port-ephemeral")] if warned else [])
    assert all("ip_local_reserved_ports" in one.remedy for one in found)


def test_where_the_kernel_tells_nothing_no_port_is_warned_of(tmp_path: Path) -> None:
    assert list(ports.port(40000, tmp_path)) == []


DIRECTORY = "/opt/thespian/director"


def write_unit(root: Path, manager: str, python: str, name: str = "thespian.director") -> Path:
    """A unit as bootstart writes it, enabled."""
    plan = render(manager, Service(name, python, DIRECTORY, user="actors", root=str(root)))
    for file in plan.files:
        path = root / file.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text)
    path = root / plan.files[0].path.lstrip("/")
    wanted = path.parent / "multi-user.target.wants" / path.name
    wanted.parent.mkdir(exist_ok=True)
    wanted.symlink_to(path)
    return path


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """The root of a host that has this interpreter."""
    python = tmp_path / sys.executable.lstrip("/")
    python.parent.mkdir(parents=True)
    python.touch()
    return tmp_path


@pytest.mark.parametrize("manager", ["systemd", "upstart", "launchd"])
def test_units_that_fit_are_not_told_of_and_those_that_do_not_are(host: Path, manager: str) -> None:
    def look() -> list[tuple[str, str]]:
        return codes(list(units(Path(DIRECTORY), host)))

    assert look() == []
    path = write_unit(host, manager, sys.executable)
    assert look() == []
    assert list(units(Path("/another"), host)) == []
    (host / sys.executable.lstrip("/")).unlink()
    assert look() == [("error", "unit-drift")], "its interpreter has gone"
    (host / "opt").mkdir(exist_ok=True)
    (host / "opt" / "other python").touch()
    text = path.read_text()
    path.write_text(text.replace(sys.executable, "/opt/other python"))
    assert look() == [("warning", "unit-drift")], "another interpreter"
    (host / sys.executable.lstrip("/")).touch()
    words = ("start wait", "start") if manager != "launchd" else ("<string>wait</string>", "")
    path.write_text(text.replace(*words))
    assert look() == [("warning", "unit-drift")], "another command"


def test_a_unit_that_is_not_enabled_and_two_for_one_directory(host: Path) -> None:
    path = write_unit(host, "systemd", sys.executable)
    (path.parent / "multi-user.target.wants" / path.name).unlink()
    (found,) = units(Path(DIRECTORY), host)
    assert found.code == "unit-disabled" and "systemctl enable" in found.remedy
    (path.parent / "multi-user.target.wants" / path.name).symlink_to(path)
    write_unit(host, "systemd", sys.executable, "another")
    (found,) = units(Path(DIRECTORY), host)
    assert found.code == "unit-twice" and "another.service" in found.text
    (host / "link").symlink_to(DIRECTORY)
    assert codes(list(units(host / "link", host))) == [("warning", "unit-twice")], (
        "by another name it is the same directory"
    )


def test_a_unit_of_thespians_own_director(host: Path) -> None:
    place = host / "etc/systemd/system"
    place.mkdir(parents=True)
    (place / "dangling.service").symlink_to("/nowhere")
    command = f"THESPIAN_DIRECTOR_DIR={DIRECTORY} python -m thespian.director refresh"
    (place / "thespian.director.service").write_text(f"[Service]\nExecStart=/bin/sh -c '{command}'")
    (found,) = units(Path(DIRECTORY), host)
    assert found.code == "unit-drift" and "Thespian's own director" in found.text


def test_all_of_it_together_changes_nothing(tmp_path: Path, key: SigningKey) -> None:
    directory = tmp_path / "director"
    directory.mkdir()
    (directory / "sourcekey_tls.key").write_bytes(key.public_pem)
    (directory / "adminport.cfg").write_text(str(free_port()))
    (directory / "thesplogd.cfg").write_text(str(tmp_path))
    with DirectorControl(directory) as control:
        assert codes([one for one in control.doctor() if one.code != "disk-full"]) == [
            ("warning", "no-state")
        ]
        (directory / "adminport.cfg").write_text("40000")
        (directory / "thesplog.cfg").write_text("{'version': 3}")
        (directory / "old_tls.key").write_bytes(generate_key(1024).public_pem)
        told = {one.code: one for one in control.doctor()}
        assert "version" in told["settings"].text and "old_tls.key" in told["key-weak"].text
        (directory / "minkeybits.cfg").write_text("1024")
        assert "key-weak" not in {one.code for one in control.doctor()}, "the operator allows it"
        (directory / "minkeybits.cfg").write_text("few")
        (directory / "app-1.tls").write_bytes(b"")
        assert [one.code for one in control.doctor()].count("settings") == 2
    assert not (directory / ".state").exists()


@pytest.mark.parametrize(("days", "told"), [(6, True), (8, False)])
def test_a_file_whose_time_is_over_within_a_week_is_told(
    tmp_path: Path, key: SigningKey, days: int, told: bool
) -> None:
    (tmp_path / "sourcekey_tls.key").write_bytes(key.public_pem)
    end = datetime.now(UTC) + timedelta(days=days)
    (tmp_path / "app-2.0.tls").write_bytes(Workshop(key, tmp_path).good(expires=end.isoformat()))
    found = codes(DirectorControl(tmp_path, environ={}).doctor())
    assert (("warning", "expires-soon") in found) == told


def test_files_that_lie_there_to_go_back_to_are_not_warned_of_for_being_old(
    tmp_path: Path, key: SigningKey
) -> None:
    (tmp_path / "sourcekey_tls.key").write_bytes(key.public_pem)
    shop, control = Workshop(key, tmp_path), DirectorControl(tmp_path, environ={})

    def put(version: str, **changes: Any) -> Path:
        path = tmp_path / f"app-{version}.tls"
        path.write_bytes(shop.good(version=version, **changes))
        return path

    def found() -> dict[str, Finding]:
        return {one.code: one for one in control.doctor() if "app-" in one.text}

    soon, past = (datetime.now(UTC) + timedelta(days=days) for days in (1, -1))
    put("1.0"), put("1.1", expires=soon.isoformat()), put("1.2", expires=past.isoformat())
    newest = put("2.0")
    trust = control.trust("install")
    assert trust.admit(newest.read_bytes(), newest.name).valid
    assert found() == {}
    newest.unlink()
    assert set(found()) == {"expired"}, "the newest is what a load means"
    (tmp_path / "app-1.2.tls").unlink()
    (tmp_path / "app-1.1.tls").unlink()
    told = found()["downgrade"]
    assert f"`director load {tmp_path}/app-1.0.tls --allow-downgrade`" in told.text
    assert "every load of app fails" in told.remedy
    newest = put("2.0")
    Pins(tmp_path / ".state").put(Pin("app", "1.0", "app-1.0.tls", "now"))
    assert set(found()) == {"downgrade"}, "so is what a pin names"


def test_hidden_keys_damaged_marks_and_what_writes_left_are_told_and_nobody_elses_hidden_files(
    tmp_path: Path, key: SigningKey
) -> None:
    (tmp_path / "sourcekey_tls.key").write_bytes(key.public_pem)
    (tmp_path / ".other_tls.key").write_bytes(key.public_pem)
    handle, left = open_temporary(tmp_path / "app-2.0.tls")
    os.close(handle)
    staged = tmp_path / f".app-2.0.tls.{'ab' * 32}.staged"
    keep = tmp_path / ".app-2.0.tls.keep"
    for path in (left, staged, keep, tmp_path / ".app.tli"):
        path.write_bytes(b"{")
        os.utime(path, (1, 1))
    (tmp_path / ".state").mkdir(mode=0o700)
    (tmp_path / ".state" / "marks.json").write_text("{")
    found = DirectorControl(tmp_path, environ={}).doctor()
    told = [one for one in found if one.code in {"hidden-key", "marks", "stale", "tli"}]
    assert codes(told) == [
        *[("error", "marks"), ("warning", "hidden-key")],
        *[("warning", "stale"), ("warning", "stale")],
    ]
    assert {one.text.split()[0] for one in told if one.code == "stale"} == {str(left), str(staged)}
    (tmp_path / "app-2.0.tls").write_bytes(Workshop(key, tmp_path).good())
    again = DirectorControl(tmp_path, environ={}).doctor()
    assert [one.code for one in again].count("marks") == 1, "once, not for each file"


@pytest.mark.parametrize(
    ("name", "mode", "code"),
    [
        ("d", 0o1777, ("error", "world-writable")),
        ("d", 0o777, ("error", "world-writable")),
        ("d", 0o775, ("warning", "group-writable")),
        ("d/app.tli", 0o666, ("error", "world-writable")),
        ("d/app.tli", 0o664, ("warning", "group-writable")),
        ("d/thesplog.cfg", 0o646, ("error", "world-writable")),
        ("d/sourcekey_tls.key", 0o664, ("warning", "group-writable")),
        (".", 0o777, ("error", "world-writable")),
        (".", 0o1777, None),
        ("d", 0o755, None),
    ],
)
def test_what_others_may_write_is_told(
    tmp_path: Path, key: SigningKey, name: str, mode: int, code: tuple[str, str] | None
) -> None:
    directory = tmp_path / "d"
    directory.mkdir(mode=0o755)
    (directory / "sourcekey_tls.key").write_bytes(key.public_pem)
    (directory / "app.tli").write_text("{'Actors': {}}")
    (directory / "thesplog.cfg").write_text("{'version': 1}")
    path = tmp_path / name
    if code and code[1] == "group-writable":
        if os.geteuid() != 0:
            pytest.skip("only root may give it to another group")
        os.chown(path, -1, 65534)
    path.chmod(mode)
    found = DirectorControl(directory, environ={}).doctor()
    told = [(one.level, one.code) for one in found if one.code.endswith("-writable")]
    assert told == ([code] if code else [])
    assert not code or any(str(path) in one.text for one in found if one.code == code[1])


@pytest.mark.parametrize("group", ["root's", "private"])
def test_a_group_that_only_the_trusted_are_in_is_not_told(
    tmp_path: Path, key: SigningKey, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sourcekey_tls.key").write_bytes(key.public_pem)
    if os.geteuid() == 0:
        os.chown(tmp_path, -1, 65534 if group == "private" else 0)
    name = pwd.getpwuid(os.geteuid()).pw_name
    if group == "private":
        monkeypatch.setattr(grp, "getgrgid", lambda _: SimpleNamespace(gr_name=name, gr_mem=[name]))
    tmp_path.chmod(0o775)
    assert ("warning", "group-writable") not in codes(
        DirectorControl(tmp_path, environ={}).doctor()
    )
    if group == "private":
        monkeypatch.setattr(
            grp, "getgrgid", lambda _: SimpleNamespace(gr_name=name, gr_mem=["eve"])
        )
        assert ("warning", "group-writable") in codes(
            DirectorControl(tmp_path, environ={}).doctor()
        )


def _look(directory: Path, out: Connection) -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    out.send([(one.code, one.remedy) for one in DirectorControl(directory, environ={}).doctor()])


def test_who_may_not_read_the_state_is_told_to_be_another_user_and_the_rest_is_looked_at(
    key: SigningKey,
) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to others
        directory = Path(folder)
        directory.chmod(0o755)
        (directory / "sourcekey_tls.key").write_bytes(key.public_pem)
        (directory / "app.tli").write_text("{'Actors': ")
        state = directory / ".state"
        state.mkdir(mode=0o700)
        (state / "pins.json").write_text("{}")
        DirectorControl(directory, environ={}).doctor()  # imports what nobody may not
        if os.geteuid() != 0:
            state.chmod(0)
        here, there = multiprocessing.Pipe()
        context = multiprocessing.get_context("fork")
        process = context.Process(target=_look, args=(directory, there))
        process.start()
        there.close()
        try:
            assert here.poll(60)
            found = here.recv()
        finally:
            process.join(10)
            state.chmod(0o700)
    remedies = dict(found)
    assert (
        remedies["not-permitted"]
        == remedies["state-read-only"]
        == "Run as the actor system's user."
    )
    assert "tli" in remedies, "and the rest is told"
