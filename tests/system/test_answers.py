"""What goes wrong is told in words that help: by the Director's replies, handles of roles, and commands."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from director.errors import DirectorError, LoadFailed
from director.tls.keys import SigningKey
from tests.conftest import Host, open_host, small_disk
from tests.system.test_faults import WORKER, director, eventually, pid_of, put

pytestmark = pytest.mark.system


def test_on_a_full_disk_pin_and_undo_answer_and_undo_tells_that_its_pin_is_not_kept(
    tmp_path: Path, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path, "400k") as small:
        monkeypatch.setenv("THESPIAN_DIRECTOR_STATE", str(small))
        with open_host(tmp_path, key) as host:
            for version in ("1", "2"):
                put(host, "app", version, "App")
                host.control.load("app")
            fill(small)
            started = time.monotonic()
            told = host.control.ask({"DirectorOp": "Pin", "Group": "app", "Version": "2"}, "Pinned")
            assert not told["Success"] and "No space left" in told["Message"], told
            told = host.control.ask({"DirectorOp": "Undo", "Group": "app"}, "UndoResult", 20)
            assert told["Success"] and "No space left" in told["PinMessage"], told
            assert time.monotonic() - started < 20
            said = director(host, "pin", "app", "2")
            assert said.returncode == 1 and "No space left" in said.stderr, said
            found = host.control.role("App")
            assert found is not None and found.ask({})["version"] == "1"


def fill(place: Path) -> None:
    with (place / "filler").open("wb", buffering=0) as stream:
        for size in (4096, 1):
            try:
                while True:
                    stream.write(b"x" * size)
            except OSError:
                continue


def test_an_actor_that_died_too_often_is_named_by_refresh_and_started_again_by_load(
    host: Host,
) -> None:
    members = {"app/__init__.py": "", "app/work.py": WORKER.replace("VERSION", "1")}
    text = "{'Actors': {'app.work.Worker': {'OnLoad': {'Role': 'App'}}}, 'Restart': {'Limit': 0}}"
    host.put("app", "1", text, members)
    host.control.load("app", settle=0)
    os.kill(pid_of(host, "App"), signal.SIGKILL)
    eventually(lambda: states(host) == ["failed"])
    said = director(host, "refresh")
    assert said.returncode == 1 and "director load app" in said.stderr, said
    said = director(host, "doctor")
    assert said.returncode == 1 and "`director load app` starts it again" in said.stdout
    said = director(host, "load", "app")
    assert said.returncode == 0, said.stderr
    assert states(host) == ["serving"] and pid_of(host, "App")
    assert director(host, "status").returncode == 0 and director(host, "refresh").returncode == 0


def states(host: Host) -> list[str]:
    return [a.state for v in host.control.status("app").groups[0].versions for a in v.actors]


def test_a_question_over_which_the_actor_dies_is_told_as_that(host: Host) -> None:
    put(host, "app", "1", "App")
    host.control.load("app")
    found = host.control.role("App")
    assert found is not None
    os.kill(int(found.ask({})["pid"]), signal.SIGKILL)
    started = time.monotonic()
    with pytest.raises(DirectorError) as told:
        found.ask({}, timeout=15)
    if time.monotonic() - started < 12:
        assert told.value.code == "unreachable" and "died" in str(told.value)
    else:
        assert told.value.code == "no-answer"


def test_a_first_load_in_progress_is_starting_and_not_unwell(host: Host) -> None:
    slow = "import time; time.sleep(4)\n" + WORKER.replace("\n    ", "\n")
    put(host, "app", "1", "App", body=slow)
    put(host, "other", "1", "Other")
    host.control.load("other")
    path = str(host.directory / "app-1.tls")
    host.control.ask({"DirectorOp": "LoadSource", "Source": path, **DEFINITION}, "SourceLoading")
    eventually(lambda: any(g.loading for g in host.control.status().groups))
    said = director(host, "status")
    assert said.returncode == 0 and "app: starting" in said.stdout, said
    eventually(lambda: director(host, "status", "app").stdout.count("app: ok") == 1, 20)


def test_a_load_by_message_starts_what_the_tli_says_that_counts_for_the_file(host: Host) -> None:
    def load(version: str, **more: str) -> dict[str, object]:
        request = {"DirectorOp": "LoadSource", "Source": str(host.directory / f"app-{version}.tls")}
        return host.control.ask({**request, "Wait": True, **more}, "LoadResult", 30)

    put(host, "app", "1", "App")
    host.control.load("app")
    put(host, "app", "2", "App")
    assert load("2")["Success"]
    found = host.control.role("App")
    assert found is not None and found.ask({})["version"] == "2", "by the signed TLI"
    put(host, "app", "3", "App")
    own = host.directory / "app.tli"
    own.write_text("{'Actors': {'app.work.Worker': {'OnLoad': {'Role': 'Mine'}}}}")
    assert load("3")["Success"]
    found = host.control.role("Mine")
    assert found is not None and found.ask({})["version"] == "3", "by the operator's own"
    put(host, "app", "4", "App")
    own.write_text("{'Actors': nonsense}")
    told = load("4")
    assert not told["Success"] and "app.tli" in str(told["Message"]), told
    assert load("4", SHA256="0" * 64)["Code"] == "changed"
    assert found.ask({})["version"] == "3", "what ran goes on"
    actors = {"app.work.Worker": {"OnLoad": {"Role": "Declared"}}}
    told = host.control.ask(
        {"DirectorOp": "DefineGroup", "Group": "app", "Actors": actors}, "DeclaredGroup"
    )
    assert told["Success"] and load("4")["Success"], "what was declared counts before all files"
    declared = host.control.role("Declared")
    assert declared is not None and declared.ask({})["version"] == "4"


DEFINITION = {"Definition": {"Actors": {"app.work.Worker": {"OnLoad": {"Role": "App"}}}}}


def test_a_source_that_is_not_there_or_cannot_be_named_is_told_so(host: Host) -> None:
    put(host, "app", "1", "App")
    host.control.load("app")
    for path, code, says in (
        ("/nope-1.tls", "not-found", "/nope-1.tls: No such file"),
        ("x\0y.tls", "malformed", "NUL"),
    ):
        told = host.control.ask({"DirectorOp": "LoadSource", "Source": path}, "SourceLoading")
        assert (told["Success"], told["Code"]) == (False, code) and says in told["Message"]


def test_a_log_directory_that_cannot_be_made_is_told_with_its_setting(host: Host) -> None:
    (host.directory / "thesplogd.cfg").write_text("/proc/nothere")
    said = director(host, "start")
    assert (
        said.returncode == 8 and "thesplogd.cfg" in said.stderr and "/proc/nothere" in said.stderr
    )


@pytest.mark.parametrize("word", ["nan", "-1", "inf", "abc"])
def test_settle_takes_only_a_number_of_seconds(host: Host, word: str) -> None:
    said = director(host, "load", "app", "--settle", word)
    assert said.returncode == 2 and "Traceback" not in said.stderr


def test_help_verbose_explains_the_word(host: Host) -> None:
    said = director(host, "help", "verbose")
    assert said.returncode == 0 and "each of its steps" in said.stdout


def test_the_traceback_of_a_load_begins_in_the_authors_own_code(host: Host) -> None:
    put(host, "app", "1", "App", body="import sys; sys.exit(3)\n")
    with pytest.raises(LoadFailed) as told:
        host.control.load("app")
    files = [line for line in str(told.value).splitlines() if line.strip().startswith("File ")]
    assert len(files) == 1 and "work.py" in files[0], str(told.value)
