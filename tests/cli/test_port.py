"""Somebody else at the Admin's port: told soon, with who it is, and nothing is started or attached to."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from director.demo import free_port
from tests.commands import run_command


@contextmanager
def listener(address: str, port: int, kind: socket.SocketKind) -> Iterator[None]:
    """Something that takes connections, or datagrams, and answers none."""
    with socket.socket(socket.AF_INET, kind) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
        made.bind((address, port))
        if kind == socket.SOCK_STREAM:
            made.listen()
        yield


@pytest.mark.parametrize("command", [["start"], ["status"]])
@pytest.mark.parametrize(
    ("base", "address"),
    [
        ("multiprocTCPBase", "0.0.0.0"),  # noqa: S104 - that of a server
        ("multiprocTCPBase", "127.0.0.1"),
        ("multiprocTCPBase", "127.0.0.2"),  # what answers at another address keeps an Admin out
        ("multiprocUDPBase", "127.0.0.2"),
    ],
)
def test_who_holds_the_port_is_told_soon(
    tmp_path: Path, command: list[str], base: str, address: str
) -> None:
    if address == "127.0.0.2" and sys.platform != "linux":
        pytest.skip("has one loopback address")
    port = free_port()
    (tmp_path / "adminport.cfg").write_text(str(port))
    (tmp_path / "thespbase.cfg").write_text(base)
    (tmp_path / "thesplogd.cfg").write_text(str(tmp_path / "log"))
    kind = socket.SOCK_DGRAM if base == "multiprocUDPBase" else socket.SOCK_STREAM
    with listener(address, port, kind):
        begin = time.monotonic()
        done = run_command(command, env={"THESPIAN_DIRECTOR_DIR": str(tmp_path)})
        took = time.monotonic() - begin
    assert done.exit_code in {1, 3} and "Traceback" not in done.output
    assert took < 6, "Thespian by itself takes 11 to 16 s"
    assert not (tmp_path / ".state" / "system.json").exists()
    if (command, address) != (["status"], "127.0.0.2"):
        assert f"Port {port} is " in done.stderr and "into adminport.cfg." in done.stderr
        if sys.platform == "linux":
            assert f"process {os.getpid()} (" in done.stderr
