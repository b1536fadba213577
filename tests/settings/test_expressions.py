"""The safe evaluator: what it knows, and that nothing else runs."""

from __future__ import annotations

import ast
import contextlib
import os
import sys
import time
from typing import Any

import pytest
from hypothesis import given, settings
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
        "os" + ".a" * 500,
        "os" + "[0]" * 500,
        "os" + "()" * 400,
        "().__class__.__bases__[0].__subclasses__()",
        "os.environ.__class__",
        "os.sep.__class__",
        "sys.version_info.__class__",
        "os.environ.get.__self__",
        "os.getenv.__globals__",
        "(os.getenv)('HOME').upper()",
        "1" + "+1" * 100_000,
        "-" * 100_000 + "1",
        "[" * 100_000,
        "lambda: " * 20_000 + "1",
        "'%s' % ([[[0] * 1000] * 1000] * 1000,)",
        "{((((0,) * 1000,) * 1000) * 1000,): 1}",
        "[[[0] * 1000] * 1000] * 1000 == 1",
        "[" + "'x' * 10 ** 5, " * 1000 + "]",
        "'" + "%(a)s" * 100_000 + "' % {'a': 'x' * 10 ** 5}",
        "('%s' * 1000) % (('x' * 10 ** 4,) * 1000)",
        "('%9999d' * 1000) % ((1,) * 1000)",
        "1" * 100_000,
        "[1, 2][1:2, 3]",
        "os.environ[1:2]",
        "os.environ['HOME':]",
    ],
)
def test_anything_else_is_an_error_with_its_place(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        value(text)
    assert str(caught.value).startswith("x.cfg")


@pytest.mark.parametrize(
    "forbidden",
    [
        "os.system('x')",
        "unknown",
        "().__class__",
        "os.popen",
        "[x for x in ()]",
        "(lambda: 1)",
        "f'{1}'",
        "{**{}}",
        "(1 @ 2)",
        "...",
        "os.getenv('A', default='b')",
        "os.getenv()",
        "'a'.upper()",
        "-" * 70 + "1",
    ],
)
@pytest.mark.parametrize(
    "around",
    [
        "True or {}",
        "False and {}",
        "1 if True else {}",
        "{} if False else 1",
        "1 > 2 > {}",
        "[1, (0 and {})]",
        "{{'a': True or {}}}",
        "os.getenv('HOME', {})",
        "[[1, 2][0 and {}:1]]",
    ],
)
def test_what_may_not_stand_may_not_stand_where_evaluation_never_comes(
    around: str, forbidden: str
) -> None:
    text = around.format(forbidden)
    with pytest.raises(SettingsError) as caught:
        value("(\n" + text + ")")
    told = caught.value
    assert told.line == 2 and text[told.column - 1 :], told
    if "nested" not in told.message:
        at = text.index(forbidden)
        assert at <= told.column - 1 < at + len(forbidden), f"{told.column} in {text}"


def test_nothing_is_evaluated_before_all_was_checked() -> None:
    found: list[str] = []

    class Environ(dict[str, str]):
        def __getitem__(self, name: str) -> str:
            found.append(name)
            return super().__getitem__(name)

        def get(self, name: str, default: Any = None) -> Any:
            found.append(name)
            return super().get(name, default)

    with pytest.raises(SettingsError):
        evaluate("[os.environ['HOME'], os.system('x')]", name="x.cfg", environ=Environ(ENVIRON))
    assert not found


def test_what_only_another_platform_has_may_stand_where_evaluation_does_not_come() -> None:
    assert value("os.O_NO_SUCH if os.name == 'nt' else 7") == 7
    with pytest.raises(SettingsError, match="on this platform"):
        value("os.O_NO_SUCH")


def test_a_message_is_short_whatever_it_is_about() -> None:
    for text in ("{[" + "1, " * 10_000 + "]: 1}", "os" + ".abc" * 200):
        with pytest.raises(SettingsError) as caught:
            value(text)
        assert len(str(caught.value)) < 400


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


#: Expressions of the grammar's shape, most of them wrong in some way: what a person or an attacker would write.
ATOMS = st.sampled_from(
    [
        *(
            "0",
            "1",
            "-7",
            "10 ** 3",
            "2.5",
            "1e308",
            "3j",
            "True",
            "None",
            "...",
            "''",
            "'%s'",
            "'%(a)s'",
        ),
        *(
            "b'x'",
            "'%d-%r'",
            "f'{1}'",
            "os",
            "sys",
            "os.sep",
            "os.environ",
            "os.environ['HOME']",
            "x",
        ),
        *(
            "os.getenv('A', 1)",
            "os.system('true')",
            "sys.modules",
            "sys.version_info",
            "__import__",
        ),
        *(
            "os._exit",
            "sys.exit",
            "open",
            "().__class__",
            "print",
            "logdir",
            "10 ** 10",
            "'x' * 999",
        ),
    ]
)


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    several = st.lists(inner, max_size=4)
    operators = st.sampled_from(
        [
            *[
                "+",
                "-",
                "*",
                "/",
                "//",
                "%",
                "**",
                "|",
                "&",
                "^",
                "<<",
                ">>",
                "==",
                "<",
                "in",
                "and",
                "or",
                "is",
                "@",
                ",",
            ],
            "not in",
            "if 1 else",
        ]
    )
    return st.one_of(
        st.builds("({} {} {})".format, inner, operators, inner),
        st.builds("{}({})".format, inner, inner),
        st.builds("{}[{}]".format, inner, inner),
        st.builds("{}[{}:{}]".format, inner, inner, inner),
        st.builds(
            "{}.{}".format, inner, st.sampled_from(["format", "__class__", "sep", "get", "a"])
        ),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        several.map(lambda some: f"[{', '.join(some)}]"),
        several.map(lambda some: f"({', '.join(some)},)" if some else "()"),
        several.map(lambda some: f"{{{', '.join(some)}}}"),
        st.lists(st.tuples(inner, inner), max_size=3).map(
            lambda some: "{" + ", ".join(f"{key}: {told}" for key, told in some) + "}"
        ),
        st.builds("[{} for x in {}]".format, inner, inner),
        st.builds("(lambda: {})".format, inner),
        st.builds("~{}".format, inner),
        st.builds("[*{}]".format, inner),
    )


EXPRESSIONS = st.recursive(ATOMS, _grow, max_leaves=30)
#: What Python itself tells of what is done in it, while `_watching` is on (sys.addaudithook, PEP 578).
_events: list[str] = []
_watching: list[bool] = []


def _listen(event: str, arguments: Any) -> None:
    # Reading the text is "compile" with the flag for a syntax tree; anything else would be running something.
    if _watching and event not in {"compile", "object.__getattr__", "sys._getframe"}:
        _events.append(event)


sys.addaudithook(_listen)


@settings(max_examples=int(os.environ.get("MUTATIONS", "500")), deadline=None)
@given(EXPRESSIONS)
def test_no_expression_does_anything_but_evaluate_or_raise_settings_error(text: str) -> None:
    _events.clear()
    _watching.append(True)
    try:
        value(text, logdir="/logs")
    except SettingsError as problem:
        assert str(problem).startswith("x.cfg")
    finally:
        _watching.clear()
    assert not _events, f"{text} did {_events}"


def _ones_and_twos(number: int) -> str:
    """One of 1,024 tuples of -1 and -2, whose hashes are all the same."""
    return str(tuple(-1 - (number >> bit & 1) for bit in range(10)))


@pytest.mark.parametrize(
    "text",
    [
        "('%(' * 200000) % 1",
        "('%(' * 500000) % {}",
        "(b'%(' * 200000) % 1",
        "('%' * 60000) % 1",
        "'" + "%(" * 390 + "x" * 1_000_000 + "' % 1",
        "{" + ", ".join(f"{n * (2**61 - 1)}: 0" for n in range(30_000)) + "}",
        "{" + ", ".join(f"{n * (2**61 - 1)}" for n in range(30_000)) + "}",
        " | ".join(
            "{" + ", ".join(f"{(n * 900 + m) * (2**61 - 1)}" for m in range(900)) + "}"
            for n in range(30)
        ),
        "{" + ", ".join(f"(0,) * 1800 + {_ones_and_twos(n)}: 0" for n in range(1000)) + "}",
        "0x" + "f" * 500_000 + " // 0x1" + "f" * 250_000,
        "0x" + "f" * 500_000 + " % 0x1" + "f" * 250_000,
    ],
    ids=lambda text: text[:24],
)
def test_no_short_text_takes_long(text: str) -> None:
    began = time.process_time()
    with pytest.raises(SettingsError):
        value(text)
    assert time.process_time() - began < 3


def test_many_keys_that_are_texts_are_fine() -> None:
    text = "{" + ", ".join(f"'k{n}': {n}" for n in range(20_000)) + "}"
    assert len(value(text)) == 20_000


@pytest.mark.parametrize(
    "text",
    [
        "{}[0x" + "f" * 5000 + "]",
        "{0x" + "f" * 5000 + ": 0}",
        "{'a': 0x" + "f" * 5000 + "}",
        "{}[(1 << 8000) * (1 << 8000)]",
        "{1: [].a[0x" + "f" * 5000 + "]}",
        "~0x" + "f" * 5000,
        "{}[2 ** 8191 * 2 ** 8191]",
    ],
)
def test_a_number_that_python_would_not_print_is_an_error_with_its_place(text: str) -> None:
    with pytest.raises(SettingsError) as told:
        evaluate(text, name="t", environ={})
    assert told.value.line == 1 and len(str(told.value)) < 500


def test_the_largest_numbers_are_printable_whatever_makes_them() -> None:
    for text in ("1 << 8191", "-(1 << 8191)", "2 ** 4095 * 2 ** 4095", "0x" + "f" * 2048):
        assert str(evaluate(text, name="t", environ={}).value)


@pytest.mark.parametrize(
    "text",
    [
        "'%(())2147483000d' % {'()': 1}",
        "'%((a)b)99999999s' % {'(a)b': 1}",
        "b'%(())2147483000d' % {b'()': 1}",
        "'%(a(b(c)d)e)s' % {'a(b(c)d)e': 1}",
    ],
)
def test_a_formats_key_with_parentheses_hides_no_width(text: str) -> None:
    with pytest.raises(SettingsError, match="too large"):
        evaluate(text, name="t", environ={})


def test_a_reason_that_tells_a_value_is_short() -> None:
    with pytest.raises(SettingsError) as told:
        evaluate("{}[('x' * 100000, 1)]", name="t", environ={})
    assert len(str(told.value)) < 500 and "KeyError" in str(told.value)
