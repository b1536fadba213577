"""``--json``: each command writes one document, errors too, that its published schema takes, with no key undeclared."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest

import director
from director.cli import cli
from director.control import DirectorControl
from director.documents import schema
from director.tls.keys import SigningKey
from tests.commands import run_command
from tests.conftest import make_tls

SCHEMAS = sorted((Path(director.__file__).parent / "schemas").glob("*.json"))
#: The command that has none: it prints a script for a shell to read.
WITHOUT = {"completion"}
#: A call of each command that fails here, where no system runs, and its exit status.
FAILING = {
    "help": (["nothing"], 4),
    "config": (["more"], 2),
    "keygen": (["sourcekey"], 1),
    "gensrc": (["foo"], 2),
    "start": (["wait"], 2),
    "shutdown": ([], 3),
    "bootstart": (["a", "b"], 2),
    "bootstop": (["--root", "/nowhere"], 4),
    "avail": (["more"], 2),
    "tlsinfo": (["app-1.0.tls", "nothing"], 4),
    "install": (["none-1.tls"], 4),
    "load": (["nothing"], 4),
    "refresh": (["more"], 2),
    "list": ([], 3),
    "unload": (["00"], 3),
    "status": ([], 3),
    "logs": (["nothing"], 4),
    "history": (["nothing"], 4),
    "undo": (["app"], 3),
    "pin": (["nothing", "1"], 4),
    "unpin": (["nothing"], 4),
    "doctor": (["more"], 2),
    "demo": (["more"], 2),
}


@pytest.fixture
def home(tmp_path: Path, key: SigningKey, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A director directory with a version of ``app``, and a working directory with a key and a source."""
    directory = tmp_path / "director"
    directory.mkdir()
    (directory / "sourcekey_tls.key").write_bytes(key.public_pem)
    (directory / "adminport.cfg").write_text("1")  # where nothing answers
    (directory / "thesplogd.cfg").write_text(str(tmp_path))
    members: dict[str, str | bytes] = {"app/__init__.py": "X = 1\n", "app/data.bin": b"\xff\xfe"}
    (directory / "app-1.0.tls").write_bytes(make_tls(key, "app", "1.0", "{'Actors': {}}", members))
    work = tmp_path / "work"
    (work / "src" / "foo").mkdir(parents=True)
    (work / "src" / "foo" / "__init__.py").write_text("")
    (work / "foo.tli").write_text("{'Actors': {}}")
    (work / "sourcekey.pem").write_bytes(key.private_pem(None))
    monkeypatch.chdir(work)
    return directory


def document(home: Path, *words: str, status: int = 0, name: str = "") -> Any:
    """The one document that a command writes, held against its schema."""
    environment = {"THESPIAN_DIRECTOR_DIR": str(home), "THESPIAN_DIRECTOR_STATE": None}
    done = run_command([*words, "--json"], env=environment)
    assert done.exit_code == status, done
    told = json.loads(done.stdout)
    jsonschema.validate(told, schema(name or words[0]))
    assert told["schema"] == f"director/{name or words[0]}/1"
    return told


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_each_command_takes_it_and_has_its_schema(name: str) -> None:
    options = [one.opts for one in cli.commands[name].params if isinstance(one, click.Option)]
    assert (["--json"] in options) == (name not in WITHOUT)
    published = {"pin": "pins", "unpin": "pins"}.get(name, name)
    assert name in WITHOUT or schema(published)["properties"]["schema"]["const"].endswith("/1")


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_a_schema_is_valid_and_lets_no_undeclared_key_through(path: Path) -> None:
    told = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(told)
    for found in objects(told):
        more = found.get("additionalProperties")
        if "properties" in found:
            assert more is False and sorted(found["required"]) == sorted(found["properties"])
        else:  # a mapping: names are the operator's, values are declared
            assert isinstance(more, dict) and more


def objects(told: Any) -> Iterator[dict[str, Any]]:
    if isinstance(told, dict):
        if told.get("type") == "object":
            yield told
        for value in told.values():
            yield from objects(value)
    elif isinstance(told, list):
        for value in told:
            yield from objects(value)


@pytest.mark.parametrize("name", sorted(set(cli.commands) - WITHOUT))
def test_what_goes_wrong_is_a_document_with_the_exit_status(home: Path, name: str) -> None:
    words, status = FAILING[name]
    told = document(home, name, *words, status=status, name="error")
    assert told["error"]["exit_status"] == status and told["error"]["message"]


@pytest.mark.parametrize("words", [["nothing"], ["load"], ["keygen", "--bits", "12"]])
def test_so_are_mistakes_in_the_words(home: Path, words: list[str]) -> None:
    assert document(home, *words, status=2, name="error")["error"]["code"] == "usage"


def test_help_describes_every_command_and_setting_as_it_is(home: Path) -> None:
    told = document(home, "help")
    assert [one["name"] for one in told["commands"]] == list(cli.commands)
    settings = {one["name"]: one for one in told["settings"]}
    assert settings["adminport"]["value"] == "1" and settings["adminport"]["default"] == "1900"
    (load,) = document(home, "help", "load")["commands"]
    assert load["usage"] == "director load [OPTIONS] GROUP_OR_FILE"
    assert {"--settle", "--json"} <= {word for one in load["parameters"] for word in one["words"]}


def test_keygen_gensrc_install_tlsinfo(home: Path, tmp_path: Path) -> None:
    made = document(home, "keygen", "mine", "--type", "ed25519")
    assert made["fingerprint"].startswith("sha256:") and Path(made["private"]).is_file()
    words = ["foo", "sourcekey.pem", "src", "version:2.0", "tli:foo.tli", "foo/*.py"]
    listed = document(home, "gensrc", "--list", *words)
    assert listed["written"] == [] and "foo/__init__.py" in {m["name"] for m in listed["members"]}
    written = document(home, "gensrc", *words)
    assert written["written"] == [str(home / "foo-2.0.tls"), str(home / "foo.tli")]
    assert written["members"] is None
    there = tmp_path / "app-1.0.tls"
    there.write_bytes((home / "app-1.0.tls").read_bytes())
    bad = tmp_path / "app-2.0.tls"
    bad.write_bytes(there.read_bytes())
    assert document(home, "install", str(there))["installed"] == [str(home / "app-1.0.tls")]
    told = document(home, "install", str(there), str(bad), status=7)
    assert len(told["installed"]) == 1
    ((refused, error),) = [(one["file"], one["error"]) for one in told["refused"]]
    assert refused == str(bad) and error["exit_status"] == 7
    told = document(home, "tlsinfo", "app-1.0.tls")
    assert (told["group"], told["version"], told["members"]) == ("app", "1.0", None)
    listed = document(home, "tlsinfo", "app-1.0.tls", "contents")["members"]
    assert {"name": "app/__init__.py", "size": 6} in listed
    member = document(home, "tlsinfo", "app-1.0.tls", "app/__init__.py")["member"]
    assert (member["encoding"], member["data"]) == ("utf-8", "X = 1\n")
    member = document(home, "tlsinfo", "app-1.0.tls", "app/data.bin")["member"]
    assert member["encoding"] == "base64" and base64.b64decode(member["data"]) == b"\xff\xfe"


def test_bootstart_and_bootstop(home: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    for folder in ("etc/init", "sbin", "opt/thespian/director", "opt/venv/bin"):
        (image / folder).mkdir(parents=True)
    (image / "opt/venv/bin/python").touch()
    words = ["--root", str(image), "--manager", "upstart"]
    at = ["--python", "/opt/venv/bin/python"]
    directory = Path("/opt/thespian/director")
    told = document(directory, "bootstart", "nostart", "--print", *words, *at)
    assert told["performed"] is False and not any((image / "etc/init").iterdir())
    told = document(directory, "bootstart", "nostart", *words, *at)
    assert told["performed"] is True and any("thespian.director.conf" in x for x in told["lines"])
    told = document(directory, "bootstop", *words)
    assert told["lines"] and any("/var/lib/" in place for place in told["kept"])


def test_what_reads_files_only(home: Path) -> None:
    assert document(home, "avail")["groups"]["app"][0]["version"] == "1.0"
    assert document(home, "config")["errors"] == []
    assert document(home, "history")["events"] == []
    assert document(home, "history", "app")["events"] == []
    assert document(home, "logs", "app")["lines"] == []
    assert document(home, "pin", name="pins")["pins"] == []
    assert all(one["remedy"] for one in document(home, "doctor")["findings"])


def test_the_demo(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real one takes a minute, and is run by tests/system/test_demo.py."""
    monkeypatch.setattr("director.demo.run", lambda tell: tell("1. Made a key pair"))
    assert document(home, "demo")["lines"] == ["1. Made a key pair"]


def test_a_document_is_json_in_every_locale_and_whatever_a_setting_holds(tmp_path: Path) -> None:
    home = tmp_path / "dé\U0001f600"
    home.mkdir()
    (home / "othercaps.cfg").write_text("{'most': 1e999, 'odd': [-1e999]}")
    environment = {**os.environ, "THESPIAN_DIRECTOR_DIR": str(home), "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(
        [sys.executable, "-m", "director", "config", "--json"],
        env=environment,
        capture_output=True,
        timeout=30,
    )

    def no_json(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    told = json.loads(done.stdout.decode("ascii"), parse_constant=no_json)
    assert told["directory"] == str(home)
    (caps,) = [one["value"] for one in told["settings"] if one["name"] == "othercaps"]
    assert caps["most"] == "inf" and caps["odd"] == ["-inf"]


def test_an_interrupted_command_has_its_document_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: DirectorControl) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(DirectorControl, "start", interrupted)
    done = run_command(["start", "--json"], env={"THESPIAN_DIRECTOR_DIR": str(tmp_path)})
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    jsonschema.validate(told, schema("error"))
    assert told["error"]["code"] == "interrupted"
