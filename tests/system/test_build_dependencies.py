"""What a source brings along, resolved by the real pip from local wheels: no network is asked."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.tags import sys_tags

from director.errors import BuildError
from hatch_thespian.dependencies import Wanted, resolve
from hatch_thespian.distributions import Bundle
from hatch_thespian.problems import SeveralProblems
from tests.wheels import make_wheel, write_files

pytestmark = pytest.mark.system

HERE = next(str(tag) for tag in sys_tags())
COMPILED: dict[str, str | bytes] = {
    "fast/__init__.py": "try:\n    from fast import _c\nexcept ImportError:\n    pass\n",
    "fast/_c.so": b"\x7fELF",
}


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """Wheels that pip finds."""
    shelf = tmp_path / "shelf"
    make_wheel(
        shelf,
        "app-lib",
        requires=["shared", "extra-lib; extra == 'more'", "gone; python_version < '3'"],
    )
    make_wheel(shelf, "shared", "1.0")
    make_wheel(shelf, "shared", "2.0")
    make_wheel(shelf, "extra-lib")
    make_wheel(shelf, "fast", files=COMPILED, tag=HERE)
    make_wheel(shelf, "user-of-fast", requires=["fast", "shared"])
    return shelf


def bundled(
    shelf: Path,
    deps: Sequence[str],
    *,
    external: Sequence[str] = (),
    native: Mapping[str, str] | None = None,
    told: list[str] | None = None,
    isolated: bool = False,
) -> Bundle:
    environ = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(shelf)}
    if not isolated:
        environ["PIP_NO_BUILD_ISOLATION"] = "false"  # which is how pip spells yes
    wanted = Wanted(deps, external, native or {})
    say = (lambda line: None) if told is None else told.append
    return resolve(wanted, shelf.parent, environ, say)


def names(bundle: Bundle) -> list[str]:
    return [f"{one.name} {one.version}" for one in bundle.distributions]


def test_everything_needed_comes_along_at_the_versions_that_pip_resolves(shelf: Path) -> None:
    assert names(bundled(shelf, ["app-lib"])) == ["app-lib 1.0", "shared 2.0"]
    assert names(bundled(shelf, ["app-lib", "shared<2"])) == ["app-lib 1.0", "shared 1.0"]


def test_extras_and_markers_are_heard(shelf: Path) -> None:
    found = bundled(shelf, ["App.Lib[more]", "gone; sys_platform == 'amiga'"])
    assert names(found) == ["app-lib 1.0", "extra-lib 1.0", "shared 2.0"]
    assert found.why["extra-lib"] == ("deps", "app-lib")


def test_wheels_and_projects_may_be_named_by_their_path(shelf: Path) -> None:
    make_wheel(shelf.parent / "libs", "near", requires=["shared"])
    toml = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    toml += '[project]\nname = "sibling"\nversion = "3.0"\noptional-dependencies = {x = ["extra-lib"]}\n'
    write_files(shelf.parent / "libs/sibling", {"pyproject.toml": toml, "sibling/__init__.py": ""})
    near = "libs/near-1.0-py3-none-any.whl"
    assert names(bundled(shelf, [near])) == ["near 1.0", "shared 2.0"]
    found = bundled(shelf, [f"near @ {near}", "sibling[x] @ file:libs/sibling"])
    assert names(found) == ["extra-lib 1.0", "near 1.0", "shared 2.0", "sibling 3.0"]
    assert not any("direct_url" in one.name for one in found.members)


def test_paths_that_are_not_there_are_told_at_once(shelf: Path) -> None:
    deps = ["libs/gone-1.0-py3-none-any.whl", "odd.whl", "shared @ libs/nowhere"]
    with pytest.raises(SeveralProblems) as caught:
        bundled(shelf, deps)
    text = str(caught.value)
    assert all(f"deps[{number}]: " in text for number in range(3))


def test_what_is_external_is_left_out_with_all_that_only_it_needs_and_is_recorded(
    shelf: Path,
) -> None:
    found = bundled(shelf, ["user-of-fast", "app-lib", "thespian"], external=["fast>=1", "App_Lib"])
    assert names(found) == ["shared 2.0", "user-of-fast 1.0"]
    assert found.external == ("App_Lib", "fast>=1", "thespian")


def test_what_is_external_needs_no_wheel_and_no_index(shelf: Path) -> None:
    make_wheel(shelf, "actor-lib", requires=["Thespian>=3.10", "host.only[gpu]<8,>=7", "shared"])
    with tarfile.open(shelf / "thespian-99.tar.gz", "w"):
        pass  # an sdist is there, and is not looked into
    found = bundled(shelf, ["actor-lib"], external=["host-only"])
    assert names(found) == ["actor-lib 1.0", "shared 2.0"]
    assert found.external == ("host-only", "thespian")


def test_what_is_external_is_not_fetched_and_has_a_version_that_an_index_has(shelf: Path) -> None:
    old = make_wheel(shelf, "huge", "1.5", requires=["only-of-huge"])
    old.write_bytes(b"no wheel")  # whoever opens it finds that
    make_wheel(shelf, "huge", "3.0", requires=["only-of-huge"])
    make_wheel(shelf, "user", "2.0", requires=["huge<2"])
    make_wheel(shelf, "user", "1.0")
    assert names(bundled(shelf, ["user"], external=["huge"])) == ["user 2.0"]
    assert names(bundled(shelf, ["user"], external=["huge>=3"])) == ["user 1.0"]


def test_a_version_that_hosts_cannot_have_is_told_with_what_they_are_taken_to_have(
    shelf: Path,
) -> None:
    make_wheel(shelf, "ahead", requires=["thespian>=99"])
    with pytest.raises(
        BuildError, match=r'(?s)thespian>=99.*external, as in "thespian=='
    ) as caught:
        bundled(shelf, ["ahead"])
    assert version("thespian") in str(caught.value)
    found = bundled(shelf, ["ahead"], external=["thespian>=99.2"])
    assert names(found) == ["ahead 1.0"] and "thespian>=99.2" in found.external


def test_this_project_is_external_wherever_it_is_needed(shelf: Path) -> None:
    make_wheel(shelf, "operator", requires=["hatch-thespian"])
    with pytest.raises(BuildError, match=r'external = \["hatch-thespian"\]'):
        bundled(shelf, ["operator"])
    assert names(bundled(shelf, ["operator"], external=["hatch-thespian"])) == ["operator 1.0"]
    make_wheel(shelf, "hatch-thespian")
    with pytest.raises(BuildError, match=r'external = \["hatch-thespian"\]'):
        bundled(shelf, ["operator"])


def near(shelf: Path, requires: str) -> str:
    """A project beside the one that is built; gives its item of deps."""
    toml = f'[build-system]\nrequires = ["hatchling", {requires!r}]\nbuild-backend = "hatchling.build"\n'
    toml += '[project]\nname = "near"\nversion = "3.0"\n'
    write_files(shelf.parent / "libs/near", {"pyproject.toml": toml, "near/__init__.py": ""})
    return "near @ libs/near"


def test_a_project_is_built_with_what_is_installed_here_where_no_index_has_it(shelf: Path) -> None:
    assert names(bundled(shelf, [near(shelf, "hatch-thespian")], isolated=True)) == ["near 3.0"]


def test_a_project_that_cannot_be_built_is_told_with_what_it_lacks(shelf: Path) -> None:
    with pytest.raises(
        BuildError, match=r"(?s)near @ file:.*cannot be built.*gone-tool.*installed in"
    ):
        bundled(shelf, [near(shelf, "gone-tool")], isolated=True)
    assert names(bundled(shelf, [near(shelf, "gone-tool") + " ; python_version < '3'"])) == []


def test_the_pure_wheel_of_the_same_version_is_taken_before_a_compiled_one(shelf: Path) -> None:
    make_wheel(shelf, "fast", files={"fast/__init__.py": "PURE = True\n"})
    found = bundled(shelf, ["user-of-fast"])
    assert "fast 1.0" in names(found) and found.tags == ()
    assert not any(one.name.endswith(".so") for one in found.members)


def test_a_compiled_distribution_without_a_pure_wheel_is_refused_stripped_or_allowed(
    shelf: Path,
) -> None:
    with pytest.raises(BuildError) as caught:
        bundled(shelf, ["user-of-fast"])
    text = str(caught.value)
    assert caught.value.code == "native"
    assert "fast 1.0" in text and "fast/_c.so" in text and "deps → user-of-fast → fast" in text
    stripped = bundled(shelf, ["fast"], native={"fast": "strip"})
    assert not any(one.name.endswith(".so") for one in stripped.members) and stripped.tags == ()
    allowed = bundled(shelf, ["fast"], native={"*": "allow"})
    assert any(one.name == "fast/_c.so" for one in allowed.members) and allowed.tags == (HERE,)


def test_pips_own_words_are_told_when_it_finds_no_way(shelf: Path) -> None:
    with pytest.raises(
        BuildError, match=r"No matching distribution found for shared>=9\nOnly what"
    ):
        bundled(shelf, ["shared>=9"])
    with pytest.raises(BuildError, match=r"(?i)conflict"):
        bundled(shelf, ["shared==1.0", "shared==2.0"])


def test_the_same_wheels_give_the_same_members_and_leave_no_file(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    first = bundled(shelf, ["app-lib[more]"])
    assert bundled(shelf, ["app-lib[more]"]).members == first.members
    assert not list((tmp_path / "tmp").glob("hatch-thespian-*"))


def test_what_is_done_is_told(shelf: Path) -> None:
    told: list[str] = []
    bundled(shelf, ["user-of-fast"], external=["fast"], told=told)
    assert "bundled shared 2.0 (deps → user-of-fast)" in told
    assert "fast is expected on the host and is not bundled" in told
