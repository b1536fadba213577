"""`director keygen`: what it writes, for whom, and that it overwrites nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from director.errors import DirectorError
from director.tls.keys import load_public_key, load_signing_key
from tests.commands import run_command


@pytest.mark.parametrize("kind", ["rsa", "ed25519", "p256"])
def test_a_pair_is_written_private_to_its_owner_and_the_fingerprint_told(
    tmp_path: Path, kind: str
) -> None:
    done = run_command(["keygen", str(tmp_path / "k"), "--type", kind])
    assert done.exit_code == 0, done.output
    private, public = tmp_path / "k.pem", tmp_path / "k_tls.key"
    assert private.stat().st_mode & 0o777 == 0o600
    loaded = load_public_key(public.read_bytes(), name="k")
    assert f"fingerprint {loaded.fingerprint}" in done.output
    signer = load_signing_key(private.read_bytes(), name="k")
    assert signer.public.fingerprint == loaded.fingerprint


def test_an_existing_file_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "k_tls.key").write_text("mine")
    done = run_command(["keygen", str(tmp_path / "k"), "--type", "ed25519"])
    assert done.exit_code == 1
    assert (tmp_path / "k_tls.key").read_text() == "mine" and not (tmp_path / "k.pem").exists()


def test_a_passphrase_is_asked_for_and_encrypts_the_private_key(tmp_path: Path) -> None:
    done = run_command(
        ["keygen", str(tmp_path / "k"), "--type", "p256", "--passphrase"],
        input="open sesame\nopen sesame\n",
    )
    assert done.exit_code == 0 and "sesame" not in done.output
    pem = (tmp_path / "k.pem").read_bytes()
    with pytest.raises(DirectorError) as caught:
        load_signing_key(pem, name="k")
    assert caught.value.code == "key-passphrase"
    assert load_signing_key(pem, name="k", passphrase=b"open sesame")
