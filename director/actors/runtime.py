"""Sources run as ordinary Python in their own processes, and are never imported anywhere else.

Thespian finds the class of a loaded source through an entry of ``sys.meta_path`` that has this source's ``srcHash``
(sourceLoader.loadModuleFromHashSource). Before a system starts, `install` puts a gate there that is asked first, in
every process of it: for each source that the Source Authority made known (`director.actors.known`) it adds a
`SourceImporter`, so that Thespian's own importer, which rewrites sources and replaces ``builtins.__import__`` for the
whole process, is never made. With it:

* In the Admin every class look-up is answered with a stand-in; the source is never imported there. Where a source
  decides about placement, the stand-in asks a process apart (`director.actors.placement`).
* In an actor's process the first look-up makes the unpacked directory the first place of
  ``sys.path``, drops inherited modules of the names that the source bundles, and imports the real
  module under its plain name.

No class or function of Thespian is changed; its transports' variable ``serializer`` is (`director.actors.boundary`).
This module and those it uses need only the standard library.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import logging
import multiprocessing
import os
import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from director.actors import boundary, placement
from director.actors.known import KnownSource, recall
from director.actors.memory import give_back
from director.actors.placement import Placement, recheck
from director.actors.placer import Patience
from director.actors.words import authors_traceback, leave_mark, leave_word

#: Never dropped from ``sys.modules``, whatever a source bundles.
_KEPT = frozenset({"thespian", "director", "setproctitle"}) | sys.stdlib_module_names
#: Seconds that the import of an actor's module may take (less than a load waits for it), and after that between two
#: attempts to end it.
IMPORT_LIMIT, INSIST = 25.0, 1.0
_ATTEMPTS = 3
#: What actors of any source look for, to talk to the Director: the host's own. Where it has just died they make its
#: successor, for the Admin gives a name to nobody any more once its class could not be found
#: (adminCore.h_PendingActor).
_DOOR = ("director", "Director")


class ImportTooLong(BaseException):
    """The import of an actor's module did not end; not an Exception, so that few handlers swallow it."""


class SourceImporter(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers Thespian's look-ups ``{{hash}}module`` for one loaded source."""

    def __init__(self, source: KnownSource, patience: Patience) -> None:
        self.source = source
        #: What Thespian looks for.
        self.srcHash = source.source_hash
        self.directory = source.directory
        self.tops = frozenset(source.tops)
        found = weakref.WeakMethod(self._import)  # nothing but Thespian's list keeps this
        self._placement = Placement(lambda module, name: found()(module, name), patience)  # type: ignore[misc]
        #: Of classes that are installed on the host, which the source's actors name.
        self._hosts_placement = Placement(_of_the_host, patience)
        #: The process that found its own class, or its maker's: what it looks for from then on, it creates.
        self._actor = 0
        if _in_admin():
            # Which drops the bytes of a source, and then this (adminCore.unloadActorSource).
            end = weakref.finalize(self, _unloaded, self._placement, self._hosts_placement)
            end.atexit = False

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
        if top and top not in self.tops and fullname != root + _DOOR[0] and not _installed(top):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """The default module object."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Give the module a ``__getattr__`` that answers for the real one."""
        name = module.__name__[len(self.hashRoot()) :]
        if name:
            module.__getattr__ = lambda attribute: self.look_up(name, attribute)  # type: ignore[method-assign]

    def look_up(self, module_name: str, attribute: str) -> Any:
        """The class ``attribute`` of a module of this source, or of the host's, as this process may know it.

        Raises:
            ImportError: this process is of another source, or is to create what only the Admin can create without one;
                or the import did not end by itself.
        """
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        if (module_name, attribute) == _DOOR:
            return getattr(importlib.import_module(module_name), attribute)
        own = module_name.partition(".")[0] in self.tops
        if _in_admin():
            return self._stand_in(module_name, attribute, own)
        if self._actor == os.getpid() and own is not (boundary.here() == self.srcHash):
            # A fork would be what this process is; Thespian asks the Admin instead (actorManager.createActor).
            raise ImportError(f"{module_name} is no module that this process has")
        if not boundary.here() and not self._actor:
            # An actor made by one of the source is its maker's business.
            leave_mark(self.directory, f"{module_name}.{attribute}")
        try:
            with _limited():
                found = (self._import if own else _of_the_host)(module_name, attribute)
            recheck(found)
            self._actor = os.getpid()
            # Thespian logs what __init__ raises under the name of the class, and nowhere else.
            logging.getLogger(f"{module_name}.{attribute}").addFilter(self._overhear)
            return found
        except BaseException as problem:
            leave_word(self.directory, authors_traceback(problem, self.directory))
            if isinstance(problem, Exception):
                raise
            # SystemExit and its like would end the process without a word to its creator.
            raise ImportError(f"import of {module_name} ended with {problem!r}") from problem

    def _stand_in(self, module_name: str, attribute: str, own: bool) -> Any:
        """What stands for an actor's class in the Admin: Thespian asks it nothing but where it may run."""
        # Nobody looked whether what is installed on the host says something about placement.
        places = self.source.places or not own
        answers = self._placement if own else self._hosts_placement

        def fits(capabilities: Any, requirements: Any) -> bool:
            if not placement.wanted(capabilities, requirements):
                return False
            if not places:
                return True
            wanted = placement.own(requirements)
            return answers.fits(module_name, attribute, capabilities, wanted)

        return type(attribute, (), {"actorSystemCapabilityCheck": staticmethod(fits)})

    def _import(self, module_name: str, attribute: str) -> Any:
        self.activate()
        return getattr(importlib.import_module(module_name), attribute)

    def _overhear(self, record: logging.LogRecord) -> bool:
        if record.exc_info and "instantiation exception" in str(record.msg):
            leave_word(self.directory, authors_traceback(record.exc_info[1], self.directory))
        return True

    def activate(self) -> None:
        """Make this process, and all that it starts, one of the source; once.

        Raises:
            ImportError: it is one of another source.
        """
        if boundary.here() == self.srcHash:
            return
        if boundary.here():
            raise ImportError(f"this process is of source {boundary.here()}, not of {self.srcHash}")
        boundary.become(self.srcHash, self.directory, self.tops - _KEPT)
        for name in list(sys.modules):
            top = name.partition(".")[0]
            if top in self.tops and top not in _KEPT:
                del sys.modules[name]
        if (
            not _in_admin()
        ):  # as the process is called that is asked about placement, and is no actor
            _hold(self.directory)
        sys.path.insert(0, self.directory)
        importlib.invalidate_caches()


class Refusal(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers for a source that the Source Authority of this host refused, or never saw: nothing of it is imported.

    Thespian takes what another system offers as its already opened archive without asking the authority
    (convention.h_SourceHashTransferReply), and would import it.
    """

    def __init__(self, state: Path, source_hash: str) -> None:
        self._state = state
        #: What Thespian looks for.
        self.srcHash = source_hash

    def hashRoot(self) -> str:
        """The prefix of this source's module names in Thespian (sourceLoader.SourceHashFinder)."""
        return "{{" + self.srcHash + "}}"

    def find_spec(
        self, fullname: str, path: Any = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Whatever name of it, so that the look-up comes to `exec_module`."""
        if not fullname.startswith(self.hashRoot()):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """The default module object."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Raise ImportError with the authority's reason; the empty root stands for none of it."""
        if module.__name__ == self.hashRoot():
            return
        source = recall(self._state, self.srcHash)
        never = f"the Source Authority of this host never validated {self.srcHash}"
        raise ImportError(source.refused if source and source.refused else never)


class _EveryHash:
    """Compared with the hash that Thespian looks for; equal to none, but the importer for it stands afterwards."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._patience = Patience()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, str):
            return False
        importers = [
            one for one in sys.meta_path if isinstance(one, SourceImporter) and one.srcHash == other
        ]
        if importers and boundary.here() == other:
            return False  # what it became it stays
        source = recall(self._state, other)
        if source is not None and source.refused:
            for importer in importers:  # its authority changed its mind
                sys.meta_path.remove(importer)
                self._forget(importer.hashRoot())
            importers = []
        if not importers:
            refusals = [
                one for one in sys.meta_path if isinstance(one, Refusal) and one.srcHash == other
            ]
            # At the end, behind the loop that asks: it comes to it in the same pass.
            if source is not None and not source.refused:
                for one in refusals:  # its authority thought better of it
                    sys.meta_path.remove(one)
                    self._forget(one.hashRoot())
                sys.meta_path.append(SourceImporter(source, self._patience))
            elif not refusals:
                sys.meta_path.append(Refusal(self._state, other))
        return False

    @staticmethod
    def _forget(root: str) -> None:
        for name in [one for one in sys.modules if one.startswith(root)]:
            del sys.modules[name]

    __hash__ = object.__hash__


class Gate(importlib.abc.MetaPathFinder):
    """Stands first in ``sys.meta_path`` and finds no module itself."""

    def __init__(self, state: Path) -> None:
        self.srcHash = _EveryHash(state)

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> None:
        """Nothing."""
        return


def install(state: Path) -> None:
    """Prepare this process to start an actor system.

    Args:
        state: the state directory, where sources are made known.
    """
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Gate)]
    sys.meta_path.insert(0, Gate(state))
    boundary.install()


def _unloaded(*placements: Placement) -> None:
    """In the Admin: nothing of a source stays."""
    for one in placements:
        one.end()
    give_back()


def _of_the_host(module_name: str, attribute: str) -> Any:
    return getattr(importlib.import_module(module_name), attribute)


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


@contextmanager
def _limited() -> Iterator[None]:
    """End an import that does not end: by an exception, and where that is swallowed, by the process."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only; Thespian looks classes up there
        return
    attempts = 0

    def too_long(number: int, frame: FrameType | None) -> None:
        nonlocal attempts
        attempts += 1
        if attempts > _ATTEMPTS:
            os._exit(70)
        raise ImportTooLong(f"it took more than {IMPORT_LIMIT:.0f} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, IMPORT_LIMIT, INSIST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _in_admin() -> bool:
    return multiprocessing.current_process().name == "ThespianAdmin"


def _installed(top: str) -> bool:
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False
