"""The graph of requirements, what is external, what is compiled; and wheels read by their RECORD."""

from __future__ import annotations

import csv
import importlib.metadata
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from director.errors import BuildError
from director.tls.archive import Member
from hatch_thespian.distributions import Bundle, Dist, apply_native, bundle, reach
from hatch_thespian.problems import Problems
from hatch_thespian.wheels import read_wheel
from tests.wheels import make_wheel


def dist(name: str, *requires: str, files: Sequence[str] = (), tag: str = "py3-none-any") -> Dist:
    return Dist(
        name,
        "1.0",
        "MIT",
        f"{name}-1.0.dist-info",
        tuple(map(Requirement, requires)),
        tuple(Member(file, b"") for file in files or (f"{name}.py",)),
        tag,
    )


def walk(dists: Sequence[Dist], *roots: str, external: Sequence[str] = ()) -> dict[str, str]:
    known = {one.key: one for one in dists}
    reached = reach(known.get, map(Requirement, roots), external)
    assert not reached.missing, reached.missing
    return {key: " > ".join(way) for key, way in reached.why.items()}


def test_everything_needed_comes_along_and_the_way_to_it_is_known() -> None:
    dists = [dist("Jinja2", "MarkupSafe>=2"), dist("MarkupSafe"), dist("stranger")]
    assert walk(dists, "jinja2") == {"jinja2": "deps", "markupsafe": "deps > Jinja2"}


def test_an_extra_brings_what_it_needs_and_only_where_it_is_asked_for() -> None:
    a = dist("a", "b; extra == 'full'", "c[fast]")
    dists = [a, dist("b"), dist("c", "d; extra == 'fast'"), dist("d")]
    assert set(walk(dists, "a")) == {"a", "c", "d"}
    assert set(walk(dists, "a[full]")) == {"a", "b", "c", "d"}
    assert set(walk(dists, "c", "c[fast]")) == {"c", "d"}


def test_markers_are_those_of_this_python() -> None:
    dists = [dist("a", "b; python_version < '3'", "c; python_version >= '3'"), dist("c")]
    assert set(walk(dists, "a", "gone; sys_platform == 'amiga'")) == {"a", "c"}


def test_what_is_external_stays_out_with_all_that_only_it_needs() -> None:
    dists = [
        dist("app-lib", "numpy", "shared"),
        dist("numpy", "blas", "shared"),
        dist("blas"),
        dist("shared"),
        dist("thespian", "setproctitle"),
        dist("setproctitle"),
    ]
    found = walk(dists, "app.lib", "thespian", external=["NumPy"])
    assert set(found) == {"app-lib", "shared"}
    reached = reach({one.key: one for one in dists}.get, [Requirement("app-lib")], ["numpy"])
    assert reached.external == ("numpy",)


def test_a_ring_of_requirements_ends() -> None:
    assert set(walk([dist("a", "b"), dist("b", "a")], "a")) == {"a", "b"}


def test_what_is_missing_is_told_with_who_needs_it() -> None:
    reached = reach({"a": dist("a", "gone")}.get, [Requirement("a")])
    assert reached.missing == {"gone": ("deps", "a")}


NATIVE = dist(
    "fast",
    files=["fast/__init__.py", "fast/_c.so", "fast.libs/libz.so.1.2"],
    tag="cp311-cp311-linux_x86_64",
)


def test_a_compiled_distribution_is_refused_with_name_file_who_asked_and_the_remedies() -> None:
    problems = Problems()
    apply_native(NATIVE, {}, ("deps", "Jinja2"), problems, "table.native")
    text = str(problems.found[0])
    assert problems.found[0].code == "native"
    for words in (
        "fast 1.0",
        "fast/_c.so",
        "deps → Jinja2 → fast",
        '"external"',
        '"strip"',
        '"allow"',
    ):
        assert words in text


def test_a_wheel_of_one_platform_without_a_compiled_file_is_refused_too() -> None:
    problems = Problems()
    tool = dist("tool", tag="py3-none-manylinux_2_17_x86_64")
    apply_native(tool, {}, ("deps",), problems, "table.native")
    assert "a wheel for manylinux_2_17_x86_64 only" in str(problems.found[0])


def test_strip_ships_it_without_its_compiled_parts_and_allow_with_its_tags() -> None:
    problems = Problems()
    stripped = apply_native(NATIVE, {"fast": "strip"}, (), problems, "")
    assert [one.name for one in stripped.members] == ["fast/__init__.py"] and stripped.pure
    allowed = apply_native(NATIVE, {"*": "strip", "fast": "allow"}, (), problems, "")
    assert allowed == NATIVE and not problems
    assert bundle([stripped], {}).tags == ()
    assert bundle([allowed, dist("pure")], {}).tags == ("cp311-cp311-linux_x86_64",)


def test_what_is_left_after_a_strip_is_the_same_from_the_wheel_of_every_python(
    tmp_path: Path,
) -> None:
    made = []
    for minor in (11, 13):
        files: dict[str, str | bytes] = {
            "fast/__init__.py": "",
            f"fast/_c.cpython-3{minor}-x86_64-linux-gnu.so": b"\x7fELF%d" % minor,
        }
        tag = f"cp3{minor}-cp3{minor}-manylinux_2_17_x86_64"
        wheel = read_wheel(make_wheel(tmp_path, "fast", files=files, tag=tag))
        made.append(bundle([apply_native(wheel, {"*": "strip"}, (), Problems(), "")], {}))
    assert made[0].members == made[1].members and made[0].described == made[1].described
    told = {one.name: one.data.decode() for one in made[0].members}["fast-1.0.dist-info/WHEEL"]
    assert told.splitlines()[2:] == ["Root-Is-Purelib: true", "Tag: py3-none-any"]


def test_a_bundle_is_sorted_and_has_thespian_among_the_external() -> None:
    made = bundle([dist("b"), dist("A")], {}, ["numpy>=2"])
    assert [one.name for one in made.distributions] == ["A", "b"]
    assert [one.name for one in made.members] == sorted(one.name for one in made.members)
    assert made.external == ("numpy>=2", "thespian") and Bundle().external == ("thespian",)


# ---- wheels --------------------------------------------------------------------------------------

INFO = "farm_tools-1.0.dist-info"
FILES: dict[str, str | bytes] = {
    "farm_tools/__init__.py": "",
    "farm_tools/scales.json": "{}",
    f"{INFO}/licenses/LICENSE": "free",
    f"{INFO}/INSTALLER": "x",
    "farm_tools-1.0.data/purelib/farm_more.py": "",
    "farm_tools-1.0.data/scripts/farm": "#!python",
    "farm_tools-1.0.data/data/share/x": "",
    "farm_tools/__pycache__/a.pyc": b"\0",
}


def test_a_wheels_members_are_its_modules_data_metadata_and_licences(tmp_path: Path) -> None:
    told = ["License-Expression: MIT", "Requires-Python: >=3.12"]
    read = read_wheel(
        make_wheel(tmp_path, "farm-tools", files=FILES, requires=["a>1"], metadata=told)
    )
    assert read.python == ">=3.12"
    assert [one.name for one in read.members] == [
        "farm_tools/__init__.py",
        "farm_tools/scales.json",
        f"{INFO}/licenses/LICENSE",
        "farm_more.py",
        f"{INFO}/METADATA",
        f"{INFO}/WHEEL",
    ]
    assert (read.name, read.version, read.licence, read.tag) == (
        "farm-tools",
        "1.0",
        "MIT",
        "py3-none-any",
    )
    assert list(map(str, read.requires)) == ["a>1"] and read.pure


def test_the_bundled_record_names_exactly_what_is_bundled(tmp_path: Path) -> None:
    made = bundle([read_wheel(make_wheel(tmp_path, "farm-tools", files=FILES))], {})
    record = next(one for one in made.members if one.name.endswith("RECORD"))
    rows = [row[0] for row in csv.reader(io.StringIO(record.data.decode()))]
    assert sorted(rows) == [one.name for one in made.members]
    host = tmp_path / "host"
    for member in made.members:
        (host / member.name).parent.mkdir(parents=True, exist_ok=True)
        (host / member.name).write_bytes(member.data)
    (found,) = importlib.metadata.distributions(path=[str(host)])
    assert found.name == "farm-tools" and found.files is not None
    assert all(Path(str(file.locate())).is_file() for file in found.files)


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
    assert read_wheel(make_wheel(tmp_path, "one", metadata=lines)).licence == licence


@pytest.mark.parametrize("harm", ["bytes", "missing", "no record", "no metadata", "no zip", "name"])
def test_a_damaged_wheel_is_named(tmp_path: Path, harm: str) -> None:
    wheel = make_wheel(tmp_path, "one", files={"one.py": "X = 1\n"})
    with zipfile.ZipFile(wheel) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    if harm == "bytes":
        content["one.py"] = b"X = 2\n"
    elif harm == "missing":
        del content["one.py"]
    elif harm == "no record":
        del content["one-1.0.dist-info/RECORD"]
    elif harm == "no metadata":
        del content["one-1.0.dist-info/METADATA"]
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    if harm == "no zip":
        wheel.write_bytes(b"PK")
    elif harm == "name":
        wheel = wheel.rename(tmp_path / "one.whl")
    with pytest.raises(BuildError, match=rf"The wheel {wheel.name} is damaged") as caught:
        read_wheel(wheel)
    assert caught.value.code == "wheel"
