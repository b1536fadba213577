"""Distributions become members by their RECORD, with metadata and licences, and nothing else does."""

from __future__ import annotations

import csv
import importlib.metadata
import io
from pathlib import Path

import pytest

from director.errors import BuildError
from director.tls.manifest import Distribution
from hatch_thespian.dependencies import collect
from tests.wheels import make_wheel, unpack

INFO = "farm_tools-1.0.dist-info"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    wheel = make_wheel(
        tmp_path,
        "farm-tools",
        files={
            "farm_tools/__init__.py": "",
            "farm_tools/scales.json": "{}",
            f"{INFO}/licenses/LICENSE": "free",
        },
    )
    return unpack(wheel, tmp_path / "target")


def test_members_are_those_of_the_record_without_what_tells_of_this_installation(
    target: Path,
) -> None:
    record = target / INFO / "RECORD"
    for name in ("INSTALLER", "REQUESTED", "direct_url.json"):
        (target / INFO / name).write_text("x")
        record.write_text(record.read_text() + f"{INFO}/{name},,\n")
    more = "../../bin/farm,,\n../../share/x,,\nfarm_tools/__pycache__/a.pyc,,\n/etc/passwd,,\n"
    record.write_text(record.read_text() + more)
    (target / "stranger.py").write_text("")
    bundle = collect(target)
    assert [one.name for one in bundle.members] == [
        f"{INFO}/METADATA",
        f"{INFO}/RECORD",
        f"{INFO}/WHEEL",
        f"{INFO}/licenses/LICENSE",
        "farm_tools/__init__.py",
        "farm_tools/scales.json",
    ]
    assert bundle.distributions == (Distribution("farm-tools", "1.0", "MIT"),)


def test_the_bundled_record_names_exactly_what_is_bundled(target: Path, tmp_path: Path) -> None:
    bundle = collect(target)
    record = next(one for one in bundle.members if one.name.endswith("RECORD"))
    rows = [row[0] for row in csv.reader(io.StringIO(record.data.decode()))]
    assert rows == [one.name for one in bundle.members if one != record] + [record.name]
    host = tmp_path / "host"
    for member in bundle.members:
        (host / member.name).parent.mkdir(parents=True, exist_ok=True)
        (host / member.name).write_bytes(member.data)
    (found,) = importlib.metadata.distributions(path=[str(host)])
    assert found.name == "farm-tools" and found.files is not None
    assert all(file.locate().is_file() for file in found.files)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("lines", "licence"),
    [
        (["License-Expression: MIT OR Apache-2.0"], "MIT OR Apache-2.0"),
        (["License: BSD"], "BSD"),
        (
            [
                "Classifier: License :: OSI Approved :: MIT License",
                "Classifier: License :: OSI Approved :: BSD License",
            ],
            "BSD License AND MIT License",
        ),
        (
            ["License: line one", "  line two", "Classifier: License :: Public Domain"],
            "Public Domain",
        ),
        ([], "unknown"),
    ],
)
def test_the_licence_is_the_expression_else_the_field_else_the_classifiers(
    tmp_path: Path, lines: list[str], licence: str
) -> None:
    unpack(make_wheel(tmp_path, "one", metadata=lines), tmp_path / "t")
    assert collect(tmp_path / "t").distributions[0].licence == licence


def test_thespian_is_never_bundled(target: Path, tmp_path: Path) -> None:
    unpack(make_wheel(tmp_path, "Thespian", "4.0.1"), target)
    told: list[str] = []
    assert [one.name for one in collect(target, told.append).distributions] == ["farm-tools"]
    assert any("Thespian is on every host" in line for line in told)


def test_a_compiled_part_is_refused_by_name(tmp_path: Path) -> None:
    files = {"fast/_c.cpython-311-x86_64-linux-gnu.so": b"\x7fELF"}
    unpack(make_wheel(tmp_path, "fast", files=files), tmp_path / "t")
    with pytest.raises(BuildError, match=r"fast 1\.0 has a compiled part, fast/_c"):
        collect(tmp_path / "t")


def test_a_distribution_with_a_missing_file_is_named(target: Path) -> None:
    (target / "farm_tools/scales.json").unlink()
    with pytest.raises(BuildError, match=r"farm_tools-1\.0\.dist-info.*scales\.json"):
        collect(target)
    (target / INFO / "RECORD").unlink()
    with pytest.raises(BuildError, match="RECORD"):
        collect(target)
