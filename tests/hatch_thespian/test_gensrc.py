"""gensrc: its grammar, what its source arguments mean, and what it collects of what is installed."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

import pytest

from director.errors import BuildError, DirectorError, UsageError
from director.tls.keys import SigningKey, generate_ed25519
from hatch_thespian.distributions import Bundle
from hatch_thespian.gensrc import expand, gather, generate, read_arguments, read_policies
from hatch_thespian.installed import collect, read_names
from hatch_thespian.problems import Problems, SeveralProblems
from hatch_thespian.progress import Steps
from tests.wheels import make_wheel, unpack, write_files

ACTOR = "from thespian.actors import Actor\n\nclass Main(Actor):\n    pass\n"
TREE: dict[str, str | bytes] = {
    "pkg/__init__.py": "",
    "pkg/main.py": ACTOR,
    "pkg/sub/a.py": "",
    "pkg/sub/deep/b.py": "",
    "pkg/sub/deep/b.yl": "data",
    "pkg/sub/.hidden.py": "",
    "pkg/sub/__pycache__/a.cpython-311.pyc": b"\0",
    "pkg/herd.csv": "x",
    "app.tli": "{'Actors': {'pkg.main.Main': {}}}",
    "build/scripts/deps.txt": "\n# what runs\nfarm-tools  # by its name\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_files(tmp_path / "src", TREE)


# ---- grammar -------------------------------------------------------------------------------------


def test_options_and_sources_are_told_apart() -> None:
    words = [
        "app",
        "key.pem",
        "..",
        "version:date",
        "deps:d.txt",
        "tli:x.tli",
        "fmt:1",
        "native:strip",
        "external:e",
    ]
    request = read_arguments([*words, "pkg/*.py", "a:b.py", "C:x"])
    assert (request.group, request.key, request.directory) == ("app", "key.pem", "..")
    assert request.sources == ("pkg/*.py", "a:b.py", "C:x")
    assert request.options == {
        "version": "date",
        "deps": "d.txt",
        "tli": "x.tli",
        "fmt": "1",
        "native": "strip",
        "external": "e",
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "gensrc takes GROUP KEY DIR"),
        ("app key.pem .", "gensrc takes GROUP KEY DIR"),
        ("app key.pem . version:1", "names no source file"),
        ("app key.pem . version:1 version:2 x.py", "version: is there twice"),
        ("my-app key.pem . x.py", "'my-app' cannot be a group"),
        ("app key.pem . version:1/2 x.py", "cannot be a version"),
        ("app key.pem . fmt:9 x.py", "fmt:9 is no format"),
        ("app key.pem . native:maybe x.py", "'maybe' is no policy"),
        ("app key.pem . native:a=strip,b=x x.py", "'x' is no policy"),
    ],
)
def test_wrong_usage_is_told(words: str, message: str) -> None:
    with pytest.raises(DirectorError, match=message):
        read_arguments(words.split())


def test_native_policies_may_be_given_for_each_distribution() -> None:
    assert read_policies("strip") == {"*": "strip"}
    assert read_policies("Rpds_Py=allow,*=strip") == {"rpds-py": "allow", "*": "strip"}


# ---- source arguments ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    [
        "pkg/*.py",
        "pkg/**/*.py",
        "**/*.p[yl]",
        "pkg/sub/**/*.[py][yl]",
        "pkg/**",
        "**",
        "pkg/sub/*",
        "pkg/sub/.*",
        "pkg/?erd.csv",
        "pkg/main.py",
        "pkg/./sub/../main.py",
        "pkg//main.py",
        "./pkg/*.py",
    ],
)
def test_an_argument_is_expanded_as_pythons_glob_does_in_the_sources_directory(
    tree: Path, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    found = {
        os.path.normpath(one)
        for one in glob.glob(pattern, recursive=True)  # noqa: PTH207
        if Path(one).is_file()
    }
    monkeypatch.chdir("/")
    expected = sorted(one for one in found if not one.endswith(".pyc"))
    assert sorted(expand(pattern, str(tree), tree, Path("/"), {})) == expected and expected


@pytest.mark.parametrize(
    ("cwd", "directory", "word"),
    [
        ("build/scripts", "../..", "../../pkg/main.py"),
        ("build/scripts", "../..", "pkg/main.py"),
        ("build/scripts", "../..", "../../pkg/m*.p[yl]"),
        ("build/scripts", "../../", "../../pkg/main.py"),
        (".", ".", "./pkg/main.py"),
        ("..", "src", "src/pkg/main.py"),
        ("pkg", "..", "main.py"),
        (".", "{tree}", "{tree}/pkg/main.py"),
        ("build", "$SOURCES", "$SOURCES/pkg/main.py"),
        ("build", "{tree}", "${{SOURCES}}/pkg/main.py"),
        ("build", "~/src", "~/src/pkg/main.py"),
    ],
)
def test_an_argument_may_begin_with_the_directorys_own_text_or_be_found_from_here(
    tree: Path, cwd: str, directory: str, word: str
) -> None:
    environ = {"SOURCES": str(tree), "HOME": str(tree.parent), "SOURCE": "wrong"}
    directory, word = directory.format(tree=tree), word.format(tree=tree)
    request = read_arguments(["app", "k", directory, word])
    parts = gather(request, tree / cwd, environ, Steps())
    assert [one.name for one in parts.sources] == ["pkg/main.py"]


def test_the_directorys_own_text_is_no_part_of_a_name_even_where_such_a_directory_is(
    tree: Path,
) -> None:
    write_files(tree, {"src/pkg/main.py": "OTHER = 1\n"})
    assert expand("src/pkg/main.py", "src", tree, tree.parent, {}) == ["pkg/main.py"]
    assert expand("src/src/pkg/main.py", "src", tree, tree.parent, {}) == ["src/pkg/main.py"]


def test_what_matches_nothing_or_lies_outside_is_told_all_at_once(tree: Path) -> None:
    (tree.parent / "outside.py").write_text("")
    words = ["pkg/none*.py", "../outside.py", "pkg/sub/deep", "pkg/main.py"]
    with pytest.raises(SeveralProblems) as caught:
        gather(read_arguments(["app", "k", ".", *words]), tree, {}, Steps())
    text = str(caught.value)
    assert len(caught.value.codes) == 3
    assert "pkg/none*.py: it matches no file" in text and "outside of the sources dir" in text
    assert "pkg/sub/deep: it matches no file" in text


# ---- deps ----------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site directory of this Python with distributions of its own."""
    site = tmp_path / "site"
    wheels = tmp_path / "wheels"
    for wheel in (
        make_wheel(
            wheels,
            "farm-tools",
            files={"farmyard/__init__.py": ""},
            requires=["Scales", "mill; extra == 'x'"],
        ),
        make_wheel(wheels, "Scales"),
        make_wheel(wheels, "mill"),
        make_wheel(wheels, "attrs", files={"attr/__init__.py": "", "attrs/__init__.py": ""}),
        make_wheel(wheels, "broken", requires=["not-there"]),
        make_wheel(wheels, "lately", requires=["gone; python_version >= '3.19'"]),
        make_wheel(
            wheels, "fast", files={"fast/_c.so": b"\x7fELF"}, tag="cp311-cp311-linux_x86_64"
        ),
        make_wheel(
            wheels,
            "edited",
            files={"edited-1.0.dist-info/direct_url.json": '{"dir_info": {"editable": true}}'},
        ),
    ):
        unpack(wheel, site)
    monkeypatch.syspath_prepend(str(site))
    return site


def collected(*names: str, external: tuple[str, ...] = (), **native: str) -> Bundle:
    return collect(names, external, native, lambda line: None)


def keys(bundle: Bundle) -> list[str]:
    return [one.key for one in bundle.distributions]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("farm-tools", ["farm-tools", "scales"]),
        ("FARM_Tools", ["farm-tools", "scales"]),
        ("farmyard", ["farm-tools", "scales"]),
        ("FarmYard", ["farm-tools", "scales"]),
        ("farm-tools[x]", ["farm-tools", "mill", "scales"]),
        ("attr", ["attrs"]),
        ("thespian", []),
    ],
)
def test_a_name_may_be_a_distributions_or_an_import_name_in_any_case(
    site: Path, name: str, expected: list[str]
) -> None:
    assert keys(collected(name)) == expected


def test_all_that_is_missing_or_cannot_be_taken_is_named_at_once(site: Path) -> None:
    (site / "Scales.py").unlink()
    with pytest.raises(SeveralProblems) as caught:
        collected("nowhere", "broken", "nothing", "fast", "edited", "farm-tools")
    text = str(caught.value)
    assert sorted(caught.value.codes) == [
        "deps",
        "deps",
        "deps",
        "installed",
        "installed",
        "native",
    ]
    for words in (
        "nowhere is not installed here",
        "nothing is not installed here",
        "broken needs not-there",
        "fast/_c.so",
        "edited 1.0 cannot be taken: it is an editable",
        "Scales 1.0 cannot be taken: Scales.py",
    ):
        assert words in text


def test_what_another_python_would_lack_is_known(site: Path) -> None:
    assert collected("lately").lacks == {19: ("lately needs gone, which is not bundled",)}


def test_native_and_external_are_heard(site: Path) -> None:
    assert collected("fast", fast="allow").tags == ("cp311-cp311-linux_x86_64",)
    found = collected("farm-tools", "fast", external=("Scales", "FAST"))
    assert keys(found) == ["farm-tools"] and found.external == ("fast", "scales", "thespian")


def test_a_version_in_the_file_is_an_error_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "deps.txt"
    file.write_text("tabulate\n\n# a comment\njsonschema==2.5.1\nJinja2 >= 3 # x\n?\n")
    problems = Problems()
    assert read_names(file, "deps:", problems) == ["tabulate"]
    text = "\n".join(str(one) for one in problems.found)
    assert (
        ":4: 'jsonschema==2.5.1' says more" in text and ":5: " in text and ":6: '?' is not" in text
    )
    file.write_text("\ufefftabulate\r\nJinja2[i18n]\r\n", encoding="utf-8")
    assert read_names(file, "deps:", Problems()) == ["tabulate", "Jinja2[i18n]"]
    with pytest.raises(BuildError, match="No such file"):
        read_names(tmp_path / "none.txt", "deps:", Problems())


# ---- all of it -----------------------------------------------------------------------------------


def test_gensrc_makes_what_the_hook_would_and_takes_the_groups_own_tli(
    tree: Path, site: Path, key: SigningKey
) -> None:
    (tree / "build/scripts/key.pem").write_bytes(key.private_pem(None))
    words = [
        "app",
        "key.pem",
        "../..",
        "version:date",
        "deps:deps.txt",
        "../../pkg/__init__.py",
        "pkg/main.py",
    ]
    request = read_arguments(words)
    cwd, environ = tree / "build/scripts", {"SOURCE_DATE_EPOCH": "1709208300"}
    told: list[str] = []
    parts = gather(request, cwd, environ, Steps())
    package = generate(request, parts, cwd, environ, Steps(told.append, told.append))
    assert package.name == "app-202402291205.tls" and package.warnings == ()
    assert package.tli == b"{'Actors': {'pkg.main.Main': {}}}"
    listing = {name: why for _, name, why in parts.listing()}
    assert listing["pkg/__init__.py"] == "../../pkg/__init__.py"
    assert listing["Scales.py"] == "Scales 1.0, asked for by deps → farm-tools"
    assert any(line.startswith("checked that 1 actors import") for line in told)
    assert f"added pkg/main.py ({len(ACTOR)} bytes): pkg/main.py" in told


def test_without_a_tli_and_without_a_version_it_says_so(tree: Path, key: SigningKey) -> None:
    (tree / "app.tli").unlink()
    (tree / "key.pem").write_bytes(key.private_pem(None))
    request = read_arguments(["app", "key.pem", str(tree), "native:gone=strip", "pkg/*.py"])
    parts = gather(request, Path("/"), {}, Steps())
    package = generate(request, parts, Path("/"), {}, Steps())
    assert package.name == "app.tls" and "starts no actor" in package.warnings[1]
    assert package.warnings[0] == "native:gone: no distribution of this name is bundled."


@pytest.mark.parametrize(
    ("fmt", "works"), [("1", False), ("2", True), ("ThespianDirectorFMT2", True)]
)
def test_the_format_has_to_be_one_that_the_key_signs(tree: Path, fmt: str, works: bool) -> None:
    (tree / "key.pem").write_bytes(generate_ed25519().private_pem(None))
    request = read_arguments(["app", "key.pem", ".", f"fmt:{fmt}", "pkg/*.py"])
    parts = gather(request, tree, {}, Steps())
    if works:
        package = generate(request, parts, tree, {}, Steps())
        assert package.data.startswith(b"ThespianDirectorFMT2-ed25519\n")
    else:
        with pytest.raises(UsageError, match="RSA keys sign format 1"):
            generate(request, parts, tree, {}, Steps())


def test_every_mistake_is_told_at_once(tree: Path, site: Path) -> None:
    write_files(tree, {"pkg/bad.py": "def f(:", "json.py": "", "d.txt": "nowhere\n"})
    (tree / "app.tli").write_text("{'Actors': {}, 'X': 1}")
    words: Any = ["app", "k", ".", "deps:d.txt", "pkg/*.py", "json.py", "none.py"]
    with pytest.raises(SeveralProblems) as caught:
        gather(read_arguments(words), tree, {}, Steps())
    assert sorted(caught.value.codes) == ["deps", "reserved-name", "settings", "sources", "syntax"]


def test_usage_errors_are_usage_errors() -> None:
    with pytest.raises(UsageError):
        read_arguments([])


def test_a_file_name_that_is_not_utf_8_is_told(tree: Path) -> None:
    (tree / "pkg" / os.fsdecode(b"caf\xe9.py")).write_text("")
    with pytest.raises(SeveralProblems, match=r"caf\\xe9\.py: its name is not UTF-8"):
        gather(read_arguments(["app", "k", ".", "pkg/*.py"]), tree, {}, Steps())


def test_everything_that_is_wrong_is_told_in_one_go(tree: Path) -> None:
    write_files(
        tree,
        {
            "deps.txt": "tabulate==1\nnot-here-at-all\nnor-this\n",
            "ext.txt": "???\n",
            "pkg/bad.py": "def f(:",
            "app.tli": "{'Actors': {'pkg.main.Gone': {}}}",
        },
    )
    words = ["app", "k", ".", "deps:deps.txt", "external:ext.txt", "pkg/*.py", "none/*.py"]
    with pytest.raises(SeveralProblems) as caught:
        gather(read_arguments(words), tree, {}, Steps())
    assert sorted(caught.value.codes) == [
        "actors",
        "deps",
        "deps",
        "deps",
        "deps",
        "sources",
        "syntax",
    ]
    text = str(caught.value)
    assert "not-here-at-all is not installed" in text and "nor-this is not installed" in text
