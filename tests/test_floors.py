"""The house's floors: a room imports only rooms below it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

FLOORS = [
    {
        "director.convention",
        "director.errors",
        "director.escape",
        "director.files",
        "director.journal",
        "director.logfilter",
        "director.streams",
        "director.tree",
    },
    {"director.tls"},
    {"director.settings"},
    {
        "director.audit",
        "director.cache",
        "director.kernel",
        "director.launch",
        "director.marks",
        "director.service",
        "director.store",
        "director.system",
    },
    {
        "director.choice",
        "director.history",
        "director.loading",
        "director.logs",
        "director.unitlog",
        "director.pins",
    },
    {"director.decisions", "director.policy", "director.trust"},
    {"director.actors"},
    {"director.client"},
    {"director.connection", "director.roles", "director.report"},
    {"director.doctor"},
    {"director.control", "director.documents", "director.page", "director.tables", "director.text"},
    {"director.notify", "director.startup", "director.telling"},
    {"director.boot", "director.foreground", "director.logpipe"},
    {"director.demo"},
    {"director.cli"},
    {"director.commands"},
]
#: Entry points and the package's front door may reach any floor, but only when asked (lazily).
FRONT_DOORS = {"director", "director.__main__"}
#: Commands that build: they import the build side, and only within a function, when they are asked for.
MAY_BUILD = {"director.control.files"}
#: Used by other modules' processes before anything else may be imported: standard library only.
STDLIB_ONLY = {
    "director.actors",
    "director.actors.boundary",
    "director.actors.known",
    "director.actors.placement",
    "director.actors.runtime",
    "director.actors.words",
    "director.convention",
    "director.errors",
    "director.files",
}


def modules() -> list[tuple[str, Path]]:
    found = []
    for package in ("director", "hatch_thespian"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found.append((name, path))
    return found


def floor_of(module: str) -> int | None:
    for height, rooms in enumerate(FLOORS):
        if any(module == room or module.startswith(room + ".") for room in rooms):
            return height
    return None


def imports_of(name: str, path: Path) -> set[str]:
    found = set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parent, base]).rstrip(".")
            found.add(base)
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def top_imports_of(path: Path) -> set[str]:
    """What a module imports as soon as it is imported itself."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize(("name", "path"), modules(), ids=lambda value: str(value)[-40:])
def test_a_room_imports_only_rooms_below_it(name: str, path: Path) -> None:
    if name in FRONT_DOORS:
        return
    own = floor_of(name)
    for target in imports_of(name, path):
        if target.startswith("hatch_thespian"):
            allowed = own is None or (name in MAY_BUILD and target not in top_imports_of(path))
            assert allowed, f"{name} (run side) imports the build side: {target}"
        height = floor_of(target)
        if own is not None and height is not None:
            assert height <= own, f"{name} imports {target}, which lies on a floor above it"
        if name.startswith("hatch_thespian") and height is not None:
            assert height <= FLOORS.index({"director.settings"}), (
                f"the build side imports the run side: {name} → {target}"
            )


@pytest.mark.parametrize("name", sorted(STDLIB_ONLY))
def test_what_runs_before_everything_else_needs_only_the_standard_library(name: str) -> None:
    import sys

    for module, path in modules():
        if module == name:
            outside = {
                target
                for target in imports_of(name, path)
                if target.partition(".")[0] not in sys.stdlib_module_names
                and not any(target == room or target.startswith(room + ".") for room in STDLIB_ONLY)
            }
            assert not outside, f"{name} imports {outside}"


def test_the_admin_and_its_forks_the_actors_live_without_what_the_director_and_the_authority_need() -> (
    None
):
    code = "import director.actors.host, director.actors.doors, director.actors.introducer, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    heavy = {
        "cryptography",
        "zipfile",
        "compileall",
        "packaging",
        "director.trust",
        "director.actors.groups",
    }
    assert not heavy & set(done.stdout.decode().split())
