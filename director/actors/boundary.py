"""Objects of a source's own classes never arrive as another source's: they are refused, with a line in the log.

Sources run under their plain module names, so that a pickled object of ``app.words.Thing`` would become the receiver's
own ``app.words.Thing`` wherever that exists (guide 3.3 wants it refused). Both transports of Thespian pickle by a
module variable, ``serializer``. `install` puts this module there: in a process of a source it names the source beside
each class and function of it that travels, and `restore` refuses such a name in a process of another one. Behind each
pickle it names the source too, where Python passes over it: so a process of another source also refuses what resolves
to a module of its own, whatever it was to the sender. Pickles of the application's own (files, process pools, `copy`)
are Python's, and go on as anywhere.

What is of a source is told by module: by its top-level name, by where its file lies, and where a module has no file and
was made while the source ran, by those above it.
"""

from __future__ import annotations

import copyreg
import importlib
import io
import logging
import os
import pickle
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any, ClassVar

from director.convention import SOURCE_VARIABLE

#: What stands behind a pickle of a process of a source, before its hash.
_BEHIND = b"\0director source "
#: How pickle makes an object of a class, which travels beside it and is named.
_MAKERS = (copyreg.__newobj__, copyreg.__newobj_ex__, copyreg._reconstructor)  # type: ignore[attr-defined]
#: Kinds of objects of which pickle keeps the name alone, as it does of classes.
_BY_NAME = (type, FunctionType)


class _Here:
    """What this process is of. Not asked of the environment, which is the application's to change."""

    source: str = os.environ.get(SOURCE_VARIABLE, "")
    directory: str = os.devnull
    tops: frozenset[str] = frozenset()
    #: Whether a module is of the source, by its name.
    known: ClassVar[dict[str, bool]] = {}


def here() -> str:
    """The source hash that this process is of, or "" on the host's own."""
    return _Here.source


def become(source_hash: str, directory: str, tops: frozenset[str]) -> None:
    """Make this process one of a source.

    Args:
        source_hash: Thespian's name of it.
        directory: where it is unpacked.
        tops: the top-level names of modules that it brings.
    """
    os.environ[SOURCE_VARIABLE] = _Here.source = source_hash
    _Here.directory, _Here.tops, _Here.known = os.path.realpath(directory) + os.sep, tops, {}


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
    written.write(_BEHIND + here().encode())
    return written.getvalue()


def loads(data: bytes) -> Any:
    """Read a message.

    Raises:
        pickle.UnpicklingError: something in it is another source's.
        Exception: what pickle raises.
    """
    if here():
        _, behind, source = data[-len(_BEHIND) - len(here()) :].rpartition(_BEHIND)
        if behind and source != here().encode():
            return _Unpickler(io.BytesIO(data), source.decode("ascii", "replace")).load()
    return pickle.loads(data)  # noqa: S301 - as Thespian does


class _Pickler(pickle.Pickler):
    def reducer_override(self, thing: Any) -> Any:
        """Name the source beside what pickle would name alone; all else is pickle's matter."""
        if isinstance(thing, _BY_NAME):
            return _named(thing, thing.__module__, thing.__qualname__)
        kind = type(thing)
        reduce = copyreg.dispatch_table.get(kind)
        told = reduce(thing) if reduce else thing.__reduce_ex__(pickle.DEFAULT_PROTOCOL)
        # Builtin and cached functions, members of a global enum, type variables.
        if isinstance(told, str):
            return _named(thing, getattr(thing, "__module__", None), told)
        if not isinstance(told, tuple) or not _is_own(kind.__module__):
            return told
        maker = told[0]
        if isinstance(maker, type) or maker in _MAKERS or _is_own(getattr(maker, "__module__", "")):
            return told
        # It could be told where to look for anything.
        return (
            remake,
            (here(), f"{kind.__module__}.{kind.__qualname__}", maker, *told[1]),
            *told[2:],
        )


class _Unpickler(pickle.Unpickler):
    """Reads what a process of another source sent."""

    def __init__(self, data: io.BytesIO, source_hash: str) -> None:
        super().__init__(data)
        self._source_hash = source_hash

    def find_class(self, module: str, name: str) -> Any:
        """Nothing of this source.

        Raises:
            pickle.UnpicklingError: it would be.
        """
        found = None if _is_own(module) else super().find_class(module, name)
        if found is None or _is_own(module):  # only the import tells where it lies
            raise _refused(f"{module}.{name}", self._source_hash)
        return found


def _named(thing: Any, module: Any, name: str) -> Any:
    """How a name of the source travels; what is not to be found by it pickle refuses by itself."""
    if not isinstance(module, str) or (module in sys.modules and not _is_own(module)):
        return NotImplemented  # most of what travels is Thespian's
    try:
        if _found(module, name) is not thing or not _is_own(module):
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
        known = module.partition(".")[0] in _Here.tops
        if not known:
            if module not in sys.modules:
                return False  # it may be found later
            known = _lies_here(module)
        _Here.known[module] = known
    return known


def _lies_here(name: str) -> bool:
    """Whether a module that the source does not bring under its own name is of it."""
    while name:
        module: ModuleType | None = sys.modules.get(name)
        spec = getattr(module, "__spec__", None)
        place = getattr(module, "__file__", None) or getattr(spec, "origin", None)
        if isinstance(place, str):
            return os.path.realpath(place).startswith(_Here.directory)
        if spec is not None and spec.submodule_search_locations is not None:  # a namespace package
            places = [os.path.realpath(one) + os.sep for one in spec.submodule_search_locations]
            return any(one.startswith(_Here.directory) for one in places)
        name, _, last = name.rpartition(".")
        if not name:
            return last not in sys.stdlib_module_names and last != "__main__"
    return False


def restore(source_hash: str, module: str, name: str) -> Any:
    """Find a class, a function or another global of a source again, in a process of that source.

    Args:
        source_hash: of the process that sent it.
        module, name: where it is.

    Raises:
        pickle.UnpicklingError: it came from another source, or this process is the host's.
    """
    if source_hash != here():
        raise _refused(f"{module}.{name}", source_hash)
    return _found(module, name)


def remake(source_hash: str, name: str, maker: Callable[..., Any], *arguments: Any) -> Any:
    """Make an object of a source again that is made by a function of somebody else's.

    Args:
        source_hash: of the process that sent it.
        name: of its class.
        maker, arguments: what makes it, and of what.

    Raises:
        pickle.UnpicklingError: it came from another source, or this process is the host's.
    """
    if source_hash != here():
        raise _refused(name, source_hash)
    return maker(*arguments)


def _refused(name: str, source_hash: str) -> pickle.UnpicklingError:
    ours = f"source {here()}" if here() else "the host"
    text = (
        f"refused an object of {name} of source {source_hash}: {ours} takes builtin types only"
        " (guide 3.3)"
    )
    logging.getLogger("director.boundary").warning(text)
    return pickle.UnpicklingError(text)


def _found(module: str, name: str) -> Any:
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found
