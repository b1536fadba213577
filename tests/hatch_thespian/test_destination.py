"""Publishing: the whole file or none, and never over other bytes of the same version."""

from __future__ import annotations

import builtins
import threading
from pathlib import Path
from typing import Any

import fsspec
import pytest

from director.errors import DirectorError
from director.tls.archive import Member, write_archive
from director.tls.container import seal
from director.tls.keys import SigningKey
from hatch_thespian.destination import check_whole, publish_file


@pytest.fixture(params=["path", "file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A directory, the same as a URL, and a file system of fsspec's."""
    place = {"path": str(tmp_path), "file": tmp_path.as_uri(), "memory": f"memory://{tmp_path}"}
    return place[request.param]


def there(url: str) -> dict[str, bytes]:
    filesystem, folder = fsspec.core.url_to_fs(url)
    return {
        one.rpartition("/")[2]: filesystem.cat_file(one)
        for one in filesystem.ls(folder, detail=False)
    }


def test_a_file_is_published_once_and_the_same_bytes_again_are_no_error(url: str) -> None:
    assert publish_file(url, "app-1.0.tls", b"one") is True
    assert publish_file(url, "app-1.0.tls", b"one") is False
    assert publish_file(url, "app-1.1.tls", b"two") is True
    assert there(url) == {"app-1.0.tls": b"one", "app-1.1.tls": b"two"}


def test_other_bytes_of_the_same_version_are_refused_and_nothing_is_left_over(url: str) -> None:
    publish_file(url, "app-1.0.tls", b"one")
    with pytest.raises(DirectorError) as caught:
        publish_file(url, "app-1.0.tls", b"evil")
    assert caught.value.code == "exists" and there(url) == {"app-1.0.tls": b"one"}


def test_one_that_came_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filesystem = fsspec.filesystem("memory")
    url = f"memory://{tmp_path}"
    whole = filesystem.pipe_file

    def slow(path: str, data: bytes, **more: Any) -> None:
        whole(path, data)
        if path.endswith(".part"):
            whole(f"{tmp_path}/app-1.0.tls", b"other")

    monkeypatch.setattr(type(filesystem), "pipe_file", staticmethod(slow))
    with pytest.raises(DirectorError):
        publish_file(url, "app-1.0.tls", b"mine")
    assert there(url) == {"app-1.0.tls": b"other"}


def test_of_many_at_once_exactly_one_wins(tmp_path: Path) -> None:
    won: list[bytes] = []

    def race(data: bytes) -> None:
        try:
            if publish_file(str(tmp_path), "app-1.0.tls", data):
                won.append(data)
        except DirectorError:
            pass

    threads = [threading.Thread(target=race, args=(str(n).encode() * 100_000,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and there(str(tmp_path)) == {"app-1.0.tls": won[0]}


def test_what_cannot_be_reached_is_told_without_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DirectorError, match=r"no directory .*none.*mkdir -p .*none"):
        publish_file(str(tmp_path / "none"), "app-1.0.tls", b"")
    with pytest.raises(DirectorError) as caught:
        publish_file("nonsense://me:secret@host/x", "app-1.0.tls", b"")
    assert "secret" not in str(caught.value) and "nonsense://host/x" in str(caught.value)
    with pytest.raises(DirectorError, match="not the name of a loadable source"):
        publish_file(str(tmp_path), "wheel.whl", b"")
    plain = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "fsspec":
            raise ImportError(name)
        return plain(name, *rest)

    monkeypatch.setattr("builtins.__import__", without)
    with pytest.raises(DirectorError, match=r"hatch-thespian\[publish\]"):
        publish_file("memory://x", "app-1.0.tls", b"")


def test_only_a_whole_file_is_published(key: SigningKey) -> None:
    good = seal(write_archive([Member("a.py", b"X = 1\n" * 99)]), key)
    check_whole("app-1.0.tls", good)
    place = good.index(b"a.py") + 8
    for bad in (
        b"",
        b"other",
        good[:-9],
        good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :],
    ):
        with pytest.raises(
            DirectorError, match=r"app-1\.0\.tls was not published, since it is damaged"
        ):
            check_whole("app-1.0.tls", bad)
