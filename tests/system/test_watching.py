"""Clients that watch, and do not as they should: what follows for everybody else."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import Host
from tests.system.test_faults import eventually, pid_of, put

pytestmark = pytest.mark.system

#: Watches, and dies without a word.
CLIENT = """
import os
from director import DirectorControl
DirectorControl().ask({"DirectorOp": "Watch"}, "Watching")
os._exit(0)
"""


def test_a_wish_to_watch_for_somebody_without_an_address_stops_no_load(host: Host) -> None:
    put(host, "app", "1", "App")
    host.control.load("app")
    system = host.control.connection.system
    director = system.createActor("director.Director", globalName="Director")
    system.tell(director, {"DirectorOp": "Watch", "ReplyTo": None})
    assert system.listen(5)["Code"] == "malformed"
    first = pid_of(host, "App")
    put(host, "app", "2", "App")
    host.control.load("app")
    assert pid_of(host, "App") != first


def test_clients_that_were_killed_watch_no_more(host: Host) -> None:
    put(host, "app", "1", "App")
    host.control.load("app")
    assert watchers(host) == 0
    for _ in range(3):
        subprocess.run([sys.executable, "-c", CLIENT], env=host.environment(), timeout=30)
    host.control.ask({"DirectorOp": "Watch"}, "Watching")
    eventually(lambda: watchers(host) == 1, 20)


def watchers(host: Host) -> int:
    """How many a successor would be told of."""
    system = host.control.connection.system
    book = system.createActor("director.actors.doors.Notebook", globalName="Director Notebook")
    system.tell(book, {"NotebookOp": "Recall"})
    told: Any = None
    for _ in range(5):
        told = system.listen(3)
        if isinstance(told, dict) and "Note" in told:
            return len(told["Note"]["Watchers"])
    raise AssertionError(told)
