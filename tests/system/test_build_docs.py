"""The commands of the authors' guide and the steps of its pipeline, run as they are written there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest

from director import demo
from director.tls.keys import generate_ed25519, generate_key
from tests.wheels import make_wheel, unpack, write_files

pytestmark = pytest.mark.system

DOCS = Path(__file__).resolve().parents[2] / "docs"
PROJECT = {
    "pyproject.toml": """
        [build-system]
        requires = ["hatchling", "hatch-thespian"]
        build-backend = "hatchling.build"

        [project]
        name = "farm"
        version = "1.0"

        [tool.hatch.build.hooks.thespian]
        sources = ["farm/"]
        tli = "farm.tli"
        """,
    "farm/__init__.py": "",
    "farm/cow.py": "from thespian.actors import Actor\n\nclass Cow(Actor):\n    pass\n",
    "farm/herd.csv": "Bessie\n",
    "farm.tli": "{'Actors': {'farm.cow.Cow': {}}}",
    "deps.txt": "Scales\n",
}


def run(script: str, at: Path, environ: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=at,
        env=environ,
        capture_output=True,
        text=True,
        timeout=400,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_guides_commands_work_one_after_the_other(tmp_path: Path) -> None:
    project = write_files(tmp_path / "farm", PROJECT)
    hosts = tmp_path / "director"
    hosts.mkdir()
    unpack(make_wheel(tmp_path / "w", "scales", files={"scales.py": ""}), tmp_path / "site")
    demo.plugin_wheel(tmp_path / "wheels")
    environ = demo.build_environment(tmp_path, tmp_path / "wheels")
    environ |= {"PATH": f"{Path(sys.executable).parent}:{environ['PATH']}"}
    environ |= {"HOME": str(tmp_path / "home")}
    environ |= {"THESPIAN_DIRECTOR_DIR": str(hosts), "PYTHONPATH": str(tmp_path / "site")}
    del environ["THESPIAN_SIGNING_KEY_FILE"]
    guide = (DOCS / "building.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", guide, flags=re.DOTALL)
    assert len(blocks) == 2
    told = [run(block, project, environ) for block in blocks]
    assert (project / "dist/farm-1.0.tls").is_file() and (hosts / "farm.tli").is_file()
    assert [path.name for path in hosts.glob("farm-2*.tls")]
    with tarfile.open(project / "dist/farm-1.0.tar.gz") as sdist:
        assert not [name for name in sdist.getnames() if name.endswith((".pem", ".key"))]
    assert "scales.py  (scales 1.0, asked for by deps)" in told[1]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A machine of the pipeline: a Python of its own, and the wheels of this checkout."""
    home = tmp_path_factory.mktemp("runner")
    venv.create(home / "venv", with_pip=True)
    demo.plugin_wheel(home / "wheels")
    environ = demo.build_environment(home, home / "wheels")
    environ["PATH"] = f"{home}/venv/bin:{os.environ['PATH']}"
    del environ["THESPIAN_SIGNING_KEY_FILE"]
    return environ


@pytest.mark.slow
def test_the_pipelines_steps_build_verify_and_publish_and_a_wrong_key_publishes_nothing(
    tmp_path: Path, runner: dict[str, str]
) -> None:
    key = generate_ed25519()
    project = write_files(tmp_path / "farm", PROJECT)
    write_files(project, {"deploy/sourcekey_tls.key": key.public_pem, ".gitignore": "dist\n"})
    git = "git init -q && git add . && git -c user.name=a -c user.email=a@b.c commit -qm first"
    run(git, project, runner)
    published = tmp_path / "published"
    published.mkdir()
    page = (DOCS / "ci.md").read_text(encoding="utf-8")
    steps = re.findall(r"^ +(?:- )?run: (.*)$", page, flags=re.MULTILINE)
    assert len(steps) == 4
    told = {"THESPIAN_DIRECTOR_DIR": "deploy", "THESPIAN_PUBLISH_URL": str(published)}
    told |= {"GITHUB_SHA": "c0ffee00", "GITHUB_SERVER_URL": "https://ci.example"}
    told |= {"GITHUB_REPOSITORY": "me/barn", "GITHUB_RUN_ID": "7"}
    for name in told:
        assert name.startswith("GITHUB_") or f"{name}: " in page
    secret = {"THESPIAN_SIGNING_KEY": key.private_pem(None).decode()}

    run(steps[0], project, {**runner, **told})
    run(steps[1], project, {**runner, **told, **secret})
    assert "Validated" in run(steps[2], project, {**runner, **told})
    run(steps[3], project, {**runner, **told})
    assert [path.name for path in published.iterdir()] == ["farm-1.0.tls"]
    text = run(
        "director tlsinfo dist/farm-1.0.tls TLS-INF/manifest.json", project, {**runner, **told}
    )
    manifest = json.loads(text)
    assert manifest["commit"] == "c0ffee00"
    assert manifest["pipeline"] == "https://ci.example/me/barn/actions/runs/7"
    assert manifest["created"] is not None

    stale = {"THESPIAN_SIGNING_KEY": generate_key(2048).private_pem(None).decode()}
    run(steps[1], project, {**runner, **told, **stale})
    with pytest.raises(AssertionError, match="None of this host's 1 keys signed it"):
        run(steps[2], project, {**runner, **told})
