"""DirectorControl has a ``cmd_*`` method for each command, with its arguments and exit values (guide 2.8)."""

from __future__ import annotations

import inspect
from pathlib import Path

import click
import pytest

from director import DirectorControl
from director.cli import cli

#: A call of each command that works without an actor system, or fails for a reason of its own, and its exit status.
CALLS = {
    "help": (["load"], 0),
    "config": ([], 0),
    "keygen": (["--bits", "12"], 2),
    "gensrc": (["foo"], 2),
    "start": (["soon"], 2),
    "shutdown": ([], 3),
    "bootstart": (["one", "two"], 2),
    "bootstop": (["nothing", "--root", "/nowhere"], 4),
    "avail": ([], 0),
    "tlsinfo": (["foo-1.tls"], 4),
    "install": (["foo-1.tls"], 4),
    "load": (["foo"], 4),
    "refresh": (["--wrong"], 2),
    "list": ([], 3),
    "unload": (["00"], 3),
    "status": ([], 3),
    "logs": (["foo"], 4),
    "history": (["foo"], 4),
    "undo": (["foo"], 3),
    "pin": (["foo", "1.0"], 4),
    "unpin": (["foo"], 4),
    "doctor": ([], 1),
    "completion": (["bash"], 0),
    "demo": (["--wrong"], 2),
}


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_each_command_is_a_method_with_its_arguments_and_exit_status(
    tmp_path: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "adminport.cfg").write_text("1")  # where nothing answers
    monkeypatch.chdir(tmp_path)
    words, status = CALLS[name]
    with DirectorControl(tmp_path) as control:
        method = getattr(control, f"cmd_{name}")
        assert method(*words) == status == control(name, *words), capsys.readouterr()
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_each_method_is_explained_and_takes_what_its_command_takes(name: str) -> None:
    method = getattr(DirectorControl, f"cmd_{name}")
    assert (inspect.getdoc(method) or "").endswith((".", "]", "…"))
    parameters = list(inspect.signature(method).parameters.values())[1:]
    required = [one for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    arguments = [one for one in cli.commands[name].params if isinstance(one, click.Argument)]
    assert len(required) == sum(one.required for one in arguments)
    assert parameters[-1].kind is inspect.Parameter.VAR_POSITIONAL, "options and optional words"


def test_no_method_is_of_a_command_that_is_not_there() -> None:
    methods = {name.removeprefix("cmd_") for name in vars(DirectorControl) if name[:4] == "cmd_"}
    assert methods == set(cli.commands) == set(CALLS)
