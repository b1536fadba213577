"""Objects of a source's own classes never arrive as another source's: they are refused, with a line in the log.

Sources run under their plain module names, so that a pickled object of ``app.words.Thing`` would become the receiver's
own ``app.words.Thing`` wherever that exists (guide 3.3 wants it refused). Both transports of Thespian pickle by a
module variable, ``serializer``. `install` puts this module there: in a process of a source it names the source beside
each class and function of it that travels, and `restore` refuses such a name in a process of another one. Pickles of
the application's own (files, process pools, `copy`) are Python's, and go on as anywhere.

What is of a source is told by module: by its top-level name, and by where its file lies.
"""

from __future__ import annotations

import copyreg
import importlib
import io
import logging
import os
import pickle
import sys
from types import FunctionType, ModuleType
from typing import Any, ClassVar

#: The source hash that this process, and what it starts, is of.
VARIABLE = "DIRECTOR_SOURCE"
#: Kinds of objects of which pickle keeps the name alone, as it does of classes.
_BY_NAME = (type, FunctionType)


class _Here:
    """What this process is of, beside its hash."""

    directory: str = os.devnull
    tops: frozenset[str] = frozenset()
    #: Whether a module is of the source, by its name.
    known: ClassVar[dict[str, bool]] = {}


def here() -> str:
    """The source hash that this process is of, or "" on the host's own."""
    return os.environ.get(VARIABLE, "")


def become(source_hash: str, directory: str, tops: frozenset[str]) -> None:
    """Make this process one of a source.

    Args:
        source_hash: Thespian's name of it.
        directory: where it is unpacked.
        tops: the top-level names of modules that it brings.
    """
    os.environ[VARIABLE] = source_hash
    _Here.directory, _Here.tops, _Here.known = directory + os.sep, tops, {}


def install() -> None:
    """Let Thespian's transports pickle through this module, in this process and those it forks."""
    for name in ("TCPTransport", "UDPTransport"):
        transport: Any = importlib.import_module(f"thespian.system.transport.{name}")
        transport.serializer = sys.modules[__name__]


def dumps(message: Any) -> bytes:
    """Pickle a message.

    Raises:
        Exception: what pickle raises.
    """
    if not here():
        return pickle.dumps(message)
    written = io.BytesIO()
    _Pickler(written).dump(message)
    return written.getvalue()


#: Read a message: what is another source's is refused by `restore`.
loads = pickle.loads


class _Pickler(pickle.Pickler):
    def reducer_override(self, thing: Any) -> Any:
        """Name the source beside what pickle would name alone; all else is pickle's matter."""
        if isinstance(thing, _BY_NAME):
            return _named(thing, thing.__module__, thing.__qualname__)
        kind = type(thing)
        if not _is_own(kind.__module__) and kind.__module__ != "typing":
            return NotImplemented
        own = copyreg.dispatch_table.get(kind)
        told = own(thing) if own else thing.__reduce_ex__(pickle.DEFAULT_PROTOCOL)
        if isinstance(told, str):  # members of a global enum, type variables
            return _named(thing, getattr(thing, "__module__", None), told)
        return told


def _named(thing: Any, module: Any, name: str) -> Any:
    """How a name of the source travels; what is not to be found by it pickle refuses by itself."""
    if not _is_own(module):
        return NotImplemented
    try:
        if _found(module, name) is not thing:
            return NotImplemented
    except (ImportError, AttributeError):
        return NotImplemented
    return restore, (here(), module, name)


def _is_own(module: Any) -> bool:
    """Whether a module of this name is the source's."""
    if not isinstance(module, str):
        return False
    known = _Here.known.get(module)
    if known is None:
        known = module.partition(".")[0] in _Here.tops or _lies_here(sys.modules.get(module))
        _Here.known[module] = known
    return known


def _lies_here(module: ModuleType | None) -> bool:
    place = getattr(module, "__file__", None)
    return isinstance(place, str) and place.startswith(_Here.directory)


def restore(source_hash: str, module: str, name: str) -> Any:
    """Find a class, a function or another global of a source again, in a process of that source.

    Args:
        source_hash: of the process that sent it.
        module, name: where it is.

    Raises:
        pickle.UnpicklingError: it came from another source, or this process is the host's.
    """
    if source_hash != here():
        ours = f"source {here()}" if here() else "the host"
        text = (
            f"refused an object of {module}.{name} of source {source_hash}: {ours} takes builtin types only"
            " (guide 3.3)"
        )
        logging.getLogger("director.boundary").warning(text)
        raise pickle.UnpicklingError(text)
    return _found(module, name)


def _found(module: str, name: str) -> Any:
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found
