"""Where an actor of a source may run: its own check, asked in a process apart, so that the Admin never imports it.

Thespian's Admin asks the class ``actorSystemCapabilityCheck(capabilities, requirements)`` before it starts an actor
(multiprocCommon._startChildActor, convention.h_PendingActor). Most sources say nothing about capabilities, and are not
asked. For the others a process apart imports the class and answers (`director.actors.placer`); the answer is kept. What
is not known yet counts as a yes, since the actor's own process asks again and refuses (`director.actors.runtime`).
Standard library only.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from typing import Any

from director.actors.placer import NO, YES, Key, Patience, Placer, Question
from director.convention import HOST, HOST_VARIABLE, NOT_ON, REMOTE_SOURCES

_MOST = 1000


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


#: What an actor's own process says that was started where its class may not run, since that was not known in time.
NOT_HERE = "does not accept this system's capabilities"


class Placement:
    """Answers of one source's classes.

    Args:
        find: imports the class of this module and name, in a process that may.
        patience: of this Admin, for all its sources.
    """

    def __init__(self, find: Callable[[str, str], Any], patience: Patience) -> None:
        self._find, self._patience = find, patience
        self._known: dict[Key, bool] = {}
        self._placer: Placer | None = None

    def fits(self, module: str, name: str, capabilities: Any, requirements: Any) -> bool:
        """Whether the class accepts a system of these capabilities; bounded in time, remembered."""
        question = Question(module, name, capabilities, requirements)
        key = question.key
        if key not in self._known:
            began = time.monotonic()
            try:
                self._ask(question, key)
            finally:
                self._patience.spend(time.monotonic() - began)
        # Too slow to tell here, or failed, which the actor's own process tells to whom it concerns.
        return self._known.get(key, True)

    def _ask(self, question: Question, key: Key) -> None:
        deadline = time.monotonic() + self._patience.left
        self._hear(0)
        if self._placer is not None and self._placer.open:
            # It is busy with what took too long before; this is answered behind that, for whoever asks later.
            if key not in self._known and key not in self._placer.open:
                self._placer.ask(question)
            return
        if key in self._known or time.monotonic() >= deadline:
            return
        if self._placer is None or not self._placer.ask(question):
            self.end()
            self._placer = Placer(self._answer, question)
        while self._placer is not None and self._placer.open:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self._hear(left)

    def _hear(self, wait: float) -> None:
        """Keep what was answered; a process that has ended is buried."""
        if self._placer is None:
            return
        answers = self._placer.answers(wait)
        if answers is None:
            self.end()
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known |= {key: told == YES for key, told in answers if told in {YES, NO}}

    def end(self) -> None:
        """The process that was asked, and what it started, is gone afterwards."""
        if self._placer is not None:
            self._placer.end()
            self._placer = None

    def _answer(self, question: Question) -> bool:
        found = self._find(question.module, question.name)
        return _check(found, question.capabilities, question.requirements)


def _check(found: Any, capabilities: Any, requirements: Any) -> bool:
    if not hasattr(found, "actorSystemCapabilityCheck"):
        return True
    try:
        return bool(found.actorSystemCapabilityCheck(capabilities or {}, requirements or {}))
    except Exception:  # noqa: BLE001 - as Thespian counts it (utilis.checkActorCapabilities)
        return False


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
            raise ImportError(f"{name} {NOT_HERE}")


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
