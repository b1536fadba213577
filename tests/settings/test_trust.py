"""The settings that decide about trust: each, its default, and that a mistake in one is never taken for none."""

from __future__ import annotations

from pathlib import Path

import pytest

from director.errors import SettingsError
from director.settings.config import Trust, read_config, read_trust

HASH, OTHER = "ab" * 32, "01" * 32


def trust(folder: Path, **files: str) -> Trust:
    for name, text in files.items():
        (folder / f"{name}.cfg").write_text(text, encoding="utf-8")
    return read_trust(folder, {})


def test_the_defaults(tmp_path: Path) -> None:
    assert trust(tmp_path) == Trust(2048, {}, {}, False)


def test_all_of_them(tmp_path: Path) -> None:
    found = trust(
        tmp_path,
        minkeybits="1024\n",
        keygroups="{'sha256:" + HASH.upper() + "': ['foo', 'bar'], '" + OTHER + "': 'one'}",
        revoked=f"# lost laptops\n{HASH}  # of March\nsha256:{OTHER}\n\n",
        requiremanifest="True\n",
    )
    assert found.min_key_bits == 1024 and found.require_manifest
    assert found.key_groups == {HASH: {"foo", "bar"}, OTHER: {"one"}}
    assert found.revoked == {HASH: "of March", OTHER: ""}
    assert read_config(tmp_path, {}).trust == found


@pytest.mark.parametrize(
    "text", [f"['sha256:{HASH}']", f"('{HASH}',)", f"{{'{HASH}'}}", f"{{'{HASH}': ''}}", HASH]
)
def test_revoked_in_every_form(tmp_path: Path, text: str) -> None:
    assert trust(tmp_path, revoked=text).revoked == {HASH: ""}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("minkeybits", "512"),
        ("minkeybits", "99999"),
        ("minkeybits", "many"),
        ("keygroups", "['foo']"),
        ("keygroups", "{'sourcekey_tls.key': ['foo']}"),
        ("keygroups", "{'" + HASH + "': 3}"),
        ("keygroups", "{'" + HASH + "': [3]}"),
        ("keygroups", "{1: ['foo']}"),
        ("revoked", "sha256:abcd"),
        ("revoked", HASH + "0"),
        ("revoked", "(1)"),
        ("revoked", "[1]"),
        ("revoked", "["),
        ("requiremanifest", "yes"),
        ("requiremanifest", "1"),
    ],
)
def test_what_does_not_read_is_an_error_and_never_the_default(
    tmp_path: Path, name: str, text: str
) -> None:
    with pytest.raises(SettingsError, match=name):
        trust(tmp_path, **{name: text})
