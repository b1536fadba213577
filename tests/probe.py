"""A source that tries everything that ordinary Python can do; each function of ``probe.checks`` is one thing.

The names of the checks are those of its functions. `members` gives its files as bytes, `build` makes its .tls, of which
the .dist-info is the build's.
"""

from __future__ import annotations

import importlib.metadata
import io
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
import zipfile
from pathlib import Path

from director.tls.keys import SigningKey
from tests.wheels import write_files

ACTOR = '''
"""Runs one check at a time and tells how it went."""

import traceback

from thespian.actors import ActorTypeDispatcher


class Prober(ActorTypeDispatcher):
    """Role ``Prober``."""

    def receiveMsg_dict(self, message, sender):
        from probe import checks

        if "names" in message:
            self.send(sender, sorted(n for n in vars(checks) if n.startswith("it_")))
            return
        try:
            told = getattr(checks, message["check"])()
        except BaseException:
            told = traceback.format_exc()
        self.send(sender, told)
'''

CHECKS = '''
"""The checks."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import importlib.metadata
import importlib.resources
import inspect
import logging
import multiprocessing
import pathlib
import pickle
import pkgutil
import subprocess
import sys
import traceback
import typing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

if typing.TYPE_CHECKING:
    from collections.abc import Sequence  # noqa: F401

import probe
from probe.starred import *  # noqa: F403


def it_has_a_file():
    assert pathlib.Path(__file__).is_file() and pathlib.Path(__file__).name == "checks.py"
    assert pathlib.Path(probe.__file__).parent == pathlib.Path(__file__).parent


def it_has_docstrings():
    assert __doc__ == "The checks." and probe.__doc__ == "The probe."


def it_has_plain_names():
    assert __name__ == "probe.checks" and Colour.__module__ == "probe.checks"


def it_has_tracebacks_with_lines_and_text():
    from probe import broken

    try:
        broken.fail()
    except ZeroDivisionError:
        text = traceback.format_exc()
    assert "broken.py" in text and ", line 5, in fail" in text and "return 1 / nothing" in text, text


def it_shows_its_source():
    assert inspect.getsource(it_shows_its_source).startswith("def it_shows_its_source")
    assert inspect.getfile(Colour).endswith("checks.py")


def it_imports_absolutely_by_importlib():
    assert importlib.import_module("probe.broken").__name__ == "probe.broken"


def it_imports_relatively_by_importlib():
    assert importlib.import_module(".inner", "probe.deep").DEPTH == 2


def it_imports_lazily():
    assert "probe.deep.lazy" not in sys.modules
    from probe import deep

    assert deep.lazy.LAZY == "lazy"


def it_imports_by_star():
    assert STAR == "*"  # noqa: F405
    assert "_hidden" not in globals()


def it_imports_in_circles():
    from probe import circle_a

    assert circle_a.other().here() == "a and b"


def it_imports_namespace_packages():
    import spaced.one.two

    assert spaced.one.two.TWO == 2 and getattr(spaced, "__file__", None) is None


def it_reads_resources():
    files = importlib.resources.files("probe.deep")
    assert files.joinpath("data.txt").read_text("utf-8") == "data\\n"
    assert (importlib.resources.files("probe") / "deep" / "data.txt").is_file()
    names = sorted(one.name for one in files.iterdir() if not one.name.startswith("__pyc"))
    assert names == ["__init__.py", "data.txt", "inner.py", "lazy.py"], names
    with importlib.resources.as_file(files / "data.txt") as path:
        assert path.read_bytes() == b"data\\n"


def it_knows_its_distributions():
    assert importlib.metadata.version("probe-extra") == "1.2.3"
    found = importlib.metadata.entry_points(group="probe.points")
    assert [point.name for point in found] == ["one"] and found["one"].load() is probe
    assert importlib.metadata.metadata("probe-extra")["Summary"] == "Tries everything"
    files = importlib.metadata.files("probe-extra")
    assert "probe/deep/data.txt" in {str(one) for one in files}
    assert all(one.locate().is_file() for one in files)
    assert importlib.metadata.packages_distributions()["spaced"] == ["probe-extra"]


def it_reads_data_by_pkgutil():
    assert pkgutil.get_data("probe.deep", "data.txt") == b"data\\n"
    names = {module.name for module in pkgutil.iter_modules(probe.__path__)}
    assert {"checks", "deep", "broken"} <= names, names


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: list[int] = dataclasses.field(default_factory=list)

    class Nested:
        def __eq__(self, other):
            return type(self) is type(other)

        __hash__ = object.__hash__


def it_has_dataclasses():
    assert dataclasses.replace(Point(1), x=2) == Point(2) and dataclasses.asdict(Point(1)) == {"x": 1, "y": []}


def it_resolves_type_hints():
    assert typing.get_type_hints(Point)["y"] == list[int]


class Colour(enum.Enum):
    RED = 1


class Custom:
    def __init__(self, value):
        self.value = value

    def __reduce__(self):
        return Custom, (self.value,)


class Pair(typing.NamedTuple):
    left: int
    right: int


class Trouble(Exception):
    pass


def it_pickles_and_copies():
    import copy

    shared = Point(5)
    for thing in (Point(1, [2]), Colour.RED, Pair(1, 2), Point.Nested(), [shared, shared], Colour, len):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(thing, protocol)) == thing, thing
        assert copy.deepcopy(thing) == thing and copy.copy(thing) == thing
    first, second = pickle.loads(pickle.dumps([shared, shared]))
    assert first is second
    assert pickle.loads(pickle.dumps(Custom(3))).value == 3
    assert pickle.loads(pickle.dumps(Trouble("no"))).args == ("no",)
    assert pickle.loads(pickle.dumps(Colour.RED)) is Colour.RED


def it_compiles_every_layout_of_future_imports():
    from probe import future_a, future_b

    assert future_a.f.__annotations__ == {"x": "NoSuchName"} == future_b.f.__annotations__


def it_reads_bom_and_coding_cookies():
    from probe import with_bom, with_cookie

    assert with_bom.TEXT == "\\xe4" == with_cookie.TEXT


def it_follows_aliases_in_sys_modules():
    import probe.aliased.inside as inside

    assert inside.__name__ == "probe.broken"


def it_has_modules_named_like_standard_ones():
    import json

    from probe import json as own

    assert json.loads("1") == 1 and own.OWN == "own" and own.standard is json


def it_uses_six():
    import six
    from six.moves import urllib

    assert six.__file__.startswith(str(pathlib.Path(probe.__file__).parents[1])) and urllib.parse.quote(" ") == "%20"


def it_uses_native_extensions():
    try:
        import probe_native
    except ImportError:
        return "no compiler"
    assert probe_native.answer() == 42


def square(point):
    return Point(point.x * point.x)


def it_uses_process_and_thread_pools():
    points = [Point(n) for n in range(5)]
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            assert [p.x for p in pool.map(square, points)] == [0, 1, 4, 9, 16], method
    with ThreadPoolExecutor(2) as pool:
        assert [p.x for p in pool.map(square, points)] == [0, 1, 4, 9, 16]


def it_runs_subprocesses():
    done = subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, text=True)
    assert done.stdout == "42\\n"


def it_logs_under_plain_names():
    assert logging.getLogger(__name__).name == "probe.checks"
    logging.getLogger(__name__).warning("a word of the probe: %s", Point(1))


def it_imports_in_threads():
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(importlib.import_module, "probe.threaded").result().THREADED


def it_imports_from_a_zip_that_it_brings():
    vendored = pathlib.Path(__file__).parent / "vendored.zip"
    sys.path.append(str(vendored))
    import probe_zipped.inner

    assert probe_zipped.inner.ZIPPED and str(vendored) in probe_zipped.__file__


def it_leaves_pythons_import_alone():
    import builtins

    assert isinstance(builtins.__import__, type(len)), builtins.__import__
'''

FILES: dict[str, str | bytes] = {
    "probe/__init__.py": '"""The probe."""\n',
    "probe/actor.py": ACTOR,
    "probe/checks.py": CHECKS,
    "probe/starred.py": "__all__ = ['STAR']\nSTAR = '*'\n_hidden = 1\n",
    "probe/broken.py": '"""Fails."""\n\ndef fail():\n    nothing = 0\n    return 1 / nothing\n',
    "probe/deep/__init__.py": (
        "def __getattr__(name):\n"
        "    import importlib\n"
        "    if name == 'lazy':\n"
        "        return importlib.import_module('.lazy', __name__)\n"
        "    raise AttributeError(name)\n"
    ),
    "probe/deep/lazy.py": "LAZY = 'lazy'\n",
    "probe/deep/inner.py": "from . import lazy as _lazy\nfrom .. import starred\nDEPTH = 2\n",
    "probe/deep/data.txt": "data\n",
    "probe/circle_a.py": (
        "from probe import circle_b\ndef other():\n    return circle_b\nNAME = 'a'\n"
    ),
    "probe/circle_b.py": (
        "import probe.circle_a\ndef here():\n    return probe.circle_a.NAME + ' and b'\n"
    ),
    "spaced/one/two.py": "TWO = 2\n",
    "probe/future_a.py": (
        '# a comment\n"""A docstring."""\n\nfrom __future__ import (\n    annotations,\n    division,\n)\n'
        "def f(x: NoSuchName): pass\n"
    ),
    "probe/future_b.py": (
        "from __future__ import division; from __future__ import annotations as a\n"
        "def f(x: NoSuchName): pass\n"
    ),
    "probe/with_bom.py": b"\xef\xbb\xbfTEXT = '\xc3\xa4'\n",
    "probe/with_cookie.py": b"# -*- coding: latin-1 -*-\nTEXT = '\xe4'\n",
    "probe/aliased.py": (
        "import sys\nimport probe.broken\n__path__ = []\n"
        "sys.modules[__name__ + '.inside'] = inside = probe.broken\n"
    ),
    "probe/json.py": "import json as standard\nOWN = 'own'\n",
    "probe/threaded.py": "THREADED = True\n",
}

NATIVE = """
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "probe_native", 0, -1, methods};
PyMODINIT_FUNC PyInit_probe_native(void) { return PyModule_Create(&module); }
"""

PROJECT = """
[build-system]
requires = ["hatchling", "hatch-thespian"]
build-backend = "hatchling.build"

[project]
name = "probe-extra"
version = "1.2.3"
description = "Tries everything"

[project.entry-points."probe.points"]
one = "probe"

[tool.hatch.build.hooks.thespian]
group = "probe"
sources = ["/probe*", "spaced/", "six.py"]
version = "1.0"
native = "allow"
tli = "our.tli"
"""

TLI = "{'Actors': {'probe.actor.Prober': {'OnLoad': {'Role': 'Prober'}}}}"


def members(*, native: bool = True) -> dict[str, bytes]:
    """The probe's files by name; with a native extension where a compiler is at hand."""
    files = {
        name: textwrap.dedent(text).encode() if isinstance(text, str) else text
        for name, text in FILES.items()
    }
    files["six.py"] = _installed("six", "six.py")
    files["probe/vendored.zip"] = _zipped()
    if native and (made := _native()):
        files["probe_native" + str(sysconfig.get_config_var("EXT_SUFFIX"))] = made
    return files


def build(home: Path, key: SigningKey) -> Path:
    """The probe's .tls, made by ``hatchling build`` of a project in ``home``."""
    told = {"pyproject.toml": PROJECT, "our.tli": TLI}
    project = write_files(home / "project", {**members(), **told})
    key_file = home / "sourcekey.pem"
    key_file.write_bytes(key.private_pem(None))
    environ = {name: text for name, text in os.environ.items() if not name.startswith("THESPIAN_")}
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "tls"],
        cwd=project,
        env={**environ, "THESPIAN_SIGNING_KEY_FILE": str(key_file)},
        capture_output=True,
        check=True,
        timeout=120,
    )
    return project / "dist" / "probe-1.0.tls"


def _zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("probe_zipped/__init__.py", "")
        archive.writestr("probe_zipped/inner.py", "ZIPPED = True\n")
    return stream.getvalue()


def _installed(distribution: str, name: str) -> bytes:
    return Path(str(importlib.metadata.distribution(distribution).locate_file(name))).read_bytes()


def _native() -> bytes | None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    include = sysconfig.get_path("include")
    if compiler is None or not (Path(include) / "Python.h").is_file():
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "probe_native.c", Path(folder) / "probe_native.so"
        source.write_text(NATIVE)
        command = [compiler, "-shared", "-fPIC", f"-I{include}", str(source), "-o", str(target)]
        subprocess.run(command, check=True, capture_output=True)
        return target.read_bytes()
