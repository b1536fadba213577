"""The signing key comes from the environment, and no error shows any of it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from director.errors import KeyProblem
from director.tls.keys import SigningKey
from hatch_thespian import signing
from hatch_thespian.signing import FILE, MIN_BITS, PASSPHRASE, TEXT, without_keys


def signing_key(
    environ: Mapping[str, str], root: Path, told: list[str] | None = None
) -> SigningKey | None:
    return signing.signing_key(environ, root, warn=([] if told is None else told).append)


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


def test_the_guides_1024_bits_are_refused_with_the_remedy_and_allowed_with_a_warning(
    tmp_path: Path,
) -> None:
    (tmp_path / "k.pem").write_bytes(openssl("genrsa", "1024"))
    with pytest.raises(KeyProblem) as caught:
        signing_key({FILE: "k.pem"}, tmp_path)
    assert caught.value.code == "key-weak" and f"{MIN_BITS}=1024" in str(caught.value)
    told: list[str] = []
    key = signing_key({FILE: "k.pem", MIN_BITS: "1024"}, tmp_path, told)
    assert key is not None and key.public.bits == 1024 and "stronger" in told[0]
    assert signing_key({TEXT: openssl("genrsa", "2048").decode()}, tmp_path, told) is not None
    assert len(told) == 1


@pytest.mark.parametrize("words", [("-3", "2048"), ("-3", "1024"), ("768",)])
def test_a_key_that_no_floor_lets_pass_is_refused_without_that_remedy(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    with pytest.raises(KeyProblem) as caught:
        signing_key({TEXT: openssl("genrsa", *words).decode()}, tmp_path)
    assert caught.value.code == "key-weak" and MIN_BITS not in str(caught.value)


@pytest.mark.parametrize("text", ["512", "4096", "many", "-1024", "\u0661\u0660\u0662\u0664x"])
def test_the_floor_can_be_set_from_1024_to_2048_only(tmp_path: Path, text: str) -> None:
    pem = openssl("genrsa", "2048").decode()
    with pytest.raises(KeyProblem, match=MIN_BITS):
        signing_key({TEXT: pem, MIN_BITS: text}, tmp_path)


def test_openssls_pkcs1_and_pkcs8_keys_both_sign(tmp_path: Path) -> None:
    pkcs1 = openssl("genrsa", "-traditional", "2048")
    assert b"BEGIN RSA PRIVATE KEY" in pkcs1
    pkcs8 = openssl("pkcs8", "-topk8", "-nocrypt", stdin=pkcs1)
    assert b"BEGIN PRIVATE KEY" in pkcs8
    keys = [signing_key({TEXT: pem.decode()}, tmp_path) for pem in (pkcs1, pkcs8)]
    assert keys[0] is not None and keys[1] is not None
    assert keys[0].public.fingerprint == keys[1].public.fingerprint


def test_other_programs_do_not_get_the_key() -> None:
    environ = {TEXT: "a", FILE: "b", PASSPHRASE: "c", MIN_BITS: "1024", "PATH": "/bin"}
    assert without_keys(environ) == {MIN_BITS: "1024", "PATH": "/bin"}


def openssl(*words: str, stdin: bytes = b"") -> bytes:
    """What the guide (2.3.2) makes keys with."""
    done = subprocess.run(["openssl", *words], input=stdin, capture_output=True, check=True)
    return done.stdout
