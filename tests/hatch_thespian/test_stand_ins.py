"""Stand-ins of what is external: which versions pip may choose among."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from hatch_thespian.stand_ins import versions, write_stand_in
from hatch_thespian.wheels import read_wheel


def test_known_versions_that_fit_are_all() -> None:
    known = ["4.0.1", "3.9", "odd version", "4.0.1"]
    assert versions(SpecifierSet(""), known) == ["4.0.1", "3.9"]
    assert versions(SpecifierSet("<4"), known) == ["3.9"]


@pytest.mark.parametrize(
    "told",
    ["==1.2.7", ">=1.2,<1.3", "~=1.4.2", ">9999", "<1", ">1.2", "==3.*", "<=0.0.2", "==1!2.0"],
)
def test_of_an_unknown_distribution_there_is_one_that_its_specifier_allows(told: str) -> None:
    wanted = SpecifierSet(told)
    found = versions(wanted, ["0.dev0"])
    assert found and all(wanted.contains(one) for one in found)


def test_an_unknown_distribution_has_low_and_high_versions_of_each_release_number() -> None:
    found = versions(SpecifierSet(""), [])
    for told in ("<1", ">=7,<8", ">=2026", ">0.5,<1"):
        assert any(SpecifierSet(told).contains(one) for one in found), told


def test_a_version_that_nothing_fits_has_no_stand_in() -> None:
    assert versions(SpecifierSet(">2,<1"), []) == []


@pytest.mark.parametrize(
    ("version", "fit"), [("2.0", "==2.0"), ("1.0+cu121", "<=1.0"), ("1!3", "==1!3")]
)
def test_a_stand_in_is_a_wheel_that_fits_as_the_real_one_does(
    tmp_path: Path, version: str, fit: str
) -> None:
    read = read_wheel(write_stand_in(tmp_path, "Host.Only", version))
    assert read.name == "Host.Only" and read.key == "host-only" and not read.requires
    assert read.version.startswith(version) and SpecifierSet(fit).contains(read.version)
