"""The check before signing: actors are imported from the finished archive, alone, and failures are the author's own."""

from __future__ import annotations

import re
import sys
import time
import tomllib
from pathlib import Path

import pytest

from director.tls.archive import Member, write_archive
from hatch_thespian.check import check_archive, may_bring, present
from hatch_thespian.problems import SeveralProblems
from tests.wheels import make_wheel, unpack

GOOD = "from thespian.actors import Actor\nclass Main(Actor): pass\n"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hatch_thespian.check.LIMIT", 20)


def check(
    sources: dict[str, str],
    *actors: str,
    external: tuple[str, ...] = ("thespian",),
    environ: dict[str, str] | None = None,
    project: str = "",
    stripped: dict[str, str] | None = None,
) -> list[str]:
    members = [Member(name, text.encode()) for name, text in sorted(sources.items())]
    return check_archive(
        write_archive(members),
        actors or ("app.Main",),
        external,
        environ or {},
        project=project,
        stripped=stripped,
    )


def failure(sources: dict[str, str], *actors: str, **more: object) -> str:
    with pytest.raises(SeveralProblems) as caught:
        check(sources, *actors, **more)  # type: ignore[arg-type]
    assert set(caught.value.codes) == {"check"}
    return str(caught.value)


def test_a_good_actor_passes_in_a_process_of_its_own() -> None:
    assert check({"app.py": GOOD}) == []
    assert "app" not in sys.modules


def test_what_does_not_import_is_printed_as_the_authors_own_traceback() -> None:
    text = failure(
        {
            "app.py": GOOD,
            "lib/__init__.py": "",
            "lib/x.py": "import app\n1/0\n",
            "bad.py": "\nimport lib.x\n",
        },
        "bad.Main",
    )
    assert 'File "bad.py", line 2' in text and 'File "lib/x.py", line 2' in text
    assert "ZeroDivisionError" in text and "probe.py" not in text and "importlib" not in text


@pytest.mark.parametrize("name", ["click", "cryptography", "hatch_thespian", "director", "pytest"])
def test_nothing_of_the_build_environment_helps_by_accident(name: str) -> None:
    assert f"No module named '{name}'" in failure({"app.py": f"import {name}\n{GOOD}"})


def test_the_bundled_metadata_and_that_of_thespian_are_there_and_no_other() -> None:
    sources = {
        "app.py": GOOD
        + "from importlib.metadata import version, distributions\n"
        + "assert version('one') == '1.0' and version('thespian')\n"
        + "assert sorted(one.name for one in distributions()) == ['one', 'thespian']\n",
        "one-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: one\nVersion: 1.0\n",
    }
    assert check(sources) == []


def test_a_class_that_is_no_actor_is_told() -> None:
    assert "no subclass of thespian.actors.Actor" in failure({"app.py": "class Main: pass\n"})
    assert "has no attribute 'Main'" in failure({"app.py": ""})


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import os; os._exit(9)", "ended the process with 9"),
        ("import os; os.abort()", "ended the process with -6"),
    ],
)
def test_a_source_that_ends_the_process_at_import_is_told(end: str, words: str) -> None:
    assert words in failure({"app.py": f"{GOOD}\n{end}\n"})


def test_a_thread_that_goes_on_does_not_hold_the_build() -> None:
    thread = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\n"
    started = time.monotonic()
    assert check({"app.py": GOOD + thread}) == [] and time.monotonic() - started < 15


@pytest.mark.parametrize(("end", "fails"), [("", False), ("while True: pass\n", True)])
def test_a_process_that_an_import_starts_neither_holds_the_build_nor_stays(
    end: str, fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hatch_thespian.check.LIMIT", 3 if fails else 20)
    note = tmp_path / "pid"
    child = (
        "import pathlib, subprocess\nbusy = subprocess.Popen(['sleep', '600'])\n"
        f"pathlib.Path({str(note)!r}).write_text(str(busy.pid))\n"
    )
    started = time.monotonic()
    if fails:
        assert "took more than 3 s" in failure({"app.py": GOOD + child + end})
    else:
        assert check({"app.py": GOOD + child + end}) == []
    assert time.monotonic() - started < 15
    pid = int(note.read_text())
    until = time.monotonic() + 10
    while running(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not running(pid)


def running(pid: int) -> bool:
    """Whether it runs; one that has ended may wait a while for who inherited it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_an_import_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hatch_thespian.check.LIMIT", 1)
    assert "took more than 1 s" in failure({"app.py": GOOD + "while True: pass\n"})


def test_each_actor_that_fails_is_told() -> None:
    text = failure({"app.py": "1/0\n", "two.py": "{}['x']\n"}, "app.Main", "two.Main")
    assert "ZeroDivisionError" in text and "KeyError" in text


def test_the_sources_do_not_see_the_signing_key_nor_pythons_variables() -> None:
    source = (
        "import os\nassert not [n for n in os.environ if n.startswith('THESPIAN_SIGNING_KEY')]\n"
    )
    environ = {"THESPIAN_SIGNING_KEY": "secret", "THESPIAN_SIGNING_KEY_PASSPHRASE": "x"}
    assert check({"app.py": GOOD + source}, environ=environ) == []
    assert check({"app.py": GOOD}, environ={"PYTHONPATH": "/nowhere"}) == []


def test_an_external_distribution_that_is_installed_here_can_be_imported_with_what_it_needs() -> (
    None
):
    source = {"app.py": GOOD + "import hypothesis, sortedcontainers\n"}
    assert check(source, external=("thespian", "hypothesis>=6")) == []
    assert "No module named 'hypothesis'" in failure(source)


def test_an_external_distribution_that_is_not_installed_here_is_reported_as_unchecked() -> None:
    source = {"app.py": GOOD + "import not_here.at_all\n"}
    absent, actor = check(source, external=("thespian", "not-here"))
    assert "not-here is not installed here" in absent and "unchecked" in absent
    assert "app.Main is unchecked: it imports not_here, of not-here" in actor
    (absent,) = check({"app.py": GOOD}, external=("thespian", "not-here"))
    assert "unchecked" in absent
    mine = {"app.py": GOOD + "import app_lib.gone\n", "app_lib/__init__.py": ""}
    assert "app_lib.gone" in failure(mine, external=("thespian", "not-here"))


def test_an_absent_external_excuses_no_module_that_it_cannot_bring() -> None:
    text = failure(
        {"app.py": GOOD + "import nonesuch\n", "two.py": GOOD + "import not_here\n"},
        *("app.Main", "two.Main"),
        external=("thespian", "not-here>=2"),
    )
    assert "No module named 'nonesuch'" in text and "No module named 'not_here'" not in text
    assert "Add what brings nonesuch to deps" in text and "install that here" in text


@pytest.mark.parametrize(
    ("distribution", "top", "may"),
    [
        ("PyYAML", "yaml", True),
        ("python-dateutil", "dateutil", True),
        ("zope.interface", "zope", True),
        ("Not.Here", "not_here", True),
        ("numpy", "nonesuch", False),
        ("numpy", "", False),
    ],
)
def test_which_distribution_may_bring_a_module(distribution: str, top: str, may: bool) -> None:
    assert may_bring(distribution, top) is may


def test_an_external_distribution_of_another_version_is_warned_of() -> None:
    source = {"app.py": GOOD + "import hypothesis\n"}
    (warning,) = check(source, external=("thespian", "hypothesis<2"))
    assert "hypothesis<2 is expected on hosts" in warning


def test_the_remedy_fits_what_is_wrong() -> None:
    assert "deps" not in failure({"app.py": f"1/0\n{GOOD}"})
    assert "Bundle what is missing" in failure({"app.py": f"from json import nothing\n{GOOD}"})


def test_metadata_that_is_missing_is_no_missing_module() -> None:
    source = {"app.py": f"import importlib.metadata\nimportlib.metadata.version('app')\n{GOOD}"}
    text = failure(source)
    assert "PackageNotFoundError" in text and "what brings app" not in text
    assert "Add app to deps" in text and "hatch and setuptools ship its metadata" in text
    text = failure(source, project="My-App")
    assert "own metadata is there, under the name My-App" in text and "gensrc" not in text
    _, told = check(source, external=("thespian", "App>=3"))
    assert told == "app.Main is unchecked: it asks for the metadata of App."
    assert "Add app to deps" in failure(source, external=("thespian", "app-of-another"))


@pytest.mark.parametrize(
    "line",
    ["from .rpds import f", "import rpds.rpds", "from rpds import rpds", "from . import rpds"],
)
def test_what_a_strip_broke_is_told_as_that(line: str) -> None:
    source = {"app.py": f"import rpds\n{GOOD}", "rpds/__init__.py": f"{line}\n"}
    text = failure(source, stripped={"other._c": "Other", "rpds.rpds": "rpds-py"})
    assert "rpds.rpds is a compiled part of rpds-py, which native" in text and "deps" not in text
    assert "rpds-py" not in failure(source, stripped={"rpds.other": "rpds-py"})


def test_what_the_host_itself_brings_is_named_by_its_distribution() -> None:
    text = failure({"app.py": f"import director\n{GOOD}"})
    assert 'external = ["hatch-thespian"]' in text and "Add what brings" not in text


def test_what_is_present_is_read_from_the_installed_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack(
        make_wheel(tmp_path, "odd-name", files={"other.py": "", "pack/x.py": ""}), tmp_path / "t"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "t"))
    edited = make_wheel(tmp_path, "edited", files={"_edited.pth": str(tmp_path)})
    unpack(edited, tmp_path / "t")
    assert present(["edited"]).absent == ("edited",)
    found = present(["Odd.Name", "missing"])
    assert found.tops == ("other", "pack") and found.absent == ("missing",)
    assert found.places == (str(tmp_path / "t"),) and found.names == ("odd-name",)


def test_an_external_distribution_that_is_linked_to_a_checkout_is_taken_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "tool").mkdir(parents=True)
    (checkout / "tool" / "__init__.py").write_text("WHERE = 'checkout'\n")
    (checkout / "helper.py").touch()
    (checkout / "data").mkdir()
    # Beside its .pth it brings a part of the same name, as a forced include does.
    files = {"_my.pth": f"# mine\nimport sys\n{checkout}\n{checkout}\n", "tool/data.txt": "x"}
    unpack(make_wheel(tmp_path, "my-tool", files=files), tmp_path / "t")
    monkeypatch.syspath_prepend(str(tmp_path / "t"))
    assert present(["my-tool"]).tops == ("helper", "tool") and not present(["my-tool"]).absent
    source = {"app.py": GOOD + "import helper, tool\nassert tool.WHERE == 'checkout'\n"}
    (told,) = check(source, external=("thespian", "my-tool"))
    assert told == f"my-tool is linked to {checkout}, and the check ran with that."


def test_the_example_for_actors_of_other_groups_builds_with_the_table_that_is_told() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")
    (actor,) = [one for one in re.findall(r"```python\n(.*?)```", page, re.S) if "Roles(" in one]
    (table,) = re.findall(r"```toml\n(.*?)```", page, re.S)
    external = tomllib.loads(table)["tool"]["hatch"]["build"]["hooks"]["thespian"]["external"]
    told = check({"back.py": actor}, "back.Back", external=("thespian", *external))
    assert all("is linked to" in line for line in told), "which this installation may be"
    assert "No module named 'director'" in failure({"back.py": actor}, "back.Back")
