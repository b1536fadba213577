"""What each of Thespian's system bases can carry, and what is said where it cannot."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from director.errors import DirectorError
from director.tls.keys import SigningKey
from tests.conftest import Host, make_tls, open_host
from tests.system.test_running import sources, tli

pytestmark = pytest.mark.system

#: An actor system in the test's own process; nothing of it is left when the process ends.
SIMPLE = """
import sys
from datetime import timedelta
from thespian.actors import ActorSystem

directory, state, source, digest = sys.argv[1:]
system = ActorSystem("simpleSystemBase")
director = system.createActor("thespian.actors.ActorTypeDispatcher")
authority = system.createActor("director.actors.authority.SourceAuthority")
startup = {"AuthorityOp": "Startup", "Director": director, "Directory": directory, "State": state}
print(system.ask(authority, startup, timedelta(seconds=5))["AuthorityResponse"])
system.loadActorSource(source)
system.listen(timedelta(seconds=0.2))  # this base works only while somebody waits
actor = system.createActor("app.echo.Echo", sourceHash=digest)
print(system.ask(actor, {"n": 1}, timedelta(seconds=5))["word"])
system.shutdown()
"""


def test_on_the_simple_base_thespians_own_importer_runs_what_was_validated(
    tmp_path: Path, key: SigningKey
) -> None:
    directory = tmp_path / "director"
    directory.mkdir()
    (directory / "k_tls.key").write_bytes(key.public_pem)
    source = directory / "app-1.0.tls"
    source.write_bytes(make_tls(key, "app", "1.0", tli(), sources("simple")))
    digest = hashlib.md5(source.read_bytes(), usedforsecurity=False).hexdigest()
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            SIMPLE,
            str(directory),
            str(tmp_path / "state"),
            str(source),
            digest,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "THESPLOG_FILE": str(tmp_path / "thesplog")},
    )
    assert done.stdout.splitlines() == ["Standing", "simple"], done.stderr


@pytest.mark.parametrize("base", ["simpleSystemBase", "multiprocQueueBase"])
def test_a_base_that_ends_with_its_starter_is_not_started(host: Host, base: str) -> None:
    (host.directory / "thespbase.cfg").write_text(base)
    with pytest.raises(DirectorError, match="multiprocTCPBase") as caught:
        host.control.start()
    assert caught.value.code == "system-base"


def test_a_source_too_large_for_a_datagram_is_told_at_once(tmp_path: Path, key: SigningKey) -> None:
    with open_host(tmp_path, key, thespbase="multiprocUDPBase") as host:
        host.put("app", "1.0", tli(), sources("one") | {"app/noise.bin": os.urandom(70_000)})
        with pytest.raises(DirectorError, match="in one message") as caught:
            host.control.load("app")
        assert caught.value.code == "too-large-for-udp" and not host.control.running()
