"""A file of 200 MB: decided about, shown and installed within bounded time and memory."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from director.tls.archive import Member, write_archive
from director.tls.container import seal
from director.tls.keys import SigningKey
from director.tls.manifest import MANIFEST_NAME, describe
from tests.trust_cases import Workshop

SIZE = 200_000_000
#: Seconds for each command; an idle machine of 2026 takes a few.
LIMIT = 60.0
#: Bytes that a command may hold at its peak: the file once, one member's worth of work, and the interpreter.
PEAK = SIZE + (150 << 20)

#: Runs a command, and tells its own peak (VmHWM, KiB; ru_maxrss would be its parent's) behind it.
MEASURED = (
    "import sys\n"
    "from director.cli import main\n"
    "try:\n"
    "    main()\n"
    "finally:\n"
    "    print('PEAK', open('/proc/self/status').read().split('VmHWM:')[1].split()[0], file=sys.stderr)\n"
)

pytestmark = pytest.mark.long


def test_200_mb_is_shown_and_installed_in_bounded_time_and_memory(
    tmp_path: Path, key: SigningKey
) -> None:
    directory = tmp_path / "director"
    directory.mkdir()
    (directory / "sourcekey_tls.key").write_bytes(key.public_pem)
    shop = Workshop(key, directory)
    chunk = random.Random(1).randbytes(SIZE // 20)  # noqa: S311 - the same file each time
    members = [*shop.members(), *(Member(f"app/d{n:02}.bin", chunk) for n in range(20))]
    told = shop.manifest(members=describe(members)).to_bytes()
    path = tmp_path / "app-2.0.tls"
    path.write_bytes(seal(write_archive([Member(MANIFEST_NAME, told), *members]), key))
    assert path.stat().st_size > SIZE
    env = {**os.environ, "THESPIAN_DIRECTOR_DIR": str(directory)}
    for command in (["tlsinfo", str(path)], ["install", str(path)]):
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, *command],
            env=env, capture_output=True, text=True, timeout=LIMIT,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        peak = int(done.stderr.split("PEAK ")[1].split()[0]) * 1024
        print(command[0], "peak", peak >> 20, "MiB")
        assert peak < PEAK
    assert (directory / path.name).stat().st_size == path.stat().st_size
