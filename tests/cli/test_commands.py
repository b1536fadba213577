"""Commands that need no running system: what they print where, and their exit statuses."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import click
import jsonschema
import pytest

from director.cli import cli
from director.demo import free_port
from director.documents import schema
from director.system import SystemProcesses
from director.tls.keys import SigningKey, generate_key, load_public_key, load_signing_key
from tests.commands import Result, run_command
from tests.conftest import make_tls

TLI = "{'Actors': {}}"
SOURCES = {"foo/__init__.py": "", "foo/actor.py": "x = 1\n"}


@pytest.fixture
def home(tmp_path: Path, key: SigningKey) -> Path:
    """A director directory with a key and two versions of ``foo``, and one of ``other``."""
    directory = tmp_path / "director"
    directory.mkdir()
    (directory / "sourcekey_tls.key").write_bytes(key.public_pem)
    for group, version in (("foo", "1.0"), ("foo", "2.0"), ("other", None)):
        name = f"{group}-{version}.tls" if version else f"{group}.tls"
        (directory / name).write_bytes(make_tls(key, group, version, TLI, SOURCES))
    return directory


def run(home: Path, *words: str, env: dict[str, str] | None = None) -> Result:
    told = {"THESPIAN_DIRECTOR_DIR": str(home), "THESPIAN_DIRECTOR_STATE": None, **(env or {})}
    return run_command(words, env=told)


def test_no_command_is_help_on_stdout_and_starts_nothing(home: Path) -> None:
    done = run(home)
    assert done.exit_code == 0 and done.stderr == "" and str(home) in done.stdout
    assert all(name in done.stdout for name in cli.commands)
    assert not (home / ".state").exists()


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_each_command_explains_itself(home: Path, command: str) -> None:
    done = run(home, "help", command)
    assert done.exit_code == 0 and done.stdout.startswith(f"Usage: director {command}")
    assert cli.commands[command].help


def test_help_of_what_is_no_command_and_wrong_words(home: Path) -> None:
    assert run(home, "help", "nonsense").exit_code == 4
    assert run(home, "nonsense").exit_code == 2
    assert run(home, "load").exit_code == 2


IMPOSSIBLE = ["a b.tls", "föö-1.tls", "foo-.tls", "foo-1 2.tli", os.fsdecode(b"f\xff-1.tls")]


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_file_of_an_impossible_name_is_told_by_all_who_pass_it_over(
    home: Path, key: SigningKey, name: str
) -> None:
    (home / "adminport.cfg").write_text(str(free_port()))
    before = run(home, "avail")
    (home / name).write_bytes(make_tls(key, "foo", "3.0", TLI, SOURCES))
    wanted = f"{home}: {name!r} is not the name of a loadable source: "
    done = run(home, "avail")
    assert (done.exit_code, done.stdout) == (0, before.stdout)
    assert done.stderr.count(wanted) == 1 and "cannot be a" in done.stderr
    done = run(home, "avail", "--json")
    assert json.loads(done.stdout)["groups"].keys() == {"foo", "other"} and wanted in done.stderr
    done = run(home, "doctor")
    assert f"warning: file-name: {wanted}" in done.stdout
    assert "Give it the name that it was built with, or remove it." in done.stdout
    if name.endswith(".tls"):
        done = run(home, "load", name)
        assert done.exit_code == 1 and f"{name!r} is not the name of a" in done.stderr
        assert "cannot be a" in done.stderr and not (home / ".state" / "system.json").exists()


def test_hidden_files_are_nobodys(home: Path) -> None:
    (home / ".foo-3.0.tls").write_bytes(b"half of a copy")
    assert run(home, "avail").stderr == ""


def test_avail_lists_newest_first_with_the_hash_that_thespian_knows_it_by(home: Path) -> None:
    done = run(home, "avail")
    digests = {
        path.name: hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        for path in home.glob("*.tls")
    }
    assert done.stdout.splitlines() == [
        f"THESPIAN_DIRECTOR_DIR={home}",
        f"foo: {home}/foo-2.0.tls    {digests['foo-2.0.tls']}",
        f"   + {home}/foo-1.0.tls    {digests['foo-1.0.tls']}",
        f"other: {home}/other.tls    {digests['other.tls']}",
    ]


def test_a_missing_directory_is_told_with_what_to_do(tmp_path: Path) -> None:
    done = run(tmp_path / "nowhere", "avail")
    assert done.exit_code == 4 and "THESPIAN_DIRECTOR_DIR" in done.stderr and done.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        *(["list"], ["status"], ["shutdown"], ["undo", "foo"], ["history"], ["history", "foo"], ["logs", "foo"]),
        *(["pin"], ["unload", "00"]),
    ],
)  # fmt: skip
def test_no_command_says_anything_else_of_a_missing_directory(
    tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SystemProcesses, "running", lambda self: False)
    done = run(tmp_path / "nowhere", *words)
    assert done.exit_code == 4 and done.stdout == ""
    assert f"The director directory {tmp_path / 'nowhere'} does not exist" in done.stderr


def test_tlsinfo_validates_lists_and_prints(home: Path) -> None:
    told = run(home, "tlsinfo", "foo-2.0.tls")
    key = load_public_key((home / "sourcekey_tls.key").read_bytes(), name="k")
    assert told.stdout.splitlines() == [
        f'Validated "{home}/foo-2.0.tls" loadable with key {home}/sourcekey_tls.key',
        "group foo, version 2.0",
        f"key {key.fingerprint}",
        f"file sha256:{hashlib.sha256((home / 'foo-2.0.tls').read_bytes()).hexdigest()}",
    ]
    contents = run(home, "tlsinfo", "foo-2.0.tls", "contents").stdout.splitlines()
    assert contents[-2:] == ["      0  foo/__init__.py", "      6  foo/actor.py"]
    assert run(home, "tlsinfo", str(home / "foo-2.0.tls"), "foo/actor.py").stdout == "x = 1\n"
    assert run(home, "tlsinfo", "foo-2.0.tls", "sbom").exit_code == 4, "made without one"
    missing = run(home, "tlsinfo", "foo-2.0.tls", "foo/none.py")
    assert missing.exit_code == 4 and "contents" in missing.stderr
    assert run(home, "tlsinfo", "foo-9.tls").exit_code == 4


def test_tlsinfo_of_what_is_changed_or_a_strangers_exits_7_and_prints_nothing(home: Path) -> None:
    data = bytearray((home / "foo-2.0.tls").read_bytes())
    data[len(data) // 2] ^= 1
    (home / "foo-3.0.tls").write_bytes(data)
    (home / "foo-4.0.tls").write_bytes(
        make_tls(generate_key(2048), "foo", "4.0", TLI, {"foo/__init__.py": ""})
    )
    for name in ("foo-3.0.tls", "foo-4.0.tls"):
        done = run(home, "tlsinfo", name, "contents")
        assert done.exit_code == 7 and done.stdout == "" and name in done.stderr


def test_verbose_tells_each_key_that_was_tried_and_each_that_was_skipped(home: Path) -> None:
    (home / "bad_tls.key").write_text("nothing")
    done = run(home, "verbose", "tlsinfo", "foo-2.0.tls")
    assert "sha256:" in done.stderr and "bad_tls.key" in done.stderr
    assert "sha256:" not in run(home, "tlsinfo", "foo-2.0.tls").stderr


def test_install_places_what_is_valid_and_nothing_else(
    home: Path, tmp_path: Path, key: SigningKey
) -> None:
    good = tmp_path / "foo-3.0.tls"
    good.write_bytes(make_tls(key, "foo", "3.0", TLI, SOURCES))
    done = run(home, "install", str(good))
    assert done.stdout == f"Installed {home}/foo-3.0.tls\n"
    assert (home / "foo-3.0.tls").read_bytes() == good.read_bytes()
    renamed = tmp_path / "foo-4.0.tls"
    renamed.write_bytes(good.read_bytes())
    before = sorted(home.iterdir())
    assert run(home, "install", str(renamed)).exit_code == 7
    assert run(home, "install", str(tmp_path / "none-1.tls")).exit_code == 4
    for name in ("no_tls.zip", "foo.tli", "foo bar.tls"):
        (tmp_path / name).write_bytes(b"x")
        done = run(home, "install", str(tmp_path / name))
        assert done.exit_code == 2 and name in done.stderr and not done.stdout
    done = run(home, "install", str(tmp_path))
    assert done.exit_code == 2 and f"{tmp_path}{os.sep}*.tls" in done.stderr
    os.mkfifo(tmp_path / "pipe-1.0.tls")
    done = run(home, "install", str(tmp_path / "pipe-1.0.tls"))
    assert done.exit_code == 1 and "no regular file" in done.stderr
    assert sorted(home.iterdir()) == before


def test_install_goes_on_after_a_file_that_is_refused_and_tells_each(
    home: Path, tmp_path: Path, key: SigningKey
) -> None:
    paths = [tmp_path / f"foo-{version}.tls" for version in ("3.0", "4.0", "5.0", "6.0")]
    for path in paths:
        path.write_bytes(make_tls(key, "foo", path.stem[4:], TLI, SOURCES))
    paths[1].write_bytes(b"no archive")
    (home / paths[3].name).mkdir()
    gone = str(tmp_path / "none-1.tls")
    done = run(home, "install", *map(str, paths[:2]), gone, *map(str, paths[2:]))
    assert done.stdout == f"Installed {home}/foo-3.0.tls\nInstalled {home}/foo-5.0.tls\n"
    assert done.exit_code == 7, "the highest of 7, 4 and 1"
    for named in (f"{paths[1]}: ", gone, f"{home / paths[3].name} is a directory"):
        assert named in done.stderr
    assert done.stderr.endswith(f"director: not installed: {paths[1]}, {gone}, {paths[3]}\n")


def test_keygen_writes_a_private_key_that_only_its_owner_reads(home: Path, tmp_path: Path) -> None:
    name = str(tmp_path / "mine")
    done = run(home, "keygen", name, "--bits", "2048", env={"THESPIAN_SIGNING_KEY_PASSPHRASE": ""})
    assert done.exit_code == 0 and "sha256:" in done.stdout
    private = Path(f"{name}.pem")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    key = load_signing_key(private.read_bytes(), name="x")
    assert Path(f"{name}_tls.key").read_bytes() == key.public_pem
    assert key.public.fingerprint in done.stdout


def test_keygen_overwrites_neither_file_and_leaves_no_half_pair(home: Path, tmp_path: Path) -> None:
    (tmp_path / "mine_tls.key").write_text("dear")
    done = run(home, "keygen", str(tmp_path / "mine"))
    assert done.exit_code == 1 and "mine_tls.key exists" in done.stderr
    assert (tmp_path / "mine_tls.key").read_text() == "dear"
    assert not (tmp_path / "mine.pem").exists()


def test_keygen_encrypts_with_the_passphrase(home: Path, tmp_path: Path) -> None:
    env = {"THESPIAN_SIGNING_KEY_PASSPHRASE": "open sesame"}
    run(home, "keygen", str(tmp_path / "mine"), "--bits", "2048", env=env)
    pem = (tmp_path / "mine.pem").read_bytes()
    assert b"ENCRYPTED" in pem
    assert load_signing_key(pem, name="x", passphrase=b"open sesame")


def test_config_shows_values_and_where_they_came_from(home: Path) -> None:
    (home / "adminport.cfg").write_text("2001\n")
    (home / "othercaps.cfg").write_text("{ 'Worker': True }")
    (home / "nonsense.cfg").write_text("1")
    done = run(home, "config")
    assert "Admin Port: 2001" in done.stdout and "{'Worker': True}" in done.stdout
    assert str(home / "adminport.cfg") in done.stdout and "nonsense.cfg" in done.stderr


@pytest.mark.parametrize("command", [["config"], ["start"], ["load", "foo"], ["refresh"]])
def test_settings_that_do_not_read_exit_8_and_start_nothing(home: Path, command: list[str]) -> None:
    (home / "othercaps.cfg").write_text("{ 'Worker': __import__('os').system('true') }")
    done = run(home, *command)
    assert done.exit_code == 8 and "othercaps.cfg:1:" in done.stderr
    assert not (home / ".state" / "system.json").exists()


def test_config_shows_what_reads_and_names_each_file_that_does_not(home: Path) -> None:
    (home / "adminport.cfg").write_text("many")
    (home / "convleader.cfg").write_text("here:there")
    (home / "othercaps.cfg").write_text("{ 'Worker': True }")
    done = run(home, "config")
    assert done.exit_code == 8
    assert "Admin Port: does not read" in done.stdout and "{'Worker': True}" in done.stdout
    for name in ("adminport.cfg:1:1", "convleader.cfg:1:1"):
        assert done.stderr.count(f"{home}/{name}") == 1
    done = run(home, "config", "--json")
    told = json.loads(done.stdout)
    jsonschema.validate(told, schema("config"))
    assert done.exit_code == 8 and len(told["errors"]) == 2
    values = {one["name"]: one["value"] for one in told["settings"]}
    assert values["othercaps"] == {"Worker": True} and values["adminport"] is None
    assert "does not read: " in run(home, "help").stdout


@pytest.mark.parametrize("command", ["config", "doctor", "start"])
def test_a_leader_that_can_be_no_host_is_told_with_its_place(home: Path, command: str) -> None:
    (home / "adminport.cfg").write_text(str(free_port()))
    (home / "convleader.cfg").write_text("['head', 'not a host!!']")
    done = run(home, command)
    assert done.exit_code == (1 if command == "doctor" else 8)
    wanted = f"{home}/convleader.cfg:1:11: 'not a host!!' is no host of a convention leader"
    assert wanted in done.output


@pytest.mark.parametrize(
    ("file", "text", "place"),
    [
        ("adminport.cfg", "many", ":1:1"),
        ("convleader.cfg", "one,two:x", ":1:5"),
        ("convleader.cfg", "not a host!!", ":1:1: 'not a host!!' is no host"),
        ("minkeybits.cfg", "12", ":1:1"),
        (
            "thesplog.cfg",
            "{'version': 1, 'root': {'handlers': ['gone']}}",
            ":1:16: the logger 'root': ",
        ),
        (
            "thesplog.cfg",
            "{'version': 1,\n 'handlers': {'x': {'class': 'logging.NoSuch'}}}",
            ":2:15: the handler 'x': there is no logging.NoSuch",
        ),
        (
            "thesplog.cfg",
            "{'version': 1, 'root': {'handlers': ['x']},\n 'handlers': {'x': {'class': 'no.Such'}}}",
            ":2:15: logging refuses it: Unable to configure handler 'x': ",
        ),
        ("thesplog.cfg", "{'version': 1,", ":1:"),
    ],
)
@pytest.mark.parametrize("command", [["start"], ["load", "foo"], ["refresh"]])
def test_a_value_that_cannot_be_is_told_once_before_anything_runs(
    home: Path, command: list[str], file: str, text: str, place: str
) -> None:
    if file != "adminport.cfg":
        (home / "adminport.cfg").write_text(str(free_port()))
    (home / file).write_text(text)
    done = run(home, *command)
    assert done.exit_code == 8 and done.stdout == ""
    assert done.stderr.count(f"{home}/{file}{place}") == 1
    assert not (home / ".state" / "system.json").exists()


def test_a_service_tells_once_what_does_not_read(home: Path) -> None:
    (home / "adminport.cfg").write_text("many")
    (home / "thesplogs.cfg").write_text("few")
    done = subprocess.run(
        [sys.executable, "-m", "director", "start", "wait"],
        env={**os.environ, "THESPIAN_DIRECTOR_DIR": str(home)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 8 and "Traceback" not in done.stderr
    assert done.stderr.count("adminport.cfg:1:1: 'many' is no whole number. ") == 1
    assert done.stderr.count("thesplogs.cfg:1:1") == 1
    assert not (home / ".state").exists()


@pytest.mark.parametrize("command", [["list"], ["shutdown"], ["unload", "00"]])
def test_commands_that_need_a_system_exit_3(
    home: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SystemProcesses, "running", lambda self: False)
    done = run(home, *command)
    assert done.exit_code == 3 and "director start" in done.stderr


def test_every_command_is_a_click_command_with_a_first_sentence() -> None:
    for name, command in cli.commands.items():
        assert isinstance(command, click.Command) and (command.help or "").split(".")[0], name
