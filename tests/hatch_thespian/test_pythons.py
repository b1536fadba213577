"""What other Pythons would lack, and a requires-python that leaves them out."""

from __future__ import annotations

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from hatch_thespian.distributions import Dist
from hatch_thespian.pythons import MINORS, lacks, narrowed


def found(
    requires: dict[str, list[str]], *roots: str, here: int = 12, external: tuple[str, ...] = ()
) -> dict[int, tuple[str, ...]]:
    dists = {
        name: Dist(name, "1.0", "MIT", "", tuple(map(Requirement, told)), ())
        for name, told in requires.items()
    }
    return lacks(dists.get, list(map(Requirement, roots)), external, here=here)


def test_a_requirement_of_another_python_that_is_not_bundled_is_found_with_who_has_it() -> None:
    told = found({"a": ["b"], "b": ["late; python_version >= '3.13'"]}, "a")
    assert sorted(told) == list(range(13, 20))
    assert told[13] == ("b needs late, which is not bundled",)
    early = found({"a": ["tomli>1; python_full_version < '3.12'"]}, "a", "b; python_version<'3.12'")
    assert early == {
        11: ("a needs tomli>1, which is not bundled", "deps needs b, which is not bundled")
    }


def test_what_is_bundled_external_or_for_this_python_lacks_nothing() -> None:
    late = "late; python_version >= '3.13'"
    assert found({"a": [late], "late": []}, "a") == {}
    assert found({"a": [late]}, "a", external=("late",)) == {}
    assert set(found({"a": ["x; python_version == '3.12'"]}, "a")) == set()
    assert found({"a": ["x; sys_platform == 'amiga'"]}, "a") == {}


def test_another_version_than_is_bundled_is_found() -> None:
    told = found({"a": ["b>=2; python_version >= '3.14'", "b>=1"], "b": []}, "a")
    assert sorted(told) == list(range(14, 20))
    assert told[14] == ("a needs b>=2, and 1.0 is bundled",)


@pytest.mark.parametrize(
    ("python", "lacking"),
    [(">=3.12", [11]), ("<3.14", list(range(14, 20))), (">=3.6.*", []), ("", []), (">=3.11.4", [])],
)
def test_a_version_that_does_not_run_there_is_found(python: str, lacking: list[int]) -> None:
    dist = Dist("a", "1.0", "MIT", "", (), (), python=python)
    told = lacks({"a": dist}.get, [Requirement("a")], here=13)
    assert sorted(told) == lacking
    for sentence in told.values():
        assert sentence == (f"a 1.0 does not run, since it needs Python {python}",)


@pytest.mark.parametrize(
    ("told", "bad", "expected", "where"),
    [
        (">=3.11", range(12, 20), ">=3.11,<3.12", "3.12 and later"),
        (">=3.11", [11], ">=3.11,>=3.12", "3.11"),
        ("", [11, 13], ">=3.12,!=3.13.*", "3.11 and 3.13"),
        (">=3.11,<3.14", [12, 13], ">=3.11,<3.14,<3.12", "3.12 and 3.13"),
        (">=3.11.4", [12, 14, 19], ">=3.11.4,!=3.12.*,!=3.14.*,<3.19", "3.12, 3.14 and 3.19"),
        ("<3.12", [13], "<3.12", ""),
        (">=3.11", [], ">=3.11", ""),
        ("==3.13.*", [13], "==3.13.*", ""),
        (">=4", [13], ">=4", ""),
    ],
)
def test_the_pythons_that_lack_something_are_left_out(
    told: str, bad: list[int], expected: str, where: str
) -> None:
    result, sentences = narrowed(told, dict.fromkeys(bad, ("a needs b, which is not bundled",)))
    assert result == expected
    if where:
        (sentence,) = sentences
        assert sentence.startswith(f"On Python {where} a needs b, which is not bundled: the file")
        assert result in sentence and "deps" in sentence
        admitted = [one for one in MINORS if SpecifierSet(told).contains(f"3.{one}.99")]
        left = [one for one in admitted if SpecifierSet(result).contains(f"3.{one}.99")]
        assert left == [one for one in admitted if one not in bad]
    else:
        assert sentences == []
