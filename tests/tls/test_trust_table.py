"""The table of `tests/trust_cases.py` at its first two depths: the pure decision, and `director tlsinfo`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from director.control import DirectorControl
from director.errors import SettingsError
from director.policy import rules_of
from director.settings.config import read_trust
from director.tls.keys import SigningKey
from director.tls.verify import Policy, verify
from director.trust import HostTrust
from tests.commands import run_command
from tests.trust_cases import CASES, Case, Workshop


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Workshop:
    """A director directory that has accepted app 1.0."""
    directory = tmp_path_factory.mktemp("trust") / "director"
    directory.mkdir()
    (directory / "sourcekey_tls.key").write_bytes(key.public_pem)
    shop = Workshop(key, directory)
    with DirectorControl(directory, environ={}) as control:
        verdict = control.trust("test").admit(shop.good(version="1.0"), "app-1.0.tls")
    assert verdict.valid, verdict.message
    return shop


@pytest.fixture
def shop(seen: Workshop, tmp_path: Path) -> Iterator[Workshop]:
    """A copy of it, which a case may change."""
    directory = tmp_path / "director"
    shutil.copytree(seen.directory, directory)
    yield Workshop(seen.key, directory)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_decision(shop: Workshop, case: Case) -> None:
    data = case.make(shop)
    control = DirectorControl(shop.directory, environ={})
    try:
        trust = read_trust(shop.directory, {})
    except SettingsError as problem:
        assert (problem.code, problem.exit_status) == (case.code, case.status)
        return
    ring = HostTrust(control.store, "test", environ={}).keyring(trust)
    book = HostTrust(control.store, "test").marks.read()
    policy = Policy(rules=rules_of(trust, book, frozenset()))
    verdict = verify(data, ring.keys, policy, datetime.now(UTC), file_name=case.file)
    assert (verdict.valid, verdict.code, verdict.exit_status) == (False, case.code, case.status)
    assert verdict.message.endswith(".") and verdict.archive is None and verdict.tli is None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_tlsinfo(shop: Workshop, case: Case) -> None:
    (shop.directory / case.file).write_bytes(case.make(shop))
    before = (shop.directory / ".state" / "audit.jsonl").read_text().splitlines()
    done = run_command(["tlsinfo", case.file], env={"THESPIAN_DIRECTOR_DIR": str(shop.directory)})
    assert done.exit_code == case.status, done.output
    assert "director: " in done.stderr and "Traceback" not in done.output and not done.stdout
    after = (shop.directory / ".state" / "audit.jsonl").read_text().splitlines()
    assert len(after) == len(before) + 1
    told = json.loads(after[-1])
    assert (told["asked"], told["verdict"], told["code"]) == ("tlsinfo", "refused", case.code)
    assert told["file"] == case.file and told["who"] and len(told["sha256"]) == 64


def test_the_good_file_is_valid_at_both_depths(shop: Workshop) -> None:
    """Else every refusal above would prove nothing."""
    (shop.directory / "app-2.0.tls").write_bytes(shop.good())
    done = run_command(
        ["tlsinfo", "app-2.0.tls"], env={"THESPIAN_DIRECTOR_DIR": str(shop.directory)}
    )
    assert done.exit_code == 0 and "Validated" in done.stdout, done.output


def test_odd_key_files_are_named_and_hide_no_good_one(shop: Workshop) -> None:
    from director.tls.keys import generate_ed25519, generate_p256
    from tests.trust_cases import keys_are, small_key

    good = shop.directory.joinpath("sourcekey_tls.key").read_bytes()
    pkcs1 = _pkcs1(generate_p256(), small_key(2048))
    keys_are(b"", b"\0\xff", None, b"FIFO", b"LINK", shop.key.private_pem(None), b"EIO")(shop)
    for number, pem in enumerate(
        (
            generate_ed25519().public_pem,
            generate_p256().public_pem,
            small_key(512).public_pem,
            pkcs1,
        )
    ):
        shop.trusted(pem, f"more{number}")
    shop.trusted(good, "zz")
    (shop.directory / "app-2.0.tls").write_bytes(shop.good())
    done = run_command(
        ["tlsinfo", "app-2.0.tls"], env={"THESPIAN_DIRECTOR_DIR": str(shop.directory)}
    )
    assert done.exit_code == 0, done.output
    for name in ("odd0", "odd1", "odd2", "odd3", "odd4", "odd5", "odd6", "more2"):
        assert f"{name}_tls.key" in done.stderr
    for name in ("more0", "more1", "more3"):
        assert f"{name}_tls.key" not in done.stderr


def _pkcs1(_: SigningKey, key: SigningKey) -> bytes:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    assert isinstance(key._key, rsa.RSAPrivateKey)
    return key._key.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)
