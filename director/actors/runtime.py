"""What a stub archive does in Thespian's processes: sources run as ordinary Python, or not at all.

Thespian imports the stub (`director.actors.stub`) wherever it looks up a class of a loaded source: in
the Admin before it starts the actor's process, in that process, and in an actor that creates another
of its own source. The stub calls `enter` here, which takes the place of Thespian's own importer for
that source with a light one:

* In the Admin every class look-up is answered with a stand-in; the source is never imported there.
* In an actor's process the first look-up makes the unpacked directory the first place of
  ``sys.path``, drops inherited modules of the names that the source bundles, and imports the real
  module under its plain name.

No class or function of Thespian is changed: an entry of ``sys.meta_path`` with ``srcHash`` and
``hashRoot()`` is what it looks for. This module needs only the standard library and has to be imported before
the actor system starts: later, ``builtins.__import__`` might already be Thespian's.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import logging
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

_plain_import: Callable[..., ModuleType] = (
    builtins.__import__ if isinstance(builtins.__import__, type(len)) else importlib.__import__
)

#: Never dropped from ``sys.modules``, whatever a source bundles.
_KEPT = frozenset({"thespian", "director", "setproctitle"}) | sys.stdlib_module_names


class StandIn:
    """Stands for an actor's class in the Admin, which never imports the source itself."""

    @staticmethod
    def actorSystemCapabilityCheck(capabilities: Any, requirements: Any) -> bool:
        """Every system fits: the real check runs in the actor's own process."""
        return True


class SourceImporter(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers Thespian's look-ups ``{{hash}}module`` for one loaded source.

    Args:
        source_hash: Thespian's name of the source (MD5 of the .tls, hex).
        directory: where the source was unpacked.
        tops: the top-level module names of the source.
    """

    def __init__(self, source_hash: str, directory: str, tops: Sequence[str]) -> None:
        self.srcHash = source_hash
        self.directory = directory
        self.tops = frozenset(tops)

    def hashRoot(self) -> str:
        """The prefix of this source's module names in Thespian (sourceLoader.SourceHashFinder)."""
        return "{{" + self.srcHash + "}}"

    def find_spec(
        self, fullname: str, path: Any = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A module of this source, or one installed on the host that an actor of it names."""
        root = self.hashRoot()
        if not fullname.startswith(root):
            return None
        top = fullname[len(root) :].partition(".")[0]
        if top not in self.tops and (_in_admin() or not _installed(top)):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """The default module object."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Give the module a ``__getattr__`` that answers for the real one."""
        name = module.__name__[len(self.hashRoot()) :]
        module.__getattr__ = lambda attribute: self.look_up(name, attribute)  # type: ignore[method-assign]

    def look_up(self, module_name: str, attribute: str) -> Any:
        """The class ``attribute`` of a module of this source, as this process may know it."""
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        if _in_admin():
            # A class of its own each time: Thespian reads __name__ and __module__ of nothing else.
            return StandIn
        self.activate()
        try:
            found = getattr(importlib.import_module(module_name), attribute)
            # Thespian logs what __init__ raises under the name of the class, and nowhere else.
            logging.getLogger(f"{module_name}.{attribute}").addFilter(self._overhear)
            return found
        except BaseException as problem:
            _leave_word(self.directory, traceback.format_exc())
            if isinstance(problem, Exception):
                raise
            # SystemExit and its like would end the process without a word to its creator.
            raise ImportError(f"import of {module_name} ended with {problem!r}") from problem

    def _overhear(self, record: logging.LogRecord) -> bool:
        if record.exc_info and "instantiation exception" in str(record.msg):
            _leave_word(self.directory, "".join(traceback.format_exception(*record.exc_info)))
        return True

    def activate(self) -> None:
        """Make this process one of the source, once."""
        if sys.path[:1] == [self.directory]:
            return
        for name in list(sys.modules):
            top = name.partition(".")[0]
            if top in self.tops and top not in _KEPT:
                del sys.modules[name]
        _hold(self.directory)
        sys.path.insert(0, self.directory)
        importlib.invalidate_caches()


def enter(scope: dict[str, Any], directory: str, tops: Sequence[str]) -> None:
    """Called by each module of a stub archive when Thespian's importer runs it.

    Args:
        scope: the stub module's globals; its ``__name__`` is ``{{hash}}NAME``.
        directory: where the source was unpacked.
        tops: the top-level module names of the source.
    """
    source_hash, _, name = scope["__name__"].removeprefix("{{").partition("}}")
    importer = None
    for place, finder in enumerate(sys.meta_path):
        if getattr(finder, "srcHash", None) == source_hash:
            if not isinstance(finder, SourceImporter):
                sys.meta_path[place] = SourceImporter(source_hash, directory, tops)
            importer = sys.meta_path[place]
    builtins.__import__ = _plain_import
    if isinstance(importer, SourceImporter):
        scope["__getattr__"] = lambda attribute: importer.look_up(name, attribute)


def refuse(reason: str) -> None:
    """Called by the stub of a source that was refused: whoever asks for a class learns why."""
    builtins.__import__ = _plain_import
    raise ImportError(reason)


def word_file(directory: str | os.PathLike[str], pid: int) -> Path:
    """Where an actor's process of this id leaves the traceback of a failed start."""
    return Path(f"{os.fspath(directory)}.errors") / f"{pid}.txt"


def last_words(directory: str | os.PathLike[str]) -> str:
    """The traceback that an actor's process of this source left last, read once; "" if none did."""
    folder = Path(f"{os.fspath(directory)}.errors")
    text = ""
    try:
        for path in sorted(folder.iterdir(), key=lambda p: p.stat().st_mtime):
            text = path.read_text(encoding="utf-8", errors="replace")
            path.unlink()
    except OSError:
        pass
    return text


def _hold(directory: str) -> None:
    """Let `director.cache` see that the source is in use, as long as this process or a fork of it lives.

    The marker is opened and locked, and never closed: the kernel does that with the last process.
    """
    try:
        import fcntl

        marker = os.open(os.path.join(directory, ".complete"), os.O_RDONLY)  # noqa: PTH118
        fcntl.flock(marker, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (ImportError, OSError):
        pass  # it is being removed, and the import will tell; or there are no such locks here


def _leave_word(directory: str, text: str) -> None:
    path = word_file(directory, os.getpid())
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text(text[-20_000:], encoding="utf-8")
    except OSError:
        pass  # the log has it too; a full disk must not change what the creator hears


def _in_admin() -> bool:
    return multiprocessing.current_process().name == "ThespianAdmin"


def _installed(top: str) -> bool:
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False
