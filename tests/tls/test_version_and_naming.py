"""Ordering of versions, and names of groups and files."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from director.errors import DirectorError
from director.tls.naming import check_group, file_name, normalise_group, split_file_name
from director.tls.version import check_version, is_pep440, version_key


@pytest.mark.parametrize(
    "ordered",
    [
        ["1.3.5", "1.4", "2.0"],
        ["1.9", "1.10"],
        ["2.0.dev1", "2.0a1", "2.0rc1", "2.0", "2.0.post1", "2.0.1"],
        ["201710261902", "201710261938"],
        ["3.12", "201710261902"],
        ["2.0", "2.0.post9", "2.0-alpha.beta", "2.0.1"],
        ["2.0-build9x", "2.0-build10x"],
        ["2.9", "2.10_final_2", "2.10_final_10"],
        ["1.0", "1!0.1"],
    ],
)
def test_versions_in_order(ordered: list[str]) -> None:
    shuffled = sorted(ordered, reverse=True)
    assert sorted(shuffled, key=version_key) == ordered


def test_no_version_sorts_lowest_and_trailing_zeros_do_not_count() -> None:
    assert version_key(None) < version_key("0") and version_key(None) < version_key("nonsense")
    assert version_key("1.0") == version_key("1.0.0") == version_key("v1")
    assert is_pep440("1.0rc1") and not is_pep440("1.0-beta.gamma")


VERSIONS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,20}", fullmatch=True)


@given(st.lists(st.none() | VERSIONS, min_size=2, max_size=6))
def test_the_order_is_total_for_whatever_can_be_a_version(versions: list[str | None]) -> None:
    keys = sorted(version_key(version) for version in versions)
    assert all(a <= b for a, b in itertools.pairwise(keys))


@given(
    st.tuples(
        st.integers(0, 99), st.integers(0, 99), st.sampled_from(["", "a1", ".post2", ".dev3"])
    )
)
def test_pep_440_versions_are_ordered_as_packaging_does(parts: tuple[int, int, str]) -> None:
    one = f"{parts[0]}.{parts[1]}{parts[2]}"
    assert (version_key(one) < version_key("50.50")) == (Version(one) < Version("50.50"))


@pytest.mark.parametrize("version", ["", "-1", ".1", "1/2", "1 2", "é", "1\n", "x" * 101, "../1"])
def test_what_cannot_be_a_version(version: str) -> None:
    with pytest.raises(DirectorError) as caught:
        check_version(version)
    assert caught.value.code == "version" and caught.value.hint


@pytest.mark.parametrize(
    ("name", "group"), [("My-App", "my_app"), ("foo.bar", "foo_bar"), ("Foo_2", "foo_2")]
)
def test_a_projects_name_becomes_a_group(name: str, group: str) -> None:
    assert normalise_group(name) == group
    check_group(group)


@pytest.mark.parametrize("group", ["", "a-b", "a.b", "a/b", "é", "a\n"])
def test_what_cannot_be_a_group(group: str) -> None:
    with pytest.raises(DirectorError, match="cannot be a group"):
        check_group(group)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("foo.tls", ("foo", None)),
        ("foo-1.0.tls", ("foo", "1.0")),
        ("foo-1.0-rc-1.tls", ("foo", "1.0-rc-1")),
        ("foo.tli", ("foo", None)),
        ("my_app-201710261902.tls", ("my_app", "201710261902")),
    ],
)
def test_a_file_name_tells_group_and_version(name: str, parts: tuple[str, str | None]) -> None:
    assert split_file_name(name) == parts
    if name.endswith(".tls"):
        assert file_name(*parts) == name


@pytest.mark.parametrize(
    "name", ["foo", "foo.zip", ".tls", "-1.tls", "foo-.tls", "a/b.tls", "foo.bar-1.tls", ".foo.tls"]
)
def test_what_is_no_file_name(name: str) -> None:
    with pytest.raises(DirectorError) as caught:
        split_file_name(name)
    assert caught.value.code == "file-name"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a b.tls", "'a b' cannot be a group"),
        ("föö-1.tls", "'föö' cannot be a group"),
        ("foo-.tls", "'' cannot be a version"),
        ("foo-1 2.tli", "'1 2' cannot be a version"),
    ],
)
def test_it_is_told_why_a_name_is_none(name: str, why: str) -> None:
    with pytest.raises(DirectorError, match=f"{name!r} is not the name of a .*: {why}"):
        split_file_name(name)


@given(st.from_regex(r"[A-Za-z0-9_]{1,12}", fullmatch=True), st.none() | VERSIONS)
def test_names_come_apart_as_they_were_put_together(group: str, version: str | None) -> None:
    assert split_file_name(file_name(group, version)) == (group, version)
