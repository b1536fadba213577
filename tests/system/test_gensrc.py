"""gensrc as its users call it: the guide's own example (2.3.5), from openssl's key to an answering actor."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tests.conftest import Host
from tests.wheels import make_wheel, unpack, write_files

pytestmark = pytest.mark.system

FOO: dict[str, str | bytes] = {
    "foo/__init__.py": "",
    "foo/fooactor.py": """
        import jsonschema
        from tabulate import tabulate
        from jinja2 import Template
        from thespian.actors import ActorTypeDispatcher

        class FooActor(ActorTypeDispatcher):
            def receiveMsg_dict(self, message, sender):
                try:
                    jsonschema.validate(message["n"], {"type": "integer"})
                    fits = True
                except jsonschema.ValidationError:
                    fits = False
                page = Template("Hello {{ name }}!").render(name="cow")
                self.send(sender, {"fits": fits, "page": page, "table": tabulate([[1]])})
        """,
    "foo/subdir1/__init__.py": "",
    "foo/subdir1/baractor.py": "",
    "foo/subdir2/__init__.py": "",
    "foo/subdir2/barn/__init__.py": "",
    "foo/subdir2/barn/cowactor.py": """
        from thespian.actors import Actor

        class CowActor(Actor):
            pass
        """,
    "foo/subdir2/barn/pigactor.py": "",
    "foo.tli": """{'Actors': {
        'foo.fooactor.FooActor': {'OnLoad': {'Role': 'MainFoo', 'GlobalName': 'Foo Primary'}},
        'foo.subdir2.barn.cowactor.CowActor': {'OnLoad': {'Role': 'FlyingCow'}}}}""",
    "deppkgs.txt": "tabulate\njsonschema\nJinja2\n",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the guide's requirements.txt installs, in a directory of its own."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(site)]
    command += ["--only-binary=:all:", "tabulate", "jsonschema", "Jinja2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f"no package index gives them: {done.stderr[-300:]}")
    return site


@pytest.fixture
def project(tmp_path: Path, host: Host) -> Path:
    """The guide's tree, with a key made by openssl as in 2.3.2 (its 1024 bits made 2048)."""
    project = write_files(tmp_path / "project", FOO)
    key = project / "sourcekey.pem"
    public = host.directory / "sourcekey_tls.key"
    for words in (
        ["genrsa", "-out", str(key), "2048"],
        ["rsa", "-in", str(key), "-pubout", "-out", str(public)],
    ):
        subprocess.run(["openssl", *words], check=True, capture_output=True)
    return project


def gensrc(
    host: Host, project: Path, words: str, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Through a shell, which expands what is not quoted."""
    return subprocess.run(
        ["sh", "-c", f"{sys.executable} -m director {words}"],
        cwd=project,
        env={**host.environment(), **environ},
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


GUIDE = (
    "gensrc foo sourcekey.pem . version:date deps:./deppkgs.txt {more} "
    "foo/*.py $(find foo/subdir1 -type f) 'foo/subdir2/**/*.py'"
)


def test_the_guides_example_2_3_5_from_key_to_answer(host: Host, project: Path, site: Path) -> None:
    refused = gensrc(host, project, GUIDE.format(more=""), PYTHONPATH=str(site))
    assert refused.returncode == 1 and "Traceback" not in refused.stderr
    assert "deps → jsonschema → rpds-py" in re.sub(r"referencing → ", "", refused.stderr)
    assert "deps → Jinja2 → MarkupSafe" in refused.stderr and '"allow"' in refused.stderr
    kept = sorted(path.name for path in host.directory.iterdir() if path.suffix in {".tls", ".tli"})
    assert kept == []

    more = "native:rpds-py=allow,markupsafe=strip"
    done = gensrc(host, project, GUIDE.format(more=more), PYTHONPATH=str(site))
    assert done.returncode == 0, done.stderr
    made = sorted(path.name for path in host.directory.iterdir() if path.suffix in {".tls", ".tli"})
    assert len(made) == 2 and re.fullmatch(r"foo-\d{12}\.tls", made[0]) and made[1] == "foo.tli"
    assert f"Wrote {host.directory / made[0]}" in done.stdout

    info = gensrc(host, project, f"tlsinfo {made[0]} contents")
    names = [line.split()[1] for line in info.stdout.splitlines()]
    assert {"foo/fooactor.py", "foo/subdir1/baractor.py", "foo/subdir2/barn/pigactor.py"} < set(
        names
    )
    assert {"tabulate/__init__.py", "jinja2/__init__.py", "jsonschema/__init__.py"} < set(names)

    bill = json.loads(gensrc(host, project, f"tlsinfo {made[0]} sbom").stdout)
    assert bill["bomFormat"] == "CycloneDX"
    assert {"tabulate", "jsonschema", "Jinja2"} < {one["name"] for one in bill["components"]}

    loaded = host.control.load("foo")
    assert loaded.warnings == ()
    role = host.control.role("MainFoo")
    assert role is not None
    answer = host.control.system.ask(role.address, {"n": "x"}, timedelta(seconds=10))
    assert answer == {"fits": False, "page": "Hello cow!", "table": "-\n1\n-"}


def test_list_shows_what_would_go_in_and_why_and_writes_nothing(
    host: Host, project: Path, tmp_path: Path
) -> None:
    unpack(
        make_wheel(tmp_path, "scales", files={"scales/__init__.py": "", "scales/d.json": ""}),
        tmp_path / "s",
    )
    (project / "deppkgs.txt").write_text("Scales\n")
    words = "gensrc --list foo none.pem . deps:deppkgs.txt foo/subdir2/barn/*.py foo/fooactor.py"
    done = gensrc(host, project, words, PYTHONPATH=str(tmp_path / "s"))
    assert done.returncode == 0, done.stderr
    lines = [line.split(maxsplit=1)[1] for line in done.stdout.splitlines()]
    assert "foo/subdir2/barn/cowactor.py  (foo/subdir2/barn/cowactor.py)" in lines
    assert "scales/d.json  (scales 1.0, asked for by deps)" in lines
    assert not list(host.directory.glob("*.tl[si]"))


def test_what_is_wrong_stops_it_with_its_exit_status_and_nothing_is_written(
    host: Host, project: Path
) -> None:
    for words, status, message in (
        ("gensrc foo", 2, "gensrc takes GROUP KEY DIR"),
        ("gensrc foo none.pem . foo/*.py foo/subdir2/barn/*.py", 1, "none.pem: No such file"),
        ("gensrc foo sourcekey.pem nowhere foo/*.py", 4, "no sources directory"),
        ("gensrc foo sourcekey.pem . deps:deppkgs.txt foo/*.py", 1, "is not installed here"),
        ("gensrc foo sourcekey.pem . fmt:7 foo/*.py", 2, "fmt:7"),
    ):
        done = gensrc(host, project, words)
        assert (done.returncode, "Traceback" in done.stderr) == (status, False), done.stderr
        assert message in done.stderr
    assert not list(host.directory.glob("*.tl[si]"))
    assert done.stdout == ""


def test_the_guides_1024_bits_work_where_both_sides_allow_it(host: Host, project: Path) -> None:
    write_files(
        project,
        {"foo/fooactor.py": "from thespian.actors import Actor\nclass FooActor(Actor): pass\n"},
    )
    subprocess.run(
        ["openssl", "genrsa", "-out", "old.pem", "1024"],
        cwd=project,
        check=True,
        capture_output=True,
    )
    words = "gensrc foo old.pem . foo/*.py foo/subdir2/barn/*.py"
    refused = gensrc(host, project, words)
    assert refused.returncode == 1 and "THESPIAN_SIGNING_MIN_BITS=1024" in refused.stderr
    done = gensrc(host, project, words, THESPIAN_SIGNING_MIN_BITS="1024")
    assert done.returncode == 0 and "1024 bits, allowed" in done.stderr
    assert (host.directory / "foo.tls").is_file()


def test_without_the_director_directory_it_says_so(project: Path, tmp_path: Path) -> None:
    environ = {**os.environ, "THESPIAN_DIRECTOR_DIR": str(tmp_path / "none")}
    command = [sys.executable, "-m", "director", "gensrc", "foo", "sourcekey.pem", ".", "foo/*.py"]
    done = subprocess.run(command, cwd=project, env=environ, capture_output=True, text=True)
    assert done.returncode == 4 and "does not exist" in done.stderr
