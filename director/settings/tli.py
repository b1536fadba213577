"""TLI files: what a group starts, what its actors are told, and what is kept (guide 2.7.2).

What lives here: the checked model, reading it from text (with line and column of what is wrong) and from the plain
dictionary that the Director's messages carry.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from director.errors import SettingsError
from director.settings.expressions import evaluate

#: Seconds that an old version is left to finish its work, unless the TLI says otherwise.
DRAIN = 10.0
_LONGEST_DRAIN = 86_400.0
_GROUP_KEYS = ("Actors", "AutoUnload", "TLS_Keep_Limit", "Drain")
_ACTOR_KEYS: dict[str, tuple[str, ...]] = {
    "OnLoad": ("Role", "Message", "GlobalName"),
    "OnReactivate": ("Message",),
    "OnDeactivate": ("Message",),
}


@dataclass(frozen=True)
class Message:
    """A message to be sent; its value may be anything, also None or 0 (guide 2.7.2)."""

    value: Any


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


@dataclass(frozen=True)
class Tli:
    """What a group does.

    ``auto_unload``: True ends an old version when a new one is active, a number keeps so many, the active one
    among them. ``keep_limit``: so many .tls files of the group stay in the director directory; 0 keeps all.
    ``drain``: seconds. ``variables``: the environment variables it was evaluated with.
    """

    actors: tuple[ActorSpec, ...] = ()
    auto_unload: bool | int = False
    keep_limit: int = 0
    drain: float = DRAIN
    variables: dict[str, str | None] = field(default_factory=dict, compare=False)

    def definition(self) -> dict[str, Any]:
        """The plain dictionary that `tli_from_definition` reads again."""
        actors: dict[str, Any] = {}
        for actor in self.actors:
            on_load = {"Role": actor.role, "GlobalName": actor.global_name}
            parts: dict[str, dict[str, Any]] = {
                "OnLoad": {key: value for key, value in on_load.items() if value is not None},
                "OnReactivate": {},
                "OnDeactivate": {},
            }
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
        }


def parse_tli(text: str, *, name: str, environ: Mapping[str, str]) -> Tli:
    """A TLI from the text of a file.

    Args:
        text: one Python dictionary, evaluated safely (`director.settings.expressions`).
        name: the file, for messages.
        environ: what its expressions see.

    Raises:
        SettingsError: with file, line and column; unknown keys with what was probably meant.
    """
    found = evaluate(text, name=name, environ=environ)

    def wrong(what: str, *path: Any, hint: str = "") -> NoReturn:
        line, column = found.place(*path)
        raise SettingsError(what, path=name, line=line, column=column, hint=hint)

    return _check(found.value, wrong, found.variables)


def tli_from_definition(definition: Mapping[str, Any]) -> Tli:
    """A TLI from the plain dictionary of a DefineGroup or LoadSource message.

    Raises:
        SettingsError: naming the keys that lead to what is wrong.
    """

    def wrong(what: str, *path: Any, hint: str = "") -> NoReturn:
        place = "".join(f"[{step!r}]" for step in path)
        raise SettingsError(what, path=f"definition{place}", hint=hint)

    return _check(dict(definition), wrong, {})


_Wrong = Callable[..., NoReturn]


def _check(told: Any, wrong: _Wrong, variables: dict[str, str | None]) -> Tli:
    if not isinstance(told, dict):
        wrong("a TLI is a dictionary", hint="Its first key is 'Actors'.")
    _known(told, _GROUP_KEYS, wrong)
    if "Actors" not in told:
        wrong("'Actors' is missing", hint="Write {'Actors': {}} where nothing is to be started.")
    actors = _dictionary(told["Actors"], wrong, "Actors")
    specs = tuple(_actor(name, value, wrong) for name, value in actors.items())
    for kind, values in (
        ("Role", [(spec.class_name, spec.role) for spec in specs]),
        ("GlobalName", [(spec.class_name, spec.global_name) for spec in specs]),
    ):
        seen: dict[str, str] = {}
        for class_name, value in values:
            if value is not None and value in seen:
                text = f"the {kind} {value!r} is that of {seen[value]} already"
                wrong(text, "Actors", class_name, "OnLoad", kind)
            if value is not None:
                seen[value] = class_name
    return Tli(specs, *_group_values(told, wrong), variables=variables)


def _group_values(told: dict[str, Any], wrong: _Wrong) -> tuple[bool | int, int, float]:
    auto = told.get("AutoUnload", False)
    if not isinstance(auto, int) or (not isinstance(auto, bool) and auto < 1):
        wrong("AutoUnload is True, False, or how many versions to keep (1 or more)", "AutoUnload")
    keep = told.get("TLS_Keep_Limit", 0)
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 0:
        wrong("TLS_Keep_Limit is a number of files, 0 for no limit", "TLS_Keep_Limit")
    drain = told.get("Drain", DRAIN)
    if isinstance(drain, bool) or not isinstance(drain, (int, float)):
        wrong("Drain is a number of seconds", "Drain")
    if not 0 <= drain <= _LONGEST_DRAIN:
        wrong(f"Drain is a number of seconds from 0 to {_LONGEST_DRAIN:.0f}", "Drain")
    return auto, keep, float(drain)


def _actor(name: Any, told: Any, wrong: _Wrong) -> ActorSpec:
    path = ("Actors", name)
    parts = name.split(".") if isinstance(name, str) else []
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        wrong(f"{name!r} does not name an actor", *path, hint="Write 'package.module.Class'.")
    sections = _dictionary({} if told is None else told, wrong, *path)
    _known(sections, tuple(_ACTOR_KEYS), wrong, *path)
    messages: dict[str, Message | None] = {}
    for section, keys in _ACTOR_KEYS.items():
        values = _dictionary(sections.get(section, {}), wrong, *path, section)
        _known(values, keys, wrong, *path, section)
        messages[section] = Message(values["Message"]) if "Message" in values else None
    names: dict[str, str | None] = {}
    for key in ("Role", "GlobalName"):
        value = sections.get("OnLoad", {}).get(key)
        if value is not None and (not isinstance(value, str) or not value):
            wrong(f"{key} is a text that is not empty", *path, "OnLoad", key)
        names[key] = value
    return ActorSpec(
        name,
        names["Role"],
        names["GlobalName"],
        messages["OnLoad"],
        messages["OnReactivate"],
        messages["OnDeactivate"],
    )


def _dictionary(value: Any, wrong: _Wrong, *path: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        wrong(f"{path[-1]} is a dictionary", *path)
    return dict(value)


def _known(told: Mapping[Any, Any], known: Iterable[str], wrong: _Wrong, *path: Any) -> None:
    for key in told:
        if key not in tuple(known):
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known are: {', '.join(known)}."
            wrong(f"the key {key!r} is not known here", *path, key, hint=hint)
