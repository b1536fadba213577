"""Byte code behind the activation: a process that is quiet, and gone when its directory goes."""

from __future__ import annotations

import time
from pathlib import Path

from director.actors.bytecode import Compilers, compile_tree


def tree(folder: Path, modules: int) -> Path:
    for number in range(modules):
        (folder / "app").mkdir(exist_ok=True)
        (folder / "app" / f"m{number}.py").write_text(f"X = {number}\n" * 50)
    (folder / "app" / "broken.py").write_text("this is no Python\n")
    return folder


def compiled(folder: Path) -> int:
    return len(list(folder.rglob("*.pyc")))


def test_what_compiles_is_compiled_and_what_does_not_is_left(tmp_path: Path) -> None:
    compile_tree(tree(tmp_path, 3))
    assert compiled(tmp_path) == 3


def test_a_process_compiles_and_ends(tmp_path: Path) -> None:
    compilers = Compilers()
    compilers.start(str(tree(tmp_path, 20)))
    deadline = time.monotonic() + 20
    while compiled(tmp_path) < 20:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    while compilers._running:
        assert time.monotonic() < deadline
        time.sleep(0.02)
        compilers.reap()


def test_nothing_is_written_once_it_was_stopped(tmp_path: Path) -> None:
    compilers = Compilers()
    compilers.start(str(tree(tmp_path, 1500)))
    deadline = time.monotonic() + 20
    while not compiled(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    compilers.stop(str(tmp_path))
    before = compiled(tmp_path)
    assert before < 1500
    time.sleep(0.2)
    assert compiled(tmp_path) == before
