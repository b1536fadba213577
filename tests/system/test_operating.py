"""What operators see: every command's words, its JSON held against its schema, its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from director.commands import DirectorControl
from director.documents import schema
from director.tls.keys import SigningKey
from tests.conftest import Host, open_host

pytestmark = pytest.mark.system

TLI = """{'Actors': {'app.echo.Echo': {
    'OnLoad': {'Role': 'Echo', 'Message': 'hello'},
    'OnDeactivate': {'Message': 'stop'}}}}"""
ECHO = """
    import logging
    from thespian.actors import ActorTypeDispatcher

    class Echo(ActorTypeDispatcher):
        def receiveMsg_str(self, message, sender):
            logging.getLogger("app").info("heard %s", message)
        def receiveMsg_dict(self, message, sender):
            self.send(sender, {"version": "VERSION"})
"""
BROKEN = "raise RuntimeError('no such luck')\n"


def sources(version: str) -> dict[str, str]:
    return {"app/__init__.py": "", "app/echo.py": ECHO.replace("VERSION", version)}


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Iterator[Host]:
    """One host for the story of this module; its tests run in their order."""
    with open_host(tmp_path_factory.mktemp("operated"), key) as made:
        made.put("app", "1.0", TLI, sources("1.0"))
        made.put("app", "2.0", TLI, sources("2.0"))
        yield made


def director(host: Host, *words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "director", *words],
        env=host.environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )


def document(host: Host, *words: str, status: int = 0, name: str = "") -> Any:
    """The document that a command writes with --json, checked against its schema."""
    done = director(host, *words, "--json")
    assert done.returncode == status, done
    told = json.loads(done.stdout)
    wanted = schema(name or words[0])
    jsonschema.validate(told, wanted)
    assert "Traceback" not in done.stderr
    return told


def test_before_a_start_what_needs_a_system_says_so_in_json_too(operated: Host) -> None:
    for words in (
        ["list"],
        ["status"],
        ["shutdown"],
        ["unload", "00"],
        ["undo", "app"],
        ["pin", "app", "1.0"],
        ["unpin", "app"],
    ):
        told = document(operated, *words, status=3, name="error")
        assert told["error"]["code"] == "not-running" and "start" in told["error"]["hint"]
    assert document(operated, "history")["events"] == []
    assert document(operated, "pin", name="pins")["pins"] == []
    assert not operated.control.running()


def test_config_and_avail(operated: Host) -> None:
    told = document(operated, "config")
    assert {one["name"]: one["source"] for one in told["settings"]}["thesplog"] == "default"
    groups = document(operated, "avail")["groups"]
    assert [one["version"] for one in groups["app"]] == ["2.0", "1.0"]


def test_a_load_by_name_takes_the_newest_and_list_shows_it(operated: Host) -> None:
    assert document(operated, "load", "app-1.0.tls")["groups"][0]["changed"] is True
    assert document(operated, "load", "app")["groups"][0]["file"].endswith("app-2.0.tls")
    told = document(operated, "list")["groups"]["app"]
    assert [(one["version"], one["active"]) for one in told] == [("2.0", True), ("1.0", False)]
    lines = director(operated, "list").stdout.splitlines()
    assert lines[0] == "Group app::" and "[ACTIVE]" in lines[1]
    assert " -- app.echo.Echo (Echo)  (since 20" in lines[2]


def test_start_and_refresh_change_nothing_when_all_is_up_to_date(operated: Host) -> None:
    before = document(operated, "status")["processes"]
    assert document(operated, "start")["groups"] == []
    assert [one["changed"] for one in document(operated, "refresh")["groups"]] == [False]
    assert document(operated, "status")["processes"] == before


def test_a_load_that_fails_shows_in_status_history_and_doctor_with_its_traceback(
    operated: Host,
) -> None:
    broken = sources("3.0") | {"app/echo.py": BROKEN}
    path = operated.put("app", "3.0", TLI, broken)
    told = document(operated, "load", "app", status=1, name="error")
    assert "RuntimeError: no such luck" in told["error"]["message"]
    group = document(operated, "status", status=0)["groups"][0]
    assert "no such luck" in group["failure"]["text"] and group["failure"]["version"] == "3.0"
    lines = director(operated, "status").stdout
    assert 'File "' in lines and "RuntimeError: no such luck" in lines
    assert document(operated, "history", "app")["events"][-1]["event"] == "failed"
    found = document(operated, "doctor", status=1)["findings"]
    assert any("status app" in one["remedy"] for one in found)
    path.unlink()


def test_undo_goes_back_and_pins_and_refresh_leaves_it_so(operated: Host) -> None:
    told = document(operated, "undo", "app")["groups"][0]
    assert told["file"].endswith("app-1.0.tls")
    assert document(operated, "refresh")["groups"][0]["changed"] is False
    told = document(operated, "undo", "app", status=1, name="error")["error"]
    assert told["code"] == "nothing-to-undo" and "no further than app-1.0.tls" in told["message"]
    assert told["hint"].startswith("`director unpin app`, then `director load FILE`")
    told = document(operated, "load", "app-2.0.tls", status=1, name="error")
    assert told["error"]["code"] == "pinned" and "unpin app" in told["error"]["hint"]
    assert "pinned to app-1.0.tls" in director(operated, "status").stdout
    assert document(operated, "unpin", "app", name="pins")["pins"] == []
    assert document(operated, "refresh")["groups"][0]["changed"] is True
    events = [one["event"] for one in document(operated, "history")["events"]]
    assert events[-4:] == ["undone", "pinned", "unpinned", "active"]


def test_undo_loads_a_version_again_that_is_not_loaded_any_more(operated: Host) -> None:
    old = document(operated, "list")["groups"]["app"][1]["source_hash"]
    assert document(operated, "unload", old)["source_hash"] == old
    told = document(operated, "undo", "app")["groups"][0]
    assert told["source_hash"] == old and told["changed"] is True
    document(operated, "unpin", "app", name="pins")
    document(operated, "refresh")


def test_a_pin_names_a_version_that_is_there(operated: Host) -> None:
    told = document(operated, "pin", "app", "9.9", status=4, name="error")
    assert "2.0, 1.0" in told["error"]["hint"]
    assert document(operated, "pin", "app", name="pins")["pins"][0]["file"] == "app-2.0.tls"
    told = document(operated, "pin", "app", "1", name="pins")["pins"]
    assert [one["version"] for one in told] == ["1.0"], "1 and 1.0 are equal"
    document(operated, "unpin", "app", name="pins")
    assert document(operated, "unpin", "app", status=4, name="error")


def test_logs_show_the_groups_own_lines_with_the_address(operated: Host) -> None:
    lines = document(operated, "logs", "app")["lines"]
    heard = [line for line in lines if "heard hello" in line]
    assert heard and "ActorAddr-(" in heard[-1]
    assert any("no such luck" in line for line in lines), "and the failed load"
    told = document(operated, "logs", "nothing", status=4, name="error")
    assert "app" in told["error"]["hint"]


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["lod", "app"], 2, "Did you mean 'load'?"),
        (["help", "lod"], 4, "Did you mean 'load'?"),
        (["load", "ap"], 4, "Did you mean 'app'?"),
        (["list", "ap"], 4, "Did you mean 'app'?"),
        (["status", "ap"], 4, "Did you mean 'app'?"),
        (["history", "ap"], 4, "Did you mean 'app'?"),
        (["logs", "ap"], 4, "Did you mean 'app'?"),
        (["undo", "ap"], 4, "Did you mean 'app'?"),
        (["pin", "ap"], 4, "Did you mean 'app'?"),
        (["pin", "ap", "1.0"], 4, "Did you mean 'app'?"),
        (["unpin", "ap"], 4, "Did you mean 'app'?"),
        (["undo", "nothing-like-it"], 4, "Known are: app."),
        (["load"], 2, "Missing argument"),
        (["unload", "00"], 4, "director list"),
        (["load", "verbose"], 4, "no .tls file of a group 'verbose'"),
    ],
)
def test_mistakes_get_a_sentence_a_hint_and_their_status(
    operated: Host, words: list[str], status: int, says: str
) -> None:
    done = director(operated, *words)
    assert done.returncode == status and says in done.stderr
    assert done.stdout == "" and "Traceback" not in done.stderr


def test_help_is_on_stdout_and_starts_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "THESPIAN_DIRECTOR_DIR": str(tmp_path)}
    (tmp_path / "adminport.cfg").write_text("1")
    for words in ([], ["help"]):
        done = subprocess.run(
            [sys.executable, "-m", "director", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0 and done.stderr == ""
        for text in ("load", "refresh", "adminport.cfg", "default 1900; now 1", str(tmp_path)):
            assert text in done.stdout
    assert list(tmp_path.iterdir()) == [tmp_path / "adminport.cfg"]


def test_completion_knows_commands_after_verbose_and_groups(operated: Host) -> None:
    def complete(words: str, cword: int) -> str:
        environment = operated.environment() | {
            "_DIRECTOR_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(cword),
        }
        command = [str(Path(sys.executable).parent / "director")]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=30
        ).stdout

    assert "load" in complete("director lo", 1)
    assert "refresh" in complete("director verbose ref", 2)
    assert "plain,app" in complete("director load a", 2)
    assert "app-2.0.tls" in complete("director load app-", 2)
    assert "_DIRECTOR_COMPLETE" in director(operated, "completion", "bash").stdout


def test_each_command_is_a_method_with_the_same_exit_status(
    operated: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    with DirectorControl(operated.directory) as control:
        assert control.cmd_avail() == 0 and "app-2.0.tls" in capsys.readouterr().out
        assert control.cmd_list("app") == 0 and control.cmd_list("nothing") == 4
        assert control.cmd_load("app") == 0 and control.cmd_load("app", "--wrong") == 2
        assert control.cmd_unload("00") == 4 and control.cmd_help("load") == 0
        capsys.readouterr()
        found = control.get_role_address("Echo")
        assert found is not None and capsys.readouterr().out == ""
        address = found.pop("ActorAddress")
        assert str(address).startswith("ActorAddr-") and found.pop("StartTime")
        assert found == {
            "DirectorResponse": "RoleAddress",
            "Group": "app",
            "ActorClass": "app.echo.Echo",
            "SourceHash": found["SourceHash"],
            "Role": "Echo",
            "Success": True,
        }
        assert control.get_role_address("unknown role name") is None
        told = capsys.readouterr()
        assert "RoleAddress ERROR:" in told.out and told.err == ""
        assert control.get_role_address("Eco") is None
        assert capsys.readouterr().err == "Did you mean 'Echo'?\n"
        assert control.get_role_address("Echo", group="other", silent=True) is None
        assert capsys.readouterr().out == ""


def test_doctor_finds_what_is_wrong(tmp_path: Path, key: SigningKey) -> None:
    directory = tmp_path / "director"
    directory.mkdir()
    (directory / "bad_tls.key").write_bytes(b"")
    (directory / "mine.pem").write_bytes(key.private_pem(None))
    (directory / "app.tli").write_text("{'Actors': {},\n 'Autounload': True}")
    (directory / "thesplog.cfg").write_text("{'version': 1")
    (directory / "adminport.cfg").write_text("0")
    directory.chmod(0o777)
    with DirectorControl(directory) as control:
        found = {finding.code: finding for finding in control.doctor()}
    assert {"no-keys", "private-key", "tli", "settings", "world-writable"} <= set(found)
    assert "app.tli:2:2" in found["tli"].text and "AutoUnload" in found["tli"].remedy
    assert all(finding.remedy for finding in found.values())
    assert sorted(p.name for p in directory.iterdir()) == [
        "adminport.cfg",
        "app.tli",
        "bad_tls.key",
        "mine.pem",
        "thesplog.cfg",
    ], "nothing was written"


def test_shutdown_and_after(operated: Host) -> None:
    assert document(operated, "shutdown")["killed"] == []
    assert document(operated, "status", status=3, name="error")
    assert document(operated, "history")["events"], "the history stays"
