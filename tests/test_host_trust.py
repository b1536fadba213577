"""What a host decides beyond the table: what goes back, what is recorded, and who may not write."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import director.marks
from director.control import DirectorControl, source_hash
from director.errors import DirectorError, NotValidated
from director.loading import Definitions
from director.pins import Pin
from director.tls.keys import SigningKey, generate_key
from tests.commands import Result, run_command
from tests.conftest import make_tls
from tests.trust_cases import CASES, Workshop


@pytest.fixture
def shop(tmp_path: Path, key: SigningKey) -> Workshop:
    """An empty director directory with a key."""
    directory = tmp_path / "director"
    directory.mkdir()
    (directory / "sourcekey_tls.key").write_bytes(key.public_pem)
    return Workshop(key, directory)


def install(shop: Workshop, tmp_path: Path, name: str, data: bytes, *flags: str) -> Result:
    path = tmp_path / name
    path.write_bytes(data)
    return run_command(
        ["install", *flags, str(path)], env={"THESPIAN_DIRECTOR_DIR": str(shop.directory)}
    )


def audit(shop: Workshop) -> list[dict[str, Any]]:
    text = (shop.directory / ".state" / "audit.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_install_takes_newer_versions_and_refuses_older_ones(
    shop: Workshop, tmp_path: Path
) -> None:
    assert install(shop, tmp_path, "app-2.0.tls", shop.good()).exit_code == 0
    older = install(shop, tmp_path, "app-1.0.tls", shop.good(version="1.0"))
    line = f"`director install {tmp_path}/app-1.0.tls --allow-downgrade`"
    assert older.exit_code == 7 and line in older.stderr
    assert not (shop.directory / "app-1.0.tls").exists()
    date = install(shop, tmp_path, "app-202611241200.tls", shop.good(version="202611241200"))
    assert date.exit_code == 0
    assert install(shop, tmp_path, "app-3.0.tls", shop.good(version="3.0")).exit_code == 0
    told = [(one["asked"], one["version"], one["verdict"], one["code"]) for one in audit(shop)]
    assert told == [
        ("install", "2.0", "valid", "valid"),
        ("install", "1.0", "refused", "downgrade"),
        ("install", "202611241200", "valid", "valid"),
        ("install", "3.0", "valid", "valid"),
    ]


def test_other_bytes_of_a_version_need_the_operators_word_and_both_go_back_later(
    shop: Workshop, tmp_path: Path
) -> None:
    first, second = shop.good(), shop.good(actors=())
    install(shop, tmp_path, "app-2.0.tls", first)
    refused = install(shop, tmp_path, "app-2.0.tls", second)
    assert refused.exit_code == 7 and 'version = "date"' in refused.stderr
    assert (shop.directory / "app-2.0.tls").read_bytes() == first
    assert install(shop, tmp_path, "app-2.0.tls", second, "--replace").exit_code == 0
    assert (shop.directory / "app-2.0.tls").read_bytes() == second
    assert audit(shop)[-1]["note"] == "allowed: replace (version-taken)"
    assert install(shop, tmp_path, "app-2.0.tls", first).exit_code == 0, "accepted before"


def test_what_needs_two_flags_says_so_and_takes_them(shop: Workshop, tmp_path: Path) -> None:
    for version in ("1.0", "2.0"):
        install(shop, tmp_path, f"app-{version}.tls", shop.good(version=version))
    other = shop.good(version="1.0", actors=())
    both = ("--replace", "--allow-downgrade")
    for flags in ((), both[:1], both[1:]):
        refused = install(shop, tmp_path, "app-1.0.tls", other, *flags)
        line = f"`director install {tmp_path}/app-1.0.tls --replace --allow-downgrade`"
        assert refused.exit_code == 7 and line in refused.stderr
    assert install(shop, tmp_path, "app-1.0.tls", other, *both).exit_code == 0


def test_what_nobody_foresaw_is_told_audited_and_accepts_nothing(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decide(*_: Any, **__: Any) -> Any:
        raise RecursionError

    monkeypatch.setattr("director.trust.verify_into", decide)
    done = install(shop, tmp_path, "app-2.0.tls", shop.good())
    assert done.exit_code == 1 and "RecursionError in this director" in done.stderr
    assert audit(shop)[-1]["code"] == "internal"
    assert not (shop.directory / "app-2.0.tls").exists()
    monkeypatch.undo()
    assert install(shop, tmp_path, "app-2.0.tls", shop.good()).exit_code == 0


def test_a_version_that_a_stolen_key_took_is_free_once_it_is_revoked(
    shop: Workshop, tmp_path: Path
) -> None:
    stolen = generate_key(2048)
    shop.trusted(stolen.public_pem, "stolen")
    assert install(shop, tmp_path, "app-9.9.tls", shop.good(stolen, version="9.9")).exit_code == 0
    assert install(shop, tmp_path, "app-2.0.tls", shop.good()).exit_code == 0, "a mark of its own"
    shop.settings(revoked=f"{stolen.public.fingerprint}  # stolen on Monday")
    assert install(shop, tmp_path, "app-9.9.tls", shop.good(version="9.9")).exit_code == 0
    again = install(shop, tmp_path, "app-10.tls", shop.good(stolen, version="10"))
    assert again.exit_code == 7 and "stolen on Monday" in again.stderr


def test_a_host_whose_clock_is_at_1970_still_takes_what_it_had(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import UTC, datetime

    import director.trust

    class Early(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime(1970, 1, 1, tzinfo=UTC)

    data = shop.good(created="2026-01-01T00:00:00Z")
    install(shop, tmp_path, "app-2.0.tls", data)
    monkeypatch.setattr(director.trust, "datetime", Early)
    assert install(shop, tmp_path, "app-2.0.tls", data).exit_code == 0
    new = shop.good(version="2.1", created="2026-01-01T00:00:00Z")
    assert install(shop, tmp_path, "app-2.1.tls", new).exit_code == 7


def test_an_audit_log_that_cannot_be_written_is_told_and_the_decision_stands(
    shop: Workshop, tmp_path: Path
) -> None:
    (shop.directory / ".state").mkdir()
    (shop.directory / ".state" / "audit.jsonl").mkdir()
    done = install(shop, tmp_path, "app-2.0.tls", shop.good())
    assert done.exit_code == 0 and "audit" in done.stderr


def test_marks_that_do_not_read_stop_everything_with_what_to_do(
    shop: Workshop, tmp_path: Path
) -> None:
    (shop.directory / ".state").mkdir()
    (shop.directory / ".state" / "marks.json").write_text("{")
    done = install(shop, tmp_path, "app-2.0.tls", shop.good())
    assert done.exit_code == 7 and "marks.json" in done.stderr and "backup" in done.stderr
    assert audit(shop)[-1]["code"] == "marks"
    with pytest.raises(DirectorError):
        DirectorControl(shop.directory).check(tmp_path / "app-2.0.tls")


def test_a_file_that_changes_under_the_decision_of_another_process_is_refused(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the decision and its record another command accepts a higher version: the record does not happen."""
    from director.marks import MarkBook, Marks

    control = DirectorControl(shop.directory)
    monkeypatch.setattr(Marks, "read", lambda self: MarkBook())
    first = control.trust("one")
    monkeypatch.undo()
    assert control.trust("other").admit(shop.good(version="3.0"), "app-3.0.tls").valid
    before = MarkBook()
    reads = iter([before])
    real = Marks.read
    monkeypatch.setattr(Marks, "read", lambda self: next(reads, None) or real(self))
    verdict = first.admit(shop.good(), "app-2.0.tls")
    assert (verdict.valid, verdict.code, verdict.archive) == (False, "downgrade", None)


def test_every_code_of_the_table_stands_in_the_documentation() -> None:
    text = (Path(__file__).parent.parent / "docs" / "trust.md").read_text(encoding="utf-8")
    known = set(re.findall(r"`([a-z]+(?:-[a-z]+)*)`", text))
    assert {case.code for case in CASES if not case.code.startswith("zip-")} <= known


def test_install_of_what_is_not_valid_changes_nothing(shop: Workshop, tmp_path: Path) -> None:
    with pytest.raises(NotValidated):
        (tmp_path / "app-2.0.tls").write_bytes(shop.good(generate_key(2048)))
        DirectorControl(shop.directory).install(tmp_path / "app-2.0.tls")
    assert [path.name for path in shop.directory.glob("[!.]*")] == ["sourcekey_tls.key"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has anything to give away")
def test_what_roots_commands_write_belongs_to_the_owner_of_the_directory(
    shop: Workshop, tmp_path: Path
) -> None:
    """Else the service could not read its own marks, nor write its own log, after an operator's `install`."""
    os.chown(shop.directory, 12345, 12345)
    assert install(shop, tmp_path, "app-2.0.tls", shop.good()).exit_code == 0
    written = [shop.directory / "app-2.0.tls", *(shop.directory / ".state").rglob("*")]
    assert {path.name for path in written} >= {
        "marks.json",
        "marks.lock",
        "audit.jsonl",
        "audit.lock",
    }
    for path in (*written, shop.directory / ".state"):
        assert path.stat().st_uid == 12345, path


def test_marks_nested_too_deep_are_told_and_end_in_no_traceback(
    shop: Workshop, tmp_path: Path
) -> None:
    (shop.directory / ".state").mkdir(exist_ok=True)
    (shop.directory / ".state" / "marks.json").write_text("[" * 100_000)
    done = install(shop, tmp_path, "app-2.0.tls", shop.good())
    assert done.exit_code == 7 and "marks.json" in done.stderr and "backup" in done.stderr


def test_a_refusal_tells_the_group_and_version_that_the_name_claims(
    shop: Workshop, tmp_path: Path
) -> None:
    install(shop, tmp_path, "app-2.0.tls", shop.good(generate_key(2048)))
    told = audit(shop)[-1]
    assert (told["group"], told["version"], told["claimed"]) == ("app", "2.0", True)
    install(shop, tmp_path, "pay-7.0.tls", shop.good())
    told = audit(shop)[-1]
    assert (told["code"], told["group"], told["version"]) == ("renamed", "app", "2.0")
    assert "claimed" not in told, "the manifest says so, and its signature is right"


def test_a_date_that_is_still_to_come_raises_no_mark(shop: Workshop, tmp_path: Path) -> None:
    name = "app-209912312359.tls"
    done = install(shop, tmp_path, name, shop.good(version="209912312359"))
    assert done.exit_code == 7 and audit(shop)[-1]["code"] == "from-future"
    done = install(shop, tmp_path, "app-202611241200.tls", shop.good(version="202611241200"))
    assert done.exit_code == 0, done.output


def test_what_lies_here_or_is_loaded_is_not_forgotten_for_what_comes_after(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(director.marks, "REMEMBERED", 2)
    trust = DirectorControl(shop.directory, environ={}).trust("install")
    files = {version: shop.good(version=version) for version in ("1.0", "1.1", "1.2", "1.3", "1.4")}
    (shop.directory / "app-1.0.tls").write_bytes(files["1.0"])
    for version, data in files.items():
        assert trust.admit(data, f"app-{version}.tls").valid
        if version == "1.1":
            trust.note_loaded(source_hash(data))
    known = trust.marks.read().accepted
    kept = {version for version, data in files.items() if hashlib.sha256(data).hexdigest() in known}
    assert kept == {"1.0", "1.1", "1.3", "1.4"}


def test_other_bytes_of_a_version_take_its_place_in_whatever_spelling(
    shop: Workshop, tmp_path: Path
) -> None:
    assert install(shop, tmp_path, "app-3.0.0.tls", shop.good(version="3.0.0")).exit_code == 0
    for name in ("app-3.0.tls", "app-3.tls", "app-v3.0.0.tls", "app-3.0.0.tls"):
        version = name[4:-4]
        data = shop.good(version=version, actors=())
        assert install(shop, tmp_path, name, data).exit_code == 7
        assert install(shop, tmp_path, name, data, "--replace").exit_code == 0
        assert [path.name for path in shop.directory.glob("*.tls")] == [name]
    other = shop.good(version="3.1")
    assert install(shop, tmp_path, "app-3.1.tls", other).exit_code == 0
    assert len(list(shop.directory.glob("*.tls"))) == 2, "another version takes no place"


def test_of_equal_versions_the_file_that_came_last_counts(shop: Workshop) -> None:
    store = DirectorControl(shop.directory, environ={}).store
    for name in ("app-1.0.0.tls", "app-1.0.tls", "app-0.9.tls"):
        path = shop.directory / name
        path.write_bytes(b"x")
        while path.stat().st_ctime_ns <= max(
            (one.stat().st_ctime_ns for one in shop.directory.glob("*.tls") if one != path),
            default=0,
        ):  # where the file system's clock is coarse
            path.touch()
    told = [one.path.name for one in store.available()["app"]]
    assert told == ["app-1.0.tls", "app-1.0.0.tls", "app-0.9.tls"]


def test_what_a_pin_names_is_replaced_by_no_other_name(shop: Workshop, tmp_path: Path) -> None:
    assert install(shop, tmp_path, "app-3.0.0.tls", shop.good(version="3.0.0")).exit_code == 0
    pin = Pin("app", "3.0.0", "app-3.0.0.tls", "2026-01-01T00:00:00+00:00")
    (shop.directory / ".state" / "pins.json").write_text(json.dumps({"app": asdict(pin)}))
    before = len(audit(shop))
    data = shop.good(version="3.0", actors=())
    done = install(shop, tmp_path, "app-3.0.tls", data, "--replace")
    assert done.exit_code == 1 and "director unpin app" in done.stderr
    assert [path.name for path in shop.directory.glob("*.tls")] == ["app-3.0.0.tls"]
    assert len(audit(shop)) == before
    data = shop.good(version="3.0.0", actors=())
    assert install(shop, tmp_path, "app-3.0.0.tls", data, "--replace").exit_code == 0


def test_a_directory_in_the_files_place_is_told_before_anything_is_marked(
    shop: Workshop, tmp_path: Path
) -> None:
    (shop.directory / "app-3.0.tls").mkdir()
    done = install(shop, tmp_path, "app-3.0.tls", shop.good(version="3.0"))
    assert done.exit_code == 1 and "app-3.0.tls is a directory" in done.stderr
    assert install(shop, tmp_path, "app-0.9.tls", shop.good(version="0.9")).exit_code == 0
    assert [one["version"] for one in audit(shop)] == ["0.9"]
    assert not list(shop.directory.glob(".app*"))


def test_a_key_file_of_the_shortest_name_validates(shop: Workshop, tmp_path: Path) -> None:
    (shop.directory / "sourcekey_tls.key").rename(shop.directory / "_tls.key")
    assert install(shop, tmp_path, "app-2.0.tls", shop.good()).exit_code == 0


def test_hidden_key_files_validate_nothing(shop: Workshop, tmp_path: Path) -> None:
    (shop.directory / "sourcekey_tls.key").rename(shop.directory / ".sourcekey_tls.key")
    done = install(shop, tmp_path, "app-2.0.tls", shop.good())
    assert done.exit_code == 7 and audit(shop)[-1]["code"] == "no-keys"


def test_a_leader_says_that_it_has_to_accept_what_only_members_run(shop: Workshop) -> None:
    (shop.directory / "app-2.0.tls").write_bytes(shop.good(requires_python=">=4"))
    for leads in (False, True):
        if leads:
            (shop.directory / "convleader.cfg").write_text("127.0.0.1")
        told = run_command(["load", "app"], env={"THESPIAN_DIRECTOR_DIR": str(shop.directory)})
        assert told.exit_code == 7 and "It needs Python >=4" in told.stderr
        word = "The leader of a convention has to accept a source itself, even one that only members run."
        assert (word in told.stderr) == leads, told.stderr


@pytest.mark.parametrize("then", ["stays", "goes", "revoked", "downgrade", "never accepted"])
def test_the_copy_of_a_signed_tli_never_becomes_an_override(
    shop: Workshop, tmp_path: Path, then: str
) -> None:
    def tli(role: str) -> str:
        return f"{{'Actors': {{'app.echo.Echo': {{'OnLoad': {{'Role': {role!r}}}}}}}}}"

    one, two = (make_tls(shop.key, "app", n, tli(n), {"app/echo.py": ""}) for n in ("1.0", "2.0"))
    if then != "never accepted":
        assert install(shop, tmp_path, "app-1.0.tls", one).exit_code == 0
    assert install(shop, tmp_path, "app-2.0.tls", two).exit_code == 0
    (shop.directory / "app.tli").write_text(tli("1.0"))
    if then == "goes":
        (shop.directory / "app-1.0.tls").unlink()
    elif then == "revoked":
        digest = hashlib.sha256(one).hexdigest()
        (shop.directory / "revoked.cfg").write_text(repr({digest: "stolen"}))
    elif then == "downgrade":
        (shop.directory / "app-1.0.tls").write_bytes(
            make_tls(shop.key, "app", "1.0", tli("1.0"), {"app/echo.py": "other = 1"})
        )
    elif then == "never accepted":
        (shop.directory / "app-1.0.tls").write_bytes(one)

    def found() -> tuple[str | None, list[str]]:
        with DirectorControl(shop.directory, environ={}) as control:
            chosen = control.store.find("app-2.0.tls")
            signed = control.trust("load").has_signed
            verdict = control.check(chosen.path)
            made, warnings = Definitions(control.store, {}, signed).of(chosen, verdict)
            return made.actors[0].role, warnings

    assert found() == ("2.0", [])
    (shop.directory / "app.tli").write_text(tli("mine"))
    role, warnings = found()
    assert role == "mine" and len(warnings) == 1
