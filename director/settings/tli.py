"""TLI files: what a group starts, what its actors are told, and what is kept (guide 2.7.2).

What lives here: the checked model, reading it from text (with line and column of what is wrong) and from the plain
dictionary that the Director's messages carry.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn, TypeVar

from director.errors import SettingsError
from director.settings.expressions import evaluate

_T = TypeVar("_T")
#: Seconds that an old version is left to finish its work, unless the TLI says otherwise.
DRAIN = 10.0
_LONGEST = 86_400.0
#: Seconds that an actor may take to answer its ``Ready`` question, unless the TLI says otherwise.
READY_TIMEOUT = 30.0
#: How a new version takes over: beside the old one, or after the old one has made room.
START_FIRST, STOP_FIRST = "start-first", "stop-first"
#: Global names of the director's own actors, which no TLI may give.
HOST_NAMES = ("Director", "Director Source Authority", "Director Notebook")
#: The keys of a TLI, and so of a DefineGroup message.
GROUP_KEYS = ("Actors", "AutoUnload", "TLS_Keep_Limit", "Drain", "Handover", "Restart")
_ACTOR_KEYS: dict[str, tuple[str, ...]] = {
    "OnLoad": ("Role", "Message", "GlobalName"),
    "Ready": ("Message", "Reply", "Timeout"),
    "OnReactivate": ("Message",),
    "OnDeactivate": ("Message",),
}
_RESTART_KEYS = ("Limit", "Within", "Delay", "Longest")


@dataclass(frozen=True)
class Message:
    """A message to be sent; its value may be anything, also None or 0 (guide 2.7.2)."""

    value: Any


@dataclass(frozen=True)
class Ready:
    """The question that an actor must answer before its version may become active.

    ``reply``: the only answer that counts; None takes any. ``timeout``: seconds.
    """

    message: Any
    reply: Message | None = None
    timeout: float = READY_TIMEOUT


@dataclass(frozen=True)
class Restart:
    """How often an actor that dies is created again.

    It is given up after more than ``limit`` deaths in a row (0: never restarted), each less than ``within`` seconds
    after its start. The first waits ``delay`` seconds, each further one twice as long, up to ``longest``.
    """

    limit: int = 5
    within: float = 60.0
    delay: float = 0.2
    longest: float = 30.0


@dataclass(frozen=True)
class ActorSpec:
    """One actor that a TLI names.

    ``class_name`` is the dotted path of module and class; a message that is None is not sent.
    """

    class_name: str
    role: str | None = None
    global_name: str | None = None
    on_load: Message | None = None
    on_reactivate: Message | None = None
    on_deactivate: Message | None = None
    ready: Ready | None = None


@dataclass(frozen=True)
class Tli:
    """What a group does.

    ``auto_unload``: True ends an old version when a new one is active, a number keeps so many, the active one
    among them. ``keep_limit``: so many .tls files of the group stay in the director directory; 0 keeps all.
    ``drain``: seconds. ``handover``: START_FIRST or STOP_FIRST. ``variables``: the environment variables it was
    evaluated with. ``override``: `digest` of the operator's own file that it was read from in place of the signed TLI,
    "" where there was none to replace.
    """

    actors: tuple[ActorSpec, ...] = ()
    auto_unload: bool | int = False
    keep_limit: int = 0
    drain: float = DRAIN
    handover: str = START_FIRST
    restart: Restart = field(default_factory=Restart)
    variables: dict[str, str | None] = field(default_factory=dict, compare=False)
    override: str = field(default="", compare=False)

    def definition(self) -> dict[str, Any]:
        """The plain dictionary that `tli_from_definition` reads again."""
        actors: dict[str, Any] = {}
        for actor in self.actors:
            on_load = {"Role": actor.role, "GlobalName": actor.global_name}
            parts: dict[str, dict[str, Any]] = {
                "OnLoad": {key: value for key, value in on_load.items() if value is not None},
                "Ready": {},
                "OnReactivate": {},
                "OnDeactivate": {},
            }
            if actor.ready is not None:
                parts["Ready"] = {"Message": actor.ready.message, "Timeout": actor.ready.timeout}
                if actor.ready.reply is not None:
                    parts["Ready"]["Reply"] = actor.ready.reply.value
            for name, message in (
                ("OnLoad", actor.on_load),
                ("OnReactivate", actor.on_reactivate),
                ("OnDeactivate", actor.on_deactivate),
            ):
                if message is not None:
                    parts[name]["Message"] = message.value
            actors[actor.class_name] = {name: part for name, part in parts.items() if part}
        return {
            "Actors": actors,
            "AutoUnload": self.auto_unload,
            "TLS_Keep_Limit": self.keep_limit,
            "Drain": self.drain,
            "Handover": self.handover,
            "Restart": {
                "Limit": self.restart.limit,
                "Within": self.restart.within,
                "Delay": self.restart.delay,
                "Longest": self.restart.longest,
            },
        }


def digest(text: str) -> str:
    """SHA-256 of a TLI's text, hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def parse_tli(text: str, *, name: str, environ: Mapping[str, str]) -> Tli:
    """A TLI from the text of a file.

    Args:
        text: one Python dictionary, evaluated safely (`director.settings.expressions`).
        name: the file, for messages.
        environ: what its expressions see.

    Raises:
        SettingsError: with file, line and column of all that is wrong; unknown keys with what was probably meant.
    """
    found = evaluate(text, name=name, environ=environ)

    def error(what: str, *path: Any, hint: str = "") -> SettingsError:
        line, column = found.place(*path)
        return SettingsError(what, path=name, line=line, column=column, hint=hint)

    return _check(found.value, _Wrong(error), found.variables)


def definition_path(*steps: Any) -> str:
    """Where something stands in the definition of a message."""
    return "definition" + "".join(f"[{step!r}]" for step in steps)


def tli_from_definition(
    definition: Mapping[str, Any], *, place: Callable[..., str] = definition_path
) -> Tli:
    """A TLI from a plain dictionary, as of a DefineGroup or LoadSource message.

    Args:
        definition: that.
        place: names the place that keys lead to, for messages.

    Raises:
        SettingsError: naming the keys that lead to what is wrong.
    """

    def error(what: str, *path: Any, hint: str = "") -> SettingsError:
        return SettingsError(what, path=place(*path), hint=hint)

    return _check(dict(definition), _Wrong(error), {})


class _Wrong:
    """Raises what is wrong at a place, and keeps what `attempt` met, so that all of it is told at once."""

    def __init__(self, error: Callable[..., SettingsError]) -> None:
        self._error = error
        self.problems: list[SettingsError] = []

    def __call__(self, what: str, *path: Any, hint: str = "") -> NoReturn:
        raise self._error(what, *path, hint=hint)

    def attempt(self, make: Callable[[], _T], default: _T) -> _T:
        """What is made; the default where it does not read."""
        try:
            return make()
        except SettingsError as problem:
            self.problems.append(problem)
            return default

    def end(self) -> None:
        """Raise all that was met, in the order of its places."""
        if self.problems:
            raise SettingsError.of(sorted(self.problems, key=lambda one: (one.line, one.column)))


def _check(told: Any, wrong: _Wrong, variables: dict[str, str | None]) -> Tli:
    if not isinstance(told, dict):
        wrong("a TLI is a dictionary", hint="Its first key is 'Actors'.")
    _known(told, GROUP_KEYS, wrong)
    if "Actors" not in told:
        wrong.end()  # a key that is misspelt says it better
        wrong("'Actors' is missing", hint="Write {'Actors': {}} where nothing is to be started.")
    actors = wrong.attempt(lambda: _dictionary(told["Actors"], wrong, "Actors"), dict[Any, Any]())
    specs = tuple(
        wrong.attempt(partial(_actor, name, value, wrong), ActorSpec(str(name)))
        for name, value in actors.items()
    )
    for kind, values in (
        ("Role", [(spec.class_name, spec.role) for spec in specs]),
        ("GlobalName", [(spec.class_name, spec.global_name) for spec in specs]),
    ):
        seen: dict[str, str] = {}
        for class_name, value in values:
            if value is not None and value in seen:
                text = f"the {kind} {value!r} is that of {seen[value]} already"
                place = ("Actors", class_name, "OnLoad", kind)
                wrong.attempt(partial(wrong, text, *place), None)
            if value is not None:
                seen[value] = class_name
    found = _group(told, specs, wrong, variables)
    wrong.end()
    return found


def _group(
    told: dict[str, Any],
    specs: tuple[ActorSpec, ...],
    wrong: _Wrong,
    variables: dict[str, str | None],
) -> Tli:
    auto = told.get("AutoUnload", False)
    if not isinstance(auto, int) or (not isinstance(auto, bool) and auto < 1):
        text = "AutoUnload is True, False, or how many versions to keep (1 or more)"
        auto = wrong.attempt(partial(wrong, text, "AutoUnload"), False)
    handover = told.get("Handover", START_FIRST)
    if handover not in (START_FIRST, STOP_FIRST):
        text = f"Handover is {START_FIRST!r} or {STOP_FIRST!r}"
        handover = wrong.attempt(partial(wrong, text, "Handover"), START_FIRST)
    limits = wrong.attempt(
        lambda: _dictionary(told.get("Restart", {}), wrong, "Restart"), dict[Any, Any]()
    )
    _known(limits, _RESTART_KEYS, wrong, "Restart")
    usual = Restart()
    restart = Restart(
        _count(limits.get("Limit", usual.limit), wrong, "restarts", "Restart", "Limit"),
        _seconds(limits.get("Within", usual.within), wrong, "Restart", "Within"),
        _seconds(limits.get("Delay", usual.delay), wrong, "Restart", "Delay"),
        _seconds(limits.get("Longest", usual.longest), wrong, "Restart", "Longest"),
    )
    return Tli(
        specs,
        auto,
        _count(told.get("TLS_Keep_Limit", 0), wrong, "files, 0 for no limit", "TLS_Keep_Limit"),
        _seconds(told.get("Drain", DRAIN), wrong, "Drain"),
        handover,
        restart,
        variables=variables,
    )


def _count(value: Any, wrong: _Wrong, of_what: str, *path: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return wrong.attempt(partial(wrong, f"{path[-1]} is a number of {of_what}", *path), 0)
    return int(value)


def _seconds(value: Any, wrong: _Wrong, *path: Any) -> float:
    # A comparison that is false for NaN too.
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 <= value <= _LONGEST:
        text = f"{path[-1]} is a number of seconds from 0 to {_LONGEST:.0f}"
        return wrong.attempt(partial(wrong, text, *path), 0.0)
    return float(value)


def _actor(name: Any, told: Any, wrong: _Wrong) -> ActorSpec:
    path = ("Actors", name)
    parts = name.split(".") if isinstance(name, str) else []
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        wrong(f"{name!r} does not name an actor", *path, hint="Write 'package.module.Class'.")
    written = set(told) if isinstance(told, dict) else set()
    sections = _dictionary({} if told is None else told, wrong, *path)
    _known(sections, tuple(_ACTOR_KEYS), wrong, *path)
    messages: dict[str, Message | None] = {}
    for section, keys in _ACTOR_KEYS.items():
        values = wrong.attempt(
            partial(_dictionary, sections.get(section, {}), wrong, *path, section),
            dict[Any, Any](),
        )
        sections[section] = values
        _known(values, keys, wrong, *path, section)
        messages[section] = Message(values["Message"]) if "Message" in values else None
    names: dict[str, str | None] = {}
    held = sections.get("OnLoad", {}).get("GlobalName")
    if held in HOST_NAMES:
        text = f"the GlobalName {held!r} is the director's own"
        wrong.attempt(partial(wrong, text, *path, "OnLoad", "GlobalName"), None)
    for key in ("Role", "GlobalName"):
        value = sections.get("OnLoad", {}).get(key)
        if value is not None and not _is_name(value):
            text = f"{key} is a text that is not empty, of one line, without characters that do not show"
            value = wrong.attempt(partial(wrong, text, *path, "OnLoad", key), None)
        names[key] = value
    return ActorSpec(
        name,
        names["Role"],
        names["GlobalName"],
        messages["OnLoad"],
        messages["OnReactivate"],
        messages["OnDeactivate"],
        _ready(sections, wrong, path) if "Ready" in written else None,
    )


def _is_name(value: Any) -> bool:
    """Whether a value may be shown in lines of its own: one with a line feed in it could make up lines there."""
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _ready(sections: dict[str, Any], wrong: _Wrong, path: tuple[Any, ...]) -> Ready | None:
    told = sections["Ready"]
    if not set(told) <= set(_ACTOR_KEYS["Ready"]):
        return None  # that was told
    if "Message" not in told:
        hint = "It is the question that is asked."
        text = "Ready needs a Message"
        return wrong.attempt(partial(wrong, text, *path, "Ready", hint=hint), None)
    timeout = _seconds(told.get("Timeout", READY_TIMEOUT), wrong, *path, "Ready", "Timeout")
    return Ready(told["Message"], Message(told["Reply"]) if "Reply" in told else None, timeout)


def _dictionary(value: Any, wrong: _Wrong, *path: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        wrong(f"{path[-1]} is a dictionary", *path)
    return dict(value)


def _known(told: Mapping[Any, Any], known: Iterable[str], wrong: _Wrong, *path: Any) -> None:
    for key in told:
        if key not in tuple(known):
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known are: {', '.join(known)}."
            text = f"the key {key!r} is not known here"
            wrong.attempt(partial(wrong, text, *path, key, hint=hint), None)
