"""The guide's run side, its own command lines as written, against its own layout (2.1, 2.4 to 2.8, 3.3, 3.4).

`python -m director` stands where the guide writes `python -m thespian.director`; its two directories are others here,
and 2.3.2's key has 1024 bits as there, which builder and operator have to allow.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from director.tls.keys import SigningKey
from tests.conftest import Host, open_host
from tests.wheels import write_files

pytestmark = pytest.mark.system

FOO_TLI = """
{'Actors': {
    'foo.fooactor.FooActor': {
        'OnLoad': {'Role': 'MainFoo', 'Message': 'StartFoo', 'GlobalName': 'Foo Primary'},
        'OnReactivate': {'Message': ('Restart', True)},
        'OnDeactivate': {'Message': {'Shutdown': True, 'timeout': 3}}},
    'foo.subdir2.barn.cowactor.CowActor': {
        'OnLoad': {'Role': 'FlyingCow', 'Message': 'Moo!'}}}}
"""
OTHER_TLI = """{'Actors': {'other.o.Other': {
    'OnLoad': {'Role': 'other', 'Message': 'Start %s' % os.getenv('OTHER_INFO', 'notspec')}}},
 'AutoUnload': True, 'TLS_Keep_Limit': 3}"""
ACTOR = """
import logging
from thespian.actors import ActorExitRequest, ActorTypeDispatcher

class CLASS(ActorTypeDispatcher):
    def receiveMessage(self, message, sender):
        logging.getLogger("subsysA").warning("heard %r", message)
        if isinstance(message, dict) and message.get("Shutdown"):
            self.send(self.myAddress, ActorExitRequest())
        if isinstance(message, dict) and "reply" in message:
            self.send(sender, message["reply"])
"""
#: The guide's 2.4, its misprints mended: the comma before 'filters', `'()':`, `%(actorAddress)s`.
THESPLOG = """{ 'version': 1,
  'formatters': {
    'normal': {
      'fmt': '%(asctime)s,%(msecs)d %(actorAddress)s/PID:%(process)d %(name)s %(levelname)s %(message)s',
      'datefmt': '%Y-%m-%d %H:%M:%S'
    }
 },
  'root': {'level': 20, 'handlers': ['foo_log_handler']},
  'loggers': {
    'subsysA': {'level':30, 'propagate': 0, 'handlers': ['foo_log_handler']}
 },
  'handlers': {
    'foo_log_handler': {
       'filename': 'fooapp.log',
       'class': 'logging.handlers.TimedRotatingFileHandler',
       'formatter': 'normal',
       'level': 20, 'backupCount':3,
       'filters': ['isActorLog'],
       'when': 'midnight'
    }
 },
  'filters': {'isActorLog': {'()': 'thespian.director.ActorAddressLogFilter'}}
}
"""


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Iterator[tuple[Host, Path]]:
    """The director directory of 2.4 and the project beside it."""
    home = tmp_path_factory.mktemp("guide")
    settings = {
        "othercaps": "{ 'Worker': True, 'Slot': 19, 'nproc': 2 }\n",
        "thesplog": THESPLOG,
        "thesplogd": f"{home}/log\n",
        "minkeybits": "1024\n",
    }
    project = write_files(
        home / "project",
        {
            "foo/__init__.py": "",
            "foo/fooactor.py": ACTOR.replace("CLASS", "FooActor"),
            "foo/subdir2/__init__.py": "",
            "foo/subdir2/barn/__init__.py": "",
            "foo/subdir2/barn/cowactor.py": ACTOR.replace("CLASS", "CowActor"),
            "other/__init__.py": "",
            "other/o.py": ACTOR.replace("CLASS", "Other"),
            "foo.tli": FOO_TLI,
            "other.tli": OTHER_TLI,
        },
    )
    with open_host(home, key, **settings) as host:
        (host.directory / "sourcekey_tls.key").unlink()
        yield host, project


def sh(
    guide: tuple[Host, Path], words: str, *, status: int = 0, **environ: str
) -> subprocess.CompletedProcess[str]:
    """A line as the guide writes it, through a shell in the project's directory."""
    host, project = guide
    line = words.replace("python -m thespian.director", f"{sys.executable} -m director")
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=project,
        env={**host.environment(), "THESPIAN_SIGNING_MIN_BITS": "1024", **environ},
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == status, done
    assert "Traceback" not in done.stderr
    return done


def log_of(guide: tuple[Host, Path]) -> str:
    return (guide[0].directory.parent / "log" / "fooapp.log").read_text()


def test_2_1_no_command_is_help_and_nothing_else_happens(guide: tuple[Host, Path]) -> None:
    before = sorted(guide[0].directory.iterdir())
    alone = sh(guide, "python -m thespian.director").stdout
    assert alone == sh(guide, "python -m thespian.director help").stdout
    for setting in ("convleader.cfg", "othercaps.cfg", "thesplog.cfg", "thesplogd.cfg"):
        assert setting in alone, "2.4: the files and their usage are described"
    for command in ("gensrc", "tlsinfo", "config", "start", "bootstart", "shutdown", "load"):
        assert command in alone
        told = sh(guide, f"python -m thespian.director help {command}").stdout
        assert told != alone and f"director {command}" in told
    verbose = sh(guide, "python -m thespian.director verbose config")
    assert verbose.stdout == sh(guide, "python -m thespian.director config").stdout
    assert sorted(guide[0].directory.iterdir()) == before and not guide[0].control.running()


def test_2_3_keys_and_sources(guide: tuple[Host, Path]) -> None:
    sh(guide, "openssl genrsa -out sourcekey.pem 1024")
    sh(guide, "openssl rsa -in sourcekey.pem -pubout -out $THESPIAN_DIRECTOR_DIR/sourcekey_tls.key")
    for version in ("201710261902", "201710261938"):
        words = f"gensrc foo sourcekey.pem . version:{version} tli:foo.tli 'foo/**/*.py'"
        sh(guide, f"python -m thespian.director {words}")
    for version in ("1.3.5", "1.4", "2.0"):
        words = f"gensrc other sourcekey.pem . version:{version} tli:other.tli other/*.py"
        sh(guide, f"python -m thespian.director {words}")
    told = sh(guide, "python -m thespian.director tlsinfo foo-201710261902.tls")
    assert 'foo-201710261902.tls" loadable with key ' in told.stdout
    assert "1024" in told.stderr, "a warning each time"
    place = "$THESPIAN_DIRECTOR_DIR/foo-201710261902.tls"
    lines = sh(guide, f"python -m thespian.director tlsinfo {place} contents").stdout.splitlines()
    sizes = {name: int(size) for size, name in (line.split() for line in lines)}
    actor = guide[1] / "foo" / "fooactor.py"
    assert sizes["foo/fooactor.py"] == actor.stat().st_size and sizes["foo/__init__.py"] == 0
    told = sh(guide, f"python -m thespian.director tlsinfo {place} foo/fooactor.py")
    assert told.stdout == actor.read_text()


def test_2_4_config(guide: tuple[Host, Path]) -> None:
    host = guide[0]
    lines = sh(guide, "python -m thespian.director config").stdout.splitlines()
    told = dict(line.strip().split(": ", 1) for line in lines if ": " in line)
    assert told["Sources location"] == str(host.directory)
    assert told["System Base"] == "multiprocTCPBase"
    assert told["Admin Port"] == str(host.control.config.admin_port)
    assert told["Logging directory"] == str(host.directory.parent / "log")
    assert told["Other Capabilities"] == "{'Worker': True, 'Slot': 19, 'nproc': 2}"


def test_2_4_config_with_the_guides_convention_leader(guide: tuple[Host, Path]) -> None:
    path = guide[0].directory / "convleader.cfg"
    path.write_text("192.168.32.19\n")  # a host that is not there: nothing is started with it
    try:
        told = sh(guide, "python -m thespian.director config").stdout
    finally:
        path.unlink()
    assert "192.168.32.19" in told


def test_2_7_avail_sorts_each_group_newest_first(guide: tuple[Host, Path]) -> None:
    lines = sh(guide, "python -m thespian.director avail").stdout.splitlines()
    assert lines[0] == f"THESPIAN_DIRECTOR_DIR={guide[0].directory}"
    names = [re.sub(r"\s+[0-9a-f]{32}$", "", line) for line in lines[1:]]
    directory = guide[0].directory
    assert names == [
        f"foo: {directory}/foo-201710261938.tls",
        f"   + {directory}/foo-201710261902.tls",
        f"other: {directory}/other-2.0.tls",
        f"     + {directory}/other-1.4.tls",
        f"     + {directory}/other-1.3.5.tls",
    ]


def test_2_7_both_ways_to_load_do_the_same_and_start_the_system(guide: tuple[Host, Path]) -> None:
    first = sh(guide, "python -m thespian.director load foo-201710261938.tls")
    assert re.search(r'^Loaded "foo" \S+/foo-201710261938.tls: [0-9a-f]{32}$', first.stdout, re.M)
    for target in ("foo", "foo.tli"):
        again = sh(guide, f"python -m thespian.director load {target}")
        assert "up to date" in again.stdout and "foo-201710261938.tls" in again.stdout
    lines = sh(guide, "python -m thespian.director list").stdout
    assert "Group foo::" in lines and "foo.fooactor.FooActor (MainFoo)" in lines


def test_2_5_start_has_no_effect_on_a_running_system(guide: tuple[Host, Path]) -> None:
    before = guide[0].processes()
    assert "already running" in sh(guide, "python -m thespian.director start").stderr
    assert guide[0].processes() == before


def test_2_7_1_refresh_loads_what_is_newer_and_names_it(guide: tuple[Host, Path]) -> None:
    told = sh(guide, "python -m thespian.director refresh", OTHER_INFO="spec").stdout
    assert re.search(r'^Loaded "other" \S+/other-2.0.tls: [0-9a-f]{32}$', told, re.M)
    assert '"foo" is up to date' in told
    assert "heard 'Start spec'" in log_of(guide)


def test_2_7_2_the_same_load_again_is_none_and_another_word_of_the_environment_is_told(
    guide: tuple[Host, Path],
) -> None:
    """The message uses OTHER_INFO: with another value the running actor was told something else."""
    for _ in range(2):
        again = sh(guide, "python -m thespian.director load other", OTHER_INFO="spec", MORE="else")
        assert '"other" is up to date' in again.stdout
    told = sh(guide, "python -m thespian.director load other", status=1, OTHER_INFO="new")
    assert "active with another TLI" in told.stderr and "unload it and load it again" in told.stderr
    assert "OTHER_INFO='new'" in told.stderr, "which variable it may be"
    told = sh(guide, "python -m thespian.director refresh", OTHER_INFO="new")
    assert '"other" is up to date' in told.stdout, "refresh looks at the files only"
    assert log_of(guide).count("heard 'Start ") == 1


def test_2_7_unload_by_hash(guide: tuple[Host, Path]) -> None:
    # Older than what this host has seen, and new to it: our own words are needed for that.
    sh(guide, "python -m thespian.director load foo-201710261902.tls --allow-downgrade")
    lines = sh(guide, "python -m thespian.director list foo").stdout
    active = re.findall(r"Source hash ([0-9a-f]{32})  \[ACTIVE\]", lines)
    assert len(active) == 1
    sh(guide, f"python -m thespian.director unload {active[0]}")
    assert active[0] not in sh(guide, "python -m thespian.director list").stdout
    newer = sh(guide, "python -m thespian.director list foo").stdout
    assert len(re.findall(r"\[ACTIVE\]", newer)) == 1, "the one that is still loaded"


def test_2_8_the_python_session(guide: tuple[Host, Path]) -> None:
    session = """
from director import DirectorControl
dc = DirectorControl()
print(dc.cmd_list())
r = dc.get_role_address('FlyingCow')
print(sorted(r))
r = dc.get_role_address('unknown role name')
print(r)
r = dc.get_role_address('unknown role name', silent=True)
print(r)
"""
    done = sh(guide, f'{sys.executable} -c "$SESSION"', SESSION=session)
    lines = done.stdout.splitlines()
    assert lines[0] == "Group foo::" and "0" in lines
    keys = ["ActorAddress", "ActorClass", "DirectorResponse", "Group", "Role", "SourceHash"]
    told = str([*keys, "StartTime", "Success"])
    at = lines.index(told)
    assert lines[at + 1].startswith("RoleAddress ERROR: {'DirectorResponse': 'RoleAddress'")
    assert lines[-2:] == ["None", "None"]


def test_3_3_and_3_4_builtins_cross_the_boundary_and_a_name_makes_an_actor(
    guide: tuple[Host, Path],
) -> None:
    session = """
from datetime import timedelta
from director import DirectorControl
with DirectorControl() as control:
    digest = control.loaded('foo')['foo']['ActiveHash']
    made = control.system.createActor('foo.fooactor.FooActor', sourceHash=digest)
    told = {'reply': ('text', 19, True, [1.5, None], {'a': b'b'})}
    print(control.system.ask(made, told, timedelta(seconds=10)) == told['reply'])
    control.system.tell(made, {'Shutdown': True})
"""
    assert sh(guide, f'{sys.executable} -c "$SESSION"', SESSION=session).stdout == "True\n"


def test_2_7_2_keep_limit_and_messages(guide: tuple[Host, Path]) -> None:
    words = "gensrc other sourcekey.pem . version:2.1 tli:other.tli other/*.py"
    sh(guide, f"python -m thespian.director {words}")
    sh(guide, "python -m thespian.director load other")
    left = sorted(path.name for path in guide[0].directory.glob("other-*.tls"))
    assert left == ["other-1.4.tls", "other-2.0.tls", "other-2.1.tls"]
    log = log_of(guide)
    for heard in ("'StartFoo'", "'Moo!'", "{'Shutdown': True, 'timeout': 3}"):
        assert f"heard {heard}" in log
    # Two loads; then the first one, which had exited at its OnDeactivate, came back (OnReactivate is for the living).
    assert log.count("heard 'StartFoo'") == 3
    line = next(line for line in log.splitlines() if "heard 'Moo!'" in line)
    assert re.match(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ ActorAddr-\(T\|:\d+\)/PID:\d+ subsysA WARNING", line
    )


def test_2_6_shutdown(guide: tuple[Host, Path]) -> None:
    assert sh(guide, "python -m thespian.director shutdown").stdout == "Shutdown completed\n"
    assert not guide[0].control.running() and "ActorExitRequest" in log_of(guide)
    assert "No actor system" in sh(guide, "python -m thespian.director list", status=3).stderr


def test_a_setting_that_does_not_read_stops_start_before_anything_runs(
    guide: tuple[Host, Path],
) -> None:
    path = guide[0].directory / "othercaps.cfg"
    kept = path.read_text()
    path.write_text("{'Worker': True,\n 'Slot': nineteen}")
    told = sh(guide, "python -m thespian.director start", status=8)
    path.write_text(kept)
    assert "othercaps.cfg:2:10" in told.stderr and not guide[0].control.running()
