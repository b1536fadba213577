"""Starts an actor system, in a process of its own that hands nothing of its caller's on.

Run as ``python -I -m director.actors.host DIRECTORY STATE RESULT`` with ``/`` as working directory and
``/dev/null`` for all three standard files. Thespian's Admin and every actor inherit this process's files, path,
signal handlers and imported modules, so it has none that matter. It writes the record of the system, and one JSON
document to RESULT, and ends; the actor system goes on. Whoever asked for the start may have ended meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from director import convention, launch
from director.actors import runtime
from director.actors.doors import AUTHORITY_CLASS, DIRECTOR_CLASS
from director.actors.known import forget_all
from director.actors.messages import AUTHORITY_NAME, DIRECTOR_NAME
from director.settings.config import Config, read_config

#: Seconds that each of the two actors may take to answer its first message.
START_LIMIT = 20.0
#: The most files that a process of the system may have open, where the host allows so many. Not more: some programs
#: that an actor may start close one after the other all that they could have.
OPEN_FILES = 65_536


def start(config: Config, state: Path) -> dict[str, Any]:
    """Start the system, its Director and its Source Authority; returns what is known of them.

    Args:
        config: the settings of the director directory.
        state: the state directory.
    """
    host = convention.prepare(os.environ)
    from thespian.actors import ActorSystem

    forget_all(state)
    runtime.install(state)
    known = {"admin_port": config.admin_port, "system_base": config.system_base}
    try:
        # Before anything is: who finds this process dead ends what it left.
        launch.write_record(state, {launch.STARTING: os.getpid(), **known})
    except OSError as problem:
        return {"ok": False, "state": problem.strerror}
    os.environ["THESPLOG_FILE"] = config.log_file
    os.environ["THESPLOG_FILE_MAXSIZE"] = str(config.log_size)
    capabilities = dict(config.capabilities)
    capabilities["Admin Port"] = config.admin_port
    capabilities["DirectorFmt"] = [1]
    capabilities[convention.HOST] = host
    # A member without an authority takes sources unchecked; no remote ones until ours stands, which allows them.
    capabilities.setdefault(convention.REMOTE_SOURCES, "No")
    capabilities |= convention.address(config.convention_leader, config.admin_port)
    system = ActorSystem(config.system_base, capabilities, logDefs=config.logging)
    limit = timedelta(seconds=START_LIMIT)
    director = system.createActor(DIRECTOR_CLASS, globalName=DIRECTOR_NAME)
    authority = system.createActor(AUTHORITY_CLASS, globalName=AUTHORITY_NAME)
    places = {"Directory": str(config.directory), "State": str(state)}
    identity = system.ask(director, {"DirectorOp": "Startup", **places}, limit)
    if not isinstance(identity, dict) or identity.get("DirectorResponse") != "Identity":
        return {"ok": False, "error": f"the Director did not answer: {identity!r}"}
    told = {"Director": director, "Pid": identity["Pid"]}
    message = {"AuthorityOp": "Startup", **told, **places}
    standing = system.ask(authority, message, limit)
    if not isinstance(standing, dict) or standing.get("AuthorityResponse") != "Standing":
        return {"ok": False, "error": f"the Source Authority did not answer: {standing!r}"}
    told = {"ok": True, "admin_pid": identity["AdminPid"], "session": identity["Session"], **known}
    try:
        launch.write_record(state, told)
    except OSError as problem:
        return {"ok": False, "state": problem.strerror}  # the first record stays
    return told


def logging_problem(config: Config) -> str:
    """What `logging` says against ``thesplog.cfg``, tried in a process that ends at once; "" where it takes it.

    Thespian sets logging up in a process of its own, where a mistake is told to nobody.
    """
    if not (config.directory / "thesplog.cfg").is_file() or not hasattr(os, "fork"):
        return ""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            from logging.config import dictConfig

            dictConfig(config.logging)
        except BaseException as problem:  # noqa: BLE001 - whatever the classes named there may raise
            cause = f": {problem.__cause__}" if problem.__cause__ else ""
            os.write(writing, f"{problem}{cause}".encode()[:4096])
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        told = stream.read().decode("utf-8", "replace")
    os.waitpid(child, 0)
    return told


def allow_connections() -> None:
    """Have as many files open as the host allows, within reason: the usual soft limit is 1024.

    Thespian's Admin ends at the first connection beyond its limit (TCPTransport accepts without looking). It waits by
    `selectors`, which takes any number. Actors inherit the limit; `select.select` there takes no file from 1024 on,
    which the old limit did not give at all.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(
            OSError, ValueError
        ):  # macOS: less than what is told may be allowed
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main(arguments: list[str]) -> int:
    """The process's whole life; 0 when the system stands."""
    directory, state, result = (Path(argument) for argument in arguments)
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        # As Python has it: a socket whose other end was just killed must end nobody that sends to it.
        ignored = number.name == "SIGPIPE"
        signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    allow_connections()
    # The kernel goes on telling it of this process and its forks.
    os.environ.pop(launch.START_VARIABLE, None)
    try:
        config = read_config(directory, os.environ)
        refused = logging_problem(config)
        told = {"ok": False, "logging": refused} if refused else start(config, state)
    except Exception as problem:  # noqa: BLE001 - the caller tells the user; there is nobody else
        told = {"ok": False, "error": f"{type(problem).__name__}: {problem}"}
    with contextlib.suppress(FileNotFoundError):  # nobody waits for it any more
        result.write_text(json.dumps(told), encoding="utf-8")
    return 0 if told["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
