"""How actors log: the configuration where there is no ``thesplog.cfg``, and a look at one that is there.

What lives here: dictionaries for `logging.config`, made and looked at; no file is opened and no logger is touched. What
does not: reading the file (`director.settings.config`), setting logging up (Thespian does, in a process of its own).
"""

from __future__ import annotations

import copy
import re
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
#: A text that `logging.config` takes for the name of something else (``ext://sys.stdout``).
_ELSEWHERE = re.compile(r"[a-z]+://")


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
    """Why `logging` would refuse a configuration, as far as its text shows that.

    Nothing that it names is imported or called: commands that only look are run by other users than the actor
    system's, and what a ``thesplog.cfg`` names is code. What only setting logging up shows is told by the process that
    starts a system (`director.actors.host.logging_problem`).

    Args:
        told: for `logging.config.dictConfig`.

    Returns:
        what is wrong, and the name at fault; None where nothing is seen.
    """
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
    for kind, look in (("formatter", _of_formatter), ("filter", _of_filter)):
        for name, one in told.get(f"{kind}s", {}).items():
            what = look(one)
            if what:
                return f"the {kind} {name!r} cannot be made: {what}", str(name)
    for name, handler in told.get("handlers", {}).items():
        what = _of_handler(told, handler)
        if what:
            return f"the handler {name!r}: {what}", str(name)
    loggers = {"root": told.get("root", {}), **told.get("loggers", {})}
    for name, logger in loggers.items():
        what = _of_user(told, logger, "handlers")
        if what:
            return f"the logger {name!r}: {what}", str(name)
    return None


def _of_formatter(formatter: dict[str, Any]) -> str:
    import logging

    text, date = formatter.get("format"), formatter.get("datefmt")
    own = {"()", "class"} & formatter.keys()
    if own or any(isinstance(one, str) and _ELSEWHERE.match(one) for one in (text, date)):
        return ""
    try:
        style = formatter.get("style", "%")
        logging.Formatter(text, date, style, validate=bool(formatter.get("validate", True)))
    except (TypeError, ValueError) as problem:
        return str(problem)
    return ""


def _of_filter(one: dict[str, Any]) -> str:
    name = one.get("name", "")
    return "" if "()" in one or isinstance(name, str) else f"its name {name!r} is no text"


def _of_handler(told: dict[str, Any], handler: dict[str, Any]) -> str:
    import inspect
    import logging.handlers

    formatter = handler.get("formatter")
    if formatter is not None and formatter not in list(told.get("formatters", {})):
        return f"there is no formatter {formatter!r}"
    what = _of_user(told, handler, "filters")
    if what:
        return what
    factory = handler.get("()") or handler.get("class")
    if factory is None:
        return "it has no 'class'"
    module, _, name = str(factory).rpartition(".")
    ours = {"logging": logging, "logging.handlers": logging.handlers}
    if module not in ours or name == "QueueHandler":
        return ""  # nobody's business here; or `logging.config` makes its arguments of others
    found = getattr(ours[module], name, None)
    if not callable(found):
        return f"there is no {factory}"
    wanted = {str(key): value for key, value in handler.items() if key not in _NOT_ARGUMENTS}
    try:
        inspect.signature(found).bind(**wanted)
    except TypeError as problem:
        return str(problem)
    return ""


def _of_user(told: dict[str, Any], one: dict[str, Any], names: str) -> str:
    """What is wrong with the level of a handler or logger, and with the names that it uses."""
    import logging

    level = one.get("level", 0)
    known = isinstance(level, int) or level in list(logging.getLevelNamesMapping())
    if not known:
        return f"{level!r} is no level"
    for kind in {names, "filters"}:
        wanted = one.get(kind, [])
        if not isinstance(wanted, (list, tuple)):
            return f"its {kind} are no list"
        for name in wanted:
            if name not in list(told.get(kind, {})):
                return f"there is no {kind[:-1]} {name!r}"
    return ""
