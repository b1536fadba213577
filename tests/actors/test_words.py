"""What a process of a source leaves about its start."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from director.actors.words import (
    FRESH,
    Start,
    authors_traceback,
    clear,
    folder_of,
    last_words,
    leave_word,
    starts,
)


def child(directory: Path, then: str) -> int:
    """A process that leaves a mark and does something; its id."""
    script = (
        "import sys\n"
        "from director.actors.words import leave_mark, leave_word\n"
        "leave_mark(sys.argv[1], 'app.Actor')\n" + then
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(directory)], stderr=subprocess.DEVNULL
    )
    process.wait(20)
    return process.pid


def test_a_process_that_ends_without_a_word_is_known_by_its_mark(tmp_path: Path) -> None:
    pid = child(tmp_path / "source", "import os; os._exit(3)")
    assert starts(tmp_path / "source") == [Start(pid, "app.Actor", False)]
    clear(tmp_path / "source", pid)
    assert starts(tmp_path / "source") == []


def test_a_living_one_is_alive(tmp_path: Path) -> None:
    folder_of(tmp_path / "source").mkdir()
    (folder_of(tmp_path / "source") / f"{os.getpid()}.start").write_text("app.Actor")
    assert starts(tmp_path / "source") == [Start(os.getpid(), "app.Actor", True)]


@pytest.mark.parametrize(
    ("raised", "last"),
    [
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise GeneratorExit('why')", "GeneratorExit: why"),
        ("class Own(BaseException): pass\n    raise Own(3)", "Own: 3"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_what_is_no_exception_leaves_its_traceback_like_one(
    tmp_path: Path, raised: str, last: str
) -> None:
    """As Thespian makes an actor's process: by multiprocessing, and nothing catches what is no Exception."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "work.py").write_text(f"def work():\n    {raised}\n")
    script = (
        "import multiprocessing, sys\n"
        "from director.actors.words import leave_mark\n"
        "def actor():\n"
        "    sys.path.insert(0, sys.argv[1])\n"
        "    leave_mark(sys.argv[1], 'app.Actor')\n"
        "    import work; work.work()\n"
        "process = multiprocessing.get_context('fork').Process(target=actor)\n"
        "process.start(); process.join()\n"
    )
    command = [sys.executable, "-c", script, str(source)]
    subprocess.run(command, stderr=subprocess.DEVNULL, timeout=30, check=True)
    told = last_words(source)
    assert told.splitlines()[-1].endswith(last) and "work.py" in told
    assert "multiprocessing" not in told, "it begins with the author's own frame"


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGFPE"])
def test_a_crash_ends_the_process_and_tells_where(tmp_path: Path, name: str) -> None:
    # As Thespian does it: a handler in Python for every signal.
    then = (
        "import os, signal\n"
        "def crash():\n"
        f"    os.kill(os.getpid(), signal.{name})\n"
        "crash()\nimport time\ntime.sleep(30)\n"
    )
    child(tmp_path / "source", then)
    assert "in crash" in last_words(tmp_path / "source")
    assert last_words(tmp_path / "source") == "", "they are read once"


def test_the_last_word_counts(tmp_path: Path) -> None:
    child(tmp_path / "source", "leave_word(sys.argv[1], 'first')")
    time.sleep(0.01)
    leave_word(str(tmp_path / "source"), "second")
    assert last_words(tmp_path / "source") == "second"


def test_old_marks_go(tmp_path: Path) -> None:
    child(tmp_path / "source", "")
    for path in folder_of(tmp_path / "source").iterdir():
        os.utime(path, (time.time() - FRESH - 1,) * 2)
    assert starts(tmp_path / "source") == []
    # The one of its group stays as long as a process may be in that.
    assert [path.suffix for path in folder_of(tmp_path / "source").iterdir()] == [".group"]


def test_no_folder_is_no_word(tmp_path: Path) -> None:
    assert last_words(tmp_path / "none") == "" and starts(tmp_path / "none") == []


def test_a_traceback_begins_with_the_authors_own_frames_in_what_is_chained_too(
    tmp_path: Path,
) -> None:
    code = compile(
        "def inner():\n    raise KeyError('no luck')\n"
        "def outer():\n    try:\n        inner()\n"
        "    except KeyError as problem:\n        raise ValueError('worse') from problem\n"
        "outer()\n",
        str(tmp_path / "work.py"),
        "exec",
    )
    with pytest.raises(ValueError, match="worse") as raised:
        exec(code, {})  # noqa: S102 - written above
    told = authors_traceback(raised.value, tmp_path)
    assert "test_words.py" not in told and "no luck" in told and told.endswith("worse\n")
    assert told.count("work.py") == 4
    whole = authors_traceback(raised.value, tmp_path / "elsewhere")
    assert "test_words.py" in whole, "better than none at all"
