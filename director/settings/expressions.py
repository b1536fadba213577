"""One safe evaluator for "a Python value in a file": TLI and .cfg files (guide 2.4 and 2.7.2).

What it knows: literals, operators (``%`` formatting, ``A if B else C``), ``os.environ[…]``, ``os.environ.get(…)``,
``os.getenv(…)`` and plain values of ``os`` and ``sys``. Anything else is an error with line and column, and
nothing runs. The text is parsed to a syntax tree, the whole of which is checked (`director.settings.grammar`) before it
is walked; Python's own ``eval`` is never called.
Sizes of results are bounded, so that no short text can eat the host's memory.
"""

from __future__ import annotations

import ast
import operator
import re
import reprlib
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from director.errors import SettingsError
from director.settings.grammar import BINARY, MODULES, check, dotted, plain, wrong

_LONGEST_TEXT = 1 << 20
_MOST_ITEMS = 1_000_000
#: Bits of a number: Python tells none in decimal that has more than 4,300 digits (CVE-2020-10735).
_MOST_BITS = 8192
_LONGEST_REASON = 200
#: Characters of a text that is formatted.
_LONGEST_FORMAT = 65536
#: Keys of one dictionary or set that are no text: their hashes are known beforehand, so that a file can hold such as
#: collide, each of which costs a step for every one before it (CVE-2012-1150 was about texts). A key counts once more
#: for each so many parts that it holds: hash(-1) is hash(-2), so that long tuples collide, and compare part by part.
_MOST_GUESSABLE = 1000
_PARTS_OF_A_KEY = 50
_TOO_MANY_KEYS = f"it has more than {_MOST_GUESSABLE} keys that are no texts, or very large ones"
#: What all operations of one text may make together, in parts (characters, items, a third of a bit).
_MOST_IN_ALL = 4_000_000

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
#: Characters that a width or precision of up to four digits can make of one field.
_WIDEST = 9_999
_WIDE_FORMAT = re.compile(r"%(?:\([^()]*\))?[-+ #0]*(?:\*|\d{5,}|\d*\.(?:\*|\d{5,}))")
#: A key with a parenthesis in it, which `%` pairs: where such a field ends is not looked for.
_NESTED_KEY = re.compile(r"%\([^()]*\(")


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


def grammatical(text: str, *, name: str, names: Mapping[str, Any] | None = None) -> ast.Expression:
    """The syntax tree of one expression of which all may stand in a file; nothing is evaluated.

    Args:
        text: the file's text.
        name: the file, for messages.
        names: further names that may stand in it.

    Raises:
        SettingsError: with line and column.
    """
    tree = parse(text, name=name)
    check(tree, name=name, names=names or {})
    return tree


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
    tree = grammatical(text, name=name, names=names)
    walker = _Walker(name, environ, dict(names or {}))
    try:
        found = walker.value(tree.body)
    except (
        ArithmeticError,
        LookupError,
        TypeError,
        ValueError,
        RecursionError,
        MemoryError,
    ) as problem:
        # Nothing is known that comes here; one file must not stop what others ask for.
        wrong(name, tree.body, f"it cannot be evaluated ({type(problem).__name__})")
    return Evaluated(found, walker.variables, tree)


class _Walker:
    def __init__(self, name: str, environ: Mapping[str, str], names: dict[str, Any]) -> None:
        self.name = name
        self.environ = environ
        self.names = names
        self.variables: dict[str, str | None] = {}
        self.spent = 0

    def value(self, node: ast.expr) -> Any:
        # `check` has seen all of the tree: nothing else than these stands in it.
        return getattr(self, "see_" + type(node).__name__)(node)

    def see_Constant(self, node: ast.Constant) -> Any:
        if _outsized(node.value):
            self.wrong(node, f"a number of more than {_MOST_BITS} bits is too large")
        return node.value

    def see_Tuple(self, node: ast.Tuple) -> Any:
        return tuple(self.items(node.elts))

    def see_List(self, node: ast.List) -> Any:
        return self.items(node.elts)

    def see_Set(self, node: ast.Set) -> Any:
        return self.attempt(node, set, self.bounded(node, self.items(node.elts)))

    def bounded(self, node: ast.expr, keys: list[Any]) -> list[Any]:
        if _guessable(keys) > _MOST_GUESSABLE:
            self.wrong(node, _TOO_MANY_KEYS)
        return keys

    def items(self, nodes: Sequence[ast.expr]) -> list[Any]:
        return [self.value(node) for node in nodes]

    def see_Dict(self, node: ast.Dict) -> Any:
        told: dict[Any, Any] = {}
        guessable = 0
        for key_node, value_node in zip(node.keys, node.values, strict=True):
            assert key_node is not None  # noqa: S101 - `check` refuses `**`
            key = self.value(key_node)
            guessable += _guessable([key])
            if guessable > _MOST_GUESSABLE:
                self.wrong(node, _TOO_MANY_KEYS)
            try:
                if key in told:
                    self.wrong(key_node, f"the key {_brief(key)} is there twice")
                told[key] = self.value(value_node)
            except TypeError:
                self.wrong(key_node, f"{_brief(key)} cannot be a key")
        return told

    def see_UnaryOp(self, node: ast.UnaryOp) -> Any:
        return self.attempt(node, _UNARY[type(node.op)], self.value(node.operand))

    def see_BinOp(self, node: ast.BinOp) -> Any:
        function = BINARY[type(node.op)]
        left, right = self.value(node.left), self.value(node.right)
        if _too_big(type(node.op), left, right):
            self.wrong(node, "its result would be too large")
        made = self.attempt(node, function, left, right)
        if _outsized(made):
            self.wrong(node, "its result would be too large")
        # Many large results are as bad as one; what was made is counted with all that it holds.
        self.spent += _weight(made)
        if self.spent > _MOST_IN_ALL:
            self.wrong(node, "all results together would be too large")
        return made

    def see_BoolOp(self, node: ast.BoolOp) -> Any:
        found = None
        for part in node.values:
            found = self.value(part)
            if bool(found) is isinstance(node.op, ast.Or):
                break
        return found

    def see_Compare(self, node: ast.Compare) -> Any:
        left = self.value(node.left)
        result: Any = True
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.value(right_node)
            result = self.attempt(node, _COMPARE[type(op)], left, right)
            if not result:
                break
            left = right
        return result

    def see_IfExp(self, node: ast.IfExp) -> Any:
        return self.value(node.body if self.value(node.test) else node.orelse)

    def see_Name(self, node: ast.Name) -> Any:
        return self.names[node.id]

    def see_Attribute(self, node: ast.Attribute) -> Any:
        if dotted(node.value) == "sys.version_info":
            return getattr(sys.version_info, node.attr)
        module = MODULES[dotted(node.value)]
        if not hasattr(module, node.attr):
            self.wrong(node, f"{dotted(node)} is not there on this platform")
        return plain(getattr(module, node.attr))[1]

    def see_Subscript(self, node: ast.Subscript) -> Any:
        if dotted(node.value) == "os.environ":
            variable = self.text(node.slice)
            self.variables[variable] = self.environ.get(variable)
            if variable not in self.environ:
                self.wrong(
                    node,
                    f"the environment variable {variable} is not set",
                    f"Set it, or write os.getenv({variable!r}, 'a default').",
                )
            return self.environ[variable]
        container = self.value(node.value)
        if isinstance(node.slice, ast.Slice):
            parts = (node.slice.lower, node.slice.upper, node.slice.step)
            index: Any = slice(*(None if p is None else self.value(p) for p in parts))
        else:
            index = self.value(node.slice)
        return self.attempt(node, operator.getitem, container, index)

    def see_Call(self, node: ast.Call) -> Any:
        variable = self.text(node.args[0])
        default = self.value(node.args[1]) if len(node.args) == 2 else None
        self.variables[variable] = self.environ.get(variable)
        return self.environ.get(variable, default)

    def text(self, node: ast.expr) -> str:
        found = self.value(node)
        if not isinstance(found, str):
            self.wrong(node, "the name of an environment variable is text")
        return str(found)

    def attempt(self, node: ast.expr, function: Callable[..., Any], *values: Any) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return function(*values)
        except (ArithmeticError, LookupError, TypeError, ValueError, MemoryError) as problem:
            return self.wrong(node, f"{type(problem).__name__}: {problem}"[:_LONGEST_REASON])

    def wrong(self, node: ast.expr, what: str, hint: str = "") -> NoReturn:
        wrong(self.name, node, what, hint)


def _outsized(value: Any) -> bool:
    return isinstance(value, int) and value.bit_length() > _MOST_BITS


def _brief(value: Any) -> str:
    """A value for a message, however large it is."""
    return reprlib.repr(value)


def _guessable(keys: Iterable[Any]) -> int:
    """How many of these keys are no texts, large ones counted more than once."""
    return sum(
        1 + _weight(key) // _PARTS_OF_A_KEY for key in keys if not isinstance(key, (str, bytes))
    )


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
        # The search comes last: for each field it may look through all of the text.
        return (
            len(text) > _LONGEST_FORMAT
            or taken + fields * _WIDEST > _MOST_IN_ALL
            or _WIDE_FORMAT.search(text) is not None
            or _NESTED_KEY.search(text) is not None
        )
    if operation is ast.Mult:
        for items, times in ((left, right), (right, left)):
            if isinstance(items, (str, bytes, list, tuple)) and isinstance(times, int):
                return _weight(items) * times > _MOST_ITEMS
    if operation in {ast.BitOr, ast.BitXor} and isinstance(left, (set, dict)):
        return (
            isinstance(right, (set, dict))
            and _guessable(left) + _guessable(right) > _MOST_GUESSABLE
        )
    if isinstance(left, int) and isinstance(right, int):
        if operation in {ast.FloorDiv, ast.Mod, ast.Div}:
            return left.bit_length() > 4 * _MOST_BITS
        if operation is ast.Pow:
            return left.bit_length() * max(right, 0) > _MOST_BITS
        if operation is ast.LShift:
            return right > _MOST_BITS or left.bit_length() + right > _MOST_BITS
        if operation is ast.Mult:
            return left.bit_length() + right.bit_length() > 4 * _MOST_BITS
    if operation is ast.Add and isinstance(left, (str, bytes, list, tuple)):
        return isinstance(right, type(left)) and len(left) + len(right) > 2 * _MOST_ITEMS
    return False
