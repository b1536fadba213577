"""The envelope FMT1: ours, and byte-compatible both ways with Thespian's own director."""

from __future__ import annotations

import base64
import io
import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.errors import NotValidated
from director.tls.archive import Member, write_archive
from director.tls.container import FMT1, open_envelope, seal
from director.tls.keys import SigningKey
from director.tls.verify import Policy, verify

MEMBERS = [Member("foo/__init__.py", b""), Member("foo/bar.py", b"x = 1\n")]


@pytest.fixture
def encoding(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Thespian's own SourceEncoding, with what Python 3.9 took from it put back."""
    monkeypatch.setattr(base64, "decodestring", base64.decodebytes, raising=False)
    from thespian.director import SourceEncoding

    return SourceEncoding


def test_what_was_sealed_comes_out(key: SigningKey) -> None:
    archive = write_archive(MEMBERS)
    envelope = open_envelope(seal(archive, key))
    assert envelope.header.startswith(FMT1.encode()) and envelope.archive == archive
    assert envelope.is_by(key.public)


def test_nothing_reads_the_zip_before_it_is_validated(key: SigningKey) -> None:
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(seal(write_archive(MEMBERS), key)))


def test_thespians_own_director_validates_ours(key: SigningKey, encoding: Any) -> None:
    archive = write_archive(MEMBERS)
    read = encoding.tls_to_zip(seal(archive, key), key.public_pem.decode())
    assert (read.encode("latin-1") if isinstance(read, str) else read) == archive


def test_thespians_own_director_refuses_ours_when_it_was_changed(
    key: SigningKey, encoding: Any
) -> None:
    data = seal(write_archive(MEMBERS), key).replace(b"foo/bar.py", b"foo/baz.py")
    assert encoding.tls_to_zip(data, key.public_pem.decode()) is None


@pytest.mark.skipif(shutil.which("openssl") is None, reason="Thespian signs with openssl")
def test_we_validate_what_thespians_own_gensrc_writes(key: SigningKey, tmp_path: Path) -> None:
    director, project = tmp_path / "director", tmp_path / "project"
    for folder in (director, project / "foo" / "sub"):
        folder.mkdir(parents=True)
    (project / "foo" / "__init__.py").write_text("")
    (project / "foo" / "sub" / "thing.py").write_text("x = 1\n")
    (project / "foo" / "sub" / "data.csv").write_text("a,b\n")
    (project / "foo.tli").write_text("{'Actors': {}}")
    (tmp_path / "key.pem").write_bytes(key.private_pem(None))
    script = textwrap.dedent("""
        import base64, sys
        base64.decodestring = base64.decodebytes
        from thespian.director import DirectorControl
        sys.exit(DirectorControl().cmd_gensrc(*sys.argv[1:]) or 0)
    """)
    subprocess.run(
        [
            *(sys.executable, "-c", script, "foo", str(tmp_path / "key.pem"), str(project)),
            *("version:1.0", f"tli:{project / 'foo.tli'}", "foo/**/*.py"),
        ],
        env={**os.environ, "THESPIAN_DIRECTOR_DIR": str(director)},
        check=True,
        capture_output=True,
        timeout=60,
    )
    data = (director / "foo-1.0.tls").read_bytes()
    verdict = verify(data, [key.public], Policy(), datetime.now(UTC), file_name="foo-1.0.tls")
    assert verdict.code == "valid-unmanifested", verdict.message
    assert verdict.archive is not None
    assert verdict.archive.read("foo/sub/thing.py") == b"x = 1\n"


def test_any_size(key: SigningKey) -> None:
    members = [Member("foo/big.bin", os.urandom(12 << 20)), Member("foo/__init__.py", b"")]
    data = seal(write_archive(members), key)
    assert len(data) > 12 << 20
    verdict = verify(data, [key.public], Policy(), datetime.now(UTC))
    assert verdict.valid and verdict.archive is not None
    assert verdict.archive.read("foo/big.bin") == members[0].data


@pytest.mark.parametrize("change", ["header-too-long", "length", "place"])
def test_headers_that_lie(key: SigningKey, change: str) -> None:
    lines = seal(write_archive(MEMBERS), key).split(b"\n", 3)
    if change == "header-too-long":
        lines[1] = b"1" * 40
    else:
        number = 1 if change == "length" else 2
        lines[number] = str(len(lines[3]) + 1000).encode()
    with pytest.raises(NotValidated) as caught:
        open_envelope(b"\n".join(lines))
    assert caught.value.code.startswith("envelope-") and caught.value.hint


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "envelope-empty"),
        (b"hello", "envelope-format"),
        (write_archive(MEMBERS), "envelope-format"),
        (b"ThespianDirectorFMT9-sha256\n256\n1\n", "envelope-format"),
        (FMT1.encode() + b"\n", "envelope-header"),
        (FMT1.encode() + b"\n-1\n5\nxx", "envelope-header"),
        (FMT1.encode() + b"\n 1\n5\nxx", "envelope-header"),
        (FMT1.encode() + b"\n1\n+5\nxx", "envelope-header"),
        (FMT1.encode() + b"\n0\n0\nxx", "envelope-length"),
        (FMT1.encode() + b"\n256\n0\nxx", "envelope-length"),
    ],
)
def test_what_is_no_envelope(data: bytes, code: str) -> None:
    with pytest.raises(NotValidated) as caught:
        open_envelope(data)
    assert caught.value.code == code


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_do_anything_but_open_or_raise(data: bytes, headed: bool) -> None:
    try:
        open_envelope(FMT1.encode() + b"\n" + data if headed else data)
    except NotValidated as problem:
        assert problem.code.startswith("envelope-")
