"""Whether two of bootstart and bootstop can be at work at once, and who can hold them up."""

from __future__ import annotations

import fcntl
import os
import subprocess
import threading
from pathlib import Path

import pytest

from director.boot import alone as module
from director.boot.alone import alone
from director.errors import BootError

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root has the lock: run as root, as CI does"
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the place of /run."""
    monkeypatch.setattr(module, "PLACES", (tmp_path,))
    return tmp_path


def test_a_lock_on_etc_which_any_user_can_have_holds_nobody_up(run: Path) -> None:
    handle = os.open("/etc", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with alone(0.0):
            (path,) = run.iterdir()
            done = subprocess.run(["ls", str(path)], user=65534, capture_output=True, check=False)
            assert done.returncode != 0, "nobody else opens it"
    finally:
        os.close(handle)
    assert list(run.iterdir()) == []


def test_a_second_one_waits_so_long_and_then_says_for_what(run: Path) -> None:
    with alone(0.0), pytest.raises(BootError, match="director-bootstart for 0 s"), alone(0.1):
        pass
    with alone(0.0):
        pass


def test_many_are_one_at_a_time(run: Path) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with alone():
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == 1 and inside == 0


@pytest.mark.parametrize("what", ["open", "link", "file"])
def test_what_others_could_have_laid_there_is_refused(run: Path, what: str) -> None:
    path = run / "director-bootstart"
    if what == "open":
        path.mkdir(mode=0o755)
    elif what == "link":
        path.symlink_to("/etc")
    else:
        path.write_text("")
    with pytest.raises(BootError, match=str(path)), alone(0.0):
        pass
