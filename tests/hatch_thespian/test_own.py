"""The project's own distribution: what it is made of, and where other metadata of its name stands in its place."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from director.tls.archive import Member
from director.tls.keys import SigningKey
from director.tls.verify import Policy, verify
from hatch_thespian.distributions import Bundle, Dist, bundle
from hatch_thespian.own import own_dist, shipped
from hatch_thespian.package import Project, make_package
from hatch_thespian.parts import Parts
from hatch_thespian.table import Table
from tests.wheels import write_files

METADATA = "Metadata-Version: 2.4\nName: My.App\nVersion: 1.0\nSummary: Hums\nLicense-Expression: MIT\n\nHi\n"
OWN = own_dist("my_app-1.0", METADATA, "[a]\nb = c\n", {"LICENSE": b"L"})
SOURCES = (Member("app/__init__.py", b""), Member("app/_c.so", b"\x7fELF"))


def dep(name: str, version: str) -> Bundle:
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    member = Member(f"{info}/METADATA", f"Name: {name}\nVersion: {version}\n".encode())
    return bundle([Dist(name, version, "MIT", info, (), (member,))], {name: ("deps",)})


def test_it_is_made_of_the_wheels_texts() -> None:
    assert (OWN.name, OWN.version, OWN.licence, OWN.summary) == ("My.App", "1.0", "MIT", "Hums")
    assert [one.name for one in OWN.members] == [
        "my_app-1.0.dist-info/METADATA",
        "my_app-1.0.dist-info/entry_points.txt",
        "my_app-1.0.dist-info/licenses/LICENSE",
    ]
    shared = own_dist("my_app-1.0", METADATA, "", {"../LICENSE": b"L", "legal/NOTICE": b"N"})
    assert [one.name.partition("/")[2] for one in shared.members] == [
        *("METADATA", "licenses/LICENSE", "licenses/legal/NOTICE")
    ]
    bare = own_dist("my_app-1.0", METADATA)
    assert [one.name for one in bare.members] == ["my_app-1.0.dist-info/METADATA"]


@pytest.mark.parametrize(
    ("sources", "bundled", "external", "words"),
    [
        (SOURCES, dep("other", "1.0"), ["thespian", "other-one"], None),
        ((Member("my_app_more-1.0.dist-info/METADATA", b""),), Bundle(), [], None),
        ((Member("app/my_app-1.0.dist-info/METADATA", b""),), Bundle(), [], None),
        (SOURCES, Bundle(), ["My-App>=1"], ""),
        (SOURCES, dep("my-app", "1.0"), [], ""),
        (SOURCES, dep("my-app", "0.9"), [], "deps brings my-app 0.9"),
        ((Member("My_App-1.0.dist-info/METADATA", b""),), Bundle(), [], "My_App-1.0.dist-info,"),
        ((Member("my_app-7.dist-info/METADATA", b""),), Bundle(), [], "Exclude it to ship that"),
        ((Member("my.app.egg-info/PKG-INFO", b""),), Bundle(), [], "my.app.egg-info, among"),
    ],
)
def test_it_never_stands_beside_other_metadata_of_its_name(
    sources: tuple[Member, ...], bundled: Bundle, external: list[str], words: str | None
) -> None:
    found, told = shipped(OWN, sources, bundled, external)
    assert found is (OWN if words is None else None)
    assert len(told) == bool(words) and (words or "") in "".join(told)
    assert shipped(None, sources, bundled, external) == (None, [])


def test_its_record_tells_of_the_projects_shipped_members_and_of_no_dependency() -> None:
    parts = Parts("app", "7", "", SOURCES, native="strip", dist=OWN, bundle=dep("other", "1.0"))
    record = {one.name: one.data for one in parts.members}["my_app-1.0.dist-info/RECORD"].decode()
    assert [line.partition(",")[0] for line in record.splitlines()] == [
        "app/__init__.py",
        *(one.name for one in OWN.members),
        "my_app-1.0.dist-info/RECORD",
    ]
    assert [one.name for one in parts.members] == sorted(one.name for one in parts.members)
    listing = {name: why for _, name, why in parts.listing()}
    assert listing["my_app-1.0.dist-info/RECORD"] == "the project's own metadata"


@pytest.mark.parametrize("version", ["project", "none", "date", "3.3"])
def test_its_version_is_the_projects_whatever_the_groups(
    version: str, tmp_path: Path, key: SigningKey
) -> None:
    root = write_files(tmp_path, {"app/__init__.py": "", "my_app-1.0.dist-info/x": ""})
    chosen = Table("app", ("app/",), version=version)
    project = Project(root, "1.0", ">=3.11", OWN)
    package = make_package(chosen, project, key, {}, output=root / "dist")
    archive = verify(package.data, [key.public], Policy(), datetime.now(UTC)).archive
    assert archive is not None and package.warnings == ()
    assert archive.read("my_app-1.0.dist-info/METADATA") == METADATA.encode()
