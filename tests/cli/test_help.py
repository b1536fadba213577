"""``director help COMMAND`` is complete: held against what the command takes; and it may be piped into anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from director import page
from director.cli import cli
from tests.commands import run_command

COMMANDS = sorted(cli.commands)


def text_of(command: str) -> str:
    done = run_command(["help", command])
    assert done.exit_code == 0 and done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_option_is_there_with_what_it_is_for_and_its_default(command: str) -> None:
    text = " ".join(text_of(command).split())
    for option in cli.commands[command].params:
        if not isinstance(option, click.Option):
            continue
        assert all(f" {word}" in text for word in option.opts), option.opts
        assert option.help and " ".join(option.help.split()) in text, option.opts
        if isinstance(option.type, click.Choice):
            assert all(choice in text for choice in option.type.choices)
        if option.default is not None and not option.is_flag and option.show_default:
            assert f"default: {option.default}" in text, option.opts


@pytest.mark.parametrize("command", COMMANDS)
def test_each_argument_is_in_the_usage_and_explained_in_the_text(command: str) -> None:
    usage, _, text = text_of(command).partition("\n\n")
    found = cli.commands[command]
    ctx = click.Context(found, info_name=command)
    for argument in found.params:
        if not isinstance(argument, click.Argument):
            continue
        metavar = argument.make_metavar(ctx)
        assert metavar in usage
        words = re.findall(r"[A-Za-z_]{3,}", metavar)
        if metavar == "SOURCE_HASH" or command != "gensrc":
            assert words
        for word in words:
            assert word in text or word in {"bash", "zsh", "fish", "GROUP_OR_FILE"}, word


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("load", ["pin", "unpin GROUP", "GROUP.tli", "started where none runs"]),
        ("refresh", ["pinned", "stops no other", "exit status is 1"]),
        ("undo", ["pin", "unpin"]),
        ("start", ["SIGTERM", "SIGHUP", "nothing is loaded"]),
        ("bootstart", ["nostart", "thespian.director"]),
        ("unload", ["OnDeactivate", "ActorExitRequest", "OnReactivate"]),
        ("shutdown", ["ActorExitRequest", "no OnDeactivate"]),
        ("keygen", ["THESPIAN_SIGNING_KEY_PASSPHRASE", "sourcekey", "never overwritten"]),
        ("gensrc", ["version:V", "deps:F", "tli:F", "fmt:E", "native:M", "external:F", "SRC"]),
        ("tlsinfo", ["contents", "sbom"]),
        ("doctor", ["exit status is 1", "remedy"]),
        ("config", ["exit status is 8"]),
    ],
)
def test_what_an_operator_has_to_know_is_told(command: str, says: list[str]) -> None:
    text = " ".join(text_of(command).split())
    assert [one for one in says if one not in text] == []


def test_the_written_page_says_what_the_command_line_says() -> None:
    context = click.Context(cli, info_name="director", terminal_width=80, **cli.context_settings)
    written = page.TEXT.read_text(encoding="utf-8")
    assert written == cli.get_help(context) + "\n", "run `make help-page`"
    assert all(f"\n  {name} " in written for name in COMMANDS)


def test_the_page_is_the_same_by_every_way_and_needs_no_command_line_library(
    tmp_path: Path,
) -> None:
    """Without a command, with `help`, and through the library, as after `verbose`."""
    environ = {**os.environ, "THESPIAN_DIRECTOR_DIR": str(tmp_path)}
    (tmp_path / "adminport.cfg").write_text("1901")

    def run(*words: str) -> str:
        command = [sys.executable, "-X", "importtime", "-m", "director", *words]
        done = subprocess.run(command, capture_output=True, env=environ, text=True, timeout=30)
        assert done.returncode == 0
        loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert words[:1] == ("verbose",) or not loaded & {"click", "rich", "cryptography", "json"}
        return done.stdout

    assert run() == run("help") == run("verbose", "help")
    assert f"THESPIAN_DIRECTOR_DIR is {tmp_path}" in run() and "now 1901" in run()


@pytest.mark.parametrize("words", [["help"], [], ["help", "--json"], ["config"], ["--help"]])
def test_a_reader_that_goes_away_is_no_mistake_of_ours(tmp_path: Path, words: list[str]) -> None:
    """As in ``director help | head -1``: what could not be written is not told, and no traceback either."""
    reading, writing = os.pipe()
    os.close(reading)  # before anything is written, as head does at the latest
    done = subprocess.run(
        [sys.executable, "-m", "director", *words],
        stdout=writing,
        stderr=subprocess.PIPE,
        env={**os.environ, "THESPIAN_DIRECTOR_DIR": str(tmp_path)},
        text=True,
        timeout=30,
    )
    os.close(writing)
    assert done.returncode == 0 and done.stderr == ""


def test_help_into_head_succeeds_as_a_pipeline(tmp_path: Path) -> None:
    command = f"set -o pipefail; {sys.executable} -m director help | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        env={**os.environ, "THESPIAN_DIRECTOR_DIR": str(tmp_path)},
        text=True,
        timeout=30,
    )
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout == "Usage: director [OPTIONS] [COMMAND] [ARGS]...\n"
