"""What is no regular file, or has no end, holds up nobody who expected a file there."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from director import DirectorControl
from director.errors import DirectorError, SettingsError
from director.files import open_to_append, read_regular
from director.history import Event, History
from director.loading import Definitions
from director.marks import Marks
from director.pins import Pins
from director.settings.config import read_trust, survey_config
from director.settings.files import SETTINGS
from director.store import Store
from director.tls.keys import SigningKey, generate_key
from tests.commands import run_command
from tests.conftest import make_tls
from tests.trust_cases import Workshop


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_directory(path: Path) -> None:
    path.mkdir()


def a_socket(path: Path) -> None:
    line = socket.socket(socket.AF_UNIX)
    before = Path.cwd()
    os.chdir(path.parent)  # the name of a socket may be of some hundred bytes only
    try:
        line.bind(path.name)
    finally:
        os.chdir(before)
        line.close()


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_terminal(path: Path) -> None:
    path.symlink_to("/dev/tty")


ODD = [a_fifo, a_directory, a_socket, a_device, a_terminal]
Odd = Callable[[Path], None]


@pytest.mark.parametrize("make", ODD)
def test_only_regular_files_are_read_or_written(tmp_path: Path, make: Odd) -> None:
    path = tmp_path / "it"
    make(path)
    with pytest.raises(OSError) as caught:
        read_regular(path, 1000)
    assert caught.value.errno == errno.EINVAL and caught.value.filename == str(path)
    with pytest.raises(OSError):
        open_to_append(path, 0o600)


def test_what_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_bytes(b"x" * 10)
    assert read_regular(path, 10) == b"x" * 10
    os.truncate(path, 1 << 40)
    with pytest.raises(OSError) as caught:
        read_regular(path, 10)
    assert caught.value.errno == errno.EFBIG


@pytest.mark.parametrize("make", ODD)
def test_the_state_directory(tmp_path: Path, make: Odd) -> None:
    for name in ("marks.json", "pins.json", "history.jsonl"):
        make(tmp_path / name)
    with pytest.raises(Exception, match=r"marks\.json does not read"):
        Marks(tmp_path).read()
    with pytest.raises(DirectorError, match=r"pins\.json does not read"):
        Pins(tmp_path).read()
    history = History(tmp_path)
    with pytest.raises(OSError):
        history.read()
    with pytest.raises(OSError):
        history.append(Event("", "app", "active", None, "", "", ""))


@pytest.fixture
def shop(tmp_path: Path, key: SigningKey) -> Workshop:
    """A director directory with a key and a good file."""
    directory = tmp_path / "director"
    directory.mkdir()
    (directory / "sourcekey_tls.key").write_bytes(key.public_pem)
    made = Workshop(key, directory)
    (directory / "app-2.0.tls").write_bytes(made.good())
    return made


TRUST = ("revoked", "keygroups", "minkeybits", "requiremanifest")


@pytest.mark.parametrize("make", ODD)
@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_told_with_exit_8(shop: Workshop, name: str, make: Odd) -> None:
    make(shop.directory / f"{name}.cfg")
    words = ["tlsinfo", "app-2.0.tls"] if name in TRUST else ["config"]
    done = run_command(words, env={"THESPIAN_DIRECTOR_DIR": str(shop.directory)})
    assert done.exit_code == 8 and f"{name}.cfg" in done.stderr, done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("make", ODD)
@pytest.mark.parametrize("name", ["marks.json", "audit.jsonl", "audit.lock", "marks.lock"])
def test_no_file_of_the_state_directory_holds_a_command_up(
    shop: Workshop, tmp_path: Path, name: str, make: Odd
) -> None:
    state = shop.directory / ".state"
    state.mkdir()
    make(state / name)
    new = tmp_path / "app-3.0.tls"
    new.write_bytes(shop.good(version="3.0"))
    done = run_command(["install", str(new)], env={"THESPIAN_DIRECTOR_DIR": str(shop.directory)})
    assert "Traceback" not in done.output
    if name == "marks.json":
        assert done.exit_code == 7 and "marks.json" in done.stderr, done.output
    else:
        assert done.exit_code == 0 or name in done.stderr, done.output


@pytest.fixture
def workshop_directory(tmp_path: Path, key: SigningKey) -> Path:
    directory = tmp_path / "director"
    directory.mkdir()
    (directory / "sourcekey_tls.key").write_bytes(key.public_pem)
    (directory / "app-1.0.tls").write_bytes(
        make_tls(key, "app", "1.0", "{'Actors': {}}", {"app.py": ""})
    )
    return directory


@pytest.mark.parametrize("name", ["zed-1.0.tls", "app-2.0.tls"])
def test_a_fifo_or_a_giant_that_is_named_like_a_source_holds_up_nobody(
    workshop_directory: Path, name: str
) -> None:
    store = Store(workshop_directory, workshop_directory / ".state")
    kept = hashlib.sha256((workshop_directory / "app-1.0.tls").read_bytes()).hexdigest()
    (store.state / "unpacked" / kept).mkdir(parents=True, mode=0o700)
    (store.state / "unpacked").chmod(0o700)
    a_fifo(workshop_directory / name)
    store.tidy()
    assert (store.state / "unpacked" / kept).is_dir()
    (workshop_directory / name).unlink()
    with (workshop_directory / name).open("wb") as stream:
        stream.truncate(60 << 30)
    began = time.monotonic()
    store.tidy()
    with DirectorControl(workshop_directory) as control:
        told = {
            one.path.name: digest for files in control.avail().values() for one, digest in files
        }
    assert told[name] == "" and told["app-1.0.tls"] != ""
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_link_to_nothing_is_no_setting_that_is_absent(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.cfg").symlink_to(tmp_path / "gone")
    _, errors = survey_config(tmp_path, {})
    try:
        read_trust(tmp_path, {})
    except SettingsError as problem:
        errors = [*errors, problem]
    assert any(f"{name}.cfg" in str(one) and "link to nothing" in str(one) for one in errors)


def test_an_override_that_is_a_link_to_nothing_is_not_passed_over(workshop_directory: Path) -> None:
    (workshop_directory / "app.tli").symlink_to(workshop_directory / "gone")
    with DirectorControl(workshop_directory) as control:
        chosen = control.store.find("app")
        with pytest.raises(SettingsError, match=r"app\.tli"):
            Definitions(control.store, {}, control.trust("load").has_signed).of(
                chosen, control.check(chosen.path)
            )


def test_two_keys_in_one_file_are_told_of(workshop_directory: Path, key: SigningKey) -> None:
    other = generate_key(2048).public_pem
    (workshop_directory / "both_tls.key").write_bytes(key.public_pem + other)
    good, bad = Store(workshop_directory, workshop_directory / ".state").keys()
    assert [Path(one.name).name for one in good] == ["sourcekey_tls.key"]
    assert [one.code for one in bad] == ["key-several"]


def test_who_else_owns_keys_and_settings_is_told(workshop_directory: Path) -> None:
    if os.geteuid():
        pytest.skip("ROOT ONLY: files are given away")
    for name in ("sourcekey_tls.key", "thesplog.cfg"):
        path = workshop_directory / name
        path.touch()
        path.chmod(0o644)
        os.chown(path, 65534, 65534)
    os.mkfifo(workshop_directory / "zed-1.0.tls")
    (workshop_directory / "thesplog.cfg").write_text("{'version': 1}")
    with DirectorControl(workshop_directory) as control:
        told = control.doctor()
    found = {(one.code, Path(one.text.split()[0]).name) for one in told}
    assert {("foreign-owner", "sourcekey_tls.key"), ("foreign-owner", "thesplog.cfg")} <= found
    assert ("irregular", "zed-1.0.tls") in found


def test_a_giant_beside_hinders_no_load_with_an_own_tli(workshop_directory: Path) -> None:
    with (workshop_directory / "app-2.0.tls").open("wb") as stream:
        stream.truncate(60 << 30)
    (workshop_directory / "app.tli").write_text("{'Actors': {}, 'Drain': 3}")
    with DirectorControl(workshop_directory) as control:
        chosen = control.store.find("app-1.0.tls")
        tli, told = Definitions(control.store, {}, control.trust("load").has_signed).of(
            chosen, control.check(chosen.path)
        )
    assert tli.drain == 3 and told
    shown = run_command(["avail"], env={"THESPIAN_DIRECTOR_DIR": str(workshop_directory)})
    assert "app-2.0.tls    (larger than any that loads)" in shown.stdout, shown.output


@pytest.mark.parametrize("command", ["install", "tlsinfo"])
@pytest.mark.parametrize(
    ("tli", "place"),
    [("{'Actors': {}", "1:1"), ("{'Actors':\n __import__('os').getcwd()}", "2:2")],
)
def test_a_signed_tli_that_cannot_be_right_is_told_of_before_a_load(
    workshop_directory: Path, tmp_path: Path, key: SigningKey, command: str, tli: str, place: str
) -> None:
    env = {"THESPIAN_DIRECTOR_DIR": str(workshop_directory)}
    file = tmp_path / "bad-1.0.tls"
    file.write_bytes(make_tls(key, "bad", "1.0", tli, {"bad.py": ""}))
    done = run_command([command, str(file)], env=env)
    assert done.exit_code == 0, done.output
    assert f"group.tli:{place}" in " ".join(done.stderr.split()), done.stderr


def test_a_tli_is_not_evaluated_before_a_load(
    workshop_directory: Path, tmp_path: Path, key: SigningKey
) -> None:
    env = {"THESPIAN_DIRECTOR_DIR": str(workshop_directory)}
    file = tmp_path / "env-1.0.tls"
    tli = "{'Actors': {}, 'Drain': os.environ['NOT_SET_HERE'] % (1 // 0)}"
    file.write_bytes(make_tls(key, "env", "1.0", tli, {"env.py": ""}))
    done = run_command(["install", str(file)], env=env)
    assert done.exit_code == 0 and "TLI" not in done.stderr, done.output
