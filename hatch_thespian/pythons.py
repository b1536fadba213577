"""Whether what was resolved for one Python is whole on the others that a source admits.

pip resolves for the Python that it runs on. On another, requirements may ask for more (``python_version`` in their
markers), and a version that was chosen here may not run. What lives here: which Pythons lack something then, and a
``requires-python`` that leaves them out. Pure: no I/O.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from hatch_thespian.distributions import Dist, reach

#: Minor versions of Python 3 that are looked at: those that are supported, and some that are to come.
MINORS = range(11, 20)


def lacks(
    find: Callable[[str], Dist | None],
    roots: Sequence[Requirement],
    external: Iterable[str] = (),
    *,
    here: int = sys.version_info.minor,
) -> dict[int, tuple[str, ...]]:
    """What is not bundled that other Pythons need.

    Args:
        find: gives the bundled distribution of a key, or None.
        roots: what was requested.
        external: names of what hosts have.
        here: the minor version that all this was resolved for.

    Returns:
        by minor version of Python 3 what it lacks, as sentences without a stop.
    """
    external = list(external)
    found: dict[int, tuple[str, ...]] = {}
    for minor in MINORS:
        if minor != here:
            told = reach(find, roots, external, python=f"3.{minor}").unmet
            if told:
                found[minor] = told
    return found


def narrowed(requires_python: str, lacking: Mapping[int, Sequence[str]]) -> tuple[str, list[str]]:
    """A ``requires-python`` without the Pythons that lack something, and a sentence for each thing that they lack.

    Args:
        requires_python: what the project says (PEP 440).
        lacking: as `lacks` gives it.

    Returns:
        it as it was where no Python would remain, or none is to be left out.
    """
    told = SpecifierSet(requires_python)
    admitted = [one for one in MINORS if told.contains(f"3.{one}.99") or told.contains(f"3.{one}")]
    good = [one for one in admitted if one not in lacking]
    if not good or len(good) == len(admitted):
        return requires_python, []
    bad = [one for one in admitted if one in lacking]
    clauses = [f"!=3.{one}.*" for one in bad if good[0] < one < good[-1]]
    if bad[0] < good[0]:
        clauses.insert(0, f">=3.{good[0]}")
    if bad[-1] > good[-1]:
        clauses.append(f"<3.{good[-1] + 1}")
    result = ",".join(one for one in (requires_python.strip(), *clauses) if one)
    where: dict[str, list[int]] = {}
    for minor in bad:
        for one in lacking[minor]:
            where.setdefault(one, []).append(minor)
    return result, [
        f"On Python {_listed(minors)} {one}: the file is for Python {result}. To have it on all, "
        "name in deps what is missing, or a version that fits."
        for one, minors in where.items()
    ]


def _listed(minors: Sequence[int]) -> str:
    """``3.12``, ``3.12 and 3.13``, ``3.12 and later``."""
    first = minors[0]
    if len(minors) > 1 and list(minors) == list(range(first, MINORS[-1] + 1)):
        return f"3.{first} and later"
    texts = [f"3.{one}" for one in minors]
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)
