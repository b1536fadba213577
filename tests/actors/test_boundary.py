"""What travels of a source's own classes and functions: whole within the source, refused by everybody else."""

from __future__ import annotations

import os
import pickle
import py_compile
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

WORDS = """
    import abc, collections, copyreg, dataclasses, enum, functools, sys, types, typing

    class Plain:
        def method(self): return 1
        class Inner: pass

    @dataclasses.dataclass
    class Data:
        word: str = "x"

    class Slots:
        __slots__ = ("a",)
        def __init__(self, a=1): self.a = a

    class Meta(type): pass
    class WithMeta(metaclass=Meta):
        @classmethod
        def make(cls): return cls()

    class Equal(type):
        def __eq__(cls, other): return cls is other
        # without __hash__
    class WithEqual(metaclass=Equal): pass

    class Abstract(abc.ABC): pass
    class Concrete(Abstract): pass

    class Colour(enum.Enum):
        RED = 1

    @enum.global_enum
    class Flags(enum.Flag):
        ONE = 1

    class Mistake(Exception): pass
    class Mapping(dict): pass
    Point = collections.namedtuple("Point", "x y")
    T = typing.TypeVar("T")

    class Registered:
        def __init__(self, word): self.word = word
    copyreg.pickle(Registered, lambda one: (Registered, (one.word,)))

    def function(): return 1

    Moved = type("Moved", (), {"__module__": "app.late"})
    app_late = types.ModuleType("app.late")
    app_late.Moved = Moved
    sys.modules["app.late"] = app_late

    def make_late():
        global Late
        Late = type("Late", (), {"__module__": __name__, "__qualname__": "Late"})
        return Late
"""

#: Run in a process that becomes one of a source, as an actor's does.
SCRIPT = """
    import copy, functools, importlib.util, io, os, pickle, sys, typing
    from director.actors import boundary
    place = sys.argv[1]
    sys.path.insert(0, place)
    boundary.become("a" * 32, place, frozenset({"app"}))
    import app.words as w
    import compiled
    spec = importlib.util.spec_from_file_location("plugged", place + "/plugins/plug.py")
    plugged = sys.modules["plugged"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plugged)
    late = w.make_late()
    things = {
        "object": w.Plain(), "class": w.Plain, "inner": w.Plain.Inner(), "dataclass": w.Data(), "slots": w.Slots(2),
        "of a metaclass": w.WithMeta(), "class of a metaclass": w.WithMeta, "classmethod": w.WithMeta.make,
        "metaclass": w.Meta, "without a hash": w.WithEqual,
        "abstract": w.Concrete, "enum": w.Colour.RED, "global enum": w.Flags.ONE, "exception": w.Mistake("x"),
        "dict": w.Mapping(a=1), "namedtuple": w.Point(1, 2), "type variable": w.T, "registered": w.Registered("x"),
        "function": w.function, "partial": functools.partial(w.function), "bound": w.Plain().method,
        "moved": w.Moved(), "late": late(), "plug-in": plugged.Plug(), "compiled": compiled.Compiled(),
        "generic": typing.List[w.Plain], "within": [{"x": (w.Plain(),)}],
    }
    for name, thing in things.items():
        data = boundary.dumps(thing)
        back = boundary.loads(data)
        assert type(back) is type(thing), name
        if isinstance(thing, (type, type(w.function))):
            assert back is thing, name
        with open(f"{sys.argv[2]}/{name}", "wb") as stream:
            stream.write(data)
        # The application's own pickles and copies are Python's.
        assert b"director" not in pickle.dumps(thing), name
        assert type(copy.deepcopy(thing)) is type(thing), name
    data = boundary.dumps([w.Plain(), w.Plain(), w.Plain])
    assert data.count(b"app.words") == 1, "a class is named once in a message"
    import collections, datetime
    common = [1, "x", [1, {2: (3,)}], datetime.datetime(2026, 1, 1), collections.OrderedDict(a=1), len, ValueError("x")]
    for thing in common:
        assert b"director" not in boundary.dumps(thing) and boundary.loads(boundary.dumps(thing)) is not None
    def scope():
        def local(): pass
        class Local: pass
        return local, Local, Local(), lambda: 1
    for thing in scope():
        for write in (pickle.dumps, boundary.dumps):
            try:
                write(thing)
            except (pickle.PicklingError, AttributeError):
                continue
            raise AssertionError(f"{thing} was written by {write}")
    print("whole")
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a pickle of each thing, as a process of a source sends it."""
    home = tmp_path_factory.mktemp("boundary")
    source, out = home / "source", home / "out"
    for place in (source / "app", source / "plugins", out):
        place.mkdir(parents=True)
    (source / "app" / "__init__.py").write_text("")
    (source / "app" / "words.py").write_text(textwrap.dedent(WORDS))
    (source / "plugins" / "plug.py").write_text("class Plug: pass\n")
    (source / "compiled.py").write_text("class Compiled: pass\n")
    py_compile.compile(str(source / "compiled.py"), cfile=str(source / "compiled.pyc"))
    (source / "compiled.py").unlink()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(source), str(out)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    assert done.stdout == "whole\n", done.stderr
    return out


def test_whatever_names_the_source_is_refused_by_the_host_and_by_another_source(
    written: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found = sorted(written.iterdir())
    assert len(found) == 27
    for other in ("", "b" * 32):
        monkeypatch.setenv("DIRECTOR_SOURCE", other)
        for path in found:
            with pytest.raises(pickle.UnpicklingError, match="refused an object of"):
                pickle.loads(path.read_bytes())  # noqa: S301 - written above
    told = caplog.text
    assert "refused an object of app.words.Plain of source " + "a" * 32 in told
    assert "refused an object of plugged.Plug" in told and "app.late.Moved" in told


def test_the_host_pickles_as_python_does(monkeypatch: pytest.MonkeyPatch) -> None:
    from director.actors import boundary

    monkeypatch.delenv("DIRECTOR_SOURCE", raising=False)
    thing = [1, Path("x"), ValueError("y")]
    assert boundary.dumps(thing) == pickle.dumps(thing)
