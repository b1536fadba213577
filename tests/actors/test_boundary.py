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

from director.actors import boundary

WORDS = """
    import abc, collections, copyreg, dataclasses, enum, functools, pkgutil, sys, types, typing

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

    @functools.lru_cache
    def cached(): return 1
    class WithCached:
        @functools.cache
        def method(self): return 1

    class Resolved:
        def __reduce__(self): return pkgutil.resolve_name, (__name__ + ":Plain",)

    Moved = type("Moved", (), {"__module__": "app.late"})
    app_late = types.ModuleType("app.late")
    app_late.Moved = Moved
    sys.modules["app.late"] = app_late
    generated_pb2 = types.ModuleType("generated_pb2")
    generated_pb2.Msg = type("Msg", (), {"__module__": "generated_pb2"})
    sys.modules["generated_pb2"] = generated_pb2

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
    sys.path.insert(0, os.path.realpath(place) + "/vendor")
    import vend
    late = w.make_late()
    things = {
        "object": w.Plain(), "class": w.Plain, "inner": w.Plain.Inner(), "dataclass": w.Data(), "slots": w.Slots(2),
        "of a metaclass": w.WithMeta(), "class of a metaclass": w.WithMeta, "classmethod": w.WithMeta.make,
        "metaclass": w.Meta, "without a hash": w.WithEqual,
        "abstract": w.Concrete, "enum": w.Colour.RED, "global enum": w.Flags.ONE, "exception": w.Mistake("x"),
        "dict": w.Mapping(a=1), "namedtuple": w.Point(1, 2), "type variable": w.T, "registered": w.Registered("x"),
        "function": w.function, "partial": functools.partial(w.function), "bound": w.Plain().method,
        "moved": w.Moved(), "late": late(), "plug-in": plugged.Plug(), "compiled": compiled.Compiled(),
        "generic": typing.List[w.Plain], "cached": w.cached, "cached method": w.WithCached.method,
        "resolved": w.Resolved(), "made while it runs": w.generated_pb2.Msg(), "vendored": vend.V(),
        "within": [{"x": (w.Plain(),)}],
    }
    for name, thing in things.items():
        data = boundary.dumps(thing)
        back = boundary.loads(data)
        assert type(back) is (type if name == "resolved" else type(thing)), name
        if isinstance(thing, (type, type(w.function))):
            assert back is thing, name
        with open(f"{sys.argv[2]}/{name}", "wb") as stream:
            stream.write(data)
        # The application's own pickles and copies are Python's.
        assert b"director" not in pickle.dumps(thing), name
        assert name == "resolved" or type(copy.deepcopy(thing)) is type(thing), name
    behind = boundary._BEHIND + b"a" * 32
    data = boundary.dumps([w.Plain(), w.Plain(), w.Plain])
    assert data.count(b"app.words") == 1, "a class is named once in a message"
    import collections, datetime
    common = [1, "x", [1, {2: (3,)}], datetime.datetime(2026, 1, 1), collections.OrderedDict(a=1), len, ValueError("x")]
    for thing in common:
        data = boundary.dumps(thing)
        assert b"director" not in data.removesuffix(behind) and pickle.loads(data) is not None
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
    for place in (source / "app", source / "plugins", source / "vendor", out):
        place.mkdir(parents=True)
    (home / "link").symlink_to(source)
    (source / "vendor" / "vend.py").write_text("class V: pass\n")
    (source / "app" / "__init__.py").write_text("")
    (source / "app" / "words.py").write_text(textwrap.dedent(WORDS))
    (source / "plugins" / "plug.py").write_text("class Plug: pass\n")
    (source / "compiled.py").write_text("class Compiled: pass\n")
    py_compile.compile(str(source / "compiled.py"), cfile=str(source / "compiled.pyc"))
    (source / "compiled.py").unlink()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(home / "link"), str(out)],
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
    assert len(found) == 32
    for other in ("", "b" * 32):
        monkeypatch.setattr(boundary._Here, "source", other)
        for path in found:
            with pytest.raises(pickle.UnpicklingError, match="refused an object of"):
                boundary.loads(path.read_bytes())
    told = caplog.text
    assert "refused an object of app.words.Plain of source " + "a" * 32 in told
    assert "refused an object of plugged.Plug" in told and "app.late.Moved" in told


def test_the_host_pickles_as_python_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boundary._Here, "source", "")
    thing = [1, Path("x"), ValueError("y")]
    assert boundary.dumps(thing) == pickle.dumps(thing)


def test_what_was_the_hosts_to_a_source_is_refused_where_it_would_become_anothers_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from packaging.version import Version

    monkeypatch.setattr(boundary._Here, "source", "a" * 32)
    monkeypatch.setattr(boundary._Here, "known", {})
    data = boundary.dumps({"found": Version("1.0"), "at": Path("x")})
    assert boundary.loads(data)["found"] == Version("1.0")
    monkeypatch.setattr(boundary._Here, "source", "b" * 32)
    assert boundary.loads(data)["found"] == Version("1.0"), "it has no packaging of its own"
    monkeypatch.setattr(boundary._Here, "known", {})
    monkeypatch.setattr(boundary._Here, "tops", frozenset({"packaging"}))
    with pytest.raises(pickle.UnpicklingError, match="of source aaa"):
        boundary.loads(data)
    assert "packaging.version.Version" in caplog.text
    monkeypatch.setattr(boundary._Here, "source", "")
    assert boundary.loads(data)["found"] == Version("1.0"), "the host has what it is of"


def test_what_a_process_is_of_is_not_the_environments_to_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boundary._Here, "source", "a" * 32)
    monkeypatch.delenv("DIRECTOR_SOURCE", raising=False)
    assert boundary.here() == "a" * 32
