"""undo goes back to the very bytes that were active, or not at all; a pin holds bytes, whatever its file has now."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from director.control import source_hash
from director.documents import schema
from director.pins import Pins
from tests.commands import Result, run_command
from tests.conftest import Host, make_tls

pytestmark = pytest.mark.system

TLI = """{'Actors': {'app.echo.Echo': {'OnLoad': {'Role': 'Echo'}}}, 'Drain': DRAIN}"""
ECHO = """
    from thespian.actors import ActorTypeDispatcher

    class Echo(ActorTypeDispatcher):
        def receiveMsg_dict(self, message, sender):
            self.send(sender, {"word": "WORD"})
"""


class Story:
    """A host with one group, whose actor answers with the word that its source was made with."""

    def __init__(self, host: Host, tmp_path: Path) -> None:
        self.host = host
        self.aside = tmp_path / "aside"
        self.aside.mkdir()

    def put(self, word: str, version: str | None = None, drain: float = 60) -> Path:
        tli = TLI.replace("DRAIN", str(drain))
        return self.host.put("app", version, tli, _sources(word))

    def made(self, word: str, version: str | None = None) -> Path:
        """A file that does not lie in the director directory."""
        name = f"app-{version}.tls" if version else "app.tls"
        (self.aside / word).mkdir()
        path = self.aside / word / name
        tli = TLI.replace("DRAIN", "60")
        path.write_bytes(make_tls(self.host.key, "app", version, tli, _sources(word)))
        return path

    def run(self, *words: str, status: int = 0) -> Result:
        env = {"THESPIAN_DIRECTOR_DIR": str(self.host.directory)}
        done = run_command(list(words), env=env)
        assert done.exit_code == status and "Traceback" not in done.stderr, done
        return done

    def document(self, *words: str, status: int = 0, name: str = "") -> Any:
        told = json.loads(self.run(*words, "--json", status=status).stdout)
        jsonschema.validate(told, schema(name or words[0]))
        return told

    def error(self, *words: str, status: int = 1) -> Any:
        return self.document(*words, status=status, name="error")["error"]

    @property
    def word(self) -> Any:
        return self.host.control.role("Echo").ask({}, 20)["word"]

    @property
    def pinned(self) -> str | None:
        pin = self.host.control.pins().get("app")
        return pin.sha256 if pin else None


def _sources(word: str) -> dict[str, str | bytes]:
    return {"app/__init__.py": "", "app/echo.py": ECHO.replace("WORD", word)}


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def kept(path: Path, aside: Path) -> Path:
    """A copy of a file, whatever takes its place."""
    return Path(shutil.copy(path, aside))


@pytest.fixture
def story(host: Host, tmp_path: Path) -> Story:
    return Story(host, tmp_path)


def unloaded(story: Story, digest: str) -> None:
    """Wait until a source is not loaded any more."""
    deadline = time.monotonic() + 30
    while digest in story.host.control.loaded()["app"]["Loaded"]:
        assert time.monotonic() < deadline, "it stays loaded"
        time.sleep(0.1)


def test_undo_does_not_load_what_took_the_place_of_the_version_before(story: Story) -> None:
    first = kept(story.put("one", "1.0"), story.aside)
    digest = source_hash(first.read_bytes())
    story.run("load", "app")
    story.put("two", "2.0")
    story.run("load", "app")
    story.run("unload", digest)
    other = story.made("another", "1.0")
    place = Path(
        story.document("install", "--replace", "--allow-downgrade", str(other))["installed"][0]
    )
    assert place.read_bytes() == other.read_bytes()

    told = story.error("undo", "app")
    assert told["code"] == "replaced" and "app-1.0.tls has other bytes now" in told["message"]
    assert digest in told["hint"] and "director undo app" in told["hint"]
    assert story.word == "two" and story.pinned is None
    assert [one.event for one in story.host.control.history("app")][-1] == "unloaded"

    story.run("install", "--replace", "--allow-downgrade", str(first))
    told = story.document("undo", "app")["groups"][0]
    assert (story.word, told["source_hash"], told["warnings"]) == ("one", digest, [])
    assert story.pinned == sha(first)
    place.unlink()
    story.run("unpin", "app")
    story.run("load", "app")
    story.run("unload", digest)
    told = story.error("undo", "app", status=4)
    assert "has gone" in told["message"] and story.word == "two"


def test_undo_of_a_group_without_versions_goes_back_only_while_what_ran_is_loaded(
    story: Story,
) -> None:
    first = kept(story.put("one", drain=1), story.aside)
    story.run("load", "app")
    story.put("two", drain=1)
    story.run("load", "app")
    unloaded(story, source_hash(first.read_bytes()))
    told = story.error("undo", "app")
    assert told["code"] == "replaced" and "without a version" in told["message"]
    assert story.word == "two" and story.pinned is None


def test_a_pin_holds_what_undo_went_back_to_though_its_file_has_other_bytes(story: Story) -> None:
    first = kept(story.put("one"), story.aside)
    story.run("load", "app")
    place = story.put("two")
    story.run("load", "app")
    (told,) = story.document("undo", "app")["groups"]
    assert story.word == "one" and story.pinned == sha(first)
    assert "a start would not load it" in told["warnings"][0], told
    assert story.document("refresh")["groups"][0]["changed"] is False
    assert story.word == "one", "refresh leaves what is pinned"
    told = story.error("load", "app")
    assert told["code"] == "pinned-changed" and sha(first) in told["message"]
    assert story.error("load", str(place))["code"] == "pinned"
    assert story.run("pin", "app").exit_code == 0 and story.pinned == sha(first)
    found = story.document("doctor", status=1)["findings"]
    assert "pinned-changed" in {one["code"] for one in found}
    assert story.word == "one"

    story.host.control.connection.close()
    story.run("shutdown")
    (told,) = story.document("start", status=1)["groups"]
    assert told["error"]["code"] == "pinned-changed", "these bytes are nowhere any more"
    (told,) = story.document("refresh", status=1)["groups"]
    assert told["error"]["code"] == "pinned-changed"
    assert story.document("list")["groups"] == {}
    shutil.copy(first, place)
    assert story.document("refresh")["groups"][0]["changed"] is True and story.word == "one"
    place.unlink()
    assert story.document("refresh")["groups"] == [], "there is no file of it to look at"


def test_the_history_tells_of_a_failure_whatever_characters_its_text_has(story: Story) -> None:
    for word, version in (("one", "1.0"), ("two", "2.0")):
        story.put(word, version)
        story.run("load", "app")
    broken = _sources("three") | {"app/echo.py": "raise RuntimeError('so\\u2028it\\x85is')\n"}
    story.host.put("app", "3.0", TLI.replace("DRAIN", "60"), broken)
    assert "so\u2028it" in story.error("load", "app")["message"]
    last = story.document("history", "app")["events"][-1]
    assert (last["event"], last["version"]) == ("failed", "3.0") and "so\u2028it" in last["text"]
    story.run("undo", "app")
    assert story.word == "one"


def test_a_pin_lets_no_other_bytes_of_its_name_be_loaded_or_installed(story: Story) -> None:
    place = story.put("one", "1.0")
    story.run("load", "app")
    old = story.made("another", "1.0")
    trust = story.host.control.trust("install")
    assert trust.admit(old.read_bytes(), old.name, allowed=("replace",)).valid
    story.run("pin", "app", "1.0")
    assert story.pinned == sha(place)
    told = story.error("load", str(old))
    assert told["code"] == "pinned" and "other bytes" in told["message"]
    assert story.error("install", "--replace", str(old))["code"] == "pinned"
    assert story.word == "one" and sha(place) == story.pinned
    story.run("unpin", "app")
    story.run("install", "--replace", str(old))
    told = story.document("pin", "app", name="pins")["pins"][0]
    assert told["sha256"] not in (None, sha(place)), "it is what runs, not what lies there"
    assert story.document("refresh")["groups"][0]["changed"] is False and story.word == "one"


def test_pins_that_do_not_read_are_told_and_nothing_is_loaded_or_overwritten(story: Story) -> None:
    story.put("one", "1.0")
    story.run("load", "app")
    story.put("two", "2.0")
    story.run("load", "app")
    control = story.host.control
    pins = Pins(control.state).path
    pins.write_text("{")
    for words in (["pin"], ["pin", "app"], ["unpin", "app"], ["load", "app"]):
        told = story.error(*words)
        assert told["code"] == "pins" and f"{pins} does not read" in told["message"], words
    (told,) = story.document("refresh", status=1)["groups"]
    assert told["error"]["code"] == "pins"
    told = story.document("status", status=1)
    assert "does not read" in told["pins_problem"] and not told["problem"]
    assert "NOT KNOWN what is pinned: " in story.run("status", status=1).stdout
    found = story.document("doctor", status=1)["findings"]
    assert [one["level"] for one in found if one["code"] == "pins"] == ["error"]
    for words in (["history", "app"], ["list"], ["avail"]):
        story.run(*words)
    assert pins.read_text() == "{" and story.word == "two"

    (told,) = story.document("undo", "app")["groups"]
    assert story.word == "one" and any("does not read" in one for one in told["warnings"])
    assert pins.read_text() == "{"
    story.host.control.connection.close()
    story.run("shutdown")
    (told,) = story.document("start", status=1)["groups"]
    assert told["error"]["code"] == "pins" and control.running()
    pins.unlink()
    assert story.document("refresh")["groups"][0]["changed"] and story.word == "two"
