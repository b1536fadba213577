"""bootstart and bootstop on the command line, in images and where nothing may be written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from director.boot import host
from director.boot.plan import DEFAULT_NAME
from director.cli import boot
from tests.commands import Result, run_command

UNIT = "etc/systemd/system/thespian.director.service"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with systemd, an interpreter and a director directory."""
    made = tmp_path / "image"
    for folder in ("usr/lib/systemd", "opt/thespian/director", "opt/venv/bin", "etc"):
        (made / folder).mkdir(parents=True)
    (made / "usr/lib/systemd/systemd").touch()
    (made / "opt/venv/bin/python").symlink_to("/usr/bin/python3")
    (made / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nactors:x:99:99::/:/bin/false\n")
    return made


def run(*words: str, directory: str = "/opt/thespian/director") -> Result:
    environment = {"THESPIAN_DIRECTOR_DIR": directory, "THESPIAN_DIRECTOR_STATE": None}
    return run_command(words, env=environment)


def in_image(image: Path, *words: str) -> Result:
    return run(*words, "--root", str(image), "--python", "/opt/venv/bin/python")


def tree(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_the_default_name_is_the_guides() -> None:
    assert boot._NAME == DEFAULT_NAME == "thespian.director"


def test_print_shows_file_and_commands_and_changes_nothing(image: Path) -> None:
    before = tree(image)
    done = in_image(image, "bootstart", "nostart", "--print")
    assert done.exit_code == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == f"# /{UNIT} (mode 0644)"
    assert "ExecStart=/opt/venv/bin/python -I -m director start wait" in lines
    assert any(line.startswith(f"systemctl --root={image} enable") for line in lines)
    assert tree(image) == before


@pytest.mark.skipif(sys.platform != "linux", reason="systemctl is Linux's")
def test_an_image_gets_its_unit_enabled_and_loses_all_of_it_again(image: Path) -> None:
    before = tree(image)
    done = in_image(image, "bootstart", "nostart")
    assert done.exit_code == 0, done.stderr
    link = image / "etc/systemd/system/multi-user.target.wants/thespian.director.service"
    assert (image / UNIT).is_file() and link.is_symlink()
    assert in_image(image, "bootstart", "nostart").stdout.startswith("nothing to do")
    other = in_image(image, "bootstart", "nostart", "--user", "actors")
    assert other.stdout == f"changed {image / UNIT}\n"
    done = run("bootstop", "--root", str(image))
    assert done.exit_code == 0, done.stderr
    kept = [path for path in tree(image) if path not in before]
    assert all(path.is_dir() for path in kept), kept


def test_wrong_words_change_nothing(image: Path, tmp_path: Path) -> None:
    before = tree(image)
    for status, words in [
        (2, ["bootstart"]),  # nothing can be started in an image
        (2, ["bootstart", "a", "b", "nostart"]),
        (2, ["bootstart", "///", "nostart"]),
        (2, ["bootstart", "nostart", "--user", "no such"]),
        (5, ["bootstart", "nostart", "--user", "nobody-here"]),
        (2, ["bootstart", "nostart", "--create-user"]),
    ]:
        done = in_image(image, *words)
        assert done.exit_code == status, (words, done.stderr)
        assert done.stderr.startswith(("director: ", "Usage")) and done.stdout == ""
    assert run("bootstart", "nostart", "--root", str(tmp_path / "none")).exit_code == 4
    assert run("bootstart", "nostart", "--root", str(image), "--python", "/no").exit_code == 4
    assert run("bootstart", "nostart", "--root", str(image), directory="/no").exit_code == 4
    assert run("bootstop", "--root", str(image)).exit_code == 4
    assert tree(image) == before


def test_a_user_that_cannot_reach_the_interpreter_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    directory = closed / "director"
    directory.mkdir(parents=True)
    closed.chmod(0o700)
    monkeypatch.setattr(host, "_runs", lambda manager: True)
    words = ("bootstart", "--manager", "systemd", "--python", "/bin/sh")
    volatile = run(*words, directory=str(directory))
    if tmp_path.is_relative_to("/tmp"):
        assert volatile.exit_code == 5 and "gone after the next boot" in volatile.stderr
    monkeypatch.setattr(host, "_VOLATILE", ())
    done = run(*words, directory=str(directory))
    assert done.exit_code == 5 and "cannot reach" in done.stderr and "is closed" in done.stderr


def test_settings_that_do_not_read_come_first(tmp_path: Path) -> None:
    (tmp_path / "othercaps.cfg").write_text("{ nonsense }")
    done = run("bootstart", "nostart", "--manager", "systemd", directory=str(tmp_path))
    assert done.exit_code == 8 and "othercaps.cfg:1:" in done.stderr
