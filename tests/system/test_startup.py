"""What a service loads at its start, by a real system."""

from __future__ import annotations

import logging
import os
import time

import pytest

from director.notify import Notifier
from director.startup import Loads
from tests.commands import run_command
from tests.conftest import Host

pytestmark = pytest.mark.system

GROUPS = ("alpha", "beta", "gamma", "delta")
SLOW = """
    import json, os, time
    from thespian.actors import ActorTypeDispatcher

    class Slow(ActorTypeDispatcher):
        def __init__(self):
            super().__init__()
            began = time.monotonic()
            time.sleep(1.5)
            with open(os.environ["SEEN"], "a") as seen:
                seen.write(f"{began} {time.monotonic()}\\n")
"""


@pytest.mark.parametrize("after_crash", [False, True])
def test_all_groups_are_loaded_at_once_and_one_that_fails_stops_no_other(
    host: Host, monkeypatch: pytest.MonkeyPatch, after_crash: bool
) -> None:
    seen, runtime = host.directory.parent / "seen", host.directory.parent / "run"
    runtime.mkdir()
    host.control.environ.update(SEEN=str(seen), RUNTIME_DIRECTORY=str(runtime))
    for group in GROUPS:
        tli = f"{{'Actors': {{'{group}.slow.Slow': {{'OnLoad': {{'Role': '{group}'}}}}}}}}"
        host.put(group, "1.0", tli, {f"{group}/__init__.py": "", f"{group}/slow.py": SLOW})
    tli = "{'Actors': {'bad.slow.Slow': {'OnLoad': {}}}}"
    host.put("bad", "1.0", tli, {"bad/__init__.py": "", "bad/slow.py": "raise ValueError('no')\n"})
    told: list[tuple[int, str]] = []
    loads = Loads(host.control, lambda level, text: told.append((level, text)), Notifier({}))
    if after_crash:
        wanted = {group: str(host.directory / f"{group}-1.0.tls") for group in (*GROUPS, "bad")}
        loads._remember(wanted)
    host.control.start()
    assert loads.at_start() == "4 groups active; not loaded: bad"
    assert loads.failed == ["bad"]
    errors = [text for level, text in told if level == logging.ERROR]
    assert len(errors) == 1 and "ValueError: no" in errors[0]
    times = [tuple(map(float, line.split())) for line in seen.read_text().splitlines()]
    assert len(times) == len(GROUPS)
    assert max(began for began, _ in times) < min(ended for _, ended in times), "at the same time"
    assert time.monotonic() > max(ended for _, ended in times)


@pytest.mark.parametrize("command", ["start", "refresh"])
def test_what_a_start_by_hand_could_not_load_is_told_by_status_until_it_is_mended(
    host: Host, command: str
) -> None:
    env = {"THESPIAN_DIRECTOR_DIR": str(host.directory)}
    host.put("good", "1.0", "{'Actors': {}}", {"good/__init__.py": ""})
    (host.directory / "bad name.tls").touch()
    large = host.directory / "large-1.0.tls"
    large.touch()
    os.truncate(large, 20 << 30)  # sparse: it takes no room
    done = run_command([command], env=env)
    assert done.exit_code == 1 and '"large"' in done.stderr and "good" in done.stdout
    assert done.stderr.count("'bad name' cannot be a group") == 1
    done = run_command(["status"], env=env)
    assert done.exit_code == 1
    assert "large: NOT WELL" in done.stdout and "good: ok" in done.stdout
    assert "The start did not load it" in done.stdout and str(large) in done.stdout
    done = run_command(["doctor"], env=env)
    assert done.exit_code == 1 and "director status large" in done.stdout
    host.put("large", "1.0", "{'Actors': {}}", {"large/__init__.py": ""})
    assert run_command(["load", "large"], env=env).exit_code == 0
    assert run_command(["status"], env=env).exit_code == 0


def test_a_group_that_was_taken_away_is_no_failure_any_more(host: Host) -> None:
    (host.directory / "large-1.0.tls").write_bytes(b"nothing of the kind")
    host.control.start()
    (failed,) = host.control.refresh(started=True)
    assert failed.error and not host.control.status().well
    (host.directory / "large-1.0.tls").unlink()
    told = host.control.status()
    assert told.well and not told.problem
