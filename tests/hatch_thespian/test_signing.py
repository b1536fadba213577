"""The signing key comes from the environment, and no error shows any of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from director.errors import KeyProblem
from director.tls.keys import SigningKey
from hatch_thespian.signing import FILE, PASSPHRASE, TEXT, signing_key


def test_none_set_is_none_and_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    assert signing_key({}, tmp_path) is None
    assert signing_key({TEXT: " \n", FILE: "", PASSPHRASE: "x"}, tmp_path) is None


def test_the_pem_text_or_a_file_may_be_given(key: SigningKey, tmp_path: Path) -> None:
    pem = key.private_pem(None)
    file = tmp_path / "k.pem"
    file.write_bytes(pem)
    for environ in ({TEXT: pem.decode()}, {FILE: str(file)}, {FILE: "k.pem"}):
        found = signing_key(environ, tmp_path)
        assert found is not None and found.public.fingerprint == key.public.fingerprint


def test_an_encrypted_key_opens_with_its_passphrase_only(key: SigningKey, tmp_path: Path) -> None:
    pem = key.private_pem(b"open sesame").decode()
    assert signing_key({TEXT: pem, PASSPHRASE: "open sesame"}, tmp_path) is not None
    for more in ({}, {PASSPHRASE: "wrong"}):
        with pytest.raises(KeyProblem) as caught:
            signing_key({TEXT: pem, **more}, tmp_path)
        assert caught.value.code == "key-passphrase" and PASSPHRASE in str(caught.value)


@pytest.mark.parametrize("kind", ["both", "missing", "directory", "garbage", "public"])
def test_a_key_that_is_set_but_unusable_is_an_error_without_key_material(
    key: SigningKey, tmp_path: Path, kind: str
) -> None:
    pem = key.private_pem(None).decode()
    environ = {
        "both": {TEXT: pem, FILE: "k.pem"},
        "missing": {FILE: str(tmp_path / "none.pem")},
        "directory": {FILE: str(tmp_path)},
        "garbage": {TEXT: pem[:200]},
        "public": {TEXT: key.public_pem.decode()},
    }[kind]
    with pytest.raises(KeyProblem) as caught:
        signing_key(environ, tmp_path)
    assert pem[60:90] not in str(caught.value)
    assert FILE in str(caught.value) or TEXT in str(caught.value)
