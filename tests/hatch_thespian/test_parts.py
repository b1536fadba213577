"""Whether the parts of a source fit together, told in one go."""

from __future__ import annotations

import pytest

from director.settings.tli import tli_from_definition
from director.tls.archive import Member
from hatch_thespian.checks import check_sources
from hatch_thespian.distributions import Dist, apply_native, bundle, without
from hatch_thespian.parts import Parts, check_parts
from hatch_thespian.problems import Problems


def codes(
    sources: dict[str, str], brought: dict[str, str] | None = None, **more: object
) -> list[str]:
    problems = Problems()
    parts = Parts("app", "1", "", tuple(Member(n, t.encode()) for n, t in sources.items()), **more)  # type: ignore[arg-type]
    if brought:
        dist = Dist(
            "lib",
            "1",
            "MIT",
            "lib-1.dist-info",
            (),
            tuple(Member(n, t.encode()) for n, t in brought.items()),
        )
        parts = Parts("app", "1", "", parts.sources, bundle=bundle([dist], {"lib": ("deps",)}))
    check_sources(parts.own, problems)
    check_parts(parts, problems)
    return [one.code for one in problems.found]


def test_a_module_beside_a_package_of_its_name_is_told_with_both() -> None:
    problems = Problems()
    dist = Dist("Tab", "2", "MIT", "tab-2.dist-info", (), (Member("tab/__init__.py", b""),))
    own = (Member("tab.py", b""),)
    parts = Parts("app", "1", "", own, bundle=bundle([dist], {"tab": ("deps",)}))
    check_parts(parts, problems)
    (told,) = problems.found
    assert "tab.py, of the sources" in str(told) and "tab/__init__.py, of Tab 2" in str(told)


@pytest.mark.parametrize(
    ("sources", "brought", "expected"),
    [
        ({"app.py": "X = 1\n"}, {"lib.py": ""}, []),
        ({"app.py": "def f(:"}, None, ["syntax"]),
        ({"app.py": "x = '\0'"}, None, ["syntax"]),
        ({"app.py": "return 3"}, None, ["syntax"]),
        ({"lib.py": ""}, {"lib.py": "X = 1\n"}, ["collision"]),
        ({"lib.py": ""}, {"lib.py": ""}, []),
        ({"App.py": "", "app.py": ""}, None, ["case"]),
        ({"caf\u00e9.py": "", "cafe\u0301.py": ""}, None, ["case"]),
        ({"Lib/a.py": ""}, {"lib/A.py": ""}, ["case"]),
        ({"lib.py": ""}, {"lib/__init__.py": ""}, ["collision"]),
        ({"lib/__init__.py": ""}, {"lib.py": ""}, ["collision"]),
        ({"lib.py": ""}, {"lib/part.py": ""}, ["collision"]),
        ({"app/x.py": "", "app/x/__init__.py": ""}, None, ["collision"]),
        ({"app.py": "", "app/herd.csv": ""}, {"lib.py": "", "lib/herd.csv": ""}, []),
        ({"app/x.py": "", "x/__init__.py": ""}, None, []),
        ({"app.py": "", "app/script.py": ""}, None, []),
        ({"app.py": ""}, {"lib.py": "", "lib/__init__.py": ""}, []),
        ({"json.py": ""}, None, ["reserved-name"]),
        ({"app.py": ""}, {"thespian/x.py": ""}, ["reserved-name"]),
        ({"director.so": ""}, None, ["native", "reserved-name"]),
        ({"TLS-INF/manifest.json": ""}, None, ["reserved-name"]),
        ({".unloaded": ""}, None, ["reserved-name"]),
        ({"app.py": ""}, {".complete/x": ""}, ["reserved-name"]),
        ({"app.py": "import thespian.importlib\n"}, None, ["old-habit"]),
        ({"app.py": "from thespian import importlib\n"}, None, ["old-habit"]),
        (
            {"app.py": "def f():\n  from thespian.importlib import import_module\n"},
            None,
            ["old-habit"],
        ),
        ({"app.py": "try:\n  import thespian.importlib\nexcept ImportError:\n  pass\n"}, None, []),
        ({"app.py": "from . import importlib\nimport thespian.actors\n"}, None, []),
        (
            {"app.py": "import thespian.importlib\n", "b.py": "(", "json.py": "", "x.so": ""},
            None,
            ["old-habit", "syntax", "native", "reserved-name"],
        ),
    ],
)
def test_what_does_not_fit_is_told(
    sources: dict[str, str], brought: dict[str, str] | None, expected: list[str]
) -> None:
    assert codes(sources, brought) == expected


def shared(*data: bytes, place: str = "table") -> Parts:
    """Distributions that all bring two files, the second with these bytes."""
    dists = [
        Dist(
            name,
            "1",
            "MIT",
            f"{name}-1.dist-info",
            (),
            (Member("ns/__init__.py", b""), Member("LICENSE", one)),
        )
        for name, one in zip("abc", data, strict=False)
    ]
    return Parts("app", "1", "", (), bundle=bundle(dists, {}), place=place)


def test_a_file_that_several_distributions_bring_alike_is_one_member_of_each() -> None:
    parts = shared(b"MIT", b"MIT")
    problems = Problems()
    check_parts(parts, problems)
    assert not problems
    names = [one.name for one in parts.members]
    assert names == ["LICENSE", "a-1.dist-info/RECORD", "b-1.dist-info/RECORD", "ns/__init__.py"]
    records = [one.data for one in parts.members if one.name.endswith("RECORD")]
    assert all(b"LICENSE," in one and b"ns/__init__.py," in one for one in records)


@pytest.mark.parametrize(
    ("place", "remedy"), [("table", 'add "/LICENSE" to table.exclude'), ("gensrc", "external:")]
)
def test_other_bytes_of_one_name_are_told_with_a_remedy(place: str, remedy: str) -> None:
    problems = Problems()
    check_parts(shared(b"MIT", b"BSD", place=place), problems)
    (told,) = problems.found
    assert "LICENSE is brought twice, by a and b, with other bytes each" in str(told)
    assert remedy in str(told)


def test_a_file_can_be_left_out_of_all_that_bring_it() -> None:
    made = without(shared(b"MIT", b"BSD").bundle, ["LICENSE"])
    assert not made.clashes and made.dropped == ("LICENSE",)
    assert [one.name for one in made.members if not one.name.endswith("RECORD")] == [
        "ns/__init__.py"
    ]
    assert not any(b"LICENSE" in one.data for one in made.members)


def test_an_actor_may_be_a_compiled_modules_and_must_be_somewhere() -> None:
    tli = tli_from_definition({"Actors": {"fast.core.Main": {}, "slow.core.Main": {}}})
    assert codes({"fast/core.cpython-311-x86_64-linux-gnu.so": ""}, tli=tli, native="allow") == [
        "actors"
    ]


def test_own_compiled_parts_are_stripped_or_bind_the_host() -> None:
    sources = (Member("app/a.py", b""), Member("app/_c.so", b"\x7fELF"))
    stripped = Parts("app", "1", "", sources, native="strip")
    assert [one.name for one in stripped.members] == ["app/a.py"] and stripped.tags == (
        "py3-none-any",
    )
    assert Parts("app", "1", "", sources, native="allow").tags[0].startswith("cp3")


def test_what_was_stripped_is_known_by_module_and_owner() -> None:
    files = ("fast/_c.cpython-311-x86_64-linux-gnu.so", "fast.libs/libz.so.1", "quick.pyd")
    dist = Dist(
        "Fast", "1", "MIT", "i", (), tuple(Member(one, b"") for one in files), "cp311-cp311-x"
    )
    stripped = apply_native(dist, {"*": "strip"}, (), Problems(), "")
    own = (Member("app/a.py", b""), Member("app/_c.abi3.so", b"x"))
    parts = Parts("app", "1", "", own, bundle=bundle([stripped], {}), native="strip")
    assert parts.stripped == {
        "app._c": "the sources",
        "fast._c": "Fast",
        "fast.libs.libz": "Fast",
        "quick": "Fast",
    }


def test_the_listing_tells_why_each_member_is_in() -> None:
    dist = Dist("Lib", "1.0", "MIT", "lib-1.0.dist-info", (), (Member("lib.py", b"abc"),))
    made = bundle([dist], {"lib": ("deps", "Other")})
    parts = Parts(
        "app", "1", "", (Member("app.py", b"x"),), {"app.py": "sources[0] *.py"}, bundle=made
    )
    listing = {name: (size, why) for size, name, why in parts.listing()}
    assert listing["app.py"] == (1, "sources[0] *.py")
    assert listing["lib.py"] == (3, "Lib 1.0, asked for by deps → Other")
