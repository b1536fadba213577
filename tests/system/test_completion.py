"""The completion scripts, sourced by real shells: commands, groups and files as people type them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from director.tls.keys import SigningKey
from tests.conftest import make_tls

pytestmark = pytest.mark.system

BIN = Path(sys.executable).parent
#: What bash does when TAB is pressed: call the function that `complete -F` names, with the words so far.
DRIVER = """
set -eu
eval "$(director completion bash)"
complete -p director >/dev/null
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
handler=$(complete -p director | sed 's/.*-F \\([^ ]*\\).*/\\1/')
COMPREPLY=(); "$handler" director "${COMP_WORDS[$COMP_CWORD]}" || true
printf '%s\\n' "${COMPREPLY[@]+"${COMPREPLY[@]}"}"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Path:
    directory = tmp_path_factory.mktemp("completed")
    for group, version in (("app", "1.0"), ("app", "2.0"), ("verbose", "1"), ("other_one", "1")):
        data = make_tls(key, group, version, "{'Actors': {}}", {f"{group}/__init__.py": ""})
        (directory / f"{group}-{version}.tls").write_bytes(data)
    return directory


def environment(home: Path) -> dict[str, str]:
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "THESPIAN_DIRECTOR_DIR": str(home)}


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["lo"], {"load", "logs"}),
        (["verbose", "ref"], {"refresh"}),
        (["list", ""], {"app", "other_one", "verbose"}),
        (["load", "a"], {"app", "app-1.0.tls", "app-2.0.tls"}),
        (["load", "app-"], {"app-1.0.tls", "app-2.0.tls"}),
        (["status", "oth"], {"other_one"}),
        (["logs", "verb"], {"verbose"}),
        (["verbose", "undo", "a"], {"app"}),
        (["unpin", "a"], {"app"}),
        (["history", "a"], {"app"}),
        (["help", "unl"], {"unload"}),
        (["completion", ""], {"bash", "zsh", "fish"}),
        (["load", "--all"], {"--allow-downgrade"}),
        (["load", "nothing"], set()),
    ],
)
def test_bash_completes(home: Path, words: list[str], expected: set[str]) -> None:
    done = subprocess.run(
        ["bash", "--norc", "-c", DRIVER, "driver", "director", *words],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0 and done.stderr == "", done
    assert set(done.stdout.split()) == expected
    assert not (home / ".state").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_takes_its_script(home: Path, shell: str) -> None:
    done = subprocess.run(
        ["director", "completion", shell],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0 and f"_DIRECTOR_COMPLETE={shell}_complete" in done.stdout
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=done.stdout, text=True, capture_output=True)
        assert checked.returncode == 0, checked.stderr
