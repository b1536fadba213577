"""What a class asks of the system that it runs on, and the sentence that says why no host fits.

What lives here: finding Thespian's ``requireCapability`` in a module's text, which is never imported for that, and
comparing with what hosts have. What does not: deciding where an actor may run (`director.actors.placement`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from director.convention import REMOTE_SOURCES

#: Bytes of a module that is read for this.
LONGEST = 1 << 20
#: Stands for a check that only the class itself can make.
CHECK = ""
#: Stands for a capability that is only to be there, whatever its value.
ANY = repr(None)


def of_class(directory: Path, class_name: str) -> dict[str, str]:
    """What a class of an unpacked source says that it needs.

    Args:
        directory: where the source is unpacked.
        class_name: ``MODULE.CLASS``.

    Returns:
        by capability the wanted value as text (`ANY`: any that is true), and `CHECK` where there is more to it than can
        be read. Nothing where the class's text was not found.
    """
    module, _, name = class_name.rpartition(".")
    place = directory.joinpath(*module.split("."))
    for path in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
        try:
            if path.stat().st_size > LONGEST:
                return {CHECK: ""}
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return {CHECK: ""}
        except OSError:
            continue
        classes = {one.name: one for one in tree.body if isinstance(one, ast.ClassDef)}
        return dict(_of(name, classes, set()))
    return {}


def _of(
    name: str, classes: Mapping[str, ast.ClassDef], seen: set[str]
) -> Iterator[tuple[str, str]]:
    """What a class and those of its bases that stand in the same module need."""
    found = classes.get(name)
    if found is None or name in seen:
        return
    seen.add(name)
    for base in found.bases:
        if isinstance(base, ast.Name):
            yield from _of(base.id, classes, seen)
    for stmt in found.body:
        if isinstance(stmt, ast.FunctionDef) and stmt.name == "actorSystemCapabilityCheck":
            yield CHECK, ""
    for one in found.decorator_list:
        yield from _decorated(one)


def _decorated(decorator: ast.expr) -> Iterator[tuple[str, str]]:
    if not isinstance(decorator, ast.Call):
        return
    called = decorator.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    if name != "requireCapability":
        return
    told = [*decorator.args, *(one.value for one in decorator.keywords)]
    values = [one.value for one in told if isinstance(one, ast.Constant)]
    if len(values) != len(told) or not values or not isinstance(values[0], str):
        yield CHECK, ""  # an expression: its value is the class's secret
    else:
        yield values[0], repr(values[1]) if values[1:] else ANY


def nobody(
    class_name: str, needs: Mapping[str, str], hosts: Mapping[str, Mapping[str, Any]]
) -> str:
    """Why no host takes an actor.

    Args:
        needs: as `of_class` tells.
        hosts: capabilities of those that did not refuse its source, by their name for people.
    """
    reasons: dict[str, list[str]] = {}
    for host, capabilities in hosts.items():
        reasons.setdefault(_reason(needs, capabilities), []).append(host)
    told = "; ".join(f"{', '.join(names)} {why}" for why, names in reasons.items())
    return f"no host of the convention takes {class_name}" + (f": {told}" if told else "")


def _reason(needs: Mapping[str, str], capabilities: Mapping[str, Any]) -> str:
    missing = [
        repr(name) if value == ANY else f"{name!r}: {value}"
        for name, value in needs.items()
        if name != CHECK
        and not (capabilities.get(name) if value == ANY else repr(capabilities.get(name)) == value)
    ]
    if missing:
        return f"without the capability {' and '.join(missing)} that its requireCapability asks for"
    if capabilities.get(REMOTE_SOURCES) == "No":
        return "taking no sources from others now (AllowRemoteActorSources)"
    return "not fitting its requireCapability or actorSystemCapabilityCheck"
