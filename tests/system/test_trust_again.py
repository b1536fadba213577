"""What is loaded and idle runs again only when it is trusted at that moment: undo, load, unload, pin and a crash.

One actor system for each test: what is revoked stays so. Each decision is looked for in the audit log.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from director.actors.asking import WORD_AGAIN
from director.audit import account
from director.control import source_hash
from director.documents import schema
from director.errors import NotFound, NotValidated
from director.files import locked
from director.settings.tli import parse_tli
from director.tls.keys import SigningKey, generate_key
from tests.commands import Result, run_command
from tests.conftest import Host, open_host
from tests.trust_cases import TLI, Workshop

pytestmark = pytest.mark.system

LIMIT = timedelta(seconds=10)


class Story:
    """A host with versions of one group, each signed by a key of its own where the test says so."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.shop = Workshop(host.key, host.directory)
        self.hashes: dict[str, str] = {}

    def load(self, version: str, key: SigningKey | None = None, **changes: Any) -> None:
        data = self.shop.good(key, version=version, **changes)
        self.hashes[version] = source_hash(data)
        (self.host.directory / f"app-{version}.tls").write_bytes(data)
        self.host.control.load(f"app-{version}.tls")

    def load_for_a_while(self, version: str, key: SigningKey) -> None:
        """Load what expires soon: as soon as this machine can load it before that."""
        for seconds in (2, 6, 18, 54):
            end = datetime.now(UTC) + timedelta(seconds=seconds)
            try:
                self.load(version, key, expires=end.isoformat(timespec="milliseconds"))
            except NotValidated as problem:
                assert problem.code == "expired"
            else:
                return
        raise AssertionError("no load came in time")

    def revoke(self, key: SigningKey) -> None:
        self.shop.settings(revoked=f"{key.public.fingerprint}  # stolen")

    @property
    def answers(self) -> Any:
        found = self.host.control.role("Echo")
        return found and self.host.control.system.ask(found.address, {}, LIMIT)["version"]

    @property
    def active(self) -> str | None:
        told = self.host.control.loaded()["app"]
        versions = told["Versions"]
        return versions[told["ActiveHash"]]["Version"] if told["ActiveHash"] else None

    def run(self, *words: str) -> Result:
        return run_command(list(words), env={"THESPIAN_DIRECTOR_DIR": str(self.host.directory)})

    def audit(self) -> list[dict[str, Any]]:
        text = (self.host.control.state / "audit.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def last(self) -> tuple[str, str, str, str]:
        told = self.audit()[-1]
        return told["asked"], told["version"], told["verdict"], told["code"]


@pytest.fixture
def story(host: Host) -> Story:
    return Story(host)


@pytest.fixture
def other(story: Story) -> SigningKey:
    """A second key that the host trusts, for now."""
    key = generate_key(2048)
    story.shop.trusted(key.public_pem)
    return key


def eventually(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def test_undo_to_a_version_that_is_trusted_is_audited_like_a_load(story: Story) -> None:
    story.load("1.0")
    story.load("2.0")
    done = story.run("undo", "app")
    assert done.exit_code == 0 and story.answers == "1.0", done.output
    assert story.last() == ("undo", "1.0", "valid", "active-again")
    assert story.audit()[-1]["note"] == "it is still loaded, accepted before, older than the mark"
    assert story.audit()[-1]["key"] == story.host.key.public.fingerprint
    assert story.host.control.pins()["app"].version == "1.0"


def by_revoking_the_key(story: Story, key: SigningKey) -> str:
    story.revoke(key)
    return "revoked-key"


def by_revoking_the_file(story: Story, key: SigningKey) -> str:
    import hashlib

    data = (story.host.directory / "app-1.0.tls").read_bytes()
    story.shop.settings(revoked=hashlib.sha256(data).hexdigest())
    return "revoked-file"


def by_another_keys_group(story: Story, key: SigningKey) -> str:
    story.shop.settings(keygroups=repr({key.public.fingerprint: ["payroll"]}))
    return "key-group"


def by_removing_the_key(story: Story, key: SigningKey) -> str:
    (story.host.directory / "other_tls.key").unlink()
    return "signature"


def by_time(story: Story, key: SigningKey) -> str:
    eventually(lambda: "expired" in story.run("tlsinfo", "app-1.0.tls").stderr, 90)
    return "expired"


@pytest.mark.parametrize("file_is_there", [True, False])
@pytest.mark.parametrize(
    "harm",
    [
        by_revoking_the_key,
        by_revoking_the_file,
        by_another_keys_group,
        by_removing_the_key,
        by_time,
    ],
)
def test_what_is_not_trusted_any_more_comes_back_by_no_way(
    story: Story,
    other: SigningKey,
    harm: Callable[[Story, SigningKey], str],
    file_is_there: bool,
) -> None:
    if harm is by_time:
        story.load_for_a_while("1.0", other)
    else:
        story.load("1.0", other)
    story.load("2.0")
    code = harm(story, other)
    if not file_is_there:
        (story.host.directory / "app-1.0.tls").unlink()
    done = story.run("undo", "app")
    assert done.exit_code == 7 and not done.stdout, done.output
    assert story.last() == ("undo", "1.0", "refused", code)
    assert story.active == story.answers == "2.0" and story.host.control.pins() == {}

    request = {"DirectorOp": "Pin", "Group": "app", "Version": "1.0"}
    told = story.host.control.ask(request, "Pinned", 30)
    assert (told["Success"], told["Code"]) == (False, code), told
    assert story.last() == ("pin", "1.0", "refused", code)
    assert story.host.control.pins() == {}

    if file_is_there:
        assert story.run("pin", "app", "1.0").exit_code == 7
        path = str(story.host.directory / "app-1.0.tls")
        tli = parse_tli(TLI.decode(), name="tli", environ={}).definition()
        load = {"DirectorOp": "LoadSource", "Source": path, "Wait": True, "Definition": tli}
        told = story.host.control.ask(load, "LoadResult", 30)
        assert (told["Success"], told["Code"]) == (False, code), "no command decided before"
        assert story.last() == ("load", "1.0", "refused", code)

    assert story.run("unload", story.hashes["2.0"]).exit_code == 0
    assert story.active is None, "nothing rather than that"
    assert story.last() == ("unload", "1.0", "refused", code)
    shown = story.run("status")
    assert shown.exit_code == 1 and "not made active again" in shown.stdout, shown.output


def test_an_unload_goes_past_what_is_not_trusted_to_the_highest_that_is(
    story: Story, other: SigningKey
) -> None:
    story.load("1.0")
    story.load("2.0", other)
    story.load("3.0")
    story.revoke(other)
    assert story.run("unload", story.hashes["3.0"]).exit_code == 0
    assert story.active == story.answers == "1.0"
    told = [(one["asked"], one["version"], one["code"]) for one in story.audit()[-2:]]
    assert told == [("unload", "2.0", "revoked-key"), ("unload", "1.0", "active-again")]
    assert "app-3.0.tls was unloaded" in story.audit()[-1]["note"]


def test_refresh_unloads_what_is_revoked_and_none_of_it_is_active_in_between(
    story: Story, other: SigningKey
) -> None:
    story.load("1.0")
    story.load("2.0", other)
    story.load("3.0", other)
    story.revoke(other)
    for version in ("2.0", "3.0"):
        (story.host.directory / f"app-{version}.tls").unlink()
    before = len(story.host.control.history("app"))
    done = story.run("refresh")
    assert story.active == story.answers == "1.0", done.output
    events = story.host.control.history("app")[before:]
    active = [one.version for one in events if one.event == "active"]
    assert active == ["1.0"], "2.0 was never active again"


def test_a_tentative_version_that_crashes_goes_back_to_what_is_trusted_and_that_is_audited(
    story: Story, other: SigningKey
) -> None:
    story.load("1.0")
    story.load("2.0", other)
    data = story.shop.good(version="3.0")
    path = story.host.directory / "app-3.0.tls"
    path.write_bytes(data)
    story.revoke(other)
    control = story.host.control
    tli = {"Actors": {"app.echo.Echo": {"OnLoad": {"Role": "Echo"}}}}
    request: dict[str, Any] = {"DirectorOp": "LoadSource", "Source": str(path), "Settle": 60}
    control.ask({**request, "Definition": tli}, "SourceLoading", 30)
    eventually(lambda: story.active == "3.0")
    found = control.role("Echo")
    assert found
    control.system.tell(found.address, {"die": True})
    eventually(lambda: story.active == "1.0")
    assert story.last() == ("went-back", "1.0", "valid", "active-again")
    assert story.audit()[-2]["code"] == "revoked-key" and story.answers == "1.0"
    assert [one.event for one in control.history("app")][-2:] == ["went-back", "active"]


def test_pin_names_what_is_there_and_decides_about_its_file(
    story: Story, other: SigningKey
) -> None:
    story.load("1.0")
    with pytest.raises(NotFound):
        story.host.control._pin("app", "9.9")
    (story.host.directory / "app-2.0.tls").write_bytes(story.shop.good(other))
    assert story.run("pin", "app", "2.0").exit_code == 0
    assert story.last() == ("pin", "2.0", "valid", "valid")
    story.revoke(other)
    with pytest.raises(NotValidated):
        story.host.control.pin("app", "2.0")
    assert story.host.control.pins()["app"].version == "2.0", "the earlier pin stands"


def test_marks_or_settings_that_do_not_read_bring_nothing_back(story: Story) -> None:
    story.load("1.0")
    story.load("2.0")
    marks: Path = story.host.control.state / "marks.json"
    kept = marks.read_bytes()
    marks.write_bytes(b"{")
    assert story.run("undo", "app").exit_code == 7
    assert story.audit()[-1]["code"] == "marks"
    shown = story.run("status")
    assert shown.exit_code == 1 and "app: ok" in shown.stdout, shown.output
    assert f"NOT KNOWN what is revoked: {marks} does not read" in shown.stdout, shown.output
    told = json.loads(story.run("status", "--json").stdout)
    jsonschema.validate(told, schema("status"))
    assert "does not read" in told["problem"]
    marks.write_bytes(kept)
    shown = story.run("status")
    assert shown.exit_code == 0 and "NOT KNOWN" not in shown.stdout, shown.output
    story.shop.settings(revoked="sha256:12")
    assert story.run("undo", "app").exit_code == 8
    undo = {"DirectorOp": "Undo", "Group": "app"}
    told = story.host.control.ask(undo, "UndoResult", 30)
    assert told["Code"] == "settings" == story.audit()[-1]["code"], told
    (story.host.directory / "revoked.cfg").unlink()
    assert story.answers == "2.0"
    assert story.run("undo", "app").exit_code == 0 and story.answers == "1.0"


def test_an_authority_that_is_slow_decides_once_and_writes_one_line(story: Story) -> None:
    story.load("1.0")
    story.load("2.0")
    before = len(story.audit())
    results: list[Result] = []
    undo = threading.Thread(target=lambda: results.append(story.run("undo", "app")))
    with locked(story.host.control.state / "audit.lock", 10):  # it cannot write its line, and waits
        undo.start()
        held = time.monotonic() + WORD_AGAIN + 1
        eventually(lambda: time.monotonic() > held)  # the Director has asked once more meanwhile
        assert not results
    undo.join(30)
    assert results and results[0].exit_code == 0 and story.answers == "1.0", results
    assert story.run("pin", "app", "2.0").exit_code == 0  # it stands behind what was asked again
    told = [(one["asked"], one["version"], one["code"]) for one in story.audit()[before:]]
    assert told.count(("undo", "1.0", "active-again")) == 1, told


def test_what_is_revoked_ends_although_the_marks_were_lost(host: Host) -> None:
    story, other = Story(host), generate_key(2048)
    (host.directory / "other_tls.key").write_bytes(other.public_pem)
    story.load("1.0", other)
    assert story.answers == "1.0"
    (host.control.state / "marks.json").unlink()
    story.revoke(other)
    told = story.run("status").stdout
    assert "revoked" in told.lower()
    story.run("refresh")
    assert "app" not in host.control.loaded() and not story.answers
    lines = (host.control.state / "audit.jsonl").read_text().splitlines()
    assert any(one["code"] == "revoked" and one["key"] for one in map(json.loads, lines))


def test_what_runs_comes_again_although_the_marks_were_lost(host: Host) -> None:
    story = Story(host)
    story.load("1.0")
    data = (host.directory / "app-1.0.tls").read_bytes()
    (host.control.state / "marks.json").unlink()
    for version in ("2.0", "3.0"):
        story.load(version)
    host.control.load("app-1.0.tls")
    assert story.active == "1.0" and source_hash(data) == story.hashes["1.0"]


def test_the_audit_log_tells_who_asked_and_not_who_started_the_system(
    tmp_path: Path, key: SigningKey
) -> None:
    with open_host(tmp_path, key) as host:

        def run(asker: str, *words: str) -> dict[str, Any]:
            done = subprocess.run(
                [sys.executable, "-m", "director", *words],
                env={**host.environment(), "SUDO_USER": asker},
                capture_output=True,
                text=True,
                timeout=60,
                stdin=subprocess.DEVNULL,
            )
            assert done.returncode == 0, done
            lines = (host.control.state / "audit.jsonl").read_text().splitlines()
            return dict(json.loads(lines[-1]))

        shop = Workshop(key, host.directory)
        (host.directory / "app-0.5.tls").write_bytes(shop.good(version="0.5"))
        run("alice", "start")
        for version in ("1.0", "2.0", "3.0"):
            (host.directory / f"app-{version}.tls").write_bytes(shop.good(version=version))
        for asker, words, version in (
            ("bob", ["load", "app-1.0.tls"], "1.0"),
            ("carol", ["load", "app-2.0.tls"], "2.0"),
            ("dave", ["undo", "app"], "1.0"),
            ("erin", ["pin", "app", "2.0"], "2.0"),
        ):
            told = run(asker, *words)
            assert told["who"].startswith(f"{asker} as ") and told["version"] == version, told
        host.control.system.loadActorSource(str(host.directory / "app-3.0.tls"))
        log, deadline = host.control.state / "audit.jsonl", time.monotonic() + 20
        while (told := json.loads(log.read_text().splitlines()[-1]))["version"] != "3.0":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert told["who"] == account(), "nobody told who that was"
