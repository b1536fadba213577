"""Objects of a source's own classes never arrive as another source's: they are refused, with a line in the log.

Sources run under their plain module names, so that a pickled object of ``app.words.Thing`` would become the receiver's
own ``app.words.Thing`` wherever that exists (guide 3.3 wants it refused). Each class that a module of a source
defines is registered with `copyreg`, the standard library's way to say how objects are pickled: what travels names
its source, and `restore` refuses it in a process of another one. Only Thespian's transports are guarded: pickles of the
application's own (files, process pools, `copy`) go on as they would anywhere.

Not covered, since pickle gives no means: a class or function sent itself travels as its name alone, and a class made
after its module was imported is not registered.
"""

from __future__ import annotations

import copyreg
import importlib
import logging
import os
import pickle
import sys
from types import ModuleType
from typing import Any, NamedTuple

#: The source hash that this process, and what it starts, is of.
VARIABLE = "DIRECTOR_SOURCE"
_PROTOCOL = 4


class ClassName(NamedTuple):
    """A class by its name, so that it is not looked for before it is known whose it is."""

    module: str
    name: str


def here() -> str:
    """The source hash that this process is of, or "" on the host's own."""
    return os.environ.get(VARIABLE, "")


def guard_module(module: ModuleType) -> None:
    """Register every class that this module of a source defines.

    Args:
        module: imported just now.
    """
    for value in list(vars(module).values()):
        if isinstance(value, type) and value.__module__ == module.__name__:
            _guard(value)


def _guard(found: type) -> None:
    own = copyreg.dispatch_table.get(found)
    if getattr(own, "guards", False):
        return

    def reduce(thing: Any) -> Any:
        told = own(thing) if own else thing.__reduce_ex__(_PROTOCOL)
        if isinstance(told, str):  # a name of its module: nothing of it travels
            return told
        function, arguments, *rest = told
        packed = tuple(_named(argument) for argument in arguments)
        return (
            restore,
            (here(), f"{found.__module__}.{found.__qualname__}", _named(function), packed),
            *rest,
        )

    reduce.guards = True  # type: ignore[attr-defined]
    copyreg.pickle(found, reduce)
    for value in list(vars(found).values()):
        if isinstance(value, type) and value.__qualname__.startswith(found.__qualname__ + "."):
            _guard(value)


def restore(source_hash: str, name: str, function: Any, arguments: tuple[Any, ...]) -> Any:
    """Make the object again, in a process of its own source.

    Args:
        source_hash: of the process that sent it.
        name: of its class, for the log.
        function, arguments: what the pickle protocol calls to make it.

    Raises:
        pickle.UnpicklingError: it came through Thespian from another source, or from the host.
    """
    if source_hash != here() and _from_thespian():
        ours = f"source {here()}" if here() else "the host"
        text = f"refused an object of {name} of source {source_hash}: {ours} takes builtin types only (guide 3.3)"
        logging.getLogger("director.boundary").warning(text)
        raise pickle.UnpicklingError(text)
    return _found(function)(*(_found(argument) for argument in arguments))


def _named(value: Any) -> Any:
    if isinstance(value, type) and getattr(copyreg.dispatch_table.get(value), "guards", False):
        return ClassName(value.__module__, value.__qualname__)
    return value


def _found(value: Any) -> Any:
    if isinstance(value, ClassName):
        found: Any = importlib.import_module(value.module)
        for part in value.name.split("."):
            found = getattr(found, part)
        return found
    return value


def _from_thespian() -> bool:
    """Whether a transport of Thespian is reading: told by the modules on the stack, asked only of foreign objects."""
    frame = sys._getframe(1)
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith("thespian.system.transport"):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False
