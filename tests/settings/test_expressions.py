"""The safe evaluator: what it knows, and that nothing else runs."""

from __future__ import annotations

import ast
import contextlib
import os
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.errors import SettingsError
from director.settings.expressions import evaluate

ENVIRON = {"HOME": "/home/me", "EMPTY": ""}


def value(text: str, **names: Any) -> Any:
    return evaluate(text, name="x.cfg", environ=ENVIRON, names=names).value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("  {'a': (1, 2.5, None)}", {"a": (1, 2.5, None)}),
        ("\ufeff[True, b'x', -3, ~1, not 0]", [True, b"x", -3, -2, True]),
        ("# a comment\n\n{1, 2}", {1, 2}),
        ("'%s-%d' % ('a', 3)", "a-3"),
        ("'Start: %s' % (os.getenv('X', '0'),)", "Start: 0"),
        ("'a' if os.getenv('Y', None) else 'b'", "b"),
        ("'a' if os.environ['HOME'] else 1 // 0", "a"),
        ("os.environ.get('HOME') + '/x'", "/home/me/x"),
        ("os.getenv('EMPTY', 'not used')", ""),
        ("os.sep", os.sep),
        ("sys.version_info[:2]", sys.version_info[:2]),
        ("sys.version_info.major", 3),
        ("sys.platform", sys.platform),
        ("1 < 2 <= 2 != 3", True),
        ("3 in [1, 2] or 'fallback'", "fallback"),
        ("0 and 1 // 0", 0),
        ("{'a': {'b': 7}}['a']['b']", 7),
        ("2 ** 10 | 1 << 3", 1032),
        ("logdir + '/x'", "/logs/x"),
    ],
)
def test_what_it_knows(text: str, expected: Any) -> None:
    assert value(text, logdir="/logs") == expected


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "os.system('true')",
        "os.getcwd()",
        "os.popen",
        "os.environ",
        "os.environ.copy()",
        "os.path",
        "os._exit",
        "sys.modules",
        "sys.stdout",
        "sys.exit(1)",
        "().__class__",
        "''.join(['a'])",
        "'{0.__class__}'.format(1)",
        "open('/etc/passwd')",
        "lambda: 1",
        "[x for x in (1,)]",
        "f'{1}'",
        "(x := 1)",
        "[*(1, 2)]",
        "{**{}}",
        "...",
        "unknown",
        "import os",
        "x = 1",
        "",
        "\0",
        "1 +",
        "(" * 300 + ")" * 300,
        "-" * 100 + "1",
        "'x' * 10 ** 9",
        "10 ** 9 ** 9",
        "1 << 10 ** 9",
        "'%1000000000d' % 1",
        "'%*d' % (1000000000, 1)",
        "'%.999999999f' % 1.0",
        "1 // 0",
        "[1][3]",
        "{[]: 1}",
        "{'a': 1, 'a': 2}",
        "os.environ['NOT_SET']",
        "os.getenv()",
        "os.getenv('A', default='b')",
        "os.getenv(1)",
        "1 @ 2",
    ],
)
def test_anything_else_is_an_error_with_its_place(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        value(text)
    assert str(caught.value).startswith("x.cfg")


def test_the_place_is_line_and_column() -> None:
    with pytest.raises(SettingsError) as caught:
        value("{'a': 1,\n 'b': open('x')}")
    assert (caught.value.line, caught.value.column) == (2, 7)


def test_the_variables_it_used_are_told() -> None:
    found = evaluate(
        "(os.getenv('HOME'), os.getenv('X', 1), os.environ['EMPTY'])", name="n", environ=ENVIRON
    )
    assert found.variables == {"HOME": "/home/me", "X": None, "EMPTY": ""}


LITERALS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.binary()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(LITERALS)
def test_every_literal_comes_back_as_it_was(literal: Any) -> None:
    assert value(repr(literal)) == ast.literal_eval(repr(literal)) == literal


@given(st.text(alphabet="()[]{}'\"osenvirgt.,:%*+-<>=0123 \n_if else", max_size=60))
def test_no_text_does_anything_but_evaluate_or_raise_settings_error(text: str) -> None:
    with contextlib.suppress(SettingsError):
        value(text)
