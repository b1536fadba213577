"""Shared by all tests: a key pair, signed .tls files made by hand, director directories with real systems."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from director.control import DirectorControl
from director.demo import free_port
from director.tls.archive import Member, write_archive
from director.tls.container import seal
from director.tls.keys import SigningKey, generate_key
from director.tls.manifest import MANIFEST_NAME, TLI_NAME, Manifest, describe
from director.tls.naming import file_name

# How fast an example is says something of the machine, and nothing of the code.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.fixture(scope="session", autouse=True)
def _interrupts_arrive() -> None:
    """Also where whoever runs the tests in the background had them ignored, as a shell without job control does."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is marked `long` runs with SLOW=1 alone."""
    if "SLOW" not in os.environ:
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="long: `make slow` runs it"))


@contextlib.contextmanager
def small_disk(home: Path, size: str) -> Iterator[Path]:
    """A file system of its own that is soon full; the test is skipped where none can be mounted.

    Args:
        home: where a directory for it is made.
        size: as ``mount -t tmpfs`` takes it.
    """
    place = home / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture(scope="session")
def key() -> SigningKey:
    """The key that hosts of the tests trust."""
    return generate_key(2048)


def make_tls(
    key: SigningKey,
    group: str,
    version: str | None,
    tli: str,
    sources: Mapping[str, str | bytes],
    *,
    requires_python: str = ">=3.11",
    tags: tuple[str, ...] = ("py3-none-any",),
) -> bytes:
    """A signed .tls with these members, as the plugin would write it; text is dedented."""
    members = [Member(TLI_NAME, tli.encode())]
    for name, told in sorted(sources.items()):
        data = textwrap.dedent(told).encode() if isinstance(told, str) else told
        members.append(Member(name, data))
    manifest = Manifest(
        group=group,
        version=version,
        created=None,
        requires_python=requires_python,
        tags=tags,
        key_fingerprint=key.public.fingerprint,
        key_algorithm=key.public.algorithm,
        members=describe(members),
        bundled=(),
        external=("thespian",),
        actors=(),
    )
    return seal(write_archive([Member(MANIFEST_NAME, manifest.to_bytes()), *members]), key)


@dataclass
class Host:
    """A director directory with its own port, and the key it trusts."""

    directory: Path
    control: DirectorControl
    key: SigningKey

    def put(
        self, group: str, version: str | None, tli: str, sources: Mapping[str, str | bytes]
    ) -> Path:
        """Sign a source and place it in the director directory."""
        path = self.directory / file_name(group, version)
        path.write_bytes(make_tls(self.key, group, version, tli, sources))
        return path

    def environment(self) -> dict[str, str]:
        """For commands run as processes."""
        return {**os.environ, "THESPIAN_DIRECTOR_DIR": str(self.directory)}

    def processes(self) -> list[int]:
        """The living processes of the actor system, but for one that byte-compiles behind an activation."""
        return [pid for pid in self.control.processes.members() if not _compiles(pid)]


def _compiles(pid: int) -> bool:
    try:
        return b"director.actors.bytecode" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True  # it has ended


@contextlib.contextmanager
def open_host(home: Path, key: SigningKey, **settings: str) -> Iterator[Host]:
    """A director directory; whatever system is started in it is stopped, with nothing left over.

    Args:
        home: an empty directory.
        key: what it trusts.
        settings: further ``NAME.cfg`` files.
    """
    directory = home / "director"
    directory.mkdir()
    (directory / "sourcekey_tls.key").write_bytes(key.public_pem)
    told = {"adminport": str(free_port()), "thesplogd": str(home / "log"), **settings}
    for name, text in told.items():
        (directory / f"{name}.cfg").write_text(text)
    with DirectorControl(directory) as control:
        made = Host(directory, control, key)
        try:
            yield made
        finally:
            members = control.processes.members()
            killed = control.shutdown() if control.running() else []
            left = control.processes.end_leftovers()
        assert not killed, f"actors had to be killed: {killed} of {members}"
        assert not left, "a process was left over"


@pytest.fixture
def host(tmp_path: Path, key: SigningKey) -> Iterator[Host]:
    """A host of its own for a test."""
    with open_host(tmp_path, key) as made:
        yield made


class Asker:
    """A client in a process of its own: Thespian's connections of one process get in each other's way.

    It asks a role without pause until it is stopped, or once.
    """

    CODE = """
import json, sys
from director import DirectorControl
directory, role, message, timeout, once = json.loads(sys.argv[1])
import threading
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
told = {"answers": [], "problem": None}
with DirectorControl(directory) as control:
    handle = control.role(role)
    print("ready", flush=True)
    number = 0
    try:
        while not stop.is_set():
            number += 1
            told["answers"].append(handle.ask({**message, "n": number}, timeout))
            if once:
                break
    except Exception as problem:
        told["problem"] = str(problem)
print(json.dumps(told), flush=True)
"""

    def __init__(
        self, host: Host, role: str, message: dict[str, Any], timeout: float, *, once: bool = False
    ) -> None:
        arguments = json.dumps([str(host.directory), role, message, timeout, once])
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.CODE, arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def answers(self, limit: float = 30) -> list[Any]:
        """Stop it where it asks without pause, and return what it was answered; fails where it failed."""
        out, _ = self.process.communicate(timeout=limit)
        told = json.loads(out)
        assert told["problem"] is None
        return list(told["answers"])
