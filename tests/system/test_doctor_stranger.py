"""doctor of a user who may not read the state directory, beside a system that runs and is well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from director.tls.keys import SigningKey
from tests.conftest import open_host
from tests.trust_cases import Workshop

pytestmark = pytest.mark.system

#: The first time imports what only root may read here.
LOOK = """
import json, os, sys
from dataclasses import asdict
from director.control import DirectorControl
with DirectorControl(sys.argv[1]) as control:
    control.doctor()
os.setgroups([]), os.setgid(65534), os.setuid(65534)
with DirectorControl(sys.argv[1]) as control:
    print(json.dumps([asdict(one) for one in control.doctor()]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root to become another user")
def test_a_stranger_is_told_to_be_another_user_and_nothing_that_is_not_so(key: SigningKey) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to others
        Path(folder).chmod(0o755)
        with open_host(Path(folder), key) as host:
            shop = Workshop(key, host.directory)
            (host.directory / "app-2.0.tls").write_bytes(shop.good())
            host.control.load("app")
            host.control.pin("app")
            done = subprocess.run(
                [sys.executable, "-c", LOOK, str(host.directory)],
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert host.control.running()
    assert done.returncode == 0 and not done.stderr, done
    found = {one["code"]: one for one in json.loads(done.stdout)}
    assert "pins.json does not read (Permission denied)" in found["pins"]["text"]
    for code in ("pins", "marks", "not-permitted", "state-read-only"):
        assert found[code]["remedy"].startswith("Run as the "), found[code]
    assert not found.keys() & {"port", "not-running", "dead-admin", "os-error"}, found
