"""What may stand in a settings file: the whole text is held against this before anything of it is evaluated.

What lives here: the kinds of expressions, the names, attributes and calls that are allowed, wherever they stand, also
where evaluation would never come. What does not: values (`director.settings.expressions`).
"""

from __future__ import annotations

import ast
import operator
import os
import sys
from collections.abc import Callable, Container, Iterator
from typing import Any, NoReturn

from director.errors import SettingsError

_DEEPEST = 60

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
MODULES = {"os": os, "sys": sys}
#: What may be called: reading the environment.
CALLS = {"os.getenv", "os.environ.get"}

_PLAIN = (ast.Tuple, ast.List, ast.Set, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp)
_KINDS: dict[type[ast.expr], str] = {
    ast.Lambda: "a lambda",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.JoinedStr: "an f-string",
    ast.NamedExpr: "`:=`",
    ast.Starred: "`*`",
    ast.Await: "await",
    ast.Yield: "yield",
}


def check(tree: ast.Expression, *, name: str, names: Container[str]) -> None:
    """Hold a whole expression against what may stand in a file.

    Args:
        name: the file, for messages.
        names: further names that are known in it.

    Raises:
        SettingsError: with the line and column of what may not, the first in the order of evaluation.
    """
    waiting = [(tree.body, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > _DEEPEST:
            wrong(name, node, "it is nested too deep")
        inside = list(_inside(name, node, names))
        waiting += [(one, depth + 1) for one in reversed(inside)]


def _inside(name: str, node: ast.expr, names: Container[str]) -> Iterator[ast.expr]:
    """What of an allowed node is to be looked at next."""
    match node:
        case ast.Constant():
            if node.value is ...:
                wrong(name, node, "... is not a value")
        case ast.Dict():
            for key, value in zip(node.keys, node.values, strict=True):
                if key is None:
                    wrong(name, value, "`**` cannot stand here")
                yield from (key, value)
        case ast.BinOp():
            if type(node.op) not in BINARY:
                wrong(name, node, "this operator cannot stand here")
            yield from (node.left, node.right)
        case ast.Name():
            if node.id not in names:
                wrong(name, node, f"the name {node.id} is not known")
        case ast.Attribute():
            _check_attribute(name, node, names)
        case ast.Subscript():
            if dotted(node.value) == "os.environ":
                yield node.slice
                return
            yield node.value
            cut = node.slice if isinstance(node.slice, ast.Slice) else None
            parts = (cut.lower, cut.upper, cut.step) if cut else (node.slice,)
            yield from (part for part in parts if part is not None)
        case ast.Call():
            called = dotted(node.func)
            if called not in CALLS or node.keywords:
                wrong(name, node, f"{called}(…) cannot be called here")
            if not 1 <= len(node.args) <= 2:
                wrong(name, node, "os.getenv takes a name, and a default")
            yield from node.args
        case _ if isinstance(node, _PLAIN):
            yield from (one for one in ast.iter_child_nodes(node) if isinstance(one, ast.expr))
        case _:
            wrong(name, node, f"{_KINDS.get(type(node), 'this')} cannot stand here")


def _check_attribute(name: str, node: ast.Attribute, names: Container[str]) -> None:
    """One that this platform lacks may stand where evaluation does not come: os.O_BINARY if os.name == 'nt' else 0."""
    base = node.value
    if isinstance(base, ast.Name) and base.id in MODULES and base.id not in names:
        there = hasattr(MODULES[base.id], node.attr)
        if not node.attr.startswith("_") and (
            not there or plain(getattr(MODULES[base.id], node.attr))[0]
        ):
            return
    if dotted(base) == "sys.version_info" and node.attr in sys.version_info.__match_args__:
        return
    wrong(name, node, f"{dotted(node)} is not a plain value of os or sys")


def plain(value: Any) -> tuple[bool, Any]:
    """Whether a value of a module is plain data, and a copy of it that is."""
    if value is None or type(value) in {str, bytes, int, float, bool}:
        return True, value
    if isinstance(value, (tuple, list)):
        found = [plain(item) for item in value]
        copy = [item for _, item in found]
        kind = list if isinstance(value, list) else tuple
        return all(is_plain for is_plain, _ in found), kind(copy)
    return False, None


def dotted(node: ast.expr) -> str:
    """``a.b.c`` where the node is such a name, else "this"; without recursion, however long it is."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return "this"
    told = ".".join([node.id, *reversed(parts)])
    return told if len(told) <= 100 else told[:100] + "…"


def wrong(name: str, node: ast.expr, what: str, hint: str = "") -> NoReturn:
    """Raise SettingsError about this place of the file."""
    raise SettingsError(
        what,
        path=name,
        line=node.lineno,
        column=node.col_offset + 1,
        hint=hint
        or "Only literals, operators, os.environ, os.getenv and plain values of os and sys can.",
    )
