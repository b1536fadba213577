"""`director demo` from an installed wheel, away from any checkout; and what it says where it cannot run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The ``bin`` of an environment that has the wheel of this checkout, and no hatch."""
    home = tmp_path_factory.mktemp("installed")
    run = {"check": True, "capture_output": True, "timeout": 600}
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(home), str(ROOT)],
        **run,  # type: ignore[call-overload]
    )
    venv.create(home / "venv", with_pip=True)
    binary = home / "venv" / "bin"
    wheel = next(home.glob("*.whl"))
    subprocess.run([str(binary / "pip"), "install", "-q", str(wheel)], **run)  # type: ignore[call-overload]
    yield binary


def demo(binary: Path, home: Path) -> subprocess.CompletedProcess[str]:
    (home / "tmp").mkdir(exist_ok=True)
    return subprocess.run(
        [str(binary / "director"), "demo"],
        cwd=home,
        env={**os.environ, "PATH": "/usr/bin:/bin", "TMPDIR": str(home / "tmp"), "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )


def test_without_hatch_it_names_the_remedy_and_starts_nothing(
    installed: Path, tmp_path: Path
) -> None:
    done = demo(installed, tmp_path)
    assert done.returncode == 4 and "pip install hatch" in done.stderr
    assert "Traceback" not in done.stderr and not list((tmp_path / "tmp").iterdir())


def test_it_tells_each_step_loses_nothing_and_leaves_nothing(
    installed: Path, tmp_path: Path
) -> None:
    subprocess.run(
        [str(installed / "pip"), "install", "-q", "hatch"],
        check=True,
        capture_output=True,
        timeout=600,
    )
    done = demo(installed, tmp_path)
    assert done.returncode == 0, done.stderr
    told = done.stdout
    for step in range(1, 9):
        assert re.search(rf"^{step}\. ", told, flags=re.MULTILINE), f"step {step} is not told"
    for made in ("foo-1.0.0-py3-none-any.whl", "foo-1.0.0.tls", "foo.tli", "foo-2.0.0.tls"):
        assert made in told
    assert "'version': '1.0.0'" in told and "'version': '2.0.0'" in told
    count = re.search(r"asked (\d+) / answered (\d+) / lost 0 / wrong 0 \((\d+) .* (\d+) by", told)
    assert count is not None
    asked, answered, old, new = (int(number) for number in count.groups())
    assert asked == answered >= 1000 and min(old, new) >= 100
    assert "[ACTIVE]  2.0.0" in told
    assert not list((tmp_path / "tmp").iterdir()), "a file was left"
    left = [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if str(tmp_path).encode() in _read(path)
    ]
    assert not left, "a process was left"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
