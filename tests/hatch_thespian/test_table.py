"""The table in pyproject.toml: what reads, and that all mistakes are told at once with their TOML path."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatch_thespian.table import TABLE, TableError, read_table


def read(toml: str) -> Any:
    return read_table(tomllib.loads(toml), project_name="My.App-2")


def mistakes(toml: str) -> tuple[str, ...]:
    with pytest.raises(TableError) as caught:
        read(toml)
    return caught.value.problems


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


@given(st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_whatever_stands_there_it_reads_or_is_told(told: dict[str, Any]) -> None:
    try:
        read_table(told, project_name="app")
    except TableError as problem:
        assert all(line.startswith(TABLE) for line in problem.problems)
