"""What convleader.cfg means, and whether it names this host."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from director import convention
from director.errors import DirectorError, SettingsError
from director.system import SystemProcesses
from tests.conftest import Host


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        (None, []),
        ("", []),
        ("head", ["head:1900"]),
        ("head:1901", ["head:1901"]),
        ("10.0.0.1, 10.0.0.2:7", ["10.0.0.1:1900", "10.0.0.2:7"]),
        ("a,,b", ["a:1900", "b:1900"]),
        (["a", "b:2"], ["a:1900", "b:2"]),
        ("my_host-1.example.org.", ["my_host-1.example.org.:1900"]),
        ("köln.example", ["köln.example:1900"]),
        ("1st.example", ["1st.example:1900"]),
    ],
)
def test_leaders_are_told_with_or_without_a_port(
    told: str | list[str] | None, wanted: list[str]
) -> None:
    assert convention.leaders(told, 1900) == wanted


@pytest.mark.parametrize("told", ["head:", "head:x", "head:0", "head:65536", "head:1:2"])
def test_a_port_that_is_none_is_a_wrong_setting(told: str) -> None:
    if told == "head:":
        assert convention.leaders(told, 1900) == ["head:1900"]
        return
    with pytest.raises(SettingsError, match="is no port"):
        convention.leaders(told, 1900)


@pytest.mark.parametrize(
    "told",
    [
        "not a host!!",
        "head, not a host!!",
        "head:1, -head",
        ":1900",
        "::1",
        "head..org",
        "10.0.0",
        "300.1.2.3",
        "a" * 64,
        ["head", "x/y"],
    ],
)
def test_what_can_be_no_host_is_a_wrong_setting(told: str | list[str]) -> None:
    with pytest.raises(SettingsError, match="is no host of a convention leader"):
        convention.leaders(told, 1900)


def test_one_leader_is_a_text_and_several_are_a_list_to_thespian() -> None:
    assert convention.address(None, 1) == {}
    assert convention.address("a", 1) == {"Convention Address.IPv4": "a:1"}
    assert convention.address("a,b:2", 1) == {"Convention Address.IPv4": ["a:1", "b:2"]}


@pytest.mark.parametrize(
    ("leading", "wanted"),
    [
        ([], False),
        (["127.0.0.1:1900"], False),
        (["127.0.0.1:1901"], True),  # another system on this machine
        (["192.0.2.1:1900"], True),  # an address of documentation (RFC 5737): nobody's
        (["192.0.2.1:1900", "127.0.0.1:1900"], False),
    ],
)
def test_a_host_is_a_member_where_another_leads(leading: list[str], wanted: bool) -> None:
    assert convention.is_member(leading, 1900) is wanted


def test_the_operators_own_periods_win() -> None:
    environ = {"CONVENTION_RESTART_PERIOD": "1:00"}
    host = convention.prepare(environ)
    assert environ["CONVENTION_RESTART_PERIOD"] == "1:00"
    assert environ["CONVENTION_REREGISTRATION_PERIOD"] == "0:03"
    assert environ[convention.HOST_VARIABLE] == host != convention.prepare({})


def test_only_who_is_named_first_of_those_present_leads() -> None:
    assert convention.before(["127.0.0.1:1900"], 1900) == []
    told = ["192.0.2.1:1900", "192.0.2.2:7", "127.0.0.1:1900", "192.0.2.3:1900"]
    assert convention.before(told, 1900) == ["192.0.2.1:1900", "192.0.2.2:7"]
    assert convention.before(["no.such.invalid:1900", "127.0.0.1:1900"], 1900) == []


def test_the_guide_tells_the_periods_that_are_set() -> None:
    guide = Path(__file__).resolve().parent.parent / "docs" / "conventions.md"
    for name, value in convention.PERIODS.items():
        assert f"| `{name}` | {value} |" in guide.read_text(encoding="utf-8")


def test_names_of_leaders_that_do_not_serve_other_hosts_are_doubted() -> None:
    known = {"head.example.org": "10.0.0.1", "node1.example.org": "127.0.1.1"}

    def resolve(name: str) -> str:
        try:
            return known[name]
        except KeyError:
            raise socket.gaierror(-2, "Name or service not known") from None

    def doubts(*told: str) -> list[str]:
        found = list(convention.doubts(convention.leaders(list(told), 1900), resolve))
        assert all(told[0].partition(":")[0] in text and hint for _, text, hint in found)
        return [code for code, _, _ in found]

    assert doubts("head.example.org:7") == doubts("10.0.0.1") == doubts() == []
    assert doubts("localhost") == doubts("localhost.localdomain") == doubts("127.0.0.1") == []
    assert doubts("node1.example.org") == ["leader-loopback"]
    assert doubts("gone.example.org:7", "head.example.org") == ["leader-unresolved"]


def test_doctor_and_start_name_them(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(name: str) -> str:
        assert name == "node1.example.org"
        return "127.0.1.1"

    (host.directory / "convleader.cfg").write_text("node1.example.org")
    monkeypatch.setattr(socket, "gethostbyname", resolve)
    assert "leader-loopback" in [one.code for one in host.control.doctor()]

    warned: list[str] = []
    monkeypatch.setattr(host.control, "warn", warned.append)
    monkeypatch.setattr(SystemProcesses, "start", lambda processes: None)
    assert host.control.start()
    assert "node1.example.org of convleader.cfg is 127.0.1.1 on this host" in warned[0]

    def failed(processes: SystemProcesses) -> None:
        raise DirectorError("The actor system did not start: RuntimeError: no address.")

    monkeypatch.setattr(SystemProcesses, "start", failed)
    with pytest.raises(DirectorError, match="no address") as caught:
        host.control.start()
    assert caught.value.code == "leader-loopback" and "is 127.0.1.1 on" in caught.value.message
