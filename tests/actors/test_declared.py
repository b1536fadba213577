"""Which sources may say where their actors run: told by their text and by what they import that is installed."""

from __future__ import annotations

import py_compile
import sys
from pathlib import Path

import pytest

from director.actors.declared import Installed, Reading, Text


def read(**members: str) -> Text:
    reading = Reading(iter([(f"{name}.py", text.encode()) for name, text in members.items()]))
    assert [name for name, _ in reading] == [f"{name}.py" for name in members], "all are passed on"
    return reading.text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("@requireCapability('Gold')\nclass A: pass", True),
        ("def actorSystemCapabilityCheck(c, r): return True", True),
        ("class A: pass", False),
    ],
)
def test_a_word_is_found_in_any_module(text: str, found: bool) -> None:
    assert read(a="import os", b=text).found is found
    assert not read(a="").found


def test_data_says_nothing_and_a_compiled_module_does(tmp_path: Path) -> None:
    told = Text()
    told.read("notes.txt", b"requireCapability")
    assert not told.found
    (tmp_path / "a.py").write_text("from thespian.actors import requireCapability\n")
    py_compile.compile(str(tmp_path / "a.py"), cfile=str(tmp_path / "a.pyc"))
    told.read("a.pyc", (tmp_path / "a.pyc").read_bytes())
    assert told.found


@pytest.mark.parametrize(
    ("text", "imported"),
    [
        ("import a", {"a"}),
        ("import a.b as c, d , e.f", {"a", "d", "e"}),
        ("from a.b import c", {"a"}),
        ("from a import (\n    b,\n    c,\n)", {"a"}),
        ("if x:\n    import a; import b\nelse: from c import d", {"a", "b", "c"}),
        ("\tfrom\ta import b", {"a"}),
        ("from . import a\nfrom .b import c\nfrom ..d import e", set()),
        ("important = 1\nreimport = 2\nx.import_module('a')\n# it will import b", set()),
        ("import a\r\nimport b\r\n", {"a", "b"}),
    ],
)
def test_what_a_module_imports(text: str, imported: set[str]) -> None:
    assert read(a=text).imported == imported


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def put(place: Path, name: str, text: str) -> None:
    path = place / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_what_is_installed_is_followed_and_not_imported(installed: Path) -> None:
    put(installed, "picky_one.py", "import picky_two\nraise SystemExit\n")
    put(installed, "picky_two/__init__.py", "from picky_three.deep import Base\n")
    put(installed, "picky_three/deep/__init__.py", "@requireCapability('Gold')\nclass Base: pass\n")
    put(installed, "plain_one.py", "import os, picky_not_there, plain_one\n")
    say = Installed().say
    assert say({"picky_one"}) and say({"picky_three"}), "a namespace package too"
    assert not say({"plain_one"}) and not say({"picky_not_there", "", "a b"}) and not say(set())
    assert not {"picky_one", "picky_two", "picky_three", "plain_one"} & set(sys.modules)


def test_what_thespian_itself_says_is_of_nobodys_class() -> None:
    assert not Installed().say({"thespian", "director", "os"})


def test_what_was_installed_anew_is_read_anew(installed: Path) -> None:
    put(installed, "later_one/__init__.py", "x = 1\n")
    told = Installed()
    assert not told.say({"later_one"}) and not told.say({"later_one"})
    put(installed, "later_one/more.py", "requireCapability\n")
    assert told.say({"later_one"})


def test_more_than_can_be_read_may_say_it(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(installed, "huge_one.py", "x = 1\n" * 100)
    assert not Installed().say({"huge_one"})
    monkeypatch.setattr("director.actors.declared._MOST", 100)
    assert Installed().say({"huge_one"})
