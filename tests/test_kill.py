"""kill -9 at every file-system step of install, unpacking, keep limits and marks: the old state or the new, never
between.

Each step is a call that changes the file system, in a process of its own that is killed just before it, and in the
midst of it where it writes: half of the bytes are there then. The last run goes through. What a killed process leaves
is then used by the next command, which has to come out right.
"""

from __future__ import annotations

import builtins
import hashlib
import io
import json
import multiprocessing
import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from director.audit import Audit
from director.cache import Cache
from director.control import DirectorControl
from director.errors import NotValidated
from director.files import open_temporary
from director.store import Store
from director.tls.keys import SigningKey
from director.tls.naming import COMPLETE
from tests.trust_cases import Workshop

#: Calls that change the file system, by which everything here writes (pathlib, tempfile and shutil call these).
STEPS = (
    *("open", "write", "fsync", "replace", "rename", "unlink", "rmdir", "mkdir", "chmod"),
    *("fchown", "ftruncate", "link", "symlink", "truncate", "sendfile", "copy_file_range"),
)


def _killed_at(step: int, action: Callable[[], Any]) -> None:
    """Run an action in this process and kill it before its ``step``-th change of the file system."""
    left = [step]

    def count(torn: Callable[[], Any] = lambda: None) -> None:
        left[0] -= 1
        if left[0] == 0:
            torn()
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if real is WRITE:
                count()
                count(lambda: WRITE(args[0], args[1][: len(args[1]) // 2]))
            elif real is not OPEN or args[1] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                count()
            return real(*args, **kwargs)

        return call

    def opened(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if not set(mode) & set("wax+"):
            return STREAM(file, mode, *args, **kwargs)
        count()
        return Writing(STREAM(file, mode, *args, **kwargs), count)

    for name in STEPS:
        if hasattr(os, name):
            setattr(os, name, counted(getattr(os, name)))
    # What Path.open, Path.write_bytes and os.fdopen call, and what everybody else does (shutil.copyfile).
    io.open = builtins.open = opened
    action()


class Writing:
    """A stream that is written, each write in two steps: before it, and when half of it has reached the disk."""

    def __init__(self, stream: Any, count: Callable[..., None]) -> None:
        self._stream = stream
        self._count = count

    def write(self, data: Any) -> Any:
        self._count(self._stream.flush)
        self._count(lambda: (self._stream.write(data[: len(data) // 2]), self._stream.flush()))
        return self._stream.write(data)

    def __enter__(self) -> Writing:
        return self

    def __exit__(self, *told: object) -> None:
        self._stream.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


OPEN, STREAM, WRITE = os.open, io.open, os.write


def each_kill(action: Callable[[], Any], start: Path, check: Callable[[bool], None]) -> int:
    """Kill the action before each of its steps in turn; ``check`` is told whether it went through.

    Args:
        start: the directory whose state before the action is put back each time.

    Returns:
        how many steps there were.
    """
    aside = start.with_name(start.name + ".aside")
    shutil.copytree(start, aside, symlinks=True)
    context = multiprocessing.get_context("fork")
    for step in range(1, 400):
        shutil.rmtree(start)
        shutil.copytree(aside, start, symlinks=True)
        process = context.Process(target=_killed_at, args=(step, action))
        process.start()
        process.join(60)
        assert process.exitcode in {0, -signal.SIGKILL}, process.exitcode
        check(process.exitcode == 0)
        if process.exitcode == 0:
            return step - 1
    raise AssertionError("it never went through")


@pytest.fixture
def shop(tmp_path: Path, key: SigningKey) -> Workshop:
    """A director directory that has app 1.0 installed."""
    directory = tmp_path / "director"
    directory.mkdir()
    (directory / "sourcekey_tls.key").write_bytes(key.public_pem)
    made = Workshop(key, directory)
    (tmp_path / "app-1.0.tls").write_bytes(made.good(version="1.0"))
    DirectorControl(directory, environ={}).install(tmp_path / "app-1.0.tls")
    return made


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.glob("*") if not path.name.startswith(".")}


def test_install_of_a_new_version(shop: Workshop, tmp_path: Path) -> None:
    new = tmp_path / "app-2.0.tls"
    new.write_bytes(shop.good())
    placed = shop.directory / new.name

    def check(done: bool) -> None:
        control = DirectorControl(shop.directory, environ={})
        assert not done or placed.is_file()
        assert names(shop.directory) <= {"sourcekey_tls.key", "app-1.0.tls", "app-2.0.tls"}
        for group in control.store.available().values():
            for one in group:
                assert control.check(one.path).valid, "a file that is there is whole and accepted"
        control.install(new)  # the same command again comes out right, whatever the killed one left
        assert placed.read_bytes() == new.read_bytes() and control.check(placed).valid
        *before, last = Audit(control.state).path.read_text().splitlines()
        whole = [line for line in before if line.endswith("}")]
        assert len(before) - len(whole) <= 1, "a line that the kill cut short stands alone"
        assert {json.loads(line)["code"] for line in (*whole, last)} == {"valid"}

    assert each_kill(lambda: _install(shop, new), shop.directory, check) >= 12


def test_no_kill_leaves_a_mark_of_a_version_that_is_not_there(
    shop: Workshop, tmp_path: Path
) -> None:
    new, between = tmp_path / "app-2.0.tls", tmp_path / "app-1.5.tls"
    new.write_bytes(shop.good())
    between.write_bytes(shop.good(version="1.5"))

    def check(done: bool) -> None:
        control = DirectorControl(shop.directory, environ={})
        try:
            control.install(between)
            taken = True
        except NotValidated:
            taken = False
        placed = (shop.directory / new.name).is_file()
        assert placed or not done
        assert taken is not placed, "the old state or the new"

    assert each_kill(lambda: _install(shop, new), shop.directory, check) >= 12


def test_what_a_kill_left_staged_is_placed_by_load_and_refresh_if_it_was_accepted(
    shop: Workshop,
) -> None:
    control = DirectorControl(shop.directory, environ={})
    data = {"app-2.0.tls": shop.good(), "app-3.0.tls": shop.good(version="3.0")}
    for name, found in data.items():
        control.store.stage(name, found, hashlib.sha256(found).hexdigest())
    assert control.trust("install").admit(data["app-2.0.tls"], "app-2.0.tls").valid
    control.finish_installs()
    assert (shop.directory / "app-2.0.tls").read_bytes() == data["app-2.0.tls"]
    assert names(shop.directory) == {"sourcekey_tls.key", "app-1.0.tls", "app-2.0.tls"}


def _overwrite(target: Path, staged: Path) -> None:
    target.write_bytes(staged.read_bytes())


def _overwrite_by_descriptor(target: Path, staged: Path) -> None:
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.write(handle, staged.read_bytes())
    os.close(handle)


def _copy(target: Path, staged: Path) -> None:
    shutil.copyfile(staged, target)


def _remove_first(target: Path, staged: Path) -> None:
    target.unlink(missing_ok=True)
    staged.rename(target)


@pytest.mark.parametrize("harm", [_overwrite, _overwrite_by_descriptor, _copy, _remove_first])
def test_these_tests_see_a_place_that_is_written_otherwise_than_in_one_step(
    shop: Workshop,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    harm: Callable[[Path, Path], None],
) -> None:
    """Else they would prove nothing of the file that is there."""

    def place(store: Store, staged: Path) -> Path:
        target = store.directory / "app-1.0.tls"
        harm(target, staged)
        staged.unlink(missing_ok=True)
        return target

    monkeypatch.setattr(Store, "place", place)
    with pytest.raises((AssertionError, FileNotFoundError)):
        test_install_that_replaces_a_versions_bytes(shop, tmp_path)


def _install(shop: Workshop, path: Path, *, replace: bool = False) -> None:
    DirectorControl(shop.directory, environ={}).install(path, replace=replace)


def test_install_that_replaces_a_versions_bytes(shop: Workshop, tmp_path: Path) -> None:
    old = (shop.directory / "app-1.0.tls").read_bytes()
    new = tmp_path / "app-1.0.tls"
    new.write_bytes(shop.good(version="1.0", actors=()))

    def check(done: bool) -> None:
        control = DirectorControl(shop.directory, environ={})
        placed = shop.directory / "app-1.0.tls"
        held = placed.read_bytes()
        assert held == new.read_bytes() if done else held in {old, new.read_bytes()}
        assert control.check(placed).valid, "the old bytes and the new are both accepted in between"
        digest = hashlib.sha256(new.read_bytes()).hexdigest()
        written = Audit(control.state).path.read_text().splitlines()
        lines = [json.loads(one) for one in written if one.endswith("}")]  # the last may be cut
        told = [one["note"] for one in lines if one["sha256"] == digest]
        if digest in control.trust("load").accepted():
            assert told and "replace" in told[0], "a mark was made, and the log does not tell why"

    assert each_kill(lambda: _install(shop, new, replace=True), shop.directory, check) >= 12


def test_install_that_replaces_a_version_of_another_spelling(
    shop: Workshop, tmp_path: Path
) -> None:
    old, new = shop.directory / "app-1.0.tls", tmp_path / "app-1.tls"
    before = old.read_bytes()
    new.write_bytes(shop.good(version="1"))

    def counts() -> bytes:
        return DirectorControl(shop.directory, environ={}).store.find("app").path.read_bytes()

    def check(done: bool) -> None:
        control = DirectorControl(shop.directory, environ={})
        assert counts() in {before, new.read_bytes()}
        placed = (shop.directory / new.name).is_file()
        assert counts() == new.read_bytes() or not placed, "what was placed counts at once"
        assert old.exists() is not done
        control.finish_installs()
        held = counts()
        control.install(new, replace=held == before)
        assert names(shop.directory) == {"sourcekey_tls.key", new.name}
        assert counts() == new.read_bytes()

    assert each_kill(lambda: _install(shop, new, replace=True), shop.directory, check) >= 12


MEMBERS = {f"foo/m{number}.py": b"x = %d\n" % number for number in range(4)}


def members() -> Iterator[tuple[str, bytes]]:
    yield from MEMBERS.items()


def held(place: Path) -> dict[str, bytes]:
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob("*.py")
        if path.is_file()
    }


@pytest.mark.parametrize("before", ["nothing", "whole", "damaged", "incomplete"])
def test_unpacking(tmp_path: Path, before: str) -> None:
    state = tmp_path / "state"
    cache = Cache(state)
    if before == "nothing":
        state.mkdir(mode=0o700)
    else:
        place = cache.fill("ab" * 32, members())
        if before != "whole":
            (place / "foo" / "m1.py").write_bytes(b"harmed")
        if before == "incomplete":
            (place / COMPLETE).unlink()

    def check(done: bool) -> None:
        place = cache.place("ab" * 32)
        if (place / COMPLETE).is_file() and before != "damaged":
            assert held(place) == MEMBERS, "the marker stands only on what is whole"
        assert cache.fill("ab" * 32, members()) == place and held(place) == MEMBERS
        assert [one.name for one in cache.root.iterdir()] == [place.name]

    steps = each_kill(lambda: cache.fill("ab" * 32, members()), state, check)
    assert steps >= (1 if before == "whole" else 4)


def test_forgetting(tmp_path: Path) -> None:
    state = tmp_path / "state"
    cache = Cache(state)
    cache.fill("ab" * 32, members())

    def check(done: bool) -> None:
        place = cache.place("ab" * 32)
        assert not place.exists() or held(place) == MEMBERS
        cache.forget("ab" * 32)
        cache.sweep()
        assert list(cache.root.iterdir()) == []

    assert each_kill(lambda: cache.forget("ab" * 32), state, check) >= 4


def test_keep_limits(shop: Workshop) -> None:
    store = Store(shop.directory, shop.directory / ".state")
    for version in ("1.1", "1.2", "1.3"):
        (shop.directory / f"app-{version}.tls").write_bytes(shop.good(version=version))
    newest = shop.directory / "app-1.3.tls"

    def check(done: bool) -> None:
        left = [str(one.version) for one in store.available()["app"]]
        assert left[0] == "1.3" and left == sorted(left, reverse=True)
        store.keep_newest("app", 1, newest)
        assert [one.version for one in store.available()["app"]] == ["1.3"]

    assert each_kill(lambda: store.keep_newest("app", 1, newest), shop.directory, check) == 3


def test_temporary_files_that_killed_installs_left_go_when_they_are_old(
    shop: Workshop, tmp_path: Path
) -> None:
    def left(name: str) -> Path:
        handle, path = open_temporary(shop.directory / name)
        os.close(handle)
        return path

    staged = f".app-1.4.tls.{'ab' * 32}.staged"
    old = [left("app-1.5.tls"), left("app.tli"), left(staged), shop.directory / staged]
    young = left("app-1.6.tls")
    mine = [
        ".app-0.9.tls.keep",
        ".app-0.9.tls.abcd1234",
        f".app-0.9.tls.{'ab' * 32}",
        ".x.unfinished",
    ]
    operators = [shop.directory / name for name in mine]
    for path in (*old, young, *operators):
        path.write_bytes(b"half")
        if path is not young:
            os.utime(path, (1, 1))
    new = tmp_path / "app-2.0.tls"
    new.write_bytes(shop.good())
    _install(shop, new)
    assert not any(path.exists() for path in old) and young.exists()
    assert all(path.exists() for path in operators), "nobody else's hidden files are touched"


# ---- full disk, concurrent commands ------------------------------------------------------------------


def _with_a_full_disk(shop: Workshop, path: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = path.stat().st_size - 1  # enough for the marks
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with pytest.raises(OSError):
        _install(shop, path)


def test_a_full_disk_leaves_the_old_state(shop: Workshop, tmp_path: Path) -> None:
    new = tmp_path / "app-2.0.tls"
    new.write_bytes(shop.good())
    process = multiprocessing.get_context("fork").Process(
        target=_with_a_full_disk, args=(shop, new)
    )
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert names(shop.directory) == {"sourcekey_tls.key", "app-1.0.tls"}
    assert not list(shop.directory.glob(".app*")), "no temporary file stays"
    last = Audit(shop.directory / ".state").path.read_text().splitlines()[-1]
    assert json.loads(last)["verdict"] == "failed"
    between = tmp_path / "app-1.5.tls"
    between.write_bytes(shop.good(version="1.5"))
    _install(shop, between)  # 2.0 was not seen
    _install(shop, new)


def test_commands_at_once_all_come_out_right(shop: Workshop, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    paths = []
    for number in range(6):
        folder = tmp_path / str(number)
        folder.mkdir()
        paths.append(folder / f"app-2.{number}.tls")
        paths[-1].write_bytes(shop.good(version=f"2.{number}"))
    started = [context.Process(target=_quiet_install, args=(shop, path)) for path in paths]
    for process in started:
        process.start()
    for process in started:
        process.join(60)
        assert process.exitcode in {0, 7}  # 7: a higher version was quicker
    control = DirectorControl(shop.directory, environ={})
    placed = sorted(path for path in shop.directory.glob("app-2.*.tls"))
    assert placed[-1].name == "app-2.5.tls" and all(control.check(path).valid for path in placed)
    book = control.trust("test").marks.read()
    accepted = {hashlib.sha256(path.read_bytes()).hexdigest() for path in placed}
    assert accepted <= set(book.accepted)


def _quiet_install(shop: Workshop, path: Path) -> None:
    from director.errors import NotValidated

    try:
        _install(shop, path)
    except NotValidated:
        os._exit(7)
