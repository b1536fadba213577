"""The table in pyproject.toml: what reads, and that all mistakes are told at once with their TOML path."""

from __future__ import annotations

import ast
import tomllib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hatch_thespian.literal import literal
from hatch_thespian.table import TABLE, TableError, read_table, read_tables


def read(toml: str) -> Any:
    return read_table(tomllib.loads(toml), project_name="My.App-2")


def mistakes(toml: str) -> tuple[str, ...]:
    with pytest.raises(TableError) as caught:
        read(toml)
    return caught.value.problems


def test_a_table_whose_files_are_known_can_be_looked_at_all_the_same() -> None:
    wrong: dict[str, Any] = {"sources": ["a"], "vesion": "1", "tli": {"Actors": 3}}
    with pytest.raises(TableError) as caught:
        read_table(wrong, project_name="x")
    (table,) = caught.value.tables
    assert table.sources == ("a",) and table.inline_tli is None
    more: list[dict[str, Any]] = [
        {"sources": ["a", 3]},
        {"sources": ["a"], "exclude": 3},
        {"sources": []},
    ]
    for broken in more:
        with pytest.raises(TableError) as caught:
            read_table(broken, project_name="x")
        assert caught.value.tables == ()


def test_a_table_with_sources_alone_gets_its_group_from_the_project() -> None:
    table = read('sources = ["app/**/*.py"]')
    assert table.group == "my_app_2"
    assert table.version == "project" and table.deps == () and table.tli is None
    assert table.sources_dir is None and not table.require_key


def test_every_key_is_taken_as_it_stands() -> None:
    table = read(
        """
        group = "farm"
        sources = ["app/**/*.py", "!app/old.py"]
        exclude = ["**/test_*.py"]
        sources-dir = "lib"
        deps = ["tabulate>=0.9", "Jinja2[i18n]; python_version >= '3.11'"]
        tli = "conf/farm.tli"
        version = "date"
        require-key = true
        """
    )
    assert (table.group, table.sources_dir, table.tli) == ("farm", "lib", "conf/farm.tli")
    assert table.sources == ("app/**/*.py", "!app/old.py") and table.exclude == ("**/test_*.py",)
    assert table.deps[0] == "tabulate>=0.9" and table.version == "date" and table.require_key


@pytest.mark.parametrize(
    ("toml", "path", "words"),
    [
        ("", "sources", "it is missing"),
        ("sources = []", "sources", "it is missing"),
        ('sources = "app"', "sources", "list of texts"),
        ('sources = ["a", 3]', "sources[1]", "text that is not empty"),
        ('sources = ["../x/*.py"]', "sources[0]", "leaves sources-dir"),
        (r'sources = ["a\\b"]', "sources[0]", "leaves sources-dir"),
        ('sources = ["a"]\ngroup = "my-app"', "group", "Call it 'my_app'"),
        ('sources = ["a"]\ngroup = ""', "group", "not empty"),
        ('sources = ["a"]\ngroup = 7', "group", "not 7"),
        ('sources = ["a"]\nversion = "1/2"', "version", "cannot be a version"),
        ('sources = ["a"]\nversion = 1.0', "version", "text"),
        ('sources = ["a"]\ndeps = ["tabulate >"]', "deps[0]", "PEP 508"),
        ('sources = ["a"]\ntli = "/etc/x.tli"', "tli", "in the project"),
        ('sources = ["a"]\ntli = "../x.tli"', "tli", "in the project"),
        ('sources = ["a"]\nsources-dir = "../x"', "sources-dir", "in the project"),
        ('sources = ["a"]\nrequire-key = "yes"', "require-key", "true or false"),
        ('sources = ["a"]\nexlude = ["b"]', "exlude", "did you mean 'exclude'?"),
        ('sources = ["a"]\nnative = "maybe"', "native", "refuse, strip, allow"),
        ('sources = ["a"]\nnative = {x = "maybe"}', "native.x", "refuse, strip, allow"),
        ('sources = ["a"]\nnative = 1', "native", "text or a table"),
        ('sources = ["a"]\nexternal = ["x y"]', "external[0]", "PEP 508"),
        ('sources = ["a"]\nexternal = ["x.whl y"]', "external[0]", "PEP 508"),
        ('sources = ["a"]\ntli = {}', "tli", "'Actors' is missing"),
        (
            'sources = ["a"]\ntli = {Actors = {x = {}}}',
            "tli.Actors.x",
            "does not name an actor",
        ),
        (
            'sources = ["a"]\ntli.Actors."a.B".OnLoad.Message = [1979-05-27]',
            'tli.Actors."a.B".OnLoad.Message[0]',
            "a date cannot",
        ),
        (
            'sources = ["a"]\ntli.Actors."a.B".OnLoad.Message = nan',
            'tli.Actors."a.B".OnLoad.Message',
            "a nan cannot",
        ),
        ('sources = ["a"]\nzzz = 1', "zzz", "known are group, sources"),
    ],
)
def test_a_mistake_is_told_with_its_toml_path(toml: str, path: str, words: str) -> None:
    (told,) = mistakes(toml)
    assert told.startswith(f"{TABLE}.{path}: ") and words in told


def test_all_mistakes_are_told_at_once() -> None:
    told = mistakes('grup = "x"\nsources = [1]\nversion = ""\ndeps = ["?"]\ntli = 3')
    assert [line.partition(":")[0].removeprefix(f"{TABLE}.") for line in told] == [
        "grup",
        "sources[0]",
        "tli",
        "version",
        "deps[0]",
    ]


def test_hatchs_own_keys_are_no_mistakes() -> None:
    read(
        'sources = ["a"]\ndependencies = ["x"]\nrequire-runtime-dependencies = true\n'
        'require-runtime-features = ["y"]\nenable-by-default = false'
    )


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=4), SCALARS)
KEYS = ("group", "sources", "exclude", "sources-dir", "tli", "version", "deps", "odd")


@settings(suppress_health_check=[HealthCheck.too_slow])  # tables of Unicode, once
@given(st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_whatever_stands_there_it_reads_or_is_told(told: dict[str, Any]) -> None:
    try:
        read_table(told, project_name="app")
    except TableError as problem:
        assert all(line.startswith(TABLE) for line in problem.problems)


def test_external_native_and_paths_of_wheels_are_taken() -> None:
    table = read(
        """
        sources = ["a"]
        deps = ["libs/a-1-py3-none-any.whl", "b @ libs/b"]
        external = ["numpy>=2"]
        native = { PyYAML = "strip", "*" = "allow" }
        """
    )
    assert table.deps == ("libs/a-1-py3-none-any.whl", "b @ libs/b")
    assert table.external == ("numpy>=2",) and table.native == {"pyyaml": "strip", "*": "allow"}
    assert read('sources = ["a"]\nnative = "strip"').native == {"*": "strip"}


def test_a_tli_may_be_written_as_a_table_and_ships_as_the_literal_that_a_file_holds() -> None:
    table = read(
        """
        sources = ["a"]
        [tli]
        AutoUnload = true
        Actors."a.b.C" = { OnLoad = { Role = "C", Message = ["go", 1, 2.5, {x = "it's"}] } }
        """
    )
    assert table.tli is None and table.inline_tli is not None
    text = literal(table.inline_tli)
    assert text == (
        "{\n    'AutoUnload': True,\n    'Actors': {\n        'a.b.C': {\n            'OnLoad': {\n"
        "                'Role': 'C',\n                'Message': ['go', 1, 2.5, {\n"
        "                        'x': \"it's\",\n                    }],\n"
        "            },\n        },\n    },\n}\n"
    )
    assert ast.literal_eval(text) == table.inline_tli


def test_each_mistake_of_a_tli_written_as_a_table_has_its_toml_path() -> None:
    told = mistakes(
        """
        sources = ["a"]
        [tli]
        definition = 1
        Actors."a.b.C".OnLoad = { Rol = "C" }
        Actors."d\\ne" = { }
        Actors."f.G".Since = 2027-01-01
        """
    )
    lines = [
        line.partition(": ")[0].removeprefix(f"{TABLE}.tli.")
        for line in "\n".join(told).split("\n")
    ]
    assert lines == [
        *("definition", 'Actors."a.b.C".OnLoad.Rol', 'Actors."d\\ne"', 'Actors."f.G".Since'),
        'Actors."f.G".Since',
    ]


TOML = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(TOML)
def test_a_literal_reads_back_as_what_it_was(value: Any) -> None:
    assert ast.literal_eval(literal(value)) == value


def test_each_of_several_groups_is_a_table_of_its_own() -> None:
    told = tomllib.loads(
        """
        require-key = true
        dependencies = ["hatchs-own"]
        [groups.front]
        sources = ["front/"]
        [groups.back]
        sources = ["back/"]
        version = "date"
        require-key = false
        """
    )
    front, back = read_tables(told, project_name="whatever")
    assert (front.group, back.group) == ("front", "back") and back.version == "date"
    assert front.require_key and not back.require_key
    assert front.path == f"{TABLE}.groups.front"
    assert read_tables({"sources": ["a"]}, project_name="one")[0].group == "one"


def test_a_group_whose_files_names_would_be_too_long_is_a_mistake() -> None:
    for told in ({"group": "g" * 101}, {"groups": {"g" * 101: {"sources": ["a"]}}}, {}):
        with pytest.raises(
            TableError, match=r"group: The group ggg.* 101 .* at most 100"
        ) as caught:
            read_tables(
                {**({} if "groups" in told else {"sources": ["a"]}), **told}, project_name="g" * 101
            )
        assert len(caught.value.problems) == 1
    assert read_table({"sources": ["a"], "group": "g" * 100}, project_name="x").group == "g" * 100


def test_the_mistakes_of_all_groups_are_told_at_once() -> None:
    told = tomllib.loads(
        """
        sources = ["a"]
        [groups.front]
        source = ["front/"]
        [groups.back-end]
        sources = ["back/"]
        [groups.Front]
        sources = ["x"]
        [groups.inner]
        group = "other"
        sources = ["x"]
        """
    )
    with pytest.raises(TableError) as caught:
        read_tables(told, project_name="x")
    text = str(caught.value)
    for words in (
        f"{TABLE}.sources: with groups it stands in the table of each group",
        f"{TABLE}.groups.front.source: there is no such key; did you mean 'sources'?",
        f"{TABLE}.groups.front.sources: it is missing",
        f"{TABLE}.groups.back-end.group: 'back-end' cannot be a group",
        f"{TABLE}.groups.Front: it differs from front only by case",
        f"{TABLE}.groups.inner: it has to be a table, without group",
    ):
        assert words in text
    wrongs: tuple[dict[str, Any], ...] = ({"groups": {}}, {"groups": 3}, {"groups": {"a": 3}})
    for wrong in wrongs:
        with pytest.raises(TableError):
            read_tables(wrong, project_name="x")


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("2027-06-30", "2027-06-30T00:00:00Z"),
        ('"2027-06-30"', "2027-06-30T00:00:00Z"),
        ("2027-06-30T12:00:00+02:00", "2027-06-30T10:00:00Z"),
        ('"2027-06-30T12:00:00Z"', "2027-06-30T12:00:00Z"),
        ("2027-06-30T12:00:00.5", "2027-06-30T12:00:00Z"),
        ("9999-12-31T23:59:59+01:00", "9999-12-31T22:59:59Z"),
        ("0999-01-01", "0999-01-01T00:00:00Z"),
    ],
)
def test_a_source_may_expire_at_a_date_or_moment(told: str, meant: str) -> None:
    assert read(f'sources = ["a"]\nexpires = {told}').expires == meant


@pytest.mark.parametrize(
    "told",
    [
        *('"some day"', "12:00:00", "3", "true"),
        *("9999-12-31T23:59:59-01:00", '"0001-01-01T00:00:00+10:00"'),
    ],
)
def test_what_is_no_moment_is_no_end(told: str) -> None:
    (mistake,) = mistakes(f'sources = ["a"]\nexpires = {told}')
    assert ".expires: " in mistake and "2027-06-30" in mistake


@pytest.mark.parametrize("path", ["libs/near", "./libs/near/", "../near"])
def test_a_bare_path_of_a_project_in_deps_is_told_with_the_remedy(path: str) -> None:
    with pytest.raises(TableError, match=r'deps\[0\].*as in "near @ ') as caught:
        read_table({"sources": ["a"], "deps": [path]}, project_name="x")
    assert len(caught.value.problems) == 1
