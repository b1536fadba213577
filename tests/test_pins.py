"""Pins: what is written is read, what does not read is never overwritten, and a pin holds bytes, not a name."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from director.control import DirectorControl
from director.errors import DirectorError, NotFound
from director.loading import choose, newest
from director.pins import Pin, Pins, pinned_file, require_kept
from director.store import Store
from director.tls.keys import SigningKey
from tests.trust_cases import Workshop

OLD = {"group": "app", "version": "1.0", "file": "app-1.0.tls", "since": "now"}


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_pins_are_put_replaced_and_removed(tmp_path: Path) -> None:
    pins = Pins(tmp_path)
    assert pins.read() == {} and not pins.remove("app")
    pins.put(Pin("app", "1.0", "app-1.0.tls", "now"))
    pins.put(Pin("app", "1.1", "app-1.1.tls", "now", sha(b"1.1")))
    pins.put(Pin("b", None, "b.tls", "now"))
    assert pins.read()["app"] == Pin("app", "1.1", "app-1.1.tls", "now", sha(b"1.1"))
    assert pins.remove("app") and list(Pins(tmp_path).read()) == ["b"]


def test_a_pin_of_an_earlier_version_of_this_package_goes_on_to_be_read(tmp_path: Path) -> None:
    (tmp_path / "pins.json").write_text(json.dumps({"app": OLD}))
    assert Pins(tmp_path).read() == {"app": Pin("app", "1.0", "app-1.0.tls", "now", None)}


@pytest.mark.parametrize(
    "text",
    [
        *("", "[", "[]", '"app"', "[" * 100_000, '{"app": 1}', '{"app": {"group": "app"}}'),
        *(json.dumps({"app": {**OLD, "file": 5}}), json.dumps({"app": {**OLD, "more": 5}})),
        *(json.dumps({"app": {**OLD, "sha256": 5}}), json.dumps({"other": OLD})),
    ],
)
def test_pins_that_do_not_read_are_an_error_and_stay_as_they_are(tmp_path: Path, text: str) -> None:
    pins = Pins(tmp_path)
    pins.path.write_text(text)
    for change in (
        pins.read,
        lambda: pins.put(Pin("b", None, "b.tls", "now")),
        lambda: pins.remove("app"),
    ):
        with pytest.raises(DirectorError, match=re.escape(f"{pins.path} does not read")) as caught:
            change()
        assert caught.value.code == "pins" and "remove it" in caught.value.hint
    assert pins.path.read_text() == text


@pytest.fixture
def shop(tmp_path: Path, key: SigningKey) -> Workshop:
    """A director directory with two versions, and a third file elsewhere."""
    (tmp_path / "sourcekey_tls.key").write_bytes(key.public_pem)
    made = Workshop(key, tmp_path)
    for version in ("1.0", "2.0"):
        (tmp_path / f"app-{version}.tls").write_bytes(made.good(version=version))
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "app-1.0.tls").write_bytes(made.good(version="1.0", commit="other"))
    return made


def test_a_pin_with_a_hash_lets_these_bytes_be_loaded_wherever_they_lie_and_no_others(
    shop: Workshop,
) -> None:
    store = Store(shop.directory, shop.directory / ".state")
    place, other = shop.directory / "app-1.0.tls", shop.directory / "old" / "app-1.0.tls"
    data = place.read_bytes()
    pin = Pin("app", "1.0", "app-1.0.tls", "now", sha(data))
    pins = {"app": pin}
    files = store.available()["app"]
    for found in (choose(store, "app", pins), newest(store, files, pins)):
        assert (found.path, found.sha256) == (place, pin.sha256)
    with pytest.raises(DirectorError, match="pinned to other bytes than those of") as caught:
        choose(store, str(other), pins)
    assert caught.value.code == "pinned"
    with pytest.raises(DirectorError, match=r"pinned to app-1\.0\.tls\."):
        choose(store, "app-2.0.tls", pins)

    place.write_bytes(other.read_bytes())
    other.write_bytes(data)
    assert choose(store, str(other), pins).path == other
    for by in ("load", "refresh"):
        with pytest.raises(DirectorError) as caught:
            choose(store, "app", pins) if by == "load" else newest(store, files, pins)
        assert caught.value.code == "pinned-changed" and "unpin app" in caught.value.hint
    place.unlink()
    with pytest.raises(NotFound):
        pinned_file(store, pin)


def test_a_pin_without_a_hash_holds_the_file_of_the_directory(shop: Workshop) -> None:
    store = Store(shop.directory, shop.directory / ".state")
    pins = {"app": Pin(**OLD)}
    for target in ("app", str(shop.directory / "app-1.0.tls")):
        assert choose(store, target, pins).path == shop.directory / "app-1.0.tls"
    with pytest.raises(DirectorError, match="pinned to other bytes"):
        choose(store, str(shop.directory / "old" / "app-1.0.tls"), pins)


def test_nothing_takes_the_place_of_what_is_pinned(shop: Workshop) -> None:
    store = Store(shop.directory, shop.directory / ".state")
    place = shop.directory / "app-1.0.tls"
    pins = {"app": Pin("app", "1.0", "app-1.0.tls", "now", sha(place.read_bytes()))}
    require_kept(store, pins, "app-1.0.tls", sha(place.read_bytes()))
    require_kept(store, pins, "app-3.0.tls", sha(b"3.0"))
    require_kept(store, pins, "other-1.0.tls", sha(b"other"))
    for name in ("app-1.0.tls", "app-1.0.0.tls"):
        with pytest.raises(DirectorError) as caught:
            require_kept(store, pins, name, sha(b"other bytes"))
        assert caught.value.code == "pinned"
    place.write_bytes(b"these are others already")
    require_kept(store, pins, "app-1.0.tls", sha(b"other bytes"))
    require_kept(store, {"app": Pin(**OLD)}, "app-1.0.tls", sha(b"other bytes"))


@pytest.mark.parametrize("since", ["pinned", "revoked", "nothing"])
def test_an_interrupted_install_is_not_finished_over_what_was_pinned_or_when_it_was_revoked_since(
    shop: Workshop, since: str
) -> None:
    warnings: list[str] = []
    control = DirectorControl(shop.directory, environ={}, warn=warnings.append)
    place = shop.directory / "app-1.0.tls"
    before, data = place.read_bytes(), (shop.directory / "old" / "app-1.0.tls").read_bytes()
    control.store.stage("app-1.0.tls", data, sha(data))
    assert control.trust("install").admit(data, "app-1.0.tls").valid
    if since == "pinned":
        Pins(control.state).put(Pin("app", "1.0", "app-1.0.tls", "now", sha(before)))
    if since == "revoked":
        shop.settings(revoked=sha(data))
    control.finish_installs()
    assert place.read_bytes() == (data if since == "nothing" else before)
    assert bool(warnings) is (since == "pinned")
    if since == "pinned":
        assert "is not finished: The group app is pinned to app-1.0.tls" in warnings[0]
        Pins(control.state).remove("app")
        control.finish_installs()
        assert place.read_bytes() == data, "it goes on when the pin is gone"


def test_an_install_does_not_replace_what_is_pinned_nor_where_pins_do_not_read(
    shop: Workshop,
) -> None:
    control = DirectorControl(shop.directory, environ={})
    place, other = shop.directory / "app-1.0.tls", shop.directory / "old" / "app-1.0.tls"
    before = place.read_bytes()
    assert control.trust("load").admit(before, place.name).valid
    Pins(control.state).put(Pin("app", "1.0", "app-1.0.tls", "now", sha(before)))
    for text in (None, "{"):
        if text:
            (control.state / "pins.json").write_text(text)
        with pytest.raises(DirectorError) as caught:
            control.install(other, replace=True)
        assert caught.value.code == ("pins" if text else "pinned")
        assert place.read_bytes() == before
    control.require_group("app")  # what does not change pins goes on
