"""bootstart and bootstop on the command line, in images and where nothing may be written."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from director.boot import checks, host
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


def contents(folder: Path) -> dict[Path, str]:
    """Everything in it, with what it says."""
    return {
        path: str(path.readlink())
        if path.is_symlink()
        else path.read_text(errors="replace") + oct(path.stat().st_mode)
        if path.is_file()
        else "directory"
        for path in tree(folder)
    }


as_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root has users of its own"
)


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
    assert tree(image) == before and done.stderr == ""


@pytest.mark.skipif(sys.platform != "linux", reason="systemctl is Linux's")
def test_an_empty_place_as_systemd_leaves_it_is_taken(image: Path) -> None:
    (image / "run/web").mkdir(parents=True)
    assert in_image(image, "bootstart", "web", "nostart").exit_code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="systemctl is Linux's")
@pytest.mark.parametrize("target", ["/home/op/python/bin/python3", "../../../home/op/python3"])
def test_an_interpreter_that_is_a_link_into_a_home_is_within_reach(
    image: Path, target: str
) -> None:
    (image / "opt/venv/bin/python").unlink()
    (image / "opt/venv/bin/python").symlink_to("python3")
    (image / "opt/venv/bin/python3").symlink_to(target)
    assert in_image(image, "bootstart", "nostart").exit_code == 0
    assert "ProtectHome=read-only\n" in (image / UNIT).read_text()


def test_what_links_lead_to_on_this_host_is_within_reach_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far, near = tmp_path / "far", tmp_path / "near"
    far.mkdir()
    near.symlink_to(far)
    monkeypatch.setattr("director.boot.systemd._HOMES", (str(far.resolve()),))
    words = ("bootstart", "nostart", "--print", "--manager", "systemd")
    assert "ProtectHome=read-only\n" in run(*words, directory=str(near)).stdout
    assert "ProtectHome=yes\n" in run(*words, directory=str(tmp_path)).stdout
    monkeypatch.setattr("sys.base_prefix", str(near))  # of a venv that copied its interpreter
    assert "ProtectHome=read-only\n" in run(*words, directory=str(tmp_path)).stdout


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes there")
def test_a_director_directory_that_no_unit_can_name_is_told(tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/d\xe9"))
    odd.mkdir()
    words = ("bootstart", "nostart", "--manager", "systemd", "--python", "/bin/sh")
    done = run(*words, directory=str(odd))
    assert done.exit_code == 2 and "is not UTF-8" in done.stderr


@pytest.mark.parametrize("user", ["svc.app", "Debian-exim", "a" * 32, "user@corp", "host$"])
def test_a_user_that_exists_may_have_a_name_that_no_new_one_gets(image: Path, user: str) -> None:
    words = ("bootstart", "nostart", "--user", user, "--manager", "upstart")
    refused = in_image(image, *words, "--create-user")
    assert refused.exit_code == 2 and "is no name for a new user" in refused.stderr
    with (image / "etc/passwd").open("a") as users:
        users.write(f"{user}:x:98:98::/:/bin/false\n")
    done = in_image(image, *words)
    assert done.exit_code == 0, done.stderr
    assert f"\nsetuid {user}\n" in (image / "etc/init/thespian.director.conf").read_text()


def test_wrong_words_change_nothing(image: Path, tmp_path: Path) -> None:
    before = tree(image)
    for status, words in [
        (2, ["bootstart"]),  # nothing can be started in an image
        (2, ["bootstart", "a", "b", "nostart"]),
        (2, ["bootstart", "///", "nostart"]),
        (2, ["bootstart", "nostart", "nostart"]),
        (2, ["bootstart", "../../x", "nostart"]),
        (2, ["bootstart", "nostart", "--", "-x", "nostart"]),
        (2, ["bootstart", "", "nostart"]),
        (2, ["bootstart", "x" * 201, "nostart"]),
        (2, ["bootstart", "nostart", "--user", ""]),
        (2, ["bootstart", "nostart", "--user", "0"]),
        (2, ["bootstart", "nostart", "--user", "root", "--create-user"]),
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
    assert run("bootstart", "nostart", "--root", str(image), "--python", "python").exit_code == 2
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
    monkeypatch.setattr(checks, "_VOLATILE", ())
    done = run(*words, directory=str(directory))
    assert done.exit_code == 5 and "cannot reach" in done.stderr and "is closed" in done.stderr


def test_settings_that_do_not_read_come_first(tmp_path: Path) -> None:
    (tmp_path / "othercaps.cfg").write_text("{ nonsense }")
    done = run("bootstart", "nostart", "--manager", "systemd", directory=str(tmp_path))
    assert done.exit_code == 8 and "othercaps.cfg:1:" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="systemctl is Linux's")
@pytest.mark.parametrize("manager", ["systemd", "upstart", "launchd"])
@pytest.mark.parametrize("purge", [True, False])
def test_bootstop_leaves_the_image_as_it_was(image: Path, manager: str, purge: bool) -> None:
    """Directories on the way go too, where they were not there; without --purge, state stays and is told truly."""
    before = contents(image)
    words = ("--manager", manager)
    if manager != "systemd" and os.geteuid() != 0:
        pytest.skip("only root gives directories to users of an image")
    done = in_image(image, "bootstart", "nostart", *words)
    assert done.exit_code == 0, done.stderr
    assert in_image(image, "bootstart", "nostart", *words).stdout.startswith("nothing to do")
    told = run("bootstop", "--root", str(image), *words, *(("--purge",) if purge else ()))
    assert told.exit_code == 0, told.stderr
    left = [path for path in tree(image) if path not in before]
    if purge or manager == "systemd":  # systemd makes state and logs when the service starts
        assert contents(image) == before and told.stderr == ""
    else:
        kept = [path for path in left if path.name == DEFAULT_NAME]
        assert len(kept) == 2 and set(left) == {
            *kept,
            *(p for one in kept for p in one.parents if p in left),
        }
        for path in kept:
            assert f"director: {path} was left" in told.stderr


@as_root
@pytest.mark.parametrize("manager", ["systemd", "upstart"])
@pytest.mark.parametrize("database", [True, False], ids=["users", "no users"])
def test_a_user_made_in_an_image_goes_with_purge_and_leaves_nothing(
    image: Path, manager: str, database: bool
) -> None:
    if shutil.which("systemd-sysusers") is None or shutil.which("useradd") is None:
        pytest.skip("systemd-sysusers or useradd is not here")
    if not database and manager == "upstart":
        pytest.skip("useradd wants a database")
    (image / "etc/passwd").unlink()
    if database:
        lines = {"passwd": "root:x:0:0::/:/bin/sh", "group": "root:x:0:"}
        for name, text in {**lines, "shadow": "root:*:::::::", "gshadow": "root:*::"}.items():
            (image / "etc" / name).write_text(f"{text}\n")
    before, host_users = contents(image), Path("/etc/passwd").read_bytes()
    words = ("--manager", manager, "--user", "made", "--create-user")
    done = in_image(image, "bootstart", "nostart", *words)
    assert done.exit_code == 0, done.stderr
    there = tree(image)
    assert "made:" in (image / "etc/passwd").read_text()
    assert [path for path in there if path.name == ".pwd.lock" or path.name.endswith("-")] == []
    if manager == "upstart":  # the image's number, not one of this host
        (line,) = re.findall("^made:.*$", (image / "etc/passwd").read_text(), re.MULTILINE)
        user_id = line.split(":")[2]
        assert (image / "var/lib/thespian.director").stat().st_uid == int(user_id)
    assert in_image(image, "bootstart", "nostart", *words).stdout.startswith("nothing to do")
    assert run("bootstop", "--root", str(image), "--manager", manager, "--purge").exit_code == 0
    assert contents(image) == before
    assert Path("/etc/passwd").read_bytes() == host_users


@as_root
def test_without_purge_a_user_made_in_an_image_is_told_to_be_left(image: Path) -> None:
    (image / "etc/group").write_text("root:x:0:\n")
    assert in_image(image, "bootstart", "nostart", "--user", "made", "--create-user").exit_code == 0
    told = run("bootstop", "--root", str(image))
    assert told.stderr == "director: the user made was left; --purge would have removed it\n"


@pytest.mark.skipif(sys.platform != "linux", reason="systemctl is Linux's")
def test_purge_removes_what_the_service_wrote_in_the_image_and_nothing_of_this_host(
    image: Path, tmp_path: Path
) -> None:
    before = contents(image)
    assert in_image(image, "bootstart", "nostart").exit_code == 0
    outside = tmp_path / "outside"
    (outside / "private/thespian.director").mkdir(parents=True)
    (outside / "private/thespian.director/precious").touch()
    (outside / "thespian.director").mkdir()
    (image / "var").mkdir()
    (image / "var/lib").symlink_to(outside)  # as on an image whose /var/lib means the host's
    done = run("bootstop", "--root", str(image), "--purge")
    assert done.exit_code == 5 and "leads out of" in done.stderr
    assert (outside / "private/thespian.director/precious").exists()
    assert (image / UNIT).exists(), "nothing was half done"

    (image / "var/lib").unlink()
    state = image / "var/lib/private/thespian.director"
    state.mkdir(parents=True)
    (state / "boot.json").write_text("{}")
    (state / "link").symlink_to(outside)
    (image / "var/lib/thespian.director").symlink_to("private/thespian.director")
    told = run("bootstop", "--root", str(image))
    assert told.stderr == f"director: {state} was left; --purge would have removed it\n"
    assert in_image(image, "bootstart", "nostart").exit_code == 0, "its own state is no obstacle"
    done = run("bootstop", "--root", str(image), "--purge")
    assert done.exit_code == 0, done.stderr
    assert f"removed {state}" in done.stdout
    assert [p for p in tree(image) if p not in before] == [
        image / "var",
        image / "var/lib",
        image / "var/lib/private",
    ], "what was there before bootstart stays"
    assert (outside / "private/thespian.director/precious").exists()


@as_root
def test_the_user_database_of_this_host_is_out_of_reach_of_an_image(
    image: Path, tmp_path: Path
) -> None:
    if shutil.which("useradd") is None:
        pytest.skip("no useradd here")
    outside = tmp_path / "passwd"
    shutil.copy(image / "etc/passwd", outside)
    (image / "etc/passwd").unlink()
    (image / "etc/passwd").symlink_to(outside)
    before, users = contents(image), outside.read_text()
    words = ("--manager", "upstart", "--user", "made", "--create-user")
    done = in_image(image, "bootstart", "nostart", *words)
    assert done.exit_code == 5 and "leads out of" in done.stderr
    assert outside.read_text() == users and contents(image) == before


@pytest.mark.skipif(sys.platform != "linux", reason="systemctl is Linux's")
def test_a_name_that_becomes_another_services_is_refused(image: Path) -> None:
    assert in_image(image, "bootstart", "my app", "nostart").exit_code == 0
    assert in_image(image, "bootstart", "my app.service", "nostart").stdout.startswith("nothing")
    unit = contents(image)
    for other in ("my/app", "my-app", "my@app", "my  app"):
        done = in_image(image, "bootstart", other, "nostart")
        assert done.exit_code == 2, (other, done.output)
    done = run("bootstop", "my@app", "--root", str(image))
    assert done.exit_code == 2 and "is the service 'my app'" in done.stderr
    assert contents(image) == unit
    assert run("bootstop", "my-app", "--root", str(image)).exit_code == 0, "its name in systemctl"


@pytest.mark.skipif(sys.platform != "linux", reason="systemctl is Linux's")
@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("ssh", "usr/lib/systemd/system/ssh.service"),
        ("dpkg", "var/lib/dpkg/status"),
        ("journal", "var/log/journal/system.journal"),
        ("web", "run/web/web.sock"),
        ("web", "run/private/web/web.sock"),
    ],
)
def test_a_name_of_the_hosts_own_is_refused(image: Path, name: str, there: str) -> None:
    """A unit would hide the host's, and its directories would be given away and purged."""
    (image / there).parent.mkdir(parents=True)
    (image / there).write_text("precious")
    before = contents(image)
    done = in_image(image, "bootstart", name, "nostart")
    assert done.exit_code == 5 and "Choose another name" in done.stderr
    assert contents(image) == before


@pytest.mark.skipif(sys.platform != "linux", reason="systemctl is Linux's")
def test_one_director_directory_has_one_service(image: Path) -> None:
    assert in_image(image, "bootstart", "one", "nostart").exit_code == 0
    before = contents(image)
    done = in_image(image, "bootstart", "two", "nostart")
    assert done.exit_code == 5 and "The service one runs /opt/thespian/director" in done.stderr
    assert contents(image) == before


@pytest.mark.parametrize("what", ["directory", "file", "link", "pipe"])
def test_what_lies_at_the_units_place_and_is_not_ours_is_told_and_left(
    image: Path, what: str
) -> None:
    unit = image / UNIT
    unit.parent.mkdir(parents=True)
    if what == "directory":
        unit.mkdir()
    elif what == "file":
        unit.touch()
    elif what == "link":
        unit.symlink_to("/nowhere")
    else:
        os.mkfifo(unit)
    before = tree(image)
    for words in (
        ["bootstop", "--root", str(image)],
        ["bootstop", "--purge", "--root", str(image)],
    ):
        done = run(*words)
        assert done.exit_code == 5 and f"{unit}" in done.stderr, done.stderr
    assert in_image(image, "bootstart", "nostart").exit_code == 5
    assert tree(image) == before
