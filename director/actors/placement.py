"""Where an actor of a source may run: its own check, asked in a process apart, so that the Admin never imports it.

Thespian's Admin asks the class ``actorSystemCapabilityCheck(capabilities, requirements)`` before it starts an actor
(multiprocCommon._startChildActor, convention.h_PendingActor). Most sources say nothing about capabilities, and are not
asked. For the others a forked child imports the class, answers and is gone; the answer is kept. An import that takes
too long counts as a yes, since the actor's own process asks again and refuses (`director.actors.runtime`).
Standard library only.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from director.convention import HOST, HOST_VARIABLE, NOT_ON, REMOTE_SOURCES

#: Seconds that the Admin waits for an answer.
LIMIT = 0.3
_MOST = 1000
_YES, _NO = b"y", b"n"


def wanted(capabilities: Any, requirements: Any) -> bool:
    """Whether a source may go to this system at all: not to one that refused it, or takes none from others."""
    told = capabilities or {}
    elsewhere = told.get(HOST) not in (None, os.environ.get(HOST_VARIABLE))
    if elsewhere and told.get(REMOTE_SOURCES) == "No":
        return False  # Thespian would ask it all the same, and nobody after it
    banned = (requirements or {}).get(NOT_ON, ())
    return not banned or told.get(HOST) not in banned


def own(requirements: Any) -> Any:
    """The creator's requirements without the Director's: the class is asked about its own."""
    if not isinstance(requirements, dict) or NOT_ON not in requirements:
        return requirements
    return {key: value for key, value in requirements.items() if key != NOT_ON}


class Placement:
    """Answers of one source's classes.

    Args:
        find: imports the class of this module and name, in a process that may.
    """

    def __init__(self, find: Callable[[str, str], Any]) -> None:
        self._find = find
        self._known: dict[tuple[str, str, str], bool] = {}
        #: Systems that were asked about, by their text: a further class is asked about all of them in one process.
        self._systems: dict[str, Any] = {}

    def fits(self, module: str, name: str, capabilities: Any, requirements: Any) -> bool:
        """Whether the class accepts a system of these capabilities; bounded in time, remembered."""
        of, here, wanted_by = f"{module}.{name}", _text(capabilities), _text(requirements)
        if (of, here, wanted_by) in self._known:
            return self._known[of, here, wanted_by]
        if len(self._known) >= _MOST:
            self._known.clear()
            self._systems.clear()
        self._systems[here] = capabilities
        others = [one for one in self._systems if (of, one, wanted_by) not in self._known]
        asked = [here, *(one for one in others if one != here)]
        systems = [self._systems[one] for one in asked]

        def question() -> Iterator[bool]:
            found = self._find(module, name)
            return (_check(found, system, requirements) for system in systems)

        answers = _ask(question, len(asked))
        for one, answer in zip(asked, answers, strict=False):
            self._known[of, one, wanted_by] = answer in _YES
        # Too slow to tell here, or failed, which the actor's own process tells to whom it concerns: not remembered.
        return self._known.get((of, here, wanted_by), True)


def _check(found: Any, capabilities: Any, requirements: Any) -> bool:
    check = getattr(found, "actorSystemCapabilityCheck", None)
    if check is None:
        return True
    try:
        return bool(check(capabilities or {}, requirements or {}))
    except Exception:  # noqa: BLE001 - as Thespian counts it (utilis.checkActorCapabilities)
        return False


def _text(value: Any) -> str:
    """Capabilities and requirements as a key; they are plain dictionaries whose order means nothing."""
    if isinstance(value, dict):
        return repr(sorted(value.items(), key=repr))
    return repr(value)


def _ask(question: Callable[[], Iterable[bool]], count: int, limit: float = LIMIT) -> bytes:
    """So many answers of a forked child, a byte each; those that it did not give in time are not there."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(question, writer)
    os.close(writer)
    deadline = time.monotonic() + limit
    answers = b""
    try:
        while len(answers) < count and (left := deadline - time.monotonic()) > 0:
            try:
                if select.select([reader], [], [], left)[0]:
                    told = os.read(reader, 4096)
                    if not told:
                        break
                    answers += told
            except InterruptedError:
                continue
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)  # where it has ended, nobody
        os.waitpid(child, 0)
    return answers


def _answer(question: Callable[[], Iterable[bool]], writer: int) -> None:
    """The child's whole life; nothing of the Admin's is touched."""
    try:
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        logging.root = logging.RootLogger(
            logging.CRITICAL
        )  # Thespian's would send over the Admin's sockets
        logging.Logger.root = logging.root
        logging.Logger.manager = logging.Manager(logging.root)
        os.closerange(3, writer)
        os.closerange(writer + 1, 1 << 16)
        for answer in question():
            os.write(writer, _YES if answer else _NO)
    finally:
        # Whatever the source did, also SystemExit: the child must not go on as a second Admin.
        os._exit(0)


def recheck(found: Any) -> None:
    """Ask the real class again in the process that is about to become the actor.

    The Admin may have started it without an answer. What it was started with stands in this process's own arguments;
    where they do not tell, the Admin's word counts.

    Raises:
        ImportError: the class does not accept this system.
    """
    started = _started_with()
    if started is not None:
        requirements = own(started[0])
        if not _check(found, started[1], requirements if isinstance(requirements, dict) else {}):
            name = getattr(found, "__qualname__", repr(found))
            raise ImportError(f"{name} does not accept this system's capabilities")


def here() -> dict[str, Any]:
    """The capabilities of the system that started this process; empty where its arguments do not tell."""
    started = _started_with()
    return started[1] if started else {}


def _started_with() -> tuple[Any, dict[str, Any]] | None:
    """What this actor's creator required, and the capabilities of its system."""
    arguments = list(getattr(multiprocessing.current_process(), "_args", ()))
    for place, argument in enumerate(arguments):
        if place and isinstance(argument, dict) and "Thespian ActorSystem Name" in argument:
            return arguments[place - 1], argument
    return None
