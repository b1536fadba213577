"""Real actor systems: what an operator does and sees, and that sources run as ordinary Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from director.errors import DirectorError, LoadFailed, NotFound, NotRunning, NotValidated
from director.kernel import session_members
from director.tls.keys import generate_key
from tests.conftest import Host, make_tls

pytestmark = pytest.mark.system

LIMIT = timedelta(seconds=10)

ECHO = """
    import os
    from thespian.actors import ActorExitRequest, ActorTypeDispatcher
    import {package}.words as words

    class Echo(ActorTypeDispatcher):
        heard = ()
        def receiveMsg_dict(self, message, sender):
            if message.get("ask") == "file":
                self.send(sender, words.__file__)
            elif message.get("ask") == "heard":
                self.send(sender, list(self.heard))
            else:
                self.send(sender, {{"echo": message, "word": words.WORD, "pid": os.getpid()}})
        def receiveMsg_str(self, message, sender):
            self.heard = (*self.heard, message)
            if message == "leave":
                self.send(self.myAddress, ActorExitRequest())
"""

TLI = """{{'Actors': {{'{package}.echo.Echo': {{
    'OnLoad': {{'Role': 'Echo', 'Message': 'hello' {name}}},
    'OnReactivate': {{'Message': 'again'}},
    'OnDeactivate': {{'Message': '{stop}'}}}}}}, 'Drain': 1}}"""


def sources(word: str = "one", package: str = "app", extra: str = "") -> dict[str, str]:
    return {
        f"{package}/__init__.py": "",
        f"{package}/words.py": f"WORD = {word!r}\n{extra}",
        f"{package}/echo.py": ECHO.format(package=package),
    }


def tli(*, package: str = "app", name: str | None = None, stop: str = "stop") -> str:
    named = f", 'GlobalName': '{name}'" if name else ""
    return TLI.format(package=package, name=named, stop=stop)


def ask(host: Host, message: Any, role: str = "Echo") -> Any:
    found = host.control.role(role)
    assert found is not None
    return host.control.system.ask(found.address, message, LIMIT)


def eventually(holds: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def director(host: Host, *words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "director", *words],
        env=host.environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )


def test_a_loaded_actor_runs_from_the_unpacked_directory_and_heard_its_message(host: Host) -> None:
    host.put("app", "1.0", tli(), sources())
    loaded = host.control.load("app")
    assert loaded.changed and host.control.role("Echo") is not None
    assert ask(host, {"n": 1})["word"] == "one"
    assert ask(host, {"ask": "heard"}) == ["hello"]
    place = Path(ask(host, {"ask": "file"}))
    assert place.is_file() and place.parts[-2:] == ("app", "words.py")


def test_an_upgrade_switches_the_role_and_the_old_version_stays(host: Host) -> None:
    host.put("app", "1.0", tli(), sources("one"))
    host.control.load("app")
    old = host.control.role("Echo")
    host.put("app", "2.0", tli(), sources("two"))
    host.control.load("app")
    assert ask(host, {})["word"] == "two"
    assert old is not None
    assert host.control.system.ask(old.address, {}, LIMIT)["word"] == "one"
    eventually(
        lambda: host.control.system.ask(old.address, {"ask": "heard"}, LIMIT) == ["hello", "stop"]
    )


def test_a_named_file_even_an_older_one_is_the_one_loaded(host: Host) -> None:
    host.put("app", "1.0", tli(), sources("one"))
    host.control.load("app")
    host.put("app", "2.0", tli(), sources("two"))
    host.control.load("app")
    assert ask(host, {})["word"] == "two"
    host.control.load("app-1.0.tls")
    assert ask(host, {})["word"] == "one"


def test_an_older_file_that_is_new_to_the_host_needs_the_operators_word(host: Host) -> None:
    host.put("app", "2.0", tli(), sources("two"))
    host.control.load("app")
    host.put("app", "1.0", tli(), sources("one"))
    with pytest.raises(NotValidated, match="allow-downgrade") as caught:
        host.control.load("app-1.0.tls")
    assert caught.value.code == "downgrade" and ask(host, {})["word"] == "two"
    line = f"director load {host.directory}/app-1.0.tls --allow-downgrade"
    assert f"`{line}`" in str(caught.value), "the whole command, as it can be copied"
    done = director(host, *line.split()[1:])
    assert done.returncode == 0, done
    assert ask(host, {})["word"] == "one"
    lines = (host.control.state / "audit.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    assert [line for line in told if "allowed: downgrade" in line.get("note", "")]


def test_a_version_that_does_not_import_fails_with_its_own_traceback_and_the_old_one_serves(
    host: Host,
) -> None:
    host.put("app", "1.0", tli(), sources("one"))
    host.control.load("app")
    host.put("app", "2.0", tli(), sources("two", extra="import no_such_module_at_all\n"))
    with pytest.raises(LoadFailed, match="no_such_module_at_all"):
        host.control.load("app")
    assert ask(host, {})["word"] == "one"


@pytest.mark.parametrize("ending", ["import sys; sys.exit(3)", "raise KeyboardInterrupt"])
def test_a_source_that_tries_to_end_the_process_at_import_kills_neither_admin_nor_director(
    host: Host, ending: str
) -> None:
    host.put("app", "1.0", tli(), sources(extra=ending + "\n"))
    with pytest.raises(LoadFailed):
        host.control.load("app")
    assert host.control.loaded() == {}
    host.put("app", "1.1", tli(), sources("fine"))
    host.control.load("app")
    assert ask(host, {})["word"] == "fine"


def test_an_exception_in_init_fails_the_load_with_the_traceback(host: Host) -> None:
    broken = sources()
    broken["app/echo.py"] += (
        "        def __init__(self):\n            raise ValueError('no luck')\n"
    )
    host.put("app", "1.0", tli(), broken)
    with pytest.raises(LoadFailed, match="no luck"):
        host.control.load("app")


def test_a_global_name_passes_from_the_old_holder_to_the_new(host: Host) -> None:
    host.put("app", "1.0", tli(name="The Echo", stop="leave"), sources("one"))
    host.control.load("app")
    host.put("app", "2.0", tli(name="The Echo", stop="leave"), sources("two"))
    host.control.load("app")
    address = host.control.system.createActor("thespian.actors.Actor", globalName="The Echo")
    assert host.control.system.ask(address, {}, LIMIT)["word"] == "two"
    assert ask(host, {})["word"] == "two"


def test_a_file_signed_by_a_stranger_is_refused_with_exit_7_and_nothing_changes(host: Host) -> None:
    host.put("app", "1.0", tli(), sources("one"))
    host.control.load("app")
    stranger = make_tls(generate_key(2048), "app", "2.0", tli(), sources("two"))
    (host.directory / "app-2.0.tls").write_bytes(stranger)
    done = director(host, "load", "app")
    assert done.returncode == 7 and "key" in done.stderr and "Traceback" not in done.stderr
    assert ask(host, {})["word"] == "one"


def test_the_authority_refuses_by_itself_again_and_again_and_the_admin_lives(host: Host) -> None:
    host.put("app", "1.0", tli(), sources("one"))
    host.control.load("app")
    bad = host.directory / "bad-1.0.tls"
    bad.write_bytes(make_tls(generate_key(2048), "bad", "1.0", tli(), sources("bad")))
    request = {"DirectorOp": "LoadSource", "Source": str(bad), "Group": "bad", "Wait": True}
    for _ in range(3):
        answer = host.control.ask(request, "LoadResult")
        assert not answer["Success"] and answer["Code"] == "signature"
    # Straight to the Admin, twice at once, as any client could: Thespian's own refusal kills it here.
    host.control.system.loadActorSource(str(bad))
    host.control.system.loadActorSource(str(bad))
    assert ask(host, {})["word"] == "one"
    assert "bad" not in host.control.loaded()


def test_two_versions_with_equal_module_names_keep_their_own_modules(host: Host) -> None:
    host.put("app", "1.0", tli(), sources("one"))
    host.control.load("app")
    other = tli().replace("'Echo'", "'Other'")
    host.put("other", "1.0", other, sources("other"))
    host.control.load("other")
    assert ask(host, {})["word"] == "one"
    assert ask(host, {}, "Other")["word"] == "other"


def test_a_bundled_package_wins_over_the_hosts_own(host: Host) -> None:
    bundled = sources() | {"click/__init__.py": "__version__ = 'bundled'\n"}
    bundled["app/words.py"] = "import click\nWORD = click.__version__\n"
    host.put("app", "1.0", tli(), bundled)
    host.control.load("app")
    assert ask(host, {})["word"] == "bundled"


def test_a_dead_role_actor_comes_back(host: Host) -> None:
    host.put("app", "1.0", tli(), sources())
    host.control.load("app")
    before = ask(host, {})["pid"]
    role = host.control.role("Echo")
    assert role is not None
    host.control.system.tell(role.address, "leave")

    def back() -> bool:
        found = host.control.role("Echo")
        if not found:
            return False
        answer = host.control.system.ask(found.address, {}, timedelta(seconds=1))
        return isinstance(answer, dict) and answer["pid"] != before

    eventually(back)


def test_unloading_the_active_version_brings_the_older_one_back(host: Host) -> None:
    host.put("app", "1.0", tli(), sources("one"))
    host.control.load("app")
    old = host.control.role("Echo")
    assert old is not None
    host.put("app", "2.0", tli(), sources("two"))
    loaded = host.control.load("app")
    eventually(
        lambda: host.control.system.ask(old.address, {"ask": "heard"}, LIMIT) == ["hello", "stop"]
    )
    host.control.unload(loaded.source_hash)
    assert ask(host, {})["word"] == "one"
    assert ask(host, {"ask": "heard"}) == ["hello", "stop", "again"]
    with pytest.raises(NotFound):
        host.control.unload(loaded.source_hash)


def test_refresh_loads_what_is_newer_and_leaves_the_rest(host: Host) -> None:
    host.put("app", "1.0", tli(), sources("one"))
    first = director(host, "refresh")
    assert first.returncode == 0 and 'Loaded "app"' in first.stdout
    again = director(host, "refresh")
    assert again.returncode == 0 and "up to date" in again.stdout


def test_one_bad_group_does_not_stop_the_others_at_refresh(host: Host) -> None:
    host.put("app", "1.0", tli(), sources("one"))
    (host.directory / "aaa-1.tls").write_bytes(b"not a tls")
    done = director(host, "refresh")
    assert done.returncode == 1 and 'Loaded "app"' in done.stdout and "aaa" in done.stderr


def test_a_piped_load_ends_at_once_although_it_started_the_system(host: Host) -> None:
    host.put("app", "1.0", tli(), sources("one"))
    started = time.monotonic()
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m director load app | cat"],
        env=host.environment(),
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert 'Loaded "app"' in done.stdout and time.monotonic() - started < 30
    assert ask(host, {})["word"] == "one"


def test_actors_hold_no_file_of_the_caller_and_no_path_of_its_own(
    host: Host, tmp_path: Path
) -> None:
    secret = (tmp_path / "secret").open("w")
    host.put("app", "1.0", tli(), sources())
    host.control.load("app")
    for pid in host.processes():
        links = [p.readlink() for p in Path(f"/proc/{pid}/fd").iterdir() if p.is_symlink()]
        assert tmp_path / "secret" not in links
        assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    secret.close()


def test_commands_that_need_a_system_say_so_and_start_none(host: Host) -> None:
    for words in (["list"], ["shutdown"], ["unload", "00"]):
        done = director(host, *words)
        assert done.returncode == 3 and "director start" in done.stderr
    assert not host.control.running()
    with pytest.raises(NotRunning):
        host.control.loaded()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_cannot_end_or_change_it_by_our_commands_and_is_told_who_may(
    host: Host,
) -> None:
    host.control.start()
    members = host.control.processes.members()
    assert host.control.loaded() == {}  # so the line to the Director is there: all could be sent
    control = host.control
    ways: list[Callable[[], Any]] = [
        control.shutdown,
        lambda: control.unload("00"),
        lambda: control.undo("app"),
        lambda: control.pin("app"),
        lambda: control.unpin("app"),
    ]
    os.seteuid(65534)
    try:
        for way in ways:
            with pytest.raises(DirectorError, match="Nothing was sent") as told:
                way()
            assert told.value.code == "not-permitted" and told.value.exit_status == 1
    finally:
        os.seteuid(0)
    assert set(members) <= set(host.control.processes.members())
    assert host.control.loaded() == {}


def test_start_twice_changes_nothing_and_shutdown_leaves_no_process(host: Host) -> None:
    assert director(host, "start").returncode == 0
    processes = set(host.processes())
    session = os.getsid(min(processes))
    again = director(host, "start")
    assert again.returncode == 0 and "already running" in again.stderr
    assert set(host.processes()) == processes
    done = director(host, "shutdown")
    assert done.returncode == 0 and not host.control.running()
    assert not session_members(session)


def test_commands_during_a_start_meet_the_director_that_it_starts(host: Host) -> None:
    environment = host.environment()

    def begin(*words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "director", *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    starting = begin("start")
    asking: list[subprocess.Popen[str]] = []
    while starting.poll() is None:
        if len(asking) < 12:
            asking.append(begin("status"))
        time.sleep(0.05)
    for one in [starting, *asking]:
        out, error = one.communicate(timeout=60)
        assert "died" not in out + error.lower(), (out, error)
        assert one.returncode in (0, 3), (out, error)
    assert host.control.status().took_over is None


@pytest.mark.parametrize("broken", ["adminport", "othercaps"])
def test_a_setting_that_does_not_read_keeps_nothing_running(host: Host, broken: str) -> None:
    assert director(host, "start").returncode == 0
    session = os.getsid(min(host.processes()))
    (host.directory / f"{broken}.cfg").write_text("{nonsense")
    done = director(host, "shutdown")
    assert done.returncode == 0 and "Shutdown completed" in done.stdout, done.stderr
    assert f"{broken}.cfg" in done.stderr and "Traceback" not in done.stderr
    assert not session_members(session)
    again = director(host, "shutdown")
    assert again.returncode == 8, "there is nothing that would tell what to shut down"


def test_an_unknown_request_gets_an_answer_and_the_director_goes_on(host: Host) -> None:
    host.control.start()
    assert not host.control.ask({"DirectorOp": "Nonsense"}, "Unknown")["Success"]
    assert not host.control.ask({"DirectorOp": "LoadSource"}, "Failed")["Success"]
    assert host.control.loaded() == {}


def test_the_operators_own_tli_wins_with_a_warning_and_a_copy_does_not_count(host: Host) -> None:
    host.put("app", "1.0", tli(), sources("one"))
    (host.directory / "app.tli").write_text(tli())
    assert host.control.load("app").warnings == ()
    host.put("app", "2.0", tli(), sources("two"))
    (host.directory / "app.tli").write_text(tli().replace("'Echo'", "'Mine'"))
    assert len(host.control.load("app").warnings) == 1
    assert ask(host, {}, "Mine")["word"] == "two"


def test_a_file_that_is_no_tls_is_not_validated(host: Host) -> None:
    (host.directory / "app-1.tls").write_bytes(b"")
    with pytest.raises(NotValidated):
        host.control.load("app-1.tls")
    assert not host.control.running(), "nothing was started for it"
