"""The project's own metadata goes with each of its sources, and a loaded actor finds it as in an installed wheel."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import shutil
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from director.tls.archive import Archive
from director.tls.keys import SigningKey
from director.tls.verify import Policy, verify
from tests.conftest import Host
from tests.system.test_running import ask
from tests.wheels import write_files

pytestmark = pytest.mark.system

INFO = "farm_app-1.0.dist-info"
#: A version that is read from the project's own metadata, as packaging.python.org shows it.
PACKAGE = """
    import importlib.metadata

    __version__ = importlib.metadata.version("farm-app")
    """
ACTOR = """
    import importlib.metadata

    from thespian.actors import ActorTypeDispatcher

    from {package} import __version__


    class Main(ActorTypeDispatcher):
        def receiveMsg_dict(self, message, sender):
            of_mine = importlib.metadata.entry_points(group="farm.points")
            mine = importlib.metadata.distribution("Farm.App")
            self.send(sender, {{
                "version": __version__,
                "summary": importlib.metadata.metadata("farm-app")["Summary"],
                "points": [(one.name, one.value, one.dist.name) for one in of_mine],
                "loaded": of_mine["here"].load().__name__,
                "licence": mine.read_text("licenses/LICENSE"),
                "files": sorted(str(one) for one in mine.files),
                "there": all(one.locate().is_file() for one in mine.files),
                "names": sorted({{one.name for one in importlib.metadata.distributions(
                    path=[str(mine.locate_file(""))])}}),
            }})
    """
PROJECT = """
    [project]
    name = "Farm-App"
    version = "1.0"
    description = "Weighs animals – on the hour"
    readme = "README.md"
    requires-python = ">=3.11"
    dependencies = ["thespian"]
    license = "MIT"
    license-files = ["LICENSE", "legal/NOTICE*"]

    [project.scripts]
    farm = "farm:main"

    [project.entry-points."farm.points"]
    here = "importlib.metadata"
    there = "farm.scales:Scales"
    """
GROUPS = """
    [{place}.groups.farm]
    sources = ["farm/"]
    tli.Actors."farm.actor.Main".OnLoad.Role = "Farm"

    [{place}.groups.mill]
    sources = ["mill/"]
    version = "none"
    tli.Actors."mill.actor.Main".OnLoad.Role = "Mill"
    """
HATCH = f"""
    [build-system]
    requires = ["hatchling", "hatch-thespian"]
    build-backend = "hatchling.build"
    {PROJECT}
    [tool.hatch.build.targets.wheel]
    packages = ["farm", "mill"]
    {GROUPS.format(place="tool.hatch.build.hooks.thespian")}
    """
SETUPTOOLS = f"""
    [build-system]
    requires = ["setuptools>=77", "hatch-thespian"]
    build-backend = "setuptools.build_meta"
    {PROJECT}
    [tool.setuptools]
    packages = ["farm", "mill"]
    {GROUPS.format(place="tool.setuptools-thespian")}
    """
FILES: dict[str, str | bytes] = {
    "README.md": b"# Farm\r\n\r\nWeighs \xc3\xa4nimals.\r\n",
    "LICENSE": "Do as you like.\n",
    "legal/NOTICE.txt": "Ours.\n",
    "farm/__init__.py": PACKAGE,
    "farm/actor.py": ACTOR.format(package="farm"),
    "mill/__init__.py": PACKAGE,
    "mill/actor.py": ACTOR.format(package="mill"),
}
#: Of the .dist-info: what the wheel has, too, byte for byte.
LIKE_THE_WHEEL = ("METADATA", "entry_points.txt", "licenses/LICENSE", "licenses/legal/NOTICE.txt")


def build(project: Path, key: SigningKey, *command: str, **environ: str) -> str:
    """Run a build frontend; its output."""
    key_file = project.parent / "sourcekey.pem"
    key_file.write_bytes(key.private_pem(None))
    clean = {name: text for name, text in os.environ.items() if not name.startswith("THESPIAN_")}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env={**clean, "THESPIAN_SIGNING_KEY_FILE": str(key_file), **environ},
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def opened(path: Path, key: SigningKey) -> Archive:
    """The archive of a .tls, verified, which bundles nothing."""
    verdict = verify(
        path.read_bytes(), [key.public], Policy(), datetime.now(UTC), file_name=path.name
    )
    assert verdict.code == "valid" and verdict.archive is not None and verdict.manifest is not None
    assert verdict.manifest.bundled == () and verdict.manifest.external == ("thespian",)
    assert [one.name for one in verdict.manifest.members] == list(verdict.archive.names[1:])
    assert "TLS-INF/sbom.cdx.json" not in verdict.archive.names
    return verdict.archive


def check_record(archive: Archive) -> list[str]:
    """RECORD names each member of the project, sorted, with its digest; the names."""
    rows = list(csv.reader(io.StringIO(archive.read(f"{INFO}/RECORD").decode())))
    for name, digest, size in rows[:-1]:
        data = archive.read(name)
        raw = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        assert (digest, size) == (f"sha256={raw}", str(len(data)))
    assert rows[-1] == [f"{INFO}/RECORD", "", ""]
    names = [row[0] for row in rows]
    assert names[:-1] == sorted(names[:-1])
    assert sorted(names) == [name for name in archive.names if not name.startswith("TLS-INF/")]
    return names


@pytest.mark.parametrize(
    ("toml", "command"),
    [
        (HATCH, ("hatchling", "build", "-t", "wheel")),
        (SETUPTOOLS, ("build", "--no-isolation", "--wheel")),
    ],
    ids=["hatch", "setuptools"],
)
def test_actors_of_each_group_are_told_of_their_project(
    tmp_path: Path, key: SigningKey, host: Host, toml: str, command: tuple[str, ...]
) -> None:
    project = write_files(tmp_path / "project", {"pyproject.toml": toml, **FILES})
    build(project, key, *command)
    with zipfile.ZipFile(next((project / "dist").glob("*.whl"))) as wheel:
        texts = {name: wheel.read(f"{INFO}/{name}") for name in LIKE_THE_WHEEL}
    for group, name in (("farm", "farm-1.0.tls"), ("mill", "mill.tls")):
        archive = opened(project / "dist" / name, key)
        assert {one: archive.read(f"{INFO}/{one}") for one in LIKE_THE_WHEEL} == texts
        names = check_record(archive)
        assert {one.partition("/")[0] for one in names} == {group, INFO}
        host.control.install(project / "dist" / name)
        host.control.load(group)
        assert ask(host, {}, group.title()) == {
            "version": "1.0",
            "summary": "Weighs animals – on the hour",
            "points": [
                ("here", "importlib.metadata", "Farm-App"),
                ("there", "farm.scales:Scales", "Farm-App"),
            ],
            "loaded": "importlib.metadata",
            "licence": "Do as you like.\n",
            "files": sorted(names),
            "there": True,
            "names": ["Farm-App"],
        }


def test_target_sdist_place_and_mask_change_no_byte(tmp_path: Path, key: SigningKey) -> None:
    project = write_files(tmp_path / "a" / "project", {"pyproject.toml": HATCH, **FILES})
    build(project, key, "build", "--no-isolation")
    made = {path.name: path.read_bytes() for path in (project / "dist").glob("*.tls")}
    assert sorted(made) == ["farm-1.0.tls", "mill.tls"], "from the sdist"
    shutil.rmtree(project / "dist")
    other = tmp_path / "else where" / "project"
    shutil.copytree(project, other)
    for path in other.rglob("*.*"):
        path.chmod(0o700)
        os.utime(path, (1e9, 1e9))
    build(other, key, "hatchling", "build", "-t", "tls", LC_ALL="C", PYTHONHASHSEED="7")
    assert {path.name: path.read_bytes() for path in (other / "dist").glob("*.tls")} == made


def test_setuptools_gives_the_same_bytes_again(tmp_path: Path, key: SigningKey) -> None:
    made: list[dict[str, bytes]] = []
    for place in (tmp_path / "a" / "project", tmp_path / "b b" / "other"):
        write_files(place, {"pyproject.toml": SETUPTOOLS, **FILES})
        build(place, key, "build", "--no-isolation", PYTHONHASHSEED=str(len(made)))
        made.append({path.name: path.read_bytes() for path in (place / "dist").glob("*.tls")})
    assert made[0] == made[1] and len(made[0]) == 2


def test_metadata_among_the_sources_stays_and_is_told(tmp_path: Path, key: SigningKey) -> None:
    own = "Metadata-Version: 2.1\nName: farm-app\nVersion: 7\n"
    files = {"pyproject.toml": HATCH.replace('"farm/"', '"farm/", "farm_app-7.dist-info/"')}
    files["farm_app-7.dist-info/METADATA"] = own
    project = write_files(tmp_path / "project", {**FILES, **files})
    told = build(project, key, "hatchling", "build", "-t", "tls")
    archive = opened(project / "dist" / "farm-1.0.tls", key)
    infos = [name for name in archive.names if ".dist-info/" in name]
    assert infos == ["farm_app-7.dist-info/METADATA"] and archive.read(infos[0]) == own.encode()
    assert (
        f"farm_app-7.dist-info, among the sources, tells of Farm-App; the build's own {INFO}"
        in told
    )
    check_record(opened(project / "dist" / "mill.tls", key))
