"""What each platform renders: whole files against goldens, their own parsers, and hostile names and paths.

`python -m tests.boot.test_render` writes the goldens anew; read the difference before it is committed.
"""

from __future__ import annotations

import plistlib
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.boot import MANAGERS, render
from director.boot.apply import describe
from director.boot.plan import LONGEST_NAME, Plan, Service, fit
from director.boot.systemd import quote
from director.errors import UsageError
from director.service import Unit, unit_of

GOLDEN = Path(__file__).with_name("golden")
NAME = "thespian.director"
UNIX = Service(NAME, "/opt/venv/bin/python3", "/opt/thespian/director")
WINDOWS = Service(NAME, r"C:\Program Files\Python\python.exe", r"C:\thespian\director")

CASES = {
    "systemd": ("systemd", UNIX),
    "systemd-user": (
        "systemd",
        Service(
            "my actors.service",
            "/home/joe/ve/bin/python",
            "/srv/50% $x",
            "actors",
            create_user=True,
        ),
    ),
    "systemd-image": (
        "systemd",
        Service(NAME, UNIX.python, UNIX.directory, root="/image", offline=True),
    ),
    "upstart": ("upstart", Service(NAME, UNIX.python, UNIX.directory, "actors", create_user=True)),
    "launchd": ("launchd", Service(NAME, UNIX.python, UNIX.directory, "actors")),
    "windows-task": ("windows", WINDOWS),
    "windows-nssm": (
        "windows",
        Service(NAME, WINDOWS.python, WINDOWS.directory, nssm=r"C:\nssm\nssm.exe"),
    ),
}


def whole(plan: Plan) -> str:
    """Everything of a plan, as text."""
    lines = describe(plan, start=True)
    for part in ("stop", "purge", "forget"):
        lines.append(f"# {part}")
        lines += [shlex.join(command.words) for command in getattr(plan, part)]
    lines += [f"# kept: {', '.join(plan.kept)}", f"# rivals: {', '.join(plan.rivals)}"]
    lines += [*(f"# warning: {w}" for w in plan.warnings)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("case", CASES)
def test_the_whole_plan_is_the_golden_one(case: str) -> None:
    assert whole(render(*CASES[case])) == (GOLDEN / f"{case}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES)
def test_every_file_tells_which_unit_it_is(case: str) -> None:
    plan = render(*CASES[case])
    for file in plan.files:
        assert unit_of(file.data.decode(file.encoding)) == plan.unit


def sections(text: str) -> dict[str, list[tuple[str, str]]]:
    """A unit file as systemd.syntax(7) reads it, as far as we write it."""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            found[line.strip("[]")] = now = []
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            now.append((key, value))
    return found


def test_the_unit_runs_the_command_with_the_variables_and_does_not_retry_what_is_not_cured() -> (
    None
):
    plan = render(*CASES["systemd-user"])
    service = dict(sections(plan.files[0].text)["Service"])
    variables = [v for k, v in sections(plan.files[0].text)["Service"] if k == "Environment"]
    assert shlex.split(service["ExecStart"])[:4] == [
        "/home/joe/ve/bin/python",
        "-I",
        "-m",
        "director",
    ]
    # In Environment= a `$` is nothing special (systemd.exec(5)), and two of them are two.
    assert [shlex.split(one.replace("%%", "%"))[0] for one in variables] == [
        "THESPIAN_DIRECTOR_DIR=/srv/50% $x",
        "THESPIAN_DIRECTOR_STATE=/var/lib/my-actors",
        "DIRECTOR_SERVICE=my-actors",
    ]
    assert service["RestartPreventExitStatus"].split() == ["2", "4", "8"]
    assert service["KillMode"] == "mixed" and service["Type"] == "notify"
    assert service["ProtectHome"] == "read-only", "the interpreter lies in a home"
    assert dict(sections(render("systemd", UNIX).files[0].text)["Service"])["ProtectHome"] == "yes"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
@pytest.mark.parametrize("user", [None, "daemon"])
def test_systemd_itself_finds_nothing_wrong_and_little_exposure(
    tmp_path: Path, user: str | None
) -> None:
    service = Service(NAME, "/bin/true", str(tmp_path), user)
    path = tmp_path / f"{NAME}.service"
    path.write_text(render("systemd", service).files[0].text)
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True
    )
    if "Failed to initialize" in verified.stderr:
        pytest.skip(f"systemd-analyze cannot work here: {verified.stderr}")
    assert verified.stdout + verified.stderr == "" and verified.returncode == 0
    exposed = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(path)],
        capture_output=True,
        text=True,
    )
    assert exposed.returncode == 0, exposed.stdout[-300:] + exposed.stderr


def test_the_job_of_upstart_is_shell_that_reads_and_exports_what_files_say(tmp_path: Path) -> None:
    service = Service(NAME, "/opt/it's here/python", "/srv/a b")
    text = render("upstart", service).files[0].text
    script = text.split("\nscript\n")[1].split("\nend script")[0]
    defaults = tmp_path / "defaults"
    defaults.write_text("WORD='of the file'\n")
    tried = script.replace("/etc/default/thespian.director", str(defaults)).replace(
        "exec '", "exec env #"
    )
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
    told = subprocess.run(
        ["sh", "-e"], input=tried, text=True, capture_output=True, check=True
    ).stdout.splitlines()
    assert "THESPIAN_DIRECTOR_DIR=/srv/a b" in told and "WORD=of the file" in told
    assert "exec '/opt/it'\"'\"'s here/python' -I -m director start wait" in script


def test_the_property_list_of_launchd_reads() -> None:
    job = plistlib.loads(render(*CASES["launchd"]).files[0].data)
    assert job["ProgramArguments"] == [UNIX.python, "-I", "-m", "director", "start", "wait"]
    assert job["KeepAlive"] == {"SuccessfulExit": False} and job["RunAtLoad"] is True
    assert job["EnvironmentVariables"]["THESPIAN_DIRECTOR_DIR"] == UNIX.directory


def test_the_task_of_windows_is_xml_in_the_encoding_that_it_says() -> None:
    (file,) = render(*CASES["windows-task"]).files
    task = ElementTree.fromstring(file.data)  # noqa: S314 - our own text
    space = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
    arguments = task.findtext(f"{space}Actions/{space}Exec/{space}Arguments")
    assert arguments == (
        r'/d /s /c "set "THESPIAN_DIRECTOR_DIR=C:\thespian\director" && '
        r'set "THESPIAN_DIRECTOR_STATE=C:\ProgramData\thespian\thespian.director\state" && '
        r'set "DIRECTOR_SERVICE=thespian.director" && '
        r'"C:\Program Files\Python\python.exe" -I -m director start wait"'
    )


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("thespian.director", "thespian.director"),
        ("my app", "my-app"),
        ("a@b%i", "a-b-i"),
        ("x.service", "x.service"),
        ("x-", "x"),
        ("ünits", "nits"),
        ("a" * 190, "a" * 190),
    ],
)
def test_names_are_made_fit(name: str, made: str) -> None:
    assert fit(name) == made


def test_systemds_ending_is_not_doubled_and_no_name_at_all_is_told() -> None:
    path = render("systemd", Service("x.service", "/p", "/d")).files[0].path
    assert path == "/etc/systemd/system/x.service"
    with pytest.raises(UsageError, match="no name for a service"):
        fit("///")


@pytest.mark.parametrize(
    "name",
    ["", "-x", ".x", "../../x", "a/b", "a\\b", "a\nb", "a\x7f", "--", "é", "nostart", "a" * 191],
)
def test_names_that_look_like_something_else_are_refused(name: str) -> None:
    for manager in MANAGERS:
        with pytest.raises(UsageError, match="no name for a service"):
            render(manager, Service(name, "/p", "/d"))


@pytest.mark.parametrize("manager", MANAGERS)
def test_the_longest_name_fits_into_every_file_that_is_made_of_it(manager: str) -> None:
    """The longest is systemd's directory for PrivateTmp, which is made when the unit starts."""
    length = 80 if manager == "windows" else LONGEST_NAME
    plan = render(manager, Service("n" * length, "/p", "/d"))
    name = Path(plan.files[0].path).name
    made = f"systemd-private-{'0' * 32}-{name}-XXXXXX" if manager == "systemd" else name
    assert len(made) <= 255
    with pytest.raises(UsageError, match="no name for a service"):
        render(manager, Service("n" * (length + 1), "/p", "/d"))


def user_of(name: str) -> str:
    text = render("systemd", Service(name, "/p", "/d")).files[0].text
    return dict(sections(text)["Service"])["User"]


def test_the_user_of_a_service_is_nobody_elses() -> None:
    """systemd takes a user that exists, and two services of one user's name share it (systemd.exec(5))."""
    names = ["root", "daemon", "a.b", "a-b", "A.B", "a" * 40, "a" * 41, "thespian.director", "7"]
    users = [user_of(name) for name in names]
    assert len(set(users)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_-]{0,20}-[0-9a-f]{8}", user) for user in users), users


@pytest.mark.parametrize("manager", MANAGERS)
@pytest.mark.parametrize(
    "service",
    [
        Service("x", "/p", "/d\nExecStartPre=/bin/evil"),
        Service("x", "/p\x00", "/d"),
        Service("x", "/p", "/d", user="root\nEvil=1"),
        Service("x", "/p", "/d", user="-x"),
        Service("x", "/p", "/d", user="root", create_user=True),
        Service("x", "/p", "/d", create_user=True),
    ],
)
def test_what_would_write_lines_of_its_own_is_refused(manager: str, service: Service) -> None:
    with pytest.raises(UsageError):
        render(manager, service)


def test_windows_refuses_what_cmd_would_expand_and_unknown_managers_are_told() -> None:
    with pytest.raises(UsageError, match="nssm"):
        render("windows", Service("x", r"C:\python.exe", r"C:\100%PATH%"))
    with pytest.raises(UsageError, match="systemd, upstart"):
        render("runit", UNIX)


PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f"))


@given(PRINTABLE)
def test_a_quoted_word_of_a_unit_file_is_read_as_it_was(value: str) -> None:
    # systemd's quoting within double quotes is the shell's as far as we use it.
    assert shlex.split(quote(value).replace("%%", "%")) == [value]


def test_a_dollar_is_doubled_in_arguments_of_commands_alone() -> None:
    """Not in variables, not in mounts, not in the path of a program, which is told its own name besides."""
    text = render("systemd", Service("x", "/opt/$ve/python", "/srv/$HOME")).files[0].text
    unit, service = (dict(sections(text)[name]) for name in ("Unit", "Service"))
    assert unit["RequiresMountsFor"] == '"/srv/$HOME"'
    assert 'Environment="THESPIAN_DIRECTOR_DIR=/srv/$HOME"\n' in text
    assert service["ExecStart"] == '"@/opt/$ve/python" "/opt/$$ve/python" -I -m director start wait'
    assert service["ExecReload"].startswith('"@/opt/$ve/python" "/opt/$$ve/python" -I -m')
    assert service["ExecReload"].endswith(" $MAINPID")


@given(PRINTABLE, PRINTABLE)
def test_no_path_makes_a_line_of_a_unit_go_on_in_the_next(python: str, directory: str) -> None:
    """systemd joins lines at a backslash (systemd.syntax(7)); it swallows the next one."""
    service = Service("x", f"/{python}\\", f"/{directory}\\")
    (file,) = render("systemd", service).files
    assert not [line for line in file.text.splitlines() if line.endswith("\\")]


@given(PRINTABLE, PRINTABLE)
def test_any_unit_is_found_again_in_a_comment_of_any_file(directory: str, state: str) -> None:
    unit = Unit("launchd", "a-b", directory, state, "x--y", made=("/a--b", directory))
    assert unit_of(f"<?xml?>\n<!-- {unit.line()} -->\n") == unit
    assert "--" not in unit.line()
    assert unit_of(f"# {unit.line()}\n") == unit


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing",
        "# director-bootstart: {",
        "# director-bootstart: []",
        "echo of a file that only quotes # director-bootstart: {}",
    ],
)
def test_a_file_that_bootstart_did_not_write_has_no_unit(text: str) -> None:
    assert unit_of(text) is None


if __name__ == "__main__":
    for case, arguments in CASES.items():
        (GOLDEN / f"{case}.txt").write_text(whole(render(*arguments)), encoding="utf-8")
