"""What is no regular file, or has no end, holds up nobody who expected a file there."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from director.files import open_to_append, read_regular
from director.history import Event, History, Pins
from director.marks import Marks
from director.settings.files import SETTINGS
from director.tls.keys import SigningKey
from tests.commands import run_command
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
    with pytest.raises(OSError):
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
