"""The .cfg files: every one, its default, plain and quoted, and what is wrong with it."""

from __future__ import annotations

import logging
import logging.config
import logging.handlers
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from director.actors.host import logging_problem
from director.demo import free_port
from director.errors import SettingsError
from director.logfilter import ActorAddressLogFilter
from director.settings.config import (
    director_directory,
    logging_refused,
    read_config,
    state_directory,
    survey_config,
)
from director.settings.files import SETTINGS
from director.settings.logdefs import default_logging, refused

#: The guide's 2.4, its misprints mended: the comma before 'filters', `'()':`, `%(actorAddress)s`.
THESPLOG = """{ 'version': 1,
  'formatters': {'normal': {
      'fmt': '%(asctime)s,%(msecs)d %(actorAddress)s/PID:%(process)d %(name)s %(levelname)s %(message)s',
      'datefmt': '%Y-%m-%d %H:%M:%S'}},
  'root': {'level': 20, 'handlers': ['foo_log_handler']},
  'loggers': {'subsysA': {'level':30, 'propagate': 0, 'handlers': ['foo_log_handler']}},
  'handlers': {'foo_log_handler': {
       'filename': 'fooapp.log',
       'class': 'logging.handlers.TimedRotatingFileHandler',
       'formatter': 'normal',
       'level': 20, 'backupCount':3,
       'filters': ['isActorLog'],
       'when': 'midnight'}},
  'filters': {'isActorLog': {'()': 'thespian.director.ActorAddressLogFilter'}}
}"""


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.cfg").write_text(text, encoding="utf-8")
    return folder


def test_the_guides_example(tmp_path: Path) -> None:
    found = read_config(
        write(
            tmp_path,
            convleader="192.168.32.19\n",
            othercaps="{ 'Worker': True, 'Slot': 19, 'nproc': 2 }\n",
            thesplogd="/tmp/log\n",
        ),
        {},
    )
    assert found.convention_leader == "192.168.32.19"
    assert found.capabilities == {"Worker": True, "Slot": 19, "nproc": 2}
    assert found.log_directory == Path("/tmp/log")
    assert (found.system_base, found.admin_port) == ("multiprocTCPBase", 1900)
    assert found.log_file == "/tmp/log/thespian_system.log" and found.log_size == 51_200


@pytest.mark.parametrize(
    "text", ["multiprocUDPBase", "'multiprocUDPBase'\n", '"multiprocUDPBase"', "os.environ['B']"]
)
def test_a_word_may_be_plain_quoted_or_of_the_environment(tmp_path: Path, text: str) -> None:
    found = read_config(write(tmp_path, thespbase=text), {"B": "multiprocUDPBase"})
    assert found.system_base == "multiprocUDPBase"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("192.168.32.19", "192.168.32.19"),
        ("'192.168.32.19:1900'", "192.168.32.19:1900"),
        ("['a', 'b:1900']", ["a", "b:1900"]),
        ("('a', 'b')", ["a", "b"]),
    ],
)
def test_leaders_may_be_one_or_a_list(tmp_path: Path, text: str, value: object) -> None:
    assert read_config(write(tmp_path, convleader=text), {}).convention_leader == value


def test_a_list_of_leaders_holds_texts(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="convleader"):
        read_config(write(tmp_path, convleader="['a', 3]"), {})


@pytest.mark.parametrize(
    "name",
    [
        "thespian.director.ActorAddressLogFilter",
        "director.ActorAddressLogFilter",
        "director.logfilter.ActorAddressLogFilter",
    ],
)
def test_under_each_of_its_names_the_filter_leaves_the_address_empty_outside_actors(
    tmp_path: Path, name: str
) -> None:
    text = f"{{'version': 1, 'filters': {{'isActorLog': {{'()': {name!r}}}}}}}"
    told = read_config(write(tmp_path, thesplog=text), {}).logging
    made = logging.config.DictConfigurator(told).configure_filter(told["filters"]["isActorLog"])
    record = logging.LogRecord("x", 20, "f", 1, "m", (), None)
    assert isinstance(made, ActorAddressLogFilter)
    assert made.filter(record) and vars(record)["actorAddress"] == ""


@pytest.mark.parametrize("text", ["1901", " 1901 \n", "'1901'", "\ufeff1901"])
def test_a_number_may_be_quoted(tmp_path: Path, text: str) -> None:
    found = read_config(write(tmp_path, adminport=text), {})
    assert found.admin_port == 1901
    setting = next(s for s in found.settings if s.name == "adminport")
    assert setting.source == str(tmp_path / "adminport.cfg")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("thespbase", "multiprocBase"),
        ("adminport", "0"),
        ("adminport", "70000"),
        ("adminport", "many"),
        ("adminport", "1\n2"),
        ("othercaps", "[1]"),
        ("othercaps", "{1: 2}"),
        ("othercaps", "{'a': open('x')}"),
        ("othercaps", "{'AllowRemoteActorSources': False}"),
        ("thesplog", "1"),
        ("thesplogs", "10"),
        ("convleader", "'unfinished"),
        ("convleader", "os.getcwd()"),
    ],
)
def test_what_does_not_read_is_told_with_its_file(tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path, **{name: text})
    with pytest.raises(SettingsError) as caught:
        read_config(tmp_path, {})
    assert str(tmp_path / f"{name}.cfg") in str(caught.value)


def test_bytes_that_are_no_text_are_told_with_their_file(tmp_path: Path) -> None:
    (tmp_path / "adminport.cfg").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"adminport\.cfg"):
        read_config(tmp_path, {})


def test_a_directory_that_does_not_exist_gives_the_defaults(tmp_path: Path) -> None:
    assert read_config(tmp_path / "none", {}).admin_port == 1900


def test_an_unknown_cfg_is_told_of(tmp_path: Path) -> None:
    assert "adminprot.cfg" in read_config(write(tmp_path, adminprot="1"), {}).problems[0]


def test_log_files_lie_in_the_log_directory(tmp_path: Path) -> None:
    text = (
        "{'version': 1, 'handlers': {'a': {'filename': 'x.log'}, 'b': {'filename': logdir + '/y'}}}"
    )
    handlers = read_config(write(tmp_path, thesplog=text, thesplogd="/l"), {}).logging["handlers"]
    assert [handlers[name]["filename"] for name in "ab"] == ["/l/x.log", "/l/y"]
    assert read_config(tmp_path / "none", {"LOGS_DIRECTORY": "/a:/b"}).log_directory == Path("/a")


def test_the_guides_spelling_of_a_format_works(tmp_path: Path) -> None:
    text = "{'version': 1, 'formatters': {'n': {'fmt': '%(message)s', 'datefmt': '%H'}}}"
    formatters = read_config(write(tmp_path, thesplog=text), {}).logging["formatters"]
    assert formatters["n"] == {"format": "%(message)s", "datefmt": "%H"}


def test_the_built_in_logging_configures_and_marks_every_record(tmp_path: Path) -> None:
    made = default_logging()
    made["handlers"]["file"]["filename"] = str(tmp_path / "thespian.log")
    made["root"] = {}
    made["loggers"] = {"director.test": {"handlers": ["file"], "level": "INFO"}}
    logging.config.dictConfig(made)
    logger = logging.getLogger("director.test")
    logger.info("hello")
    for handler in list(logger.handlers):
        handler.close()
        logger.removeHandler(handler)
    assert "hello" in (tmp_path / "thespian.log").read_text()


def test_the_filter_lets_all_pass_and_keeps_an_address() -> None:
    record = logging.makeLogRecord({"msg": "x"})
    assert ActorAddressLogFilter().filter(record)
    assert record.__dict__["actorAddress"] == ""
    record = logging.makeLogRecord({"msg": "x", "actorAddress": "A1"})
    assert ActorAddressLogFilter().filter(record)
    assert record.__dict__["actorAddress"] == "A1"


def test_where_things_lie() -> None:
    assert director_directory({"THESPIAN_DIRECTOR_DIR": "/d"}) == Path("/d")
    assert director_directory({}) == Path("/opt/thespian/director")
    assert state_directory(Path("/d"), {}) == Path("/d/.state")
    assert state_directory(Path("/d"), {"STATE_DIRECTORY": "/s:/t"}) == Path("/s")
    both = {"STATE_DIRECTORY": "/s", "THESPIAN_DIRECTOR_STATE": "/x"}
    assert state_directory(Path("/d"), both) == Path("/x")


def test_every_file_that_does_not_read_is_told_with_its_place(tmp_path: Path) -> None:
    write(
        tmp_path,
        adminport="many",
        convleader="one, two:none",
        othercaps="{'Worker': True,\n 'Slot': nineteen}",
        minkeybits=" 3",
        revoked="sha256:abcd",
        thesplogs="2000",
    )
    with pytest.raises(SettingsError) as caught:
        read_config(tmp_path, {})
    lines = str(caught.value).splitlines()
    assert [line.removeprefix(f"{tmp_path}/").partition(": ")[0] for line in lines] == [
        "adminport.cfg:1:1",
        "convleader.cfg:1:6",
        "othercaps.cfg:2:10",
        "minkeybits.cfg:1:2",
        "revoked.cfg:1:1",
    ]
    assert caught.value.exit_status == 8
    config, errors = survey_config(tmp_path, {})
    assert [str(error) for error in errors] == lines
    assert config.admin_port == 1900 and config.log_size == 2000
    assert config.trust.min_key_bits > 1 << 20, "no key is good where it is not known which"
    assert {one.name for one in config.settings if one.problem} == {
        "adminport",
        "convleader",
        "othercaps",
        "minkeybits",
        "revoked",
    }
    assert [one.name for one in config.settings] == list(SETTINGS)


FILE = {"class": "logging.FileHandler", "filename": "x.log"}


@pytest.mark.parametrize(
    ("told", "name", "says"),
    [
        ({}, "version", "must be 1"),
        ({"version": 2}, "version", "must be 1"),
        ({"handlers": [1]}, "handlers", "no dictionary"),
        ({"handlers": {"a": 3}}, "a", "no dictionary"),
        ({"root": {"handlers": ["gone"]}}, "root", "no handler 'gone'"),
        ({"root": {"handlers": "gone"}}, "root", "no list"),
        ({"root": {"level": "LOUD"}}, "root", "'LOUD' is no level"),
        ({"loggers": {"x": {"handlers": ["gone"]}}}, "x", "no handler 'gone'"),
        ({"formatters": {"f": {"format": "%(message)s {", "style": "?"}}}, "f", "cannot be made"),
        ({"formatters": {"f": {"format": ["%(message)s"]}}}, "f", "cannot be made"),
        ({"filters": {"f": {"name": 3}}}, "f", "3 is no text"),
        ({"root": {"handlers": [["gone"]]}}, "root", "no handler ['gone']"),
        ({"root": {"level": ["LOUD"]}}, "root", "['LOUD'] is no level"),
        ({"handlers": {"h": {**FILE, "formatter": "gone"}}}, "h", "no formatter 'gone'"),
        ({"handlers": {"h": {**FILE, "filters": ["gone"]}}}, "h", "no filter 'gone'"),
        ({"handlers": {"h": {**FILE, "level": "LOUD"}}}, "h", "'LOUD' is no level"),
        ({"handlers": {"h": {**FILE, "size": 3}}}, "h", "unexpected keyword argument 'size'"),
        ({"handlers": {"h": {"class": "logging.FileHandler"}}}, "h", "'filename'"),
        ({"handlers": {"h": {"class": "logging.Nothing"}}}, "h", "no logging.Nothing"),
        ({"handlers": {"h": {"class": "logging.handlers.os"}}}, "h", "no logging.handlers.os"),
        ({"handlers": {"h": {**FILE, "formatter": ["gone"]}}}, "h", "no formatter ['gone']"),
        ({"handlers": {"h": {}}}, "h", "no 'class'"),
    ],
)
def test_logging_that_python_would_refuse_is_seen_without_setting_it_up(
    tmp_path: Path, told: dict[str, Any], name: str, says: str
) -> None:
    if "version" not in told and told:
        told = {"version": 1, **told}
    found = refused(told)
    assert found is not None and found[1] == name and says in found[0]
    text = repr(told) if told else "{'loggers': {}}"
    config, errors = survey_config(write(tmp_path, thesplog=text), {})
    assert logging_problem(config), "and so says Python, in the process that starts a system"
    assert says in str(errors[0]) and str(tmp_path / "thesplog.cfg") in str(errors[0])
    if f"'{name}'" in text:
        assert errors[0].line == 1 and text[errors[0].column - 1 :].startswith(f"'{name}'")
    assert next(one for one in config.settings if one.name == "thesplog").problem


@pytest.mark.parametrize("text", [THESPLOG, repr(default_logging()), "{'version': 1}"])
def test_logging_that_python_takes_is_not_refused(tmp_path: Path, text: str) -> None:
    write(tmp_path, thesplog=text, thesplogd="logs")
    (tmp_path / "logs").mkdir()
    config, errors = survey_config(tmp_path, {})
    assert errors == [] and not any((tmp_path / "logs").iterdir()), "no file was opened"
    assert logging_problem(config) == ""


@pytest.mark.parametrize(
    ("text", "says", "column"),
    [
        ("{'handlers': {'h': {'class': 'logging.FileHandler', 'filename': '/no/x'}}}", "/no/x", 15),
        ("{'handlers': {'h': {'class': 'no.such.module'}}}", "No module named 'no'", 15),
        ("{'root': {'filters': ['f']}, 'filters': {\"f\": {'()': 'nowhere.F'}}}", "nowhere", 42),
        (
            "{'handlers': {'h': {'class': 'logging.StreamHandler', 'stream': 'ext://no.x'}}}",
            "no",
            15,
        ),
    ],
)
def test_what_only_setting_it_up_shows_is_told_by_who_starts_a_system(
    tmp_path: Path, text: str, says: str, column: int
) -> None:
    write(tmp_path, thesplog="{'version': 1,\n " + text[1:])
    config, errors = survey_config(tmp_path, {})
    why = logging_problem(config)
    assert errors == [] and says in why
    told = logging_refused(tmp_path, {}, why)
    assert says in told.message
    assert (told.path, told.line, told.column) == (str(tmp_path / "thesplog.cfg"), 2, column)


RUNS = """
{'version': 1,
 'formatters': {'f': {'()': 'subprocess.getoutput', 'cmd': 'touch MARK'}, 'g': {'class': 'seen.G'},
                'e': {'format': 'ext://seen.e'}},
 'filters': {'x': {'()': 'subprocess.getoutput', 'cmd': 'touch MARK'}},
 'handlers': {'h': {'class': 'seen.Handler', 'filters': ['x'], 'formatter': 'f'},
              'i': {'()': 'seen.handler', 'stream': 'ext://seen.stream', 'formatter': 'g'},
              's': {'class': 'logging.StreamHandler', 'stream': 'ext://seen.stream', 'formatter': 'e'}},
 'root': {'handlers': ['h', 'i', 's']}}
"""


@pytest.mark.parametrize(
    "command",
    [["help"], ["config"], ["doctor"], ["status"], ["shutdown"], ["avail"], ["config", "--json"]],
)
def test_commands_that_only_look_run_nothing_that_the_logging_configuration_names(
    tmp_path: Path, command: list[str]
) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "seen.py").write_text(f"open({str(mark)!r}, 'w')\nclass Handler: pass\n")
    write(tmp_path, thesplog=RUNS.replace("MARK", str(mark)), adminport=str(free_port()))
    write(tmp_path, thesplogs="few")  # shutdown goes on with what reads
    environ = {**os.environ, "THESPIAN_DIRECTOR_DIR": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "director", *command],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in {0, 1, 3, 8} and "Traceback" not in done.stderr
    assert not mark.exists()


def test_a_setting_that_is_nearly_known_is_told_with_the_one_that_was_meant(tmp_path: Path) -> None:
    (told,) = read_config(write(tmp_path, adminprot="1"), {}).problems
    assert told.endswith("Did you mean adminport.cfg?")
