"""One safe evaluator for "a Python value in a file": TLI and .cfg files (guide 2.4 and 2.7.2).

What it knows: literals, operators (``%`` formatting, ``A if B else C``), ``os.environ[…]``, ``os.environ.get(…)``,
``os.getenv(…)`` and plain values of ``os`` and ``sys``. Anything else is an error with line and column, and
nothing runs. The text is parsed to a syntax tree and that tree is walked; Python's own ``eval`` is never called.
Sizes of results are bounded, so that no short text can eat the host's memory.
"""

from __future__ import annotations

import ast
import operator
import os
import re
import reprlib
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from director.errors import SettingsError

_LONGEST_TEXT = 1 << 20
_DEEPEST = 60
_MOST_ITEMS = 1_000_000
_MOST_BITS = 8192
#: What all operations of one text may make together, in parts (characters, items, a third of a bit).
_MOST_IN_ALL = 4_000_000

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
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
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_MODULES = {"os": os, "sys": sys}
#: Characters that a width or precision of up to four digits can make of one field.
_WIDEST = 9_999
_WIDE_FORMAT = re.compile(r"%(?:\([^)]*\))?[-+ #0]*(?:\*|\d{5,}|\d*\.(?:\*|\d{5,}))")


@dataclass(frozen=True)
class Evaluated:
    """A value, and what of the environment it depends on.

    ``variables`` maps each environment variable that was looked at to its value, None where it is not set.
    """

    value: Any
    variables: dict[str, str | None]
    tree: ast.Expression = field(repr=False, compare=False)

    def place(self, *path: Any) -> tuple[int, int]:
        """Line and column (1-based) of the key at this path of nested dictionaries, or of what encloses it."""
        node: ast.expr = self.tree.body
        place = (node.lineno, node.col_offset + 1)
        for step in path:
            if not isinstance(node, ast.Dict):
                break
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == step:
                    node, place = value, (key.lineno, key.col_offset + 1)
                    break
            else:
                break
        return place


def parse(text: str, *, name: str) -> ast.Expression:
    """The syntax tree of one Python expression; nothing of it runs.

    Args:
        text: the file's text.
        name: the file, for messages.

    Raises:
        SettingsError: with line and column.
    """
    text = text.removeprefix("\ufeff").lstrip(" \t")
    if len(text) > _LONGEST_TEXT:
        raise SettingsError(f"it is longer than {_LONGEST_TEXT} characters", path=name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in the text is no news on our stderr
            return ast.parse(text, filename=name, mode="eval")
    except SyntaxError as problem:
        raise SettingsError(
            f"{problem.msg or 'it is no Python value'}",
            path=name,
            line=problem.lineno or 1,
            column=problem.offset or 1,
            hint="The file must hold one Python value.",
        ) from None
    except (ValueError, RecursionError, MemoryError):
        raise SettingsError(
            "it is no Python value (a null byte, or nested too deep)", path=name
        ) from None


def evaluate(
    text: str,
    *,
    name: str,
    environ: Mapping[str, str],
    names: Mapping[str, Any] | None = None,
) -> Evaluated:
    """The value of one expression.

    Args:
        text: the file's text.
        name: the file, for messages.
        environ: what ``os.environ`` and ``os.getenv`` see.
        names: further names that may stand in it, with their values.

    Raises:
        SettingsError: with line and column; nothing ran.
    """
    tree = parse(text, name=name)
    walker = _Walker(name, environ, dict(names or {}))
    return Evaluated(walker.value(tree.body, 0), walker.variables, tree)


class _Walker:
    def __init__(self, name: str, environ: Mapping[str, str], names: dict[str, Any]) -> None:
        self.name = name
        self.environ = environ
        self.names = names
        self.variables: dict[str, str | None] = {}
        self.spent = 0

    def value(self, node: ast.expr, depth: int) -> Any:
        if depth > _DEEPEST:
            self.wrong(node, "it is nested too deep")
        handler = getattr(self, "see_" + type(node).__name__, None)
        if handler is None:
            self.wrong(node, f"{_KINDS.get(type(node), 'this')} cannot stand here")
        return handler(node, depth + 1)

    def see_Constant(self, node: ast.Constant, depth: int) -> Any:
        if node.value is ...:
            self.wrong(node, "... is not a value")
        return node.value

    def see_Tuple(self, node: ast.Tuple, depth: int) -> Any:
        return tuple(self.items(node.elts, depth))

    def see_List(self, node: ast.List, depth: int) -> Any:
        return self.items(node.elts, depth)

    def see_Set(self, node: ast.Set, depth: int) -> Any:
        return self.attempt(node, set, self.items(node.elts, depth))

    def items(self, nodes: Sequence[ast.expr], depth: int) -> list[Any]:
        return [self.value(node, depth) for node in nodes]

    def see_Dict(self, node: ast.Dict, depth: int) -> Any:
        told: dict[Any, Any] = {}
        for key_node, value_node in zip(node.keys, node.values, strict=True):
            if key_node is None:
                self.wrong(value_node, "`**` cannot stand here")
            key = self.value(key_node, depth)
            try:
                if key in told:
                    self.wrong(key_node, f"the key {_brief(key)} is there twice")
                told[key] = self.value(value_node, depth)
            except TypeError:
                self.wrong(key_node, f"{_brief(key)} cannot be a key")
        return told

    def see_UnaryOp(self, node: ast.UnaryOp, depth: int) -> Any:
        return self.attempt(node, _UNARY[type(node.op)], self.value(node.operand, depth))

    def see_BinOp(self, node: ast.BinOp, depth: int) -> Any:
        function = _BINARY.get(type(node.op))
        if function is None:
            self.wrong(node, "this operator cannot stand here")
        left, right = self.value(node.left, depth), self.value(node.right, depth)
        if _too_big(type(node.op), left, right):
            self.wrong(node, "its result would be too large")
        made = self.attempt(node, function, left, right)
        # Many large results are as bad as one; what was made is counted with all that it holds.
        self.spent += _weight(made)
        if self.spent > _MOST_IN_ALL:
            self.wrong(node, "all results together would be too large")
        return made

    def see_BoolOp(self, node: ast.BoolOp, depth: int) -> Any:
        found = None
        for part in node.values:
            found = self.value(part, depth)
            if bool(found) is isinstance(node.op, ast.Or):
                break
        return found

    def see_Compare(self, node: ast.Compare, depth: int) -> Any:
        left = self.value(node.left, depth)
        result: Any = True
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.value(right_node, depth)
            result = self.attempt(node, _COMPARE[type(op)], left, right)
            if not result:
                break
            left = right
        return result

    def see_IfExp(self, node: ast.IfExp, depth: int) -> Any:
        return self.value(node.body if self.value(node.test, depth) else node.orelse, depth)

    def see_Name(self, node: ast.Name, depth: int) -> Any:
        if node.id in self.names:
            return self.names[node.id]
        return self.wrong(node, f"the name {node.id} is not known")

    def see_Attribute(self, node: ast.Attribute, depth: int) -> Any:
        told = _dotted(node)
        base = node.value
        if isinstance(base, ast.Name) and base.id in _MODULES and base.id not in self.names:
            found = getattr(_MODULES[base.id], node.attr, None)
            if not node.attr.startswith("_") and hasattr(_MODULES[base.id], node.attr):
                plain, found = _plain(found)
                if plain:
                    return found
        if _dotted(base) == "sys.version_info" and node.attr in sys.version_info.__match_args__:
            return getattr(sys.version_info, node.attr)
        return self.wrong(node, f"{told} is not a plain value of os or sys")

    def see_Subscript(self, node: ast.Subscript, depth: int) -> Any:
        if _dotted(node.value) == "os.environ":
            variable = self.text(node.slice, depth)
            self.variables[variable] = self.environ.get(variable)
            if variable not in self.environ:
                self.wrong(
                    node,
                    f"the environment variable {variable} is not set",
                    f"Set it, or write os.getenv({variable!r}, 'a default').",
                )
            return self.environ[variable]
        container = self.value(node.value, depth)
        if isinstance(node.slice, ast.Slice):
            parts = (node.slice.lower, node.slice.upper, node.slice.step)
            index: Any = slice(*(None if p is None else self.value(p, depth) for p in parts))
        else:
            index = self.value(node.slice, depth)
        return self.attempt(node, operator.getitem, container, index)

    def see_Call(self, node: ast.Call, depth: int) -> Any:
        called = _dotted(node.func)
        if called not in {"os.getenv", "os.environ.get"} or node.keywords:
            self.wrong(node, f"{called}(…) cannot be called here")
        if not 1 <= len(node.args) <= 2:
            self.wrong(node, "os.getenv takes a name, and a default")
        variable = self.text(node.args[0], depth)
        default = self.value(node.args[1], depth) if len(node.args) == 2 else None
        self.variables[variable] = self.environ.get(variable)
        return self.environ.get(variable, default)

    def text(self, node: ast.expr, depth: int) -> str:
        found = self.value(node, depth)
        if not isinstance(found, str):
            self.wrong(node, "the name of an environment variable is text")
        return str(found)

    def attempt(self, node: ast.expr, function: Callable[..., Any], *values: Any) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return function(*values)
        except (ArithmeticError, LookupError, TypeError, ValueError, MemoryError) as problem:
            return self.wrong(node, f"{type(problem).__name__}: {problem}")

    def wrong(self, node: ast.expr, what: str, hint: str = "") -> NoReturn:
        raise SettingsError(
            what,
            path=self.name,
            line=node.lineno,
            column=node.col_offset + 1,
            hint=hint
            or "Only literals, operators, os.environ, os.getenv and plain values of os and sys can.",
        )


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


def _plain(value: Any) -> tuple[bool, Any]:
    """Whether a value of a module is plain data, and a copy of it that is."""
    if value is None or type(value) in {str, bytes, int, float, bool}:
        return True, value
    if isinstance(value, (tuple, list)):
        found = [_plain(item) for item in value]
        copy = [item for _, item in found]
        kind = list if isinstance(value, list) else tuple
        return all(plain for plain, _ in found), kind(copy)
    return False, None


def _dotted(node: ast.expr) -> str:
    """``a.b.c`` where the node is such a name, else "this"; without recursion, however long it is."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return "this"
    told = ".".join([node.id, *reversed(parts)])
    return told if len(told) <= 100 else told[:100] + "…"


def _brief(value: Any) -> str:
    """A value for a message, however large it is."""
    return reprlib.repr(value)


def _weight(value: Any) -> int:
    """How much a value holds, each part as often as it stands in it; counting stops where it is too much anyway.

    ``[[0] * 1000] * 1000`` takes little memory, and a million steps to hash, compare or format.
    """
    found, waiting = 0, [value]
    while waiting and found <= _MOST_IN_ALL:
        one = waiting.pop()
        found += 1
        if isinstance(one, (str, bytes)):
            found += len(one)
        elif isinstance(one, int):
            found += one.bit_length() // 3
        elif isinstance(one, (list, tuple, set)):
            waiting += one
        elif isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
    return found


def _too_big(operation: type[ast.operator], left: Any, right: Any) -> bool:
    if operation is ast.Mod and isinstance(left, (str, bytes)):
        text = left if isinstance(left, str) else left.decode("latin-1")
        # Each field may take the whole right side, at ten characters a part (an escape), and its width.
        fields, held = text.count("%"), 10 * _weight(right)
        taken = held if isinstance(right, tuple) else fields * held
        wide = _WIDE_FORMAT.search(text) is not None
        return wide or taken + fields * _WIDEST > _MOST_IN_ALL
    if operation is ast.Mult:
        for items, times in ((left, right), (right, left)):
            if isinstance(items, (str, bytes, list, tuple)) and isinstance(times, int):
                return _weight(items) * times > _MOST_ITEMS
    if isinstance(left, int) and isinstance(right, int):
        if operation is ast.Pow:
            return left.bit_length() * max(right, 0) > _MOST_BITS
        if operation is ast.LShift:
            return right > _MOST_BITS or left.bit_length() + right > _MOST_BITS
        if operation is ast.Mult:
            return left.bit_length() + right.bit_length() > 4 * _MOST_BITS
    if operation is ast.Add and isinstance(left, (str, bytes, list, tuple)):
        return isinstance(right, type(left)) and len(left) + len(right) > 2 * _MOST_ITEMS
    return False
