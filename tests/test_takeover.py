"""Who may not take over from a host after an undo or a pin is told then, not when that host is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from director.control import DirectorControl
from director.marks import Accepted, Marks
from director.report import Convention, HostStatus, may_refuse

ADMIN = "(T|10.0.0.%d:1900)"


def host(number: int, *, sources: tuple[str, ...] = (), roles: tuple[str, ...] = ()) -> HostStatus:
    """A member; number 1 leads."""
    admin = ADMIN % number if number > 1 else ""
    told: tuple[Any, ...] = ("3.11", "1", sources, {}, roles, 0.0, 0.5, (), "", None)
    return HostStatus(f"h{number}/1", f"h{number}", admin, True, *told)


def convention(*hosts: HostStatus) -> Convention:
    return Convention("h1/1", (host(1), *hosts), {})


@pytest.mark.parametrize(
    ("hosts", "active", "told"),
    [
        ((host(2, roles=("g:A",)), host(3)), True, ["h3 (10.0.0.3:1900)"]),  # 2 did not report yet
        ((host(2, roles=("g:A",)), host(3, sources=("s",))), True, []),
        ((host(2, roles=("other:A",)), host(3)), True, []),  # nothing of it runs on members
        ((host(2, roles=("g:A",), sources=("t",)),), False, ["h2 (10.0.0.2:1900)"]),
        ((host(2, roles=("g:A",), sources=("s", "t")),), False, []),
    ],
)
def test_members_that_have_not_a_source_may_refuse_it(
    hosts: tuple[HostStatus, ...], active: bool, told: list[str]
) -> None:
    assert may_refuse(convention(*hosts), "g", "s", active=active) == told


@pytest.mark.parametrize(("version", "warns"), [("1.0", True), ("2.0", False), (None, False)])
def test_a_warning_names_them_where_a_newer_version_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None, warns: bool
) -> None:
    (tmp_path / "convleader.cfg").write_text("127.0.0.1:1900")
    control = DirectorControl(tmp_path)
    for number, one in enumerate((version, "2.0")):
        entry = Accepted("g", one, "sha256:k", f"{number}", f"g-{one}.tls", "then", "arrived")
        Marks(control.state).accept(f"{number}" * 64, entry, lambda book: None)
    there = convention(host(2, roles=("g:A",)), host(3))
    monkeypatch.setattr(control, "convention", lambda: there)
    told = control._not_taken_over("g", "0")
    assert bool(told) is warns
    if warns:
        assert "h3 (10.0.0.3:1900) may not take its roles over" in told[0]
        assert "`director install --allow-downgrade g-1.0.tls` there" in told[0]
    (tmp_path / "convleader.cfg").unlink()
    assert DirectorControl(tmp_path)._not_taken_over("g", "0") == ()
