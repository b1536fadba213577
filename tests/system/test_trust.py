"""The table of `tests/trust_cases.py` at its last depth: real loads beside a version that keeps answering.

One actor system serves the whole module. Every case goes in twice: by the command, which decides before it asks
anybody, and by a message to the Director, after which the Source Authority is alone with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from director.actors.doors import AUTHORITY_CLASS, DIRECTOR_CLASS
from director.actors.messages import AUTHORITY_NAME, DIRECTOR_NAME
from director.control import source_hash
from director.errors import DirectorError, LoadFailed, NotValidated
from director.files import locked
from director.tls.archive import Member, write_archive
from director.tls.container import seal
from director.tls.keys import SigningKey, generate_ed25519, generate_key, generate_p256
from director.tls.manifest import MANIFEST_NAME, describe
from tests.commands import run_command
from tests.conftest import Host, open_host
from tests.trust_cases import CASES, Case, Workshop, keys_are, small_key

pytestmark = pytest.mark.system

LIMIT = timedelta(seconds=10)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Iterator[Host]:
    """A running system with app 1.0 active."""
    with open_host(tmp_path_factory.mktemp("standing"), key) as host:
        shop = Workshop(key, host.directory)
        (host.directory / "app-1.0.tls").write_bytes(shop.good(version="1.0"))
        host.control.load("app")
        yield host


@contextlib.contextmanager
def kept(directory: Path, aside: Path) -> Iterator[None]:
    """Whatever a case does to the operator's files is undone."""
    ignore = shutil.ignore_patterns(".state")
    shutil.copytree(directory, aside, ignore=ignore)
    try:
        yield
    finally:
        for path in directory.iterdir():
            if path.name != ".state":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(aside, directory, dirs_exist_ok=True)


def version_that_answers(host: Host) -> Any:
    found = host.control.role("Echo")
    assert found, "the running version is gone"
    return host.control.system.ask(found.address, {}, LIMIT)["version"]


def audit(host: Host) -> list[dict[str, Any]]:
    text = (host.control.state / "audit.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def ask_to_load(host: Host, path: Path, **fields: Any) -> dict[str, Any]:
    request = {"DirectorOp": "LoadSource", "Source": str(path), "Wait": True, **fields}
    return host.control.ask(request, "LoadResult", 30)


def eventually(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_nothing_of_it_is_loaded_and_the_running_version_answers(
    standing: Host, tmp_path: Path, case: Case
) -> None:
    loaded = standing.control.loaded()
    unpacked = sorted((standing.control.state / "unpacked").iterdir())
    before = len(audit(standing))
    with kept(standing.directory, tmp_path / "aside"):
        path = standing.directory / case.file
        path.write_bytes(case.make(Workshop(standing.key, standing.directory)))
        done = run_command(
            ["load", case.file], env={"THESPIAN_DIRECTOR_DIR": str(standing.directory)}
        )
        assert done.exit_code == case.status, done.output
        assert "director: " in done.stderr and "Traceback" not in done.output and not done.stdout
        answer = ask_to_load(standing, path)
        assert (answer["Success"], answer["Code"]) == (False, case.code), answer
        assert answer["Message"]
    told = audit(standing)[before:]
    asked = [(line["asked"], line["verdict"], line["code"]) for line in told]
    by_authority = [("authority", "refused", case.code)] if case.code != "envelope-empty" else []
    assert asked == [("load", "refused", case.code), *by_authority]
    assert version_that_answers(standing) == "1.0"
    assert standing.control.loaded() == loaded
    assert sorted((standing.control.state / "unpacked").iterdir()) == unpacked


# ---- what is not of one file alone -------------------------------------------------------------------


def test_a_source_that_is_no_python_fails_to_load_and_one_with_a_bom_does_not(
    standing: Host, tmp_path: Path
) -> None:
    shop = Workshop(standing.key, standing.directory)
    deep = b"x = " + b"-" * 200_000 + b"1\n"
    with kept(standing.directory, tmp_path / "aside"):
        for number, text in enumerate((b"class Echo(:\n", b"x = '\n", deep, b"\0")):
            version = f"1.{number + 1}"
            members = shop.members(version)
            members[2] = Member("app/echo.py", text)
            told = shop.manifest(version=version, members=describe(members)).to_bytes()
            data = seal(write_archive([Member(MANIFEST_NAME, told), *members]), standing.key)
            (standing.directory / f"app-{version}.tls").write_bytes(data)
            with pytest.raises(LoadFailed):
                standing.control.load(f"app-{version}.tls")
            assert version_that_answers(standing) == "1.0"
        members = shop.members("1.9")
        members[2] = Member("app/echo.py", b"\xef\xbb\xbf" + members[2].data)
        told = shop.manifest(version="1.9", members=describe(members)).to_bytes()
        data = seal(write_archive([Member(MANIFEST_NAME, told), *members]), standing.key)
        (standing.directory / "app-1.9.tls").write_bytes(data)
        standing.control.load("app-1.9.tls")
        assert version_that_answers(standing) == "1.9"
    standing.control.unload(loaded_hash(standing))
    assert version_that_answers(standing) == "1.0"
    last = audit(standing)[-1]
    assert (last["asked"], last["version"], last["code"]) == ("unload", "1.0", "active-again")


def test_a_file_that_was_replaced_during_the_load_is_not_loaded(
    standing: Host, tmp_path: Path
) -> None:
    with kept(standing.directory, tmp_path / "aside"):
        path = standing.directory / "app-2.0.tls"
        data = Workshop(standing.key, standing.directory).good()
        path.write_bytes(data)
        answer = ask_to_load(standing, path, SHA256=hashlib.sha256(data + b"x").hexdigest())
        assert (answer["Success"], answer["Code"]) == (False, "changed")
    assert version_that_answers(standing) == "1.0"


@pytest.mark.parametrize("swap", ["other bytes", "no bytes", "no file"])
def test_a_load_whose_file_is_swapped_under_it_is_one_refusal_with_one_audit_line(
    standing: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swap: str
) -> None:
    with kept(standing.directory, tmp_path / "aside"):
        shop = Workshop(standing.key, standing.directory)
        path = standing.directory / "app-8.0.tls"
        path.write_bytes(shop.good(version="8.0"))
        start = standing.control.start

        def swapped() -> bool:
            """Comes between the command's decision and the Director's reading."""
            path.unlink()
            if swap != "no file":
                path.write_bytes(shop.good(version="8.0", actors=()) if "other" in swap else b"")
            return start()

        monkeypatch.setattr(standing.control, "start", swapped)
        before = len(audit(standing))
        with pytest.raises(NotValidated) as refused:
            standing.control.load("app-8.0.tls")
        assert (refused.value.code, refused.value.exit_status) == ("changed", 7)
        told = [(one["asked"], one["file"], one["code"]) for one in audit(standing)[before:]]
        assert told == [("load", "app-8.0.tls", "changed")]
    assert version_that_answers(standing) == "1.0"


def test_refresh_leaves_a_version_that_expires_for_one_that_is_valid(
    tmp_path: Path, key: SigningKey
) -> None:
    with open_host(tmp_path, key) as host:
        shop = Workshop(key, host.directory)
        (host.directory / "app-1.0.tls").write_bytes(shop.good(version="1.0"))
        host.control.load("app")
        end = datetime.now(UTC) + timedelta(seconds=4)
        data = shop.good(version="2.0", expires=end.isoformat(timespec="milliseconds"))
        (host.directory / "app-2.0.tls").write_bytes(data)
        host.control.load("app")
        assert [one.loaded and one.loaded.changed for one in host.control.refresh()] == [False]
        eventually(lambda: datetime.now(UTC) > end)
        env = {"THESPIAN_DIRECTOR_DIR": str(host.directory)}
        shown = run_command(["status"], env=env)
        assert shown.exit_code == 1 and "EXPIRED on" in shown.stdout, shown.output
        (one,) = host.control.refresh()
        assert one.loaded and one.loaded.path.name == "app-1.0.tls", one.error
        assert version_that_answers(host) == "1.0"
        host.control.shutdown()
        (one,) = host.control.refresh()
        assert one.loaded and version_that_answers(host) == "1.0", "at a start, too"
        (host.directory / "app-1.0.tls").unlink()
        (one,) = host.control.refresh()
        assert one.error and one.error.code == "expired"
        assert version_that_answers(host) == "1.0", "what runs goes on"


def test_refresh_loads_what_took_the_place_of_an_equal_version_in_another_spelling(
    host: Host, tmp_path: Path
) -> None:
    shop = Workshop(host.key, host.directory)
    for version, replace in (("3.0.0", False), ("3.0", True), ("3", True)):
        path = tmp_path / f"app-{version}.tls"
        path.write_bytes(shop.good(version=version))
        host.control.install(path, replace=replace)
        (one,) = host.control.refresh()
        assert one.loaded and one.loaded.changed and one.loaded.path.name == path.name
        assert version_that_answers(host) == version
    (again,) = host.control.refresh()
    assert again.loaded and not again.loaded.changed


def test_validated_source_from_a_stranger_changes_nothing(standing: Host) -> None:
    from thespian.actors import ValidatedSource

    admin = standing.control.system._systemBase.adminAddr
    evil = write_archive([Member("evil/__init__.py", b"raise SystemExit\n")])
    for hash_, data in (("0" * 32, evil), ("0" * 32, None), (loaded_hash(standing), None)):
        standing.control.system.tell(admin, ValidatedSource(hash_, data, "from a stranger"))
    assert version_that_answers(standing) == "1.0"
    with pytest.raises(Exception, match="0000"):
        standing.control.system.createActor("evil.Evil", sourceHash="0" * 32)


def test_no_stranger_gives_the_authority_another_directory_with_other_keys(
    standing: Host, tmp_path: Path
) -> None:
    own, theirs = standing.directory, generate_key(2048)
    (tmp_path / "theirs_tls.key").write_bytes(theirs.public_pem)
    system = standing.control.system
    authority = system.createActor(AUTHORITY_CLASS, globalName=AUTHORITY_NAME)
    director = system.createActor(DIRECTOR_CLASS, globalName=DIRECTOR_NAME)
    link = tmp_path / "link"
    link.symlink_to(own)
    told = {"AuthorityOp": "Startup", "Director": director, "State": str(standing.control.state)}
    answer = system.ask(authority, told | {"Directory": str(link)}, timedelta(seconds=10))
    assert answer["AuthorityResponse"] == "Standing", "the same directory by another name"
    system.tell(authority, told | {"Directory": str(tmp_path)})
    evil = Workshop(theirs, tmp_path).good(version="9.0")
    (tmp_path / "app-9.0.tls").write_bytes(evil)
    system.loadActorSource(str(tmp_path / "app-9.0.tls"))
    eventually(lambda: audit(standing)[-1]["file"] == "app-9.0.tls")
    assert audit(standing)[-1]["code"] == "signature"
    logs = standing.control.config.log_directory.glob("*.log")
    assert any(f"another directory, {tmp_path}" in path.read_text() for path in logs)
    assert version_that_answers(standing) == "1.0"


def loaded_hash(host: Host) -> str:
    return str(host.control.loaded()["app"]["ActiveHash"])


def test_a_hash_that_is_not_that_of_the_bytes_is_refused(standing: Host) -> None:
    from thespian.actors import ValidateSource

    data = Workshop(standing.key, standing.directory).good()
    before = len(audit(standing))
    admin = standing.control.system._systemBase.adminAddr
    standing.control.system.tell(admin, ValidateSource("f" * 32, data, "app-2.0.tls"))
    # It is answered, and then unloaded; nothing of it can be created.
    eventually(lambda: refused_in_log(standing, "hash"))
    assert len(audit(standing)) == before + 1 and audit(standing)[-1]["code"] == "hash"
    assert version_that_answers(standing) == "1.0"


def refused_in_log(host: Host, code: str) -> bool:
    logs = host.control.config.log_directory.glob("*.log")
    return any(f"refused ({code})" in path.read_text(errors="replace") for path in logs)


def held_up(host: Host, name: str) -> contextlib.AbstractContextManager[None]:
    """Keeps the authority in the midst of a decision: it waits for this lock."""
    return locked(host.control.state / f"{name}.lock", 10)


def test_many_answers_about_one_refused_source_leave_the_admin_alive(standing: Host) -> None:
    """Hazard 1: an answer for a source that is valid, was answered before, or is not known any more."""
    bad = Workshop(generate_key(2048), standing.directory).good(version="3.0")
    before = len(audit(standing))
    with held_up(standing, "audit"):
        for _ in range(4):
            stream = io.BytesIO(bad)
            stream.name = "app-3.0.tls"
            standing.control.system.loadActorSource(stream)
        time.sleep(0.3)  # all four are with the authority by now, or on their way
    eventually(lambda: len(audit(standing)) == before + 4)
    assert version_that_answers(standing) == "1.0"
    assert source_hash(bad) not in standing.control.loaded()["app"]["Loaded"]


def test_a_pending_source_is_not_unloaded_and_loads_twice_at_once(
    standing: Host, tmp_path: Path
) -> None:
    """Hazards 2 and 8: unload while pending ends Thespian's Admin; a second load of a pending hash drops creates."""
    data = Workshop(standing.key, standing.directory).good(version="4.0")
    with kept(standing.directory, tmp_path / "aside"):
        path = standing.directory / "app-4.0.tls"
        path.write_bytes(data)
        control = standing.control
        with held_up(standing, "unpack"):
            first = control.ask({"DirectorOp": "LoadSource", "Source": str(path)}, "SourceLoading")
            again = control.ask({"DirectorOp": "LoadSource", "Source": str(path)}, "SourceLoading")
            assert first["SourceHash"] == again["SourceHash"] == source_hash(data)
            with pytest.raises(DirectorError, match="being loaded"):
                control.unload(source_hash(data))
        eventually(lambda: control.loaded()["app"]["ActiveHash"] == source_hash(data))
        control.unload(source_hash(data))
    assert version_that_answers(standing) == "1.0"


def test_keys_of_all_kinds_serve_and_old_and_new_ones_overlap(
    standing: Host, tmp_path: Path
) -> None:
    with kept(standing.directory, tmp_path / "aside"):
        shop = Workshop(standing.key, standing.directory)
        newer = shop.good(version="4.5")  # the old key's mark is above 1.0, whatever ran before
        (standing.directory / "app-4.5.tls").write_bytes(newer)
        standing.control.load("app-4.5.tls")
        for number, new in enumerate((generate_ed25519(), generate_p256())):
            shop.trusted(new.public_pem, f"new{number}")
            version = f"5.{number}"
            path = standing.directory / f"app-{version}.tls"
            path.write_bytes(shop.good(new, version=version))
            standing.control.load(path.name)
            assert version_that_answers(standing) == version
        (standing.directory / "sourcekey_tls.key").unlink()  # the rotation is complete
        with pytest.raises(NotValidated) as caught:
            standing.control.load("app-1.0.tls")
        assert caught.value.code == "signature" and version_that_answers(standing) == "5.1"
    standing.control.load("app-1.0.tls")
    assert version_that_answers(standing) == "1.0", "bytes accepted before go back without a flag"
    told = audit(standing)[-1]
    assert told["note"] == "it is still loaded, accepted before, older than the mark"
    assert (told["asked"], told["version"], told["code"]) == ("load", "1.0", "active-again")
    standing.control.unload(source_hash(newer))


def test_odd_key_files_beside_the_good_one_stop_no_load(standing: Host, tmp_path: Path) -> None:
    running = version_that_answers(standing)
    with kept(standing.directory, tmp_path / "aside"):
        shop = Workshop(standing.key, standing.directory)
        good = (standing.directory / "sourcekey_tls.key").read_bytes()
        odd = (b"", b"\0\xff", None, b"FIFO", b"LINK", shop.key.private_pem(None), b"EIO")
        keys_are(*odd)(shop)
        shop.trusted(small_key(512).public_pem, "odd7")
        shop.trusted(good, "zz")  # the last that is read
        (standing.directory / "app-5.5.tls").write_bytes(shop.good(version="5.5"))
        done = run_command(
            ["load", "app-5.5.tls"], env={"THESPIAN_DIRECTOR_DIR": str(standing.directory)}
        )
        assert done.exit_code == 0 and version_that_answers(standing) == "5.5", done.output
        for number in range(len(odd) + 1):
            assert f"odd{number}_tls.key" in done.stderr, done.stderr
        for path in standing.directory.glob("odd*"):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    standing.control.unload(loaded_hash(standing))
    assert version_that_answers(standing) == running


def test_an_old_key_of_1024_bits_serves_where_the_operator_says_so_with_a_warning(
    standing: Host, tmp_path: Path
) -> None:
    old = small_key(1024)
    with kept(standing.directory, tmp_path / "aside"):
        shop = Workshop(standing.key, standing.directory)
        shop.trusted(old.public_pem, "old")
        shop.settings(minkeybits="1024")
        (standing.directory / "other-1.0.tls").write_bytes(
            seal(write_archive([Member("other/__init__.py", b"")]), old)
        )
        done = run_command(
            ["load", "other"], env={"THESPIAN_DIRECTOR_DIR": str(standing.directory)}
        )
        assert done.exit_code == 0 and "1024 bits" in done.stderr, done.output
    standing.control.unload(standing.control.loaded()["other"]["ActiveHash"])


def test_what_is_revoked_while_it_runs_is_unloaded_by_the_next_refresh(
    standing: Host, tmp_path: Path
) -> None:
    with kept(standing.directory, tmp_path / "aside"):
        shop = Workshop(standing.key, standing.directory)
        data = shop.good(version="6.0")
        (standing.directory / "app-6.0.tls").write_bytes(data)
        standing.control.load("app")
        assert version_that_answers(standing) == "6.0" and standing.control.revoked() == {}
        shop.settings(revoked=f"{hashlib.sha256(data).hexdigest()}  # a bad build")
        assert standing.control.revoked() == {source_hash(data): "a bad build"}
        assert version_that_answers(standing) == "6.0", "until the refresh"
        shown = run_command(["status"], env={"THESPIAN_DIRECTOR_DIR": str(standing.directory)})
        assert shown.exit_code == 1 and "REVOKED: a bad build" in shown.stdout, shown.output
        done = run_command(["refresh"], env={"THESPIAN_DIRECTOR_DIR": str(standing.directory)})
        assert done.exit_code == 1 and "a bad build" in done.stderr, done.output
        assert source_hash(data) not in standing.control.loaded()["app"]["Loaded"]
        assert version_that_answers(standing) != "6.0"
        assert ("unloaded", "revoked") in [(one["verdict"], one["code"]) for one in audit(standing)]
    place = standing.control.store.unpacked(hashlib.sha256(data).hexdigest())
    eventually(lambda: not place.exists())


def test_a_full_disk_refuses_the_load_and_changes_nothing(standing: Host, tmp_path: Path) -> None:
    """What stands in the way of the cache is a file here: unpacking fails as on a full disk, in the authority."""
    data = Workshop(standing.key, standing.directory).good(version="7.0")
    state = standing.control.state
    with kept(standing.directory, tmp_path / "aside"):
        (standing.directory / "app-7.0.tls").write_bytes(data)
        (state / "unpacked").rename(state / "elsewhere")
        (state / "unpacked").write_text("in the way")
        try:
            answer = ask_to_load(standing, standing.directory / "app-7.0.tls")
        finally:
            (state / "unpacked").unlink()
            (state / "elsewhere").rename(state / "unpacked")
        assert not answer["Success"] and answer["Code"] == "state", answer
    assert version_that_answers(standing) != "7.0"


@pytest.mark.long
def test_an_answer_after_thespian_gave_the_source_up_leaves_the_admin_alive(
    standing: Host, tmp_path: Path
) -> None:
    """Hazard 1: a pending source expires after two minutes; the authority is held up for longer, then answers."""
    data = Workshop(standing.key, standing.directory).good(version="8.0")
    control = standing.control
    running = version_that_answers(standing)
    with kept(standing.directory, tmp_path / "aside"):
        path = standing.directory / "app-8.0.tls"
        path.write_bytes(data)
        before = len(audit(standing))
        with held_up(standing, "audit"), held_up(standing, "unpack"):
            answer = control.ask(
                {"DirectorOp": "LoadSource", "Source": str(path), "Wait": True}, "LoadResult", 120
            )
            assert not answer["Success"] and answer["Code"] == "no-authority", answer
            time.sleep(38)  # Thespian's own 120 s are over
            assert version_that_answers(standing) == running
        eventually(lambda: len(audit(standing)) > before or refused_in_log(standing, "locked"), 40)
        assert version_that_answers(standing) == running
        control.load("app-8.0.tls")
        assert version_that_answers(standing) == "8.0"
        control.unload(source_hash(data))
