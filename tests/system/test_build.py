"""Real builds by hatch, build and pip: what each leaves, and what stops it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from packaging.tags import Tag, sys_tags

from director import demo
from director.tls.keys import SigningKey
from director.tls.verify import Policy, Verdict, verify
from tests.conftest import Host
from tests.wheels import make_wheel, write_files

pytestmark = pytest.mark.system

BOTH = ["farm-1.0.tls", "farm.tli"]
ALL = ["farm-1.0-py3-none-any.whl", "farm-1.0.tar.gz", *sorted(BOTH)]
PROJECT = {
    "pyproject.toml": """
        [build-system]
        requires = ["hatchling", "hatch-thespian"]
        build-backend = "hatchling.build"

        [project]
        name = "farm"
        version = "1.0"
        requires-python = ">=3.11"

        [tool.hatch.build.hooks.thespian]
        sources = ["farm/**/*.py"]
        deps = ["scales>=1"]
        tli = "farm.tli"
        """,
    "farm/__init__.py": "",
    "farm/cow.py": """
        import scales
        from thespian.actors import Actor

        class Cow(Actor):
            pass
        """,
    "farm.tli": "{'Actors': {'farm.cow.Cow': {'OnLoad': {'Role': 'Cow'}}}}",
}


class Builder:
    """A project beside a key, the plugin's own wheel, and what its ``deps`` name."""

    def __init__(self, home: Path, shared: Path, key: SigningKey) -> None:
        self.project = write_files(home / "project", PROJECT)
        self.dist = self.project / "dist"
        self.key = key
        (home / "sourcekey.pem").write_bytes(key.private_pem(None))
        self.environ = demo.build_environment(home, shared / "wheels")
        self.environ["HATCH_DATA_DIR"] = str(shared / "hatch")
        self.no_key = {k: v for k, v in self.environ.items() if not k.startswith("THESPIAN_")}

    def run(
        self, *command: str, at: Path | None = None, environ: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=at or self.project,
            env=environ or self.environ,
            capture_output=True,
            text=True,
            timeout=300,
            stdin=subprocess.DEVNULL,
        )

    def build(self, *command: str, **more: dict[str, str]) -> list[str]:
        done = self.run(*command, **more)  # type: ignore[arg-type]
        assert done.returncode == 0, done.stdout + done.stderr
        return self.made()

    def made(self) -> list[str]:
        return sorted(path.name for path in self.dist.iterdir()) if self.dist.is_dir() else []

    def verdict(self) -> Verdict:
        data = (self.dist / "farm-1.0.tls").read_bytes()
        return verify(
            data, [self.key.public], Policy(), datetime.now(UTC), file_name="farm-1.0.tls"
        )


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheels of the plugin and of a dependency, and hatch's environments, for all tests here."""
    folder = tmp_path_factory.mktemp("shared")
    demo.plugin_wheel(folder / "wheels")
    make_wheel(folder / "wheels", "scales", "1.5", requires=["weights"])
    make_wheel(folder / "wheels", "weights", "0.3")
    return folder


@pytest.fixture
def builder(tmp_path: Path, shared: Path, key: SigningKey) -> Iterator[Builder]:
    made = Builder(tmp_path, shared, key)
    yield made
    left = list(Path(made.environ["TMPDIR"]).glob("hatch-thespian-*"))
    assert not left, "a private directory was left behind"


HATCH = [demo.find_hatch()]
PLAIN = [sys.executable, "-m", "build", "--no-isolation"]


def test_hatch_build_leaves_wheel_sdist_tls_and_tli(builder: Builder) -> None:
    assert builder.build(*HATCH, "build") == ALL
    verdict = builder.verdict()
    assert verdict.code == "valid" and verdict.archive is not None and verdict.manifest is not None
    told = [(one.name, one.version) for one in verdict.manifest.bundled]
    assert told == [("scales", "1.5"), ("weights", "0.3")]
    assert {"scales.py", "weights.py", "farm/cow.py"} < set(verdict.archive.names)


def test_the_target_tls_makes_them_alone_with_the_same_bytes(builder: Builder) -> None:
    builder.build(*HATCH, "build", "-t", "wheel")
    beside_the_wheel = (builder.dist / "farm-1.0.tls").read_bytes()
    shutil.rmtree(builder.dist)
    assert builder.build(*HATCH, "build", "-t", "tls") == sorted(BOTH)
    assert (builder.dist / "farm-1.0.tls").read_bytes() == beside_the_wheel


def test_python_m_build_makes_the_wheel_from_the_sdist_in_an_environment_of_its_own(
    builder: Builder,
) -> None:
    assert builder.build(sys.executable, "-m", "build") == ALL
    assert builder.verdict().code == "valid"


def test_an_unpacked_sdist_builds_the_same_bytes(builder: Builder, tmp_path: Path) -> None:
    builder.build(*PLAIN)
    data = (builder.dist / "farm-1.0.tls").read_bytes()
    with tarfile.open(builder.dist / "farm-1.0.tar.gz") as sdist:
        sdist.extractall(tmp_path / "unpacked", filter="data")
    builder.project = tmp_path / "unpacked" / "farm-1.0"
    builder.dist = builder.project / "dist"
    assert builder.build(*PLAIN, "--wheel") == [ALL[0], *sorted(BOTH)]
    assert (builder.dist / "farm-1.0.tls").read_bytes() == data


def test_without_a_key_the_wheel_is_built_and_a_warning_says_what_was_not(
    builder: Builder,
) -> None:
    done = builder.run(*PLAIN, "--wheel", environ=builder.no_key)
    assert done.returncode == 0 and builder.made() == [ALL[0]]
    told = done.stdout + done.stderr
    assert "no signing key is set, so no .tls was made" in told and "director keygen" in told


def test_a_file_of_an_earlier_build_is_told_where_none_was_made_and_stays(builder: Builder) -> None:
    first = builder.run(*PLAIN, "--wheel")
    assert first.returncode == 0 and "earlier build" not in first.stdout + first.stderr
    old = (builder.dist / "farm-1.0.tls").read_bytes()
    words = "farm-1.0.tls is of an earlier build"
    keyless = builder.run(*PLAIN, "--wheel", environ=builder.no_key)
    assert keyless.returncode == 0 and words in keyless.stdout + keyless.stderr
    write_files(builder.project, {"farm/bad.py": "def f(:"})
    failed = builder.run(*PLAIN, "--wheel")
    assert failed.returncode != 0 and words in failed.stdout + failed.stderr
    assert (builder.dist / "farm-1.0.tls").read_bytes() == old


def test_pip_installs_a_checkout_without_a_key(builder: Builder, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation"]
    target = tmp_path / "target"
    builder.build(*command, "--target", str(target), ".", environ=builder.no_key)
    assert (target / "farm/cow.py").is_file() and builder.made() == []


@pytest.mark.parametrize("case", ["unusable", "target", "required"])
def test_a_key_that_is_unusable_or_required_stops_the_build_and_leaves_nothing(
    builder: Builder, case: str
) -> None:
    command, environ = [*PLAIN, "--wheel"], builder.no_key
    if case == "unusable":
        environ = {**environ, "THESPIAN_SIGNING_KEY": "-----BEGIN NONSENSE-----"}
    elif case == "target":
        command = [sys.executable, "-m", "hatchling", "build", "-t", "tls"]
    else:
        toml = builder.project / "pyproject.toml"
        toml.write_text(toml.read_text() + "require-key = true\n")
    done = builder.run(*command, environ=environ)
    told = done.stdout + done.stderr
    assert done.returncode != 0 and builder.made() == []
    assert ("not a private key" in told) if case == "unusable" else ("no signing key" in told)
    assert "NONSENSE" not in told


def test_a_private_key_among_the_sources_stops_the_build_even_without_a_signing_key(
    builder: Builder,
) -> None:
    (builder.project / "farm/oops.py").write_bytes(b"KEY = '''" + builder.key.private_pem(None))
    done = builder.run(*PLAIN, "--wheel", environ=builder.no_key)
    told = done.stdout + done.stderr
    assert done.returncode != 0 and "private key" in told and builder.made() == []


def test_mistakes_in_the_table_are_told_in_one_go_without_our_traceback(builder: Builder) -> None:
    toml = builder.project / "pyproject.toml"
    toml.write_text(toml.read_text() + 'vesion = "date"\nexternal = [3]\n')
    write_files(builder.project, {"farm/bad.py": "def f(:"})
    (builder.project / "farm.tli").write_text("{'Actors': {'farm.cow.Gone': {}}}")
    done = builder.run(sys.executable, "-m", "hatchling", "build", "-t", "wheel")
    told = done.stdout + done.stderr
    assert done.returncode == 1 and "Traceback" not in told
    path = "tool.hatch.build.hooks.thespian"
    assert f"{path}.vesion" in told and f"{path}.external[0]" in told
    assert "farm/bad.py:1:7" in told and "defines no Gone" in told
    assert builder.made() == []


def test_sdist_and_editable_are_left_alone(builder: Builder, tmp_path: Path) -> None:
    broken = {**builder.no_key, "THESPIAN_SIGNING_KEY": "unusable"}
    assert builder.build(*PLAIN, "--sdist", environ=broken) == [ALL[1]]
    shutil.rmtree(builder.dist)
    toml = (
        builder.project / "pyproject.toml"
    )  # a plain .pth, without hatchling's further dependency
    toml.write_text(toml.read_text() + '[tool.hatch.build]\ndev-mode-dirs = ["."]\n')
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation"]
    target = tmp_path / "target"
    builder.build(*command, "--target", str(target), "--editable", ".", environ=broken)
    assert builder.made() == []


def test_an_sdist_that_takes_a_private_key_is_warned_of(builder: Builder) -> None:
    pem = builder.key.private_pem(None)
    write_files(
        builder.project,
        {"sourcekey.pem": pem, "keys/ours.pem": pem, "farm/about.py": b"X = " + repr(pem).encode()},
    )
    done = builder.run(*PLAIN, "--sdist", environ=builder.no_key)
    told = done.stdout + done.stderr
    assert done.returncode == 0 and builder.made() == [ALL[1]]
    assert told.count("will hold the private key") == 2
    assert "private key sourcekey.pem" in told and "private key keys/ours.pem" in told
    toml = builder.project / "pyproject.toml"
    toml.write_text(toml.read_text() + '[tool.hatch.build.targets.sdist]\nexclude = ["*.pem"]\n')
    done = builder.run(*PLAIN, "--sdist", environ=builder.no_key)
    assert "private key" not in done.stdout + done.stderr


def test_a_dependency_that_no_wheel_provides_is_told_in_pips_words(builder: Builder) -> None:
    toml = builder.project / "pyproject.toml"
    toml.write_text(toml.read_text().replace("scales>=1", "scales>=99"))
    environ = {**builder.environ, "PIP_NO_INDEX": "1"}
    done = builder.run(*PLAIN, "--wheel", environ=environ)
    told = done.stdout + done.stderr
    assert done.returncode != 0 and builder.made() == []
    assert "scales>=99 cannot be resolved" in told and "No matching distribution" in told


def test_misleading_pip_settings_of_the_user_change_nothing(
    builder: Builder, tmp_path: Path
) -> None:
    misleading = {"PIP_TARGET": str(tmp_path / "else"), "PIP_NO_DEPS": "1", "PIP_USER": "1"}
    environ = {**builder.environ, **misleading, "PIP_NO_INDEX": "1"}
    builder.build(*PLAIN, "--wheel", environ=environ)
    manifest = builder.verdict().manifest
    assert manifest is not None and len(manifest.bundled) == 2
    assert not (tmp_path / "else").exists()


def test_the_examples_table_is_the_one_that_the_readme_teaches() -> None:
    told = tomllib.loads((demo.example() / "pyproject.toml").read_text())
    assert set(told["tool"]["hatch"]["build"]["hooks"]["thespian"]) <= {
        "group",
        "sources",
        "deps",
        "tli",
    }


# ---- hatch's own ways, and other frontends -------------------------------------------------------

HATCHLING = [sys.executable, "-m", "hatchling", "build"]
HOOK = "[tool.hatch.build.hooks.thespian]"


def rewrite(builder: Builder, old: str, new: str) -> None:
    toml = builder.project / "pyproject.toml"
    text = toml.read_text()
    assert old in text
    toml.write_text(text.replace(old, new))


def test_the_table_may_stand_at_the_wheel_target_or_in_hatch_toml(builder: Builder) -> None:
    rewrite(builder, HOOK, "[tool.hatch.build.targets.wheel.hooks.thespian]\ndependencies = []")
    assert builder.build(*HATCHLING, "-t", "wheel") == [ALL[0], *sorted(BOTH)]
    assert builder.build(*HATCHLING, "-t", "tls") == [ALL[0], *sorted(BOTH)]
    shutil.rmtree(builder.dist)
    toml = builder.project / "pyproject.toml"
    head, _, table = toml.read_text().partition("[tool.hatch.build.targets.wheel.hooks.thespian]")
    toml.write_text(head)
    (builder.project / "hatch.toml").write_text(f"[build.hooks.thespian]\n{table}")
    assert builder.build(*HATCHLING, "-t", "wheel") == [ALL[0], *sorted(BOTH)]


@pytest.mark.parametrize(
    ("words", "variable", "made"),
    [
        ([], "HATCH_BUILD_NO_HOOKS", [ALL[0]]),
        ([], "HATCH_BUILD_HOOKS_ONLY", sorted(BOTH)),
        (["--hooks-only"], "", sorted(BOTH)),
        ([], "HATCH_BUILD_CLEAN_HOOKS_AFTER", [ALL[0], *sorted(BOTH)]),
    ],
)
def test_hatchs_variables_and_flags_are_heard(
    builder: Builder, words: list[str], variable: str, made: list[str]
) -> None:
    environ = {**builder.environ, **({variable: "1"} if variable else {})}
    assert builder.build(*HATCHLING, "-t", "wheel", *words, environ=environ) == made


def test_a_hook_that_is_not_enabled_runs_when_its_variable_says_so(builder: Builder) -> None:
    rewrite(builder, HOOK, f"{HOOK}\nenable-by-default = false")
    assert builder.build(*HATCHLING, "-t", "wheel") == [ALL[0]]
    environ = {**builder.environ, "HATCH_BUILD_HOOK_ENABLE_THESPIAN": "1"}
    assert builder.build(*HATCHLING, "-t", "wheel", environ=environ) == [ALL[0], *sorted(BOTH)]


def test_clean_removes_what_earlier_builds_of_the_target_left(builder: Builder) -> None:
    builder.build(*HATCHLING, "-t", "tls")
    rewrite(builder, 'version = "1.0"', 'version = "2.0"')
    (builder.dist / "other-1.0.tls").write_bytes(b"")
    assert builder.build(*HATCHLING, "-t", "tls", "-c") == [
        "farm-2.0.tls",
        "farm.tli",
        "other-1.0.tls",
    ]


def test_several_groups_of_one_project_are_made_at_once_and_one_bad_one_stops_all(
    builder: Builder,
) -> None:
    rewrite(builder, HOOK, f"{HOOK[:-1]}.groups.farm]")
    toml = builder.project / "pyproject.toml"
    mill = f'{HOOK[:-1]}.groups.mill]\nsources = ["mill.py"]\nversion = "none"\n'
    mill += 'tli.Actors."mill.Mill".OnLoad.Role = "Mill"\n'
    toml.write_text(toml.read_text() + mill)
    (builder.project / "mill.py").write_text(
        "from thespian.actors import Actor\nclass Mill(Actor): pass\n"
    )
    made = [ALL[0], "farm-1.0.tls", "farm.tli", "mill.tli", "mill.tls"]
    assert builder.build(*HATCHLING, "-t", "wheel") == made
    shutil.rmtree(builder.dist)
    (builder.project / "mill.py").write_text("class Miller: pass\n")
    done = builder.run(*HATCHLING, "-t", "wheel")
    assert done.returncode == 1 and "mill.py defines no Mill" in done.stdout + done.stderr
    (builder.project / "farm/cow.py").write_text("class Ox: pass\n")
    told = builder.run(*HATCHLING, "-t", "wheel").stderr
    assert "mill.py defines no Mill" in told and "farm/cow.py defines no Cow" in told
    assert builder.made() == []


def test_what_fails_in_the_check_is_printed_as_the_authors_own_traceback(builder: Builder) -> None:
    (builder.project / "farm/__init__.py").write_text("import click\n")
    done = builder.run(*HATCHLING, "-t", "wheel")
    told = done.stdout + done.stderr
    assert done.returncode == 1 and builder.made() == []
    assert 'File "farm/__init__.py", line 1' in told and "No module named 'click'" in told
    assert "hatch_thespian" not in told.partition("Traceback")[2]


def test_each_step_leaves_one_line_in_a_log(builder: Builder) -> None:
    done = builder.run(*HATCHLING, "-t", "wheel")
    told = [
        line for line in (done.stdout + done.stderr).splitlines() if line.startswith("thespian:")
    ]
    words = (
        "resolved 2 dist",
        "checked the syntax of 2 files",
        "archived 12 members",
        "checked that 1 actors",
        "signed farm-1.0.tls",
    )
    assert [
        line.removeprefix("thespian: farm: ").startswith(word)
        for line, word in zip(told, words, strict=True)
    ]
    assert "\x1b" not in done.stdout + done.stderr


def test_commit_and_pipeline_of_ci_are_signed(builder: Builder) -> None:
    environ = {
        **builder.environ,
        "CI_COMMIT_SHA": "c0ffee00",
        "CI_PIPELINE_URL": "https://ci.example/7",
    }
    builder.build(*HATCHLING, "-t", "tls", environ=environ)
    manifest = builder.verdict().manifest
    assert manifest is not None and manifest.builder is not None
    assert (manifest.commit, manifest.pipeline) == ("c0ffee00", "https://ci.example/7")


def test_the_same_inputs_give_the_same_bytes_under_changed_conditions(
    builder: Builder, tmp_path: Path, shared: Path
) -> None:
    builder.build(*HATCHLING, "-t", "tls")
    first = (builder.dist / "farm-1.0.tls").read_bytes()
    other = tmp_path / "else where" / "tief er"
    other.mkdir(parents=True)
    for path in sorted(builder.project.rglob("*"), reverse=True):
        if path.is_file() and builder.dist not in path.parents:
            target = other / path.relative_to(builder.project)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            os.utime(target, (1e9, 1e9))
            target.chmod(0o640)
    changes = {
        "LC_ALL": "C",
        "TZ": "Pacific/Auckland",
        "PYTHONHASHSEED": "7",
        "HOME": str(tmp_path),
    }
    changes |= {"COLUMNS": "40", "PYTHONUTF8": "0", "TMPDIR": str(tmp_path)}
    command = f"umask 077; exec {sys.executable} -m hatchling build -t tls"
    done = builder.run("sh", "-c", command, at=other, environ={**builder.environ, **changes})
    assert done.returncode == 0, done.stdout + done.stderr
    assert (other / "dist/farm-1.0.tls").read_bytes() == first


def test_pip_wheel_makes_the_wheel_and_throws_the_rest_away_without_a_complaint(
    builder: Builder,
) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        "dist",
    ]
    assert builder.build(*command, ".") == [ALL[0]]


def test_uv_build_leaves_all_four(builder: Builder) -> None:
    uv = Path(sys.executable).parent / "uv"
    environ = {**builder.environ, "UV_CACHE_DIR": str(builder.project.parent / "uv")}
    environ["UV_PYTHON"] = sys.executable
    made = builder.build(str(uv), "build", "--no-build-isolation", environ=environ)
    assert [name for name in made if name != ".gitignore"] == ALL


# ---- setuptools, and publishing ------------------------------------------------------------------

SETUPTOOLS = """
[build-system]
requires = ["setuptools>=70.1", "hatch-thespian"]
build-backend = "setuptools.build_meta"

[project]
name = "farm"
version = "1.0"
requires-python = ">=3.11"

[tool.setuptools]
packages = ["farm"]

[tool.setuptools-thespian]
sources = ["farm/**/*.py"]
deps = ["scales>=1"]
tli = "farm.tli"
"""


def test_a_setuptools_project_gets_the_same_and_it_loads(builder: Builder, host: Host) -> None:
    builder.build(*HATCHLING, "-t", "tls")
    by_hatch = builder.verdict().archive
    assert by_hatch is not None
    shutil.rmtree(builder.dist)
    toml = SETUPTOOLS.replace('"farm/**/*.py"]', '"farm/**/*.py", "farm/herd.csv"]')
    write_files(builder.project, {"pyproject.toml": toml, "farm/herd.csv": "Bessie\n"})
    assert builder.build(*PLAIN) == ALL, "the wheel from the sdist, which has the TLI and the data"
    (builder.project / "farm/herd.csv").unlink()
    write_files(builder.project, {"pyproject.toml": SETUPTOOLS})
    shutil.rmtree(builder.dist)
    assert builder.build(*PLAIN) == ALL
    by_setuptools = builder.verdict().archive
    assert by_setuptools is not None and by_setuptools.names == by_hatch.names
    info = (
        "farm-1.0.dist-info/"  # each writes METADATA in its own words, and RECORD tells its digest
    )
    for name in set(by_hatch.names) - {"TLS-INF/manifest.json"}:
        same = by_setuptools.read(name) == by_hatch.read(name)
        assert same or name in {f"{info}METADATA", f"{info}RECORD"}, name
    path = host.control.install(builder.dist / "farm-1.0.tls")
    assert host.control.load(path.name).changed and host.control.role("Cow") is not None


def test_setuptools_without_a_key_with_mistakes_and_without_the_table(builder: Builder) -> None:
    write_files(builder.project, {"pyproject.toml": SETUPTOOLS})
    done = builder.run(*PLAIN, "--wheel", environ=builder.no_key)
    assert done.returncode == 0 and builder.made() == [ALL[0]]
    assert "no signing key is set" in done.stdout + done.stderr
    write_files(builder.project, {"pyproject.toml": SETUPTOOLS + 'sorces = ["x"]\n'})
    shutil.rmtree(builder.dist)
    done = builder.run(*PLAIN, "--wheel")
    told = done.stdout + done.stderr
    assert done.returncode != 0 and builder.made() == []
    assert "tool.setuptools-thespian.sorces: there is no such key; did you mean 'sources'?" in told
    done = builder.run(*PLAIN)  # from the sdist, which has the files of the table all the same
    told = done.stdout + done.stderr
    assert "tool.setuptools-thespian.sorces: " in told and "MANIFEST.in" not in told
    shutil.rmtree(builder.dist)
    asked = (
        "import sys, hatch_thespian.setuptools_adapter; "
        "print({'cryptography', 'hatchling'} & set(sys.modules))"
    )
    assert builder.run(sys.executable, "-c", asked).stdout == "set()\n", "others pay nothing"
    head = SETUPTOOLS.partition("[tool.setuptools-thespian]")[0]
    write_files(builder.project, {"pyproject.toml": head})
    assert builder.build(*PLAIN, "--wheel") == [ALL[0]]


def test_hatch_publish_puts_the_tls_where_it_is_told_and_never_over_another(
    builder: Builder, tmp_path: Path
) -> None:
    builder.build(*HATCHLING, "-t", "wheel")
    place = tmp_path / "published"
    place.mkdir()
    command = [*HATCH, "publish", "-p", "thespian", "-o", f"url={place}"]
    done = builder.run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in place.iterdir()] == ["farm-1.0.tls"]
    again = builder.run(*command, "dist/farm-1.0.tls")
    assert again.returncode == 0 and "was there already" in again.stdout + again.stderr
    write_files(builder.project, {"farm/__init__.py": "NEW = 1\n"})
    builder.build(*HATCHLING, "-t", "wheel")
    other = (builder.dist / "farm-1.0.tls").read_bytes()
    toml = builder.project / "pyproject.toml"
    toml.write_text(toml.read_text() + f'\n[tool.hatch.publish.thespian]\nurl = "{place}"\n')
    refused = builder.run(*HATCH, "publish", "-p", "thespian")
    assert refused.returncode == 1 and "with other bytes" in refused.stdout + refused.stderr
    assert (place / "farm-1.0.tls").read_bytes() != other
    (builder.dist / "farm-1.0.tls").rename(builder.dist / "farm-1.1.tls")
    (builder.dist / "farm-1.1.tls").write_bytes(other[:-9])
    damaged = builder.run(*command, "dist/farm-1.1.tls")
    assert damaged.returncode == 1 and "it is damaged" in damaged.stdout + damaged.stderr
    missing = builder.run(*command, "dist/farm-1.2.tls")
    assert missing.returncode == 1 and "Traceback" not in missing.stdout + missing.stderr
    wrong = builder.run(*HATCH, "publish", "-p", "thespian", "-o", f"ulr={place}")
    assert wrong.returncode == 1 and "did you mean url" in wrong.stdout + wrong.stderr
    assert [path.name for path in place.iterdir()] == ["farm-1.0.tls"]


def test_a_host_says_at_load_which_external_distribution_it_lacks(
    builder: Builder, host: Host
) -> None:
    rewrite(builder, HOOK, f'{HOOK}\nexternal = ["not-on-this-host>=2", "scales"]')
    cow = "from thespian.actors import Actor\nclass Cow(Actor): pass\n"
    (builder.project / "farm/cow.py").write_text(cow)
    builder.build(*HATCHLING, "-t", "tls")
    shutil.copy(builder.dist / "farm-1.0.tls", host.directory)
    command = [sys.executable, "-m", "director", "load", "farm"]
    done = builder.run(*command, environ=host.environment())
    assert done.returncode == 7 and "Traceback" not in done.stderr
    assert "It expects on this host: not-on-this-host>=2, scales." in done.stderr
    assert not host.control.running()


def test_a_host_that_the_tags_do_not_fit_refuses_the_file(builder: Builder, host: Host) -> None:
    shelf = builder.project.parent / "shelf"
    make_wheel(
        shelf,
        "scales",
        "7.0",
        files={"scales.py": "", "_s.so": b"\x7fELF"},
        tag=str(next(sys_tags())),
    )
    rewrite(builder, HOOK, f'{HOOK}\nnative = "allow"')
    environ = {**builder.environ, "PIP_FIND_LINKS": str(shelf), "PIP_NO_INDEX": "1"}
    builder.build(*HATCHLING, "-t", "tls", environ=environ)
    data = (builder.dist / "farm-1.0.tls").read_bytes()
    here = verify(data, [builder.key.public], Policy(), datetime.now(UTC))
    assert (
        here.valid and here.manifest is not None and here.manifest.tags == (str(next(sys_tags())),)
    )
    elsewhere = Policy(tags=frozenset({Tag("cp399", "cp399", "amiga")}))
    there = verify(data, [builder.key.public], elsewhere, datetime.now(UTC))
    assert (there.code, there.exit_status) == ("tags", 7)
