"""The authors' guide: its tables read, and it tells every key there is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hatch_thespian import table

DOCS = Path(__file__).resolve().parents[2] / "docs"
GUIDE = (DOCS / "building.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", GUIDE, flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_each_table_of_the_guide_reads(block: str) -> None:
    tool: dict[str, Any] = tomllib.loads(block)["tool"]
    if "setuptools-thespian" in tool:
        told = tool["setuptools-thespian"]
    elif "build" in tool["hatch"]:
        told = tool["hatch"]["build"]["hooks"]["thespian"]
    else:
        assert set(tool["hatch"]["publish"]["thespian"]) == {"url"}
        return
    assert table.read_tables(told, project_name="farm")


@pytest.mark.parametrize("page", ["README.md", "docs/building.md", "example_project/README.md"])
def test_no_page_makes_a_key_within_a_project(page: str) -> None:
    told = re.findall(r"director keygen (\S+)", (DOCS.parent / page).read_text(encoding="utf-8"))
    assert told and all(name.startswith('"$HOME/keys/') for name in told)


def test_the_guide_tells_every_key_of_the_table_and_no_other() -> None:
    told = re.findall(r"^\| `([a-z-]+)` \|", GUIDE, flags=re.MULTILINE)
    assert tuple(told) == (
        *("group", "sources", "exclude", "sources-dir", "tli", "version", "deps", "external"),
        *("native", "expires", "require-key", "groups"),
    )
    assert set(told) == set(table.KEYS)
