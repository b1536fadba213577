"""`director keygen`: what it writes, for whom, and that it overwrites nothing."""

from __future__ import annotations

import subprocess
import sys
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


@pytest.mark.parametrize("name", ["", "keys/", ".", "..", "keys/.hidden"])
def test_a_name_of_which_no_host_would_read_the_key_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keys").mkdir()
    done = run_command(["keygen", name, "--type", "ed25519"])
    assert done.exit_code == 2 and "sourcekey" in done.stderr, done.output
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == []


def test_a_full_disk_is_told_with_the_file_and_leaves_none(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "director", "keygen", str(tmp_path / "k"), "--type", "p256"]
    done = subprocess.run(  # a limit of the size of files stops writes as a full disk does
        ["/bin/sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *command], capture_output=True, text=True
    )
    assert done.returncode == 1 and f"{tmp_path / 'k.pem'}: " in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []
