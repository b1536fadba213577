"""Loaded sources run as ordinary Python: everything that `tests.probe` tries, inside real actors, on both bases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from director.tls.keys import SigningKey
from tests import probe
from tests.conftest import Host, open_host

pytestmark = pytest.mark.system

LIMIT = timedelta(seconds=30)
NAMES = sorted(line[4:-3] for line in probe.CHECKS.splitlines() if line.startswith("def it_"))


@pytest.fixture(scope="module", params=["multiprocTCPBase", "multiprocUDPBase"])
def prober(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, key: SigningKey
) -> Iterator[tuple[Host, Any]]:
    home = tmp_path_factory.mktemp("ordinary")
    with open_host(home, key, thespbase=request.param) as host:
        host.control.install(probe.build(home, key))
        host.control.load("probe")
        role = host.control.role("Prober")
        assert role is not None
        yield host, role.address


@pytest.mark.parametrize("name", NAMES)
def test_in_a_loaded_actor(prober: tuple[Host, Any], name: str) -> None:
    host, address = prober
    told = host.control.system.ask(address, {"check": name}, LIMIT)
    if told == "no compiler":
        pytest.skip("no C compiler here: the native extension was not tried")
    assert told is None, told


def test_no_check_is_left_out(prober: tuple[Host, Any]) -> None:
    host, address = prober
    assert host.control.system.ask(address, {"names": True}, LIMIT) == NAMES
    assert len(NAMES) > 25


def test_its_log_stands_under_its_plain_name(prober: tuple[Host, Any]) -> None:
    host, address = prober
    host.control.system.ask(address, {"check": "it_logs_under_plain_names"}, LIMIT)
    log = host.control.config.log_directory / "thespian.log"
    assert "probe.checks  a word of the probe" in log.read_text()
