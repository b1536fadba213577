"""Patterns choose files; what may not be among them is told, all at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from director.errors import BuildError
from director.tls.keys import SigningKey, generate_key, generate_p256
from hatch_thespian.problems import Problems, SeveralProblems
from hatch_thespian.sources import is_key_file, refuse_private_keys, select
from hatch_thespian.table import Table
from tests.wheels import write_files

TREE: dict[str, str | bytes] = {
    "app/__init__.py": "",
    "app/main.py": "X = 1\n",
    "app/test_main.py": "",
    "app/data/herd.csv": "a,b\n",
    "app/__pycache__/main.cpython-311.pyc": b"\0",
    "app/stray.pyc": b"\0",
    ".venv/lib/app/evil.py": "",
    "env/pyvenv.cfg": "",
    "env/lib/site.py": "",
    "dist/old.py": "",
    "README.md": "read me\n",
}


def names(root: Path, *sources: str, exclude: tuple[str, ...] = (), **more: str) -> list[str]:
    table = Table("app", sources, exclude, **more)  # type: ignore[arg-type]
    problems = Problems()
    found = select(table, root, problems, skip=[root / "dist"])
    problems.check()
    return [one.name for one in found.members]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_files(tmp_path / "project", TREE)


@pytest.mark.parametrize(
    ("sources", "exclude", "expected"),
    [
        (("app/**/*.py",), (), ["app/__init__.py", "app/main.py", "app/test_main.py"]),
        (("app/**/*.py",), ("**/test_*.py",), ["app/__init__.py", "app/main.py"]),
        (("app/",), ("*.py",), ["app/data/herd.csv"]),
        (("*.csv",), (), ["app/data/herd.csv"]),
        (("app/*", "!app/test_*"), ("__init__.py",), ["app/data/herd.csv", "app/main.py"]),
        (("*.[pc][ys]*",), ("__init__.py", "test*"), ["app/data/herd.csv", "app/main.py"]),
    ],
)
def test_patterns_are_gits(
    tree: Path, sources: tuple[str, ...], exclude: tuple[str, ...], expected: list[str]
) -> None:
    assert names(tree, *sources, exclude=exclude) == expected


def test_a_file_name_that_is_not_utf_8_is_told_with_the_name(tree: Path) -> None:
    (tree / "app" / os.fsdecode(b"caf\xe9.py")).write_text("")
    with pytest.raises(SeveralProblems, match=r"app/caf\\xe9\.py: its name is not UTF-8") as caught:
        names(tree, "app/")
    assert caught.value.codes == ("member-name",)
    str(caught.value).encode()


def test_byte_code_environments_hidden_directories_and_the_output_are_never_shipped(
    tree: Path,
) -> None:
    assert names(tree, "*") == [
        "README.md",
        "app/__init__.py",
        "app/data/herd.csv",
        "app/main.py",
        "app/test_main.py",
    ]


def test_names_begin_in_src_where_it_exists_and_in_sources_dir_where_it_is_named(
    tmp_path: Path,
) -> None:
    write_files(tmp_path, {"src/app/a.py": "", "lib/app/b.py": "", "c.py": ""})
    assert names(tmp_path, "*.py") == ["app/a.py"]
    assert names(tmp_path, "*.py", sources_dir="lib") == ["app/b.py"]
    assert "c.py" in names(tmp_path, "*.py", sources_dir=".")


def test_everything_wrong_with_the_selection_is_told_at_once(
    tree: Path, key: SigningKey, tmp_path: Path
) -> None:
    (tree / "app/secret.pem").write_bytes(key.private_pem(None))
    (tmp_path / "outside.py").write_text("")
    (tree / "app/link.py").symlink_to(tmp_path / "outside.py")
    (tree / "app/gone.py").symlink_to(tree / "nowhere.py")
    os.mkfifo(tree / "app/pipe")
    (tree / "app/a:b.txt").write_text("")
    (tree / "app/a\u202eb.txt").write_text("")
    with pytest.raises(SeveralProblems) as caught:
        names(tree, "app/", "nothing/*.py")
    assert sorted(caught.value.codes) == [
        "link",
        "member-name",
        "member-name",
        "private-key",
        "sources",
        "sources",
        "sources",
    ]
    text = str(caught.value)
    assert "sources[1]: 'nothing/*.py' matches no file" in text and "BEGIN" not in text


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        (("!app/",), r"sources: its patterns with ! leave no file"),
        (("app/", "!app/"), r"sources: its patterns with ! leave no file"),
        (("./app/*.py",), r"sources\[0\]: './app/\*\.py' matches no file in .* write 'app/\*\.py'"),
    ],
)
def test_patterns_that_select_nothing_are_told_with_the_reason(
    tree: Path, sources: tuple[str, ...], words: str
) -> None:
    with pytest.raises(SeveralProblems, match=words) as caught:
        names(tree, *sources)
    assert "exclude:" not in str(caught.value)


def test_a_line_feed_in_a_files_name_makes_no_line_of_its_own(tree: Path) -> None:
    (tree / "app/a\nthespian: all is well").write_text("")
    with pytest.raises(SeveralProblems) as caught:
        names(tree, "app/")
    assert "\n" not in str(caught.value) and r"a\nthespian: all" in str(caught.value)


def test_an_exclude_that_leaves_nothing_and_a_missing_directory_are_told(tree: Path) -> None:
    with pytest.raises(BuildError, match="leaves no file"):
        names(tree, "app/", exclude=("*",))
    with pytest.raises(BuildError, match="sources-dir: there is no directory"):
        names(tree, "app/", sources_dir="nowhere")


def test_a_linked_directory_is_looked_into_as_in_the_wheel_and_a_ring_of_links_ends(
    tree: Path,
) -> None:
    write_files(tree, {"shared/common.py": "", "lib/app/own.py": ""})
    (tree / "app/shared").symlink_to(tree / "shared")
    (tree / "app/ring").symlink_to(tree / "app")
    assert names(tree, "app/**/*.py")[2:] == ["app/shared/common.py", "app/test_main.py"]
    (tree / "lib/app/shared").symlink_to(tree / "shared")
    with pytest.raises(BuildError, match="outside of"):
        names(tree, "**/*.py", sources_dir="lib")


def test_without_a_signing_key_only_a_private_key_stops_the_build(
    tree: Path, key: SigningKey
) -> None:
    table = Table("app", ("app/", "nothing/*.py"))
    refuse_private_keys(table, tree, output=tree / "dist")
    (tree / "app/secret.pem").write_bytes(key.private_pem(b"even encrypted"))
    with pytest.raises(BuildError, match="private key"):
        refuse_private_keys(table, tree, output=tree / "dist")


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("generate", [lambda: generate_key(2048), generate_p256])
def test_a_private_key_in_der_form_is_refused(
    tree: Path, form: PrivateFormat, generate: Callable[[], SigningKey]
) -> None:
    private = load_pem_private_key(generate().private_pem(None), None)
    data = private.private_bytes(Encoding.DER, form, NoEncryption())
    (tree / "app" / "data" / "key.bin").write_bytes(data)
    with pytest.raises(SeveralProblems, match=r"key\.bin: it holds a private key") as caught:
        names(tree, "app/")
    assert caught.value.codes == ("private-key",)
    assert is_key_file(tree / "app" / "data" / "key.bin")


def test_what_only_begins_as_a_der_key_is_taken(tree: Path) -> None:
    files: dict[str, str | bytes] = {"app/data/a": "0, 1, 2\n", "app/data/b": b"\x30\x82\x01\x00x"}
    write_files(tree, files)
    assert {"app/data/a", "app/data/b"} < set(names(tree, "app/"))
