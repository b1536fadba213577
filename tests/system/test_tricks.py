"""What an independent tester found: each of these once killed, hung, lied or ended in a traceback."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from director.control import DirectorControl
from director.errors import DirectorError, LoadFailed, SettingsError
from tests.conftest import Host
from tests.system.test_running import ask, director, sources, tli

pytestmark = pytest.mark.system


@pytest.mark.parametrize("name", ["Director", "Director Source Authority", "Director Notebook"])
def test_the_global_names_of_the_directors_own_actors_are_no_tlis(host: Host, name: str) -> None:
    host.put("app", "1.0", tli(name=name), sources())
    with pytest.raises(SettingsError, match="director's own"):
        host.control.load("app")


def test_a_name_that_an_actor_of_the_host_holds_is_taken(host: Host) -> None:
    host.control.start()
    host.control.system.createActor("thespian.actors.ActorTypeDispatcher", globalName="The Echo")
    host.put("app", "1.0", tli(name="The Echo"), sources())
    with pytest.raises(LoadFailed, match="The Echo"):
        host.control.load("app")
    assert host.control.loaded() == {}


def test_a_first_message_that_fails_twice_fails_the_load(host: Host) -> None:
    host.put("app", "1.0", tli(), sources("one"))
    host.control.load("app")
    broken = sources("two")
    broken["app/echo.py"] = broken["app/echo.py"].replace(
        "self.heard = (*self.heard, message)", "raise ValueError('cannot hear')"
    )
    host.put("app", "2.0", tli(), broken)
    with pytest.raises(LoadFailed, match="cannot hear"):
        host.control.load("app")
    assert ask(host, {})["word"] == "one"


def test_the_system_of_another_directory_is_neither_shown_nor_stopped(
    host: Host, tmp_path: Path
) -> None:
    host.put("app", "1.0", tli(), sources("one"))
    host.control.load("app")
    other = tmp_path / "other"
    other.mkdir()
    for name in ("adminport.cfg", "thesplogd.cfg", "sourcekey_tls.key"):
        shutil.copy(host.directory / name, other / name)
    with DirectorControl(other) as control:
        for call in (control.loaded, control.start, control.shutdown):
            with pytest.raises(DirectorError) as caught:
                call()
            assert caught.value.code == "foreign-system" and str(host.directory) in str(
                caught.value
            )
    assert ask(host, {})["word"] == "one"


def test_a_tli_that_is_no_text_is_a_settings_error(host: Host) -> None:
    host.put("app", "1.0", tli(), sources())
    (host.directory / "app.tli").write_bytes(b'{"Actors": {}, "\xff": 1}')
    done = director(host, "load", "app")
    assert done.returncode == 8 and "app.tli" in done.stderr and "Traceback" not in done.stderr


def test_odd_entries_that_are_named_like_sources_hide_no_good_one(host: Host) -> None:
    host.put("app", "1.0", tli(), sources("one"))
    os.mkfifo(host.directory / "app-9.0.tls")
    (host.directory / "app-8.0.tls").symlink_to("nowhere")
    (host.directory / "app-7.0.tls").mkdir()
    done = director(host, "avail", timeout=20)
    assert done.returncode == 0 and "app-1.0.tls" in done.stdout
    assert director(host, "refresh", timeout=60).returncode == 0
    assert ask(host, {})["word"] == "one"


def test_logging_that_is_refused_leaves_no_process_and_a_free_port(host: Host) -> None:
    (host.directory / "thesplog.cfg").write_text("{'version': 7}")
    done = director(host, "start")
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert not _sessions(host.control.state)
    (host.directory / "thesplog.cfg").unlink()
    assert director(host, "start").returncode == 0


def _sessions(state: Path) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if os.fsencode(state) in path.read_bytes():
                found.append(os.getsid(int(path.parent.name)))
        except OSError:
            continue
    return found
