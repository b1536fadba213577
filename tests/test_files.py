"""Files in a state directory that a service's user owns, while root's commands write there too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from director.audit import Audit
from director.duty import Duty
from director.errors import DirectorError
from director.files import locked


def lock(state: Path) -> None:
    with locked(state / "start.lock", 1.0):
        pass


def audit(state: Path) -> None:
    Audit(state).append({"event": "x"})


def duty(state: Path) -> None:
    Duty(state).take()


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe"])
@pytest.mark.parametrize(
    ("name", "use"), [("start.lock", lock), ("audit.jsonl", audit), ("foreground.lock", duty)]
)
def test_what_a_service_laid_into_its_state_directory_is_not_followed(
    tmp_path: Path, kind: str, name: str, use: object
) -> None:
    """Root would write to it, and give it to the service's user."""
    if kind == "hard link" and os.geteuid() != 0:
        pytest.skip("a file of one's own may have two names")
    state, victim = tmp_path / "state", tmp_path / "shadow"
    state.mkdir()
    victim.write_text("precious")
    victim.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(state, 65534, 65534)
    before = victim.stat()
    if kind == "link":
        (state / name).symlink_to(victim)
    elif kind == "hard link":
        (state / name).hardlink_to(victim)
    else:
        os.mkfifo(state / name)
    assert callable(use)
    with pytest.raises(DirectorError, match=f"{name} is a link, or no plain file") as caught:
        use(state)
    assert caught.value.code == "state"
    after = victim.stat()
    assert victim.read_text() == "precious"
    assert (after.st_uid, after.st_mode) == (before.st_uid, before.st_mode)


def test_what_root_makes_there_is_the_directorys_owners(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(state, 65534, 65534)
    for use in (lock, audit, duty):
        use(state)
    owner = state.stat().st_uid
    assert {path.stat().st_uid for path in state.iterdir()} == {owner}
    assert {path.stat().st_mode & 0o777 for path in state.iterdir()} == {0o600}


def test_a_backup_by_hard_links_stops_no_lock_and_no_log(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(state, 65534, 65534)
    for _ in range(2):
        for use in (lock, audit, duty):
            use(state)
        backup = tmp_path / "backup"
        backup.mkdir(exist_ok=True)
        for path in state.iterdir():
            if not (backup / path.name).exists():
                (backup / path.name).hardlink_to(path)
    assert (state / "start.lock").stat().st_nlink == 2
