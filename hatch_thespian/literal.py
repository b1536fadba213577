"""A TLI written as a TOML table → the Python literal that a .tli file holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def literal(value: Any) -> str:
    """The text, a line for each entry, the same for the same value on every Python.

    Args:
        value: texts, numbers, booleans, lists and tables, as TOML gives them.
    """
    return _lines(value, "") + "\n"


def _lines(value: Any, indent: str) -> str:
    inner = indent + "    "
    if isinstance(value, Mapping) and value:
        items = [f"{inner}{str(key)!r}: {_lines(item, inner)},\n" for key, item in value.items()]
        return "{\n" + "".join(items) + indent + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_lines(item, inner) for item in value) + "]"
    return "{}" if value == {} else repr(value)
