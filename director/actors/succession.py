"""A Director that was killed gets a successor: nobody but the Source Authority sees that it is missing.

What lives here: the look at its process, and the tries to have another. What does not: what the successor takes up
(`director.actors.notebook`, `director.actors.adoption`).

Thespian tells of its end nobody but the Admin. A Director that is killed before it told the Admin of itself keeps the
name as long as the system runs (GlobalNamesAdmin.h_PendingActor finds it among those to come, which nobody looks
through when a child dies): whoever asks for it waits for ever. The tries then come to nothing, and the log says so.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from thespian.actors import ActorTypeDispatcher

from director.actors.doors import DIRECTOR_CLASS
from director.actors.messages import DIRECTOR_NAME, Message
from director.actors.words import is_alive
from director.system import MEANT_END

log = logging.getLogger("director.authority")

#: Seconds between two looks at the Director's process, and the payload that wakes for one.
WATCH, WATCHING = 2.0, "watch"
#: Seconds until a successor that gave no sign of life is created again: the first time, and at most.
FIRST, LONGEST = 6.0, 60.0


class Succession(ActorTypeDispatcher):
    """The part of the Source Authority that sees to it that there is a Director."""

    def __init__(self) -> None:
        super().__init__()
        self.director: Any = None
        #: The Director's process; 0 where it is not known.
        self.director_pid = 0
        self.places: Message = {}
        #: When a successor that was created, and gave no sign of life, is created again; None where none is awaited.
        self.again: float | None = None
        self.tries = 0

    def _directed_by(self, director: Any, pid: int) -> None:
        """This Director lives."""
        self.director, self.director_pid, self.again = director, pid, None

    def _identified(self, message: Message, sender: Any) -> None:
        """A successor tells who it is: as soon as it can, and when it has taken up what there was."""
        self._directed_by(sender, int(message["Pid"]))
        if message.get("Directory"):
            log.warning("a new Director, process %s, has taken over", self.director_pid)

    def _watch_director(self, state: Path) -> None:
        self.wakeupAfter(timedelta(seconds=WATCH), payload=WATCHING)
        now = time.monotonic()
        if (state / MEANT_END).exists():
            return
        if self.director_pid:
            if is_alive(self.director_pid):
                return
            log.error("the Director, process %s, has died; creating another", self.director_pid)
            self.director_pid, self.tries = 0, 0
        elif self.again is None or now < self.again:
            return
        else:
            text = "no Director came up; trying again, and if that stays so, `director status` says what helps"
            log.error(text)
        self.again = now + min(FIRST * 2**self.tries, LONGEST)
        self.tries += 1
        director = self.createActor(DIRECTOR_CLASS, globalName=DIRECTOR_NAME)
        self.send(director, {"DirectorOp": "Startup", **self.places})
        self.send(director, {"DirectorOp": "Identify"})
