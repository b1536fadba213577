"""The drop-ins of docs/boot.md are settings that systemd knows, and the container's files read."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from director.boot import render
from director.boot.plan import Service

DOCS = Path(__file__).resolve().parents[2] / "docs"
DROP_INS = re.findall(
    r"```ini\n(.*?)```", (DOCS / "boot.md").read_text(encoding="utf-8"), re.DOTALL
)


def test_the_manual_has_a_drop_in_for_each_need() -> None:
    assert len(DROP_INS) == 7


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
@pytest.mark.parametrize("drop_in", DROP_INS)
def test_systemd_takes_each_drop_in_without_a_word(tmp_path: Path, drop_in: str) -> None:
    unit = tmp_path / "x.service"
    unit.write_text(render("systemd", Service("x", "/bin/true", "/opt")).files[0].text)
    folder = tmp_path / "x.service.d"
    folder.mkdir()
    (folder / "need.conf").write_text(drop_in)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True
    )
    if "Failed to initialize" in done.stderr:
        pytest.skip(f"systemd-analyze cannot work here: {done.stderr}")
    assert done.stdout + done.stderr == "" and done.returncode == 0


def test_the_manifest_runs_the_image_without_rights_and_with_its_state_writable() -> None:
    manifest = yaml.safe_load((DOCS / "container/kubernetes.yaml").read_text(encoding="utf-8"))
    image = (DOCS / "container/Containerfile").read_text(encoding="utf-8")
    pod = manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert f"USER {pod['securityContext']['runAsUser']}:" in image
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    (state,) = re.findall(r"^ENV THESPIAN_DIRECTOR_STATE=(\S+)$", image, re.MULTILINE)
    assert mounts == {state, "/tmp"}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert manifest["spec"]["strategy"]["type"] == "Recreate"
