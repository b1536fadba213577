"""What can be told of sources without running them: syntax, habits of old releases, the classes that the TLI names."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator, Mapping

from director.settings.tli import Tli
from director.tls.archive import Member
from hatch_thespian.problems import Problems

_MEND = "Mend or exclude it."
_TLI_HINT = "Mend the TLI or the sources."
#: Modules that Thespian had once, and what stands in their place.
_GONE = {"thespian.importlib": "importlib, which works here as everywhere"}


def tree_of(member: Member) -> ast.Module:
    """The syntax tree of a Python member.

    Raises:
        SyntaxError, ValueError, RecursionError: it is no Python.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(member.data, filename=member.name)


def check_sources(members: Iterable[Member], problems: Problems) -> None:
    """Every Python file of the project has to be Python of today; it is compiled, and never run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for member in members:
            if member.name.endswith(".py"):
                _check_source(member, problems)


def _check_source(member: Member, problems: Problems) -> None:
    try:
        compile(member.data, member.name, "exec", dont_inherit=True)
    except SyntaxError as problem:
        place = f"{member.name}:{problem.lineno or 1}:{problem.offset or 1}"
        problems.add(f"{place}: {problem.msg}.", hint=_MEND, code="syntax")
    except (ValueError, RecursionError, MemoryError) as problem:
        problems.add(f"{member.name}: {problem}.", hint=_MEND, code="syntax")
    else:
        if b"importlib" in member.data:  # few have it, and a tree takes time
            for line, name in _habits(tree_of(member)):
                text = f"{member.name}:{line}: there is no {name} any more."
                problems.add(text, hint=f"Import {_GONE[name]}.", code="old-habit")


def _habits(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Imports of what is gone; one within ``try`` is prepared for that."""
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Try):
            continue
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            base = node.module or ""
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in names:
            if name in _GONE:
                yield getattr(node, "lineno", 1), name
                break
        stack.extend(ast.iter_child_nodes(node))


def check_actors(
    tli: Tli,
    members: Mapping[str, Member],
    file: str,
    problems: Problems,
    *,
    complete: bool = True,
) -> None:
    """Each class that the TLI names has to be in a module of the source.

    Args:
        members: by name.
        file: the TLI, for messages.
        complete: False where members are missing for another reason, so that only those that are there are judged.
    """
    for actor in tli.actors:
        module, _, class_name = actor.class_name.rpartition(".")
        path = module.replace(".", "/")
        found = members.get(f"{path}.py") or members.get(f"{path}/__init__.py")
        where = f"{file}: {actor.class_name}"
        if found is None:
            if complete and not any(
                name.startswith(f"{path}.") for name in members
            ):  # a compiled module
                text = f"{where}: no member {path}.py is selected."
                problems.add(text, hint=_TLI_HINT, code="actors")
            continue
        try:
            names = top_names(tree_of(found))
        except (SyntaxError, ValueError, RecursionError):
            continue  # told already
        if class_name not in names and not names & {"*", "__getattr__"}:
            text = f"{where}: {found.name} defines no {class_name}."
            problems.add(text, hint=_TLI_HINT, code="actors")


def top_names(tree: ast.Module) -> set[str]:
    """The names that a module may define at its top level; ``*`` where another module decides."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                found.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found |= {alias.asname or alias.name.partition(".")[0] for alias in names}
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
    return found
