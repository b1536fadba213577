"""How long and how much memory it takes to decide about a file, beside Thespian's own validation, in one run.

    python benchmarks/verify.py [MEGABYTES]      (default 9: Thespian's own director validates nothing of 10 MB or more)

In-process: SHA-256 and CRC-32 of the file (the least that anybody has to do); signature and structure; the whole
decision; the whole with unpacking; Thespian's check, which looks at bytes only. Then memory, each in a process of
its own; then whole ``tlsinfo`` processes of both. Thespian needs ``base64.decodestring``, which Python 3.9 removed:
it is put back first. Figures are medians.
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from director.cache import Cache
from director.tls.archive import Member, read_parts, write_archive
from director.tls.container import open_envelope, seal
from director.tls.keys import SigningKey, generate_key, load_public_key
from director.tls.manifest import MANIFEST_NAME, Manifest, describe
from director.tls.verify import Policy, verify, verify_into

MODULES = 300
#: The shim, and Thespian's own command line.
THESPIAN = (
    "import base64, sys; base64.decodestring = base64.decodebytes; sys.argv[0] = 'director'\n"
    "from thespian.director import DirectorControl\n"
    "sys.exit(DirectorControl().cmd_tlsinfo(*sys.argv[1:]) or 0)"
)


def make_file(key: SigningKey, megabytes: float) -> bytes:
    """A signed file of about this size: 300 modules of random assignments, and data that does not compress."""
    rnd = random.Random(1)  # noqa: S311 - the same file each time
    lines = int(min(megabytes, 9) * 40)
    members = []
    for number in range(MODULES):
        text = "\n".join(f"w{rnd.getrandbits(12)} = {rnd.getrandbits(200)}" for _ in range(lines))
        members.append(Member(f"app/m{number:03}.py", text.encode()))
    packed = len(write_archive(members))
    members.append(Member("app/z.bin", rnd.randbytes(max(0, int(megabytes * 1e6) - packed))))
    told = Manifest(
        "app", "1.0", None, ">=3.11", ("py3-none-any",), key.public.fingerprint,
        key.public.algorithm, describe(members), (), (), (),
    )  # fmt: skip
    return seal(write_archive([Member(MANIFEST_NAME, told.to_bytes()), *members]), key)


def median(action: Callable[[], Any], times: int = 9) -> float:
    """Milliseconds."""
    action()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000


def line(name: str, figure: float, unit: str, *ratios: tuple[float, str]) -> None:
    told = "".join(f"   {figure / other:6.2f} × {what}" for other, what in ratios)
    print(f"  {name:46} {figure:10.1f} {unit}{told}")


def in_process(data: bytes, key: SigningKey, thespian: bool) -> None:
    keys, pem = [key.public], key.public_pem.decode()

    def structure() -> None:
        hashlib.sha256(data).hexdigest()
        envelope = open_envelope(data)
        assert envelope.is_by(key.public)
        read_parts(envelope.body, envelope.end_record)

    def whole() -> None:
        assert verify(data, keys, Policy(), datetime.now(UTC), file_name="app-1.0.tls").valid

    def unpack() -> None:
        with tempfile.TemporaryDirectory() as folder:
            cache = Cache(Path(folder) / "state")
            done = verify_into(data, keys, Policy(), datetime.now(UTC), cache.fill)
            assert done.valid

    def theirs() -> None:
        from thespian.director import SourceEncoding

        assert SourceEncoding.tls_to_zip(data, pem)

    print(f"In one process, {len(data) / 1e6:.1f} MB, {MODULES + 2} members:")
    least = median(lambda: (hashlib.sha256(data).digest(), zlib.crc32(data)))
    line("SHA-256 and CRC-32 of the file", least, "ms")
    line("signature and structure", median(structure), "ms", (least, "SHA-256 and CRC-32"))
    ours, out = median(whole), median(unpack, 5)
    ratios: list[tuple[float, str]] = []
    if thespian:
        other = median(theirs, 3)
        line("Thespian's own, bytes only", other, "ms")
        ratios = [(other, "Thespian's")]
    line("the whole decision", ours, "ms", *ratios)
    line("the whole decision while unpacking", out, "ms", *ratios)


CHILD = """
import sys
from pathlib import Path
{imports}
data = Path(sys.argv[1]).read_bytes()
pem = Path(sys.argv[2]).read_bytes()
def told(name):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
before = told("VmRSS")
{action}
print(told("VmHWM") - before)
"""
OURS = {
    "imports": "from datetime import UTC, datetime\n"
    "from director.tls.keys import load_public_key\n"
    "from director.tls.verify import Policy, verify",
    "action": "assert verify(data, [load_public_key(pem, name='k')], Policy(), datetime.now(UTC)).valid",
}
THEIRS = {
    "imports": "import base64; base64.decodestring = base64.decodebytes\n"
    "from thespian.director import SourceEncoding",
    "action": "assert SourceEncoding.tls_to_zip(data, pem.decode())",
}


def memory(file: Path, key: Path, thespian: bool) -> None:
    def peak(parts: dict[str, str]) -> float:
        done = subprocess.run(
            [sys.executable, "-c", CHILD.format(**parts), str(file), str(key)],
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout) / 1024

    print("Memory beyond the file itself, each in a process of its own:")
    ours = statistics.median(peak(OURS) for _ in range(3))
    if thespian:
        theirs = statistics.median(peak(THEIRS) for _ in range(3))
        line("Thespian's own, bytes only", theirs, "MiB")
        line("the whole decision", ours, "MiB", (theirs, "Thespian's"))
    else:
        line("the whole decision", ours, "MiB")


def processes(home: Path, thespian: bool) -> None:
    environment = {**os.environ, "THESPIAN_DIRECTOR_DIR": str(home)}

    def run(*words: str) -> Callable[[], None]:
        def call() -> None:
            subprocess.run(words, env=environment, check=True, capture_output=True)

        return call

    print("Whole processes, tlsinfo:")
    ours = median(run(sys.executable, "-m", "director", "tlsinfo", "app-1.0.tls"), 5)
    if thespian:
        path = str(home / "app-1.0.tls")
        theirs = median(run(sys.executable, "-c", THESPIAN, path), 3)
        line("Thespian's own", theirs, "ms")
        line("ours", ours, "ms", (theirs, "Thespian's"))
    else:
        line("ours", ours, "ms")


def main() -> None:
    megabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 9.0
    base64.decodestring = base64.decodebytes  # type: ignore[attr-defined]
    key = generate_key(2048)
    data = make_file(key, megabytes)
    thespian = len(data) < 10_000_000
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "app-1.0.tls").write_bytes(data)
        (home / "sourcekey_tls.key").write_bytes(key.public_pem)
        assert load_public_key(key.public_pem, name="k").fingerprint == key.public.fingerprint
        in_process(data, key, thespian)
        memory(home / "app-1.0.tls", home / "sourcekey_tls.key", thespian)
        processes(home, thespian)


if __name__ == "__main__":
    main()
