"""The README's own words, run as a newcomer would: a fresh clone, its commands, then a project of one's own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from director.demo import free_port

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.system, pytest.mark.slow]


@dataclass
class Newcomer:
    """A shell that remembers its directory and variables from one block to the next."""

    home: Path
    environment: dict[str, str]
    folder: Path

    def type(self, block: str) -> str:
        """Run a block of commands; what it printed. The first that fails fails the test."""
        script = f"set -eu\n{block}\npwd > {self.home}/.pwd\nenv -0 > {self.home}/.env\n"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        self.folder = Path((self.home / ".pwd").read_text().strip())
        pairs = (self.home / ".env").read_text().split("\0")
        self.environment = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        return done.stdout


def tracked_files() -> list[str]:
    """What a clone of the checkout as it stands would hold."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.splitlines() if (ROOT / name).is_file()]


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    clone = tmp_path / "clone"
    for name in tracked_files():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, clone / name)
    # Away from this test's own Python environment; the interpreter itself is the one under test.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("THESPIAN_", "VIRTUAL_ENV"))}
    binary = Path(sys.executable).resolve().parent
    made = Newcomer(
        tmp_path,
        {**kept, "HOME": str(tmp_path), "PATH": f"{binary}:{os.environ['PATH']}", "PYTHONPATH": ""},
        clone,
    )
    try:
        yield made
    finally:
        if (tmp_path / "director").is_dir():
            made.type(
                f"THESPIAN_DIRECTOR_DIR={tmp_path}/director {clone}/.venv/bin/director shutdown"
            )


def test_the_shortest_path_for_a_project_of_ones_own(newcomer: Newcomer) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    path = readme[readme.index("## Your own project") :]
    commands = re.findall(r"\n\n((?: {7}\S.*\n)+)", path)
    files = re.findall(r"```(?:toml|python)\n(.*?) *```", path, flags=re.DOTALL)
    setup, build, host = (textwrap.dedent(block) for block in commands)
    table, tli, actor, client = (textwrap.dedent(text) for text in files)

    newcomer.type(setup)
    project = newcomer.home / "project"
    (project / "myapp").mkdir(parents=True)
    (project / "pyproject.toml").write_text(table)
    (project / "myapp.tli").write_text(tli)
    (project / "myapp" / "__init__.py").write_text("")
    (project / "myapp" / "front.py").write_text(actor)
    newcomer.folder = project
    newcomer.type(build)
    assert (project / "dist" / "myapp-1.0.tls").is_file()
    with tarfile.open(project / "dist" / "myapp-1.0.tar.gz") as sdist:
        assert not [name for name in sdist.getnames() if name.endswith((".pem", ".key"))]
    # The one thing that is not in the README: a machine that tests may have a system at the default port.
    (newcomer.home / "director").mkdir()
    (newcomer.home / "director" / "adminport.cfg").write_text(str(free_port()))
    (newcomer.home / "director" / "thesplogd.cfg").write_text(str(newcomer.home / "log"))
    told = newcomer.type(host)
    assert "[ACTIVE]" in told and "myapp.front.FrontActor (Front)" in told
    (project / "client.py").write_text(client)
    assert "'status': 'up'" in newcomer.type("python client.py")
    assert "Shutdown completed" in newcomer.type("director shutdown")
    shutil.rmtree(newcomer.home / "director")
