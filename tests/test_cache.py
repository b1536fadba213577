"""The unpacked cache: private, checked before it is used again, and gone when nobody uses it."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
import sys
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from director import tree
from director.actors import runtime
from director.cache import Cache
from director.errors import DamagedArchive, DirectorError
from director.tls.naming import COMPLETE, UNLOADED

SHA = "ab" * 32
MEMBERS = {"TLS-INF/manifest.json": b"{}", "foo/__init__.py": b"", "foo/bar.py": b"x = 1\n"}


def members() -> Iterator[tuple[str, bytes]]:
    yield from MEMBERS.items()


def held(place: Path) -> dict[str, bytes]:
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob("*")
        if not path.is_dir() and path.name != COMPLETE
    }


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "state")


def test_it_holds_what_came_in_and_only_its_owner_can_enter(cache: Cache) -> None:
    place = cache.fill(SHA, members())
    assert place == cache.place(SHA) and held(place) == MEMBERS
    for directory in (cache.state, cache.root, place):
        assert directory.stat().st_mode & 0o777 == 0o700


def test_byte_code_stays_when_it_is_used_again(cache: Cache) -> None:
    place = cache.fill(SHA, members())
    (place / "foo" / "__pycache__").mkdir()
    code = place / "foo" / "__pycache__" / "bar.pyc"
    code.write_bytes(b"code")
    before = (place / "foo" / "bar.py").stat().st_mtime_ns
    assert cache.fill(SHA, members()) == place
    assert code.is_file() and (place / "foo" / "bar.py").stat().st_mtime_ns == before


def _change(place: Path) -> None:
    (place / "foo" / "bar.py").write_bytes(b"x = 2\n")


def _cut(place: Path) -> None:
    (place / "foo" / "bar.py").write_bytes(b"")


def _remove(place: Path) -> None:
    (place / "foo" / "bar.py").unlink()


def _add(place: Path) -> None:
    (place / "foo" / "evil.py").write_bytes(b"evil")
    (place / "json").mkdir()
    (place / "json" / "__init__.py").write_bytes(b"evil")


def _link(place: Path) -> None:
    other = place.parent.parent / "other.py"
    other.write_bytes(b"x = 1\n")
    (place / "foo" / "bar.py").unlink()
    (place / "foo" / "bar.py").symlink_to(other)


def _link_directory(place: Path) -> None:
    (place / "more").symlink_to(place / "foo")


def _directory(place: Path) -> None:
    (place / "foo" / "bar.py").unlink()
    (place / "foo" / "bar.py").mkdir()


def _link_the_package(place: Path) -> None:
    (place / "foo").rename(place.parent.parent / "elsewhere")
    (place / "foo").symlink_to(place.parent.parent / "elsewhere")


def _file_for_directory(place: Path) -> None:
    (place / "foo" / "bar.py").unlink()
    (place / "foo" / "__init__.py").unlink()
    (place / "foo").rmdir()
    (place / "foo").write_bytes(b"")


def _fifo(place: Path) -> None:
    (place / "foo" / "bar.py").unlink()
    os.mkfifo(place / "foo" / "bar.py")
    os.mkfifo(place / "more.py")


def _same_size_and_time(place: Path) -> None:
    file = place / "foo" / "bar.py"
    told = file.stat()
    file.write_bytes(b"x = 3\n")
    os.utime(file, ns=(told.st_atime_ns, told.st_mtime_ns))


def _open_up(place: Path) -> None:
    (place / "foo").chmod(0o777)
    _add(place)


def _incomplete(place: Path) -> None:
    (place / COMPLETE).unlink()
    _cut(place)


@pytest.mark.parametrize(
    "harm",
    [
        _change,
        _cut,
        _remove,
        _add,
        _link,
        _link_directory,
        _link_the_package,
        _directory,
        _file_for_directory,
        _fifo,
        _same_size_and_time,
        _open_up,
        _incomplete,
    ],
)
def test_what_was_changed_is_put_right_before_it_is_used(cache: Cache, harm: object) -> None:
    place = cache.fill(SHA, members())
    assert callable(harm)
    harm(place)
    cache.fill(SHA, members())
    assert held(place) == MEMBERS and not any(p.is_symlink() for p in place.rglob("*"))
    assert not (place / "foo").stat().st_mode & 0o022
    assert [one.name for one in cache.root.iterdir()] == [SHA]


def test_a_mask_of_the_process_opens_nothing(cache: Cache) -> None:
    before = os.umask(0)
    try:
        place = cache.fill(SHA, iter([("foo/deep/er/__init__.py", b"")]))
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in place.rglob("*")}
    assert modes == {0o700, 0o600}


def _flags(directory: Path) -> int:
    import fcntl

    handle = os.open(directory, os.O_RDONLY)
    try:
        told = fcntl.ioctl(handle, tree._GET_FLAGS, bytes(tree._LONG))
    except OSError:
        pytest.skip("this file system has no such flags")
    finally:
        os.close(handle)
    return int.from_bytes(told, sys.byteorder)


@pytest.mark.skipif(sys.platform != "linux", reason="a flag of Linux")
def test_unpacked_sources_are_spread_over_the_disk(cache: Cache) -> None:
    place = cache.fill(SHA, members())
    if not _flags(cache.root) & 0x20000:
        pytest.skip("this file system does not have it")
    assert not _flags(place) & 0x20000, "one source stays together"


def test_a_file_system_that_spreads_nothing_is_no_obstacle(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "_GET_FLAGS", 0)
    assert held(cache.fill(SHA, members())) == MEMBERS


def test_members_that_turn_out_wrong_leave_nothing(cache: Cache) -> None:
    def broken() -> Iterator[tuple[str, bytes]]:
        yield "foo/__init__.py", b""
        raise DamagedArchive("broken")

    with pytest.raises(DamagedArchive):
        cache.fill(SHA, broken())
    assert list(cache.root.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_cache_of_somebody_else_is_not_used(cache: Cache) -> None:
    cache.fill(SHA, members())
    os.chown(cache.root, 12345, 12345)
    with pytest.raises(DirectorError) as caught:
        cache.fill(SHA, members())
    assert caught.value.code == "cache"


def test_a_loosened_directory_is_closed_again(cache: Cache) -> None:
    cache.fill(SHA, members())
    cache.root.chmod(0o755)
    cache.fill(SHA, members())
    assert cache.root.stat().st_mode & 0o777 == 0o700


def test_left_overs_of_killed_processes_go(cache: Cache) -> None:
    cache.fill(SHA, members())
    (cache.root / ".abandoned-1").mkdir()
    cache.fill("cd" * 32, members())
    assert not list(cache.root.glob(".*"))


def _use(place: str, ready: Event, done: Event) -> None:
    runtime._hold(place)
    if os.fork() == 0:  # a child of the actor's process, which outlives it
        ready.set()
        done.wait(30)
        os._exit(0)
    os._exit(0)


def test_it_goes_only_when_the_last_process_that_uses_it_has_gone(cache: Cache) -> None:
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    place = cache.fill(SHA, members())
    process = context.Process(target=_use, args=(str(place), ready, done))
    process.start()
    assert ready.wait(20) and process.pid is not None
    os.waitpid(process.pid, 0)  # join() would wait for the grandchild, which holds its pipe too
    assert not cache.forget(SHA) and held(place) | {UNLOADED: b""} == MEMBERS | {UNLOADED: b""}
    cache.tidy(set())
    assert place.is_dir(), "still in use"
    done.set()
    for _ in range(400):
        cache.tidy({SHA})
        if not place.is_dir():
            return
        signal.sigtimedwait([], 0.02)
    raise AssertionError("it never went")


def test_forgotten_and_loaded_again_it_stays(cache: Cache) -> None:
    place = cache.fill(SHA, members())
    (place / UNLOADED).touch()
    (cache.root / f"{SHA}.errors").mkdir()
    assert cache.forget(SHA) and not place.exists() and list(cache.root.iterdir()) == []
    cache.fill(SHA, members())
    cache.tidy({SHA})
    assert place.is_dir()
    cache.tidy(set())
    assert not place.exists()


def _with_a_full_disk(cache: Cache) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    with pytest.raises(OSError):
        cache.fill(SHA, iter([("foo/__init__.py", b""), ("foo/big.bin", b"x" * 5000)]))


def test_a_full_disk_leaves_nothing(cache: Cache) -> None:
    process = multiprocessing.get_context("fork").Process(target=_with_a_full_disk, args=(cache,))
    process.start()
    process.join(30)
    assert process.exitcode == 0 and list(cache.root.iterdir()) == []


def test_processes_that_fill_at_once_get_the_same_whole_directory(cache: Cache) -> None:
    context = multiprocessing.get_context("fork")
    started = [context.Process(target=cache.fill, args=(SHA, members())) for _ in range(6)]
    for process in started:
        process.start()
    for process in started:
        process.join(30)
        assert process.exitcode == 0
    assert held(cache.place(SHA)) == MEMBERS and [p.name for p in cache.root.iterdir()] == [SHA]


def _byte_code(place: Path) -> None:
    """What byte code that was changed would be like; Python would take it, for the source's time and size fit."""
    compiled = place / "foo" / "__pycache__" / "bar.cpython-311.pyc"
    compiled.parent.mkdir()
    compiled.write_bytes(b"evil")
    compiled.parent.chmod(0o777)


def _swap(place: Path) -> None:
    """The whole source is moved away and a link to an attacker's stands in its place."""
    evil = place.parent.parent / "evil"
    shutil.copytree(place, evil)
    (evil / "foo" / "bar.py").write_bytes(b"x = 6\n")
    shutil.rmtree(place)
    place.symlink_to(evil)


def _swap_package(place: Path) -> None:
    evil = place.parent.parent / "evil"
    evil.mkdir()
    (evil / "bar.py").write_bytes(b"x = 6\n")
    shutil.rmtree(place / "foo")
    (place / "foo").symlink_to(evil)


@pytest.mark.parametrize("harm", [_byte_code, _swap, _swap_package])
def test_where_somebody_else_could_write_all_is_made_anew(cache: Cache, harm: object) -> None:
    place = cache.fill(SHA, members())
    assert callable(harm)
    harm(place)
    assert cache.fill(SHA, members()) == place
    assert held(place) == MEMBERS and not place.is_symlink()
    assert not any(path.is_symlink() for path in place.rglob("*"))


@pytest.mark.parametrize("name", ["unpacked", ""])
def test_a_link_in_the_place_of_the_cache_itself_is_not_used(
    cache: Cache, tmp_path: Path, name: str
) -> None:
    (tmp_path / "evil").mkdir(mode=0o700)
    place = cache.state / name
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(tmp_path / "evil")
    with pytest.raises(DirectorError) as caught:
        cache.fill(SHA, members())
    assert caught.value.code == "cache" and not list((tmp_path / "evil").rglob("*.py"))


def test_a_name_of_the_longest_kind_is_mended(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "state")
    name = "app/" + "x" * 252 + ".py"
    place = cache.fill(SHA, iter([(name, b"x = 1")]))
    (place / name).write_bytes(b"harmed")
    assert cache.fill(SHA, iter([(name, b"x = 1")])) == place
    assert (place / name).read_bytes() == b"x = 1"
