"""How actors log: the configuration where there is no ``thesplog.cfg``, and a look at one that is there.

What lives here: dictionaries for `logging.config`, made and looked at; no file is opened and no logger is touched. What
does not: reading the file (`director.settings.config`), setting logging up (Thespian does, in a process of its own).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_FILTER = "director.logfilter.ActorAddressLogFilter"
#: Other names of it: Thespian's own fills in another word than the guide says where no actor is.
_OTHER_NAMES = {"thespian.director.ActorAddressLogFilter", "director.ActorAddressLogFilter"}
_FORMAT = (
    "%(asctime)s %(levelname)-7s %(actorAddress)s %(name)s  %(message)s [%(filename)s:%(lineno)s]"
)
#: Keys of a handler that are not arguments of its class.
_NOT_ARGUMENTS = {"class", "()", ".", "level", "formatter", "filters"}


def default_logging(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The logging of actors where there is no ``thesplog.cfg``: a rotating file, 5 MiB × 3.

    A system that `director.foreground` started as a service or in a container logs to the journal or to its output.
    """
    handler = None
    if environ and environ.get("DIRECTOR_LOG"):
        from director.journal import service_handler  # brings logging: not for `director help`

        handler = service_handler(environ)
    if handler:
        address = {"filters": ["address"], "level": "INFO"}
        return {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"address": {"()": _FILTER}},
            "handlers": {"service": {**handler, **address}},
            "root": {"level": "INFO", "handlers": ["service"]},
        }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"normal": {"format": _FORMAT}},
        "filters": {"address": {"()": _FILTER}},
        "handlers": {
            "file": {
                "class": "logging.handlers.RotatingFileHandler",
                "filename": "thespian.log",
                "maxBytes": 5 << 20,
                "backupCount": 3,
                "formatter": "normal",
                "filters": ["address"],
                "level": "INFO",
            }
        },
        "root": {"level": "INFO", "handlers": ["file"]},
    }


def placed(logging: dict[str, Any], logs: Path) -> dict[str, Any]:
    """The logging configuration with files in the log directory, and what the guide writes otherwise."""
    made = copy.deepcopy(logging)
    for handler in _dictionaries(made.get("handlers")):
        name = handler.get("filename")
        if isinstance(name, str) and not Path(name).is_absolute():
            handler["filename"] = str(logs / name)
    for one in _dictionaries(made.get("filters")):
        if one.get("()") in _OTHER_NAMES:
            one["()"] = _FILTER
    for formatter in _dictionaries(made.get("formatters")):
        if "fmt" in formatter and "format" not in formatter and "()" not in formatter:
            formatter["format"] = formatter.pop("fmt")  # the guide's own example writes it so (2.4)
    return made


def _dictionaries(section: Any) -> list[dict[str, Any]]:
    if not isinstance(section, dict):
        return []
    return [value for value in section.values() if isinstance(value, dict)]


def refused(told: dict[str, Any]) -> tuple[str, str] | None:
    """Why `logging` would refuse a configuration, as far as can be seen without setting it up.

    Args:
        told: for `logging.config.dictConfig`.

    Returns:
        what is wrong, and the name at fault; None where nothing is seen.
    """
    from logging.config import DictConfigurator

    if told.get("version") != 1:
        return f"'version' is {told.get('version')!r} and must be 1", "version"
    for name in ("formatters", "filters", "handlers", "loggers", "root"):
        if not isinstance(told.get(name, {}), dict):
            return f"{name!r} is no dictionary", name
        for key, value in told.get(name, {}).items():
            if name != "root" and not isinstance(value, dict):
                return f"{key!r} of {name!r} is no dictionary", str(key)
    if told.get("incremental"):
        return None  # it changes levels only, of what is there
    configurator = DictConfigurator(copy.deepcopy(told))
    for kind in ("formatters", "filters"):
        for name, one in configurator.config.get(kind, {}).items():
            try:
                getattr(configurator, f"configure_{kind[:-1]}")(one)
            except Exception as problem:  # noqa: BLE001 - a factory that the operator named may raise anything
                return f"the {kind[:-1]} {name!r} cannot be made: {_words(problem)}", str(name)
    for name, handler in configurator.config.get("handlers", {}).items():
        what = _of_handler(configurator, told, handler)
        if what:
            return f"the handler {name!r}: {what}", str(name)
    loggers = {"root": told.get("root", {}), **told.get("loggers", {})}
    for name, logger in loggers.items():
        what = _of_user(told, logger, "handlers")
        if what:
            return f"the logger {name!r}: {what}", str(name)
    return None


def _of_handler(configurator: Any, told: dict[str, Any], handler: dict[str, Any]) -> str:
    import inspect

    formatter = handler.get("formatter")
    if formatter is not None and formatter not in told.get("formatters", {}):
        return f"there is no formatter {formatter!r}"
    what = _of_user(told, handler, "filters")
    if what:
        return what
    factory = handler.get("()") or handler.get("class")
    if factory is None:
        return "it has no 'class'"
    if callable(factory):
        return ""
    try:
        found = configurator.resolve(factory)
        if getattr(found, "__name__", "") == "QueueHandler":
            return ""  # `logging.config` makes its arguments of others
        arguments = {str(key): value for key, value in handler.items()}
        wanted = {key: arguments[key] for key in arguments.keys() - _NOT_ARGUMENTS}
        inspect.signature(found).bind(**wanted)
    except Exception as problem:  # noqa: BLE001 - whatever the named module does when it is imported
        return _words(problem)
    return ""


def _of_user(told: dict[str, Any], one: dict[str, Any], names: str) -> str:
    """What is wrong with the level of a handler or logger, and with the names that it uses."""
    import logging

    level = one.get("level", 0)
    known = isinstance(level, int) or level in logging.getLevelNamesMapping()
    if not known:
        return f"{level!r} is no level"
    for kind in {names, "filters"}:
        wanted = one.get(kind, [])
        if not isinstance(wanted, (list, tuple)):
            return f"its {kind} are no list"
        for name in wanted:
            if name not in told.get(kind, {}):
                return f"there is no {kind[:-1]} {name!r}"
    return ""


def _words(problem: BaseException) -> str:
    cause = problem.__cause__ or problem
    return f"{cause}" if isinstance(cause, (TypeError, ValueError)) else f"{cause!r}"
