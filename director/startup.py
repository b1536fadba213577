"""What a service loads: at its start, after a crash, and when it is told to refresh.

What lives here: the order of a crash's memory, operators' choices and the newest versions; what is remembered for the
next start. What does not: the rule of choices (`director.choice`), the process's life (`director.foreground`).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

from director.choice import Phase, Present, chosen_before
from director.control import LOAD_LIMIT, DirectorControl, Refreshed
from director.errors import DirectorError
from director.files import LONGEST_STATE, read_regular, write_atomically
from director.notify import Notifier

#: Seconds that an answer of the Director may take.
ANSWER = 10.0
#: The file in the state directory that tells of the last start's loads.
PHASE = "boot.json"
#: The file in the runtime directory that tells what was active a moment ago.
MEMORY = "active.json"

#: Told an event, with its level of `logging`.
Tell = Callable[[int, str], None]


class Loads:
    """Loads groups and tells how it went; each method returns a line for the service's status.

    Args:
        control: of the director directory.
        tell: told each event.
        notify: the service manager, which is asked for the time that loads may take.
    """

    def __init__(self, control: DirectorControl, tell: Tell, notify: Notifier) -> None:
        self.control = control
        self.tell = tell
        self.notify = notify
        #: The groups that the last work did not load.
        self.failed: list[str] = []

    def at_start(self) -> str:
        """What was active before a crash; else what operators chose, and the newest of every other group."""
        before, chosen, begin = self._remembered(), self._chosen(), time.time()
        try:
            if before is not None:
                return self._status(self._load_each(before, "restored"))
            failed = self._load_each(chosen, "kept, as it was chosen,")
            return self.refresh(leave=set(chosen) - set(failed))
        finally:
            phase = Phase(begin, time.time(), frozenset(chosen))
            write_atomically(self.control.state / PHASE, phase.to_bytes(), mode=0o600)

    def refresh(self, leave: Set[str] = frozenset()) -> str:
        """The newest version (of a pinned group the pinned one) of every group but those to leave."""
        self.notify.more_time(LOAD_LIMIT * max(1, len(self.control.store.available())) + 30)
        failed = []
        for result in self.control.refresh(leave):
            if result.error:
                failed.append(result.group)
                self.tell(logging.ERROR, f'"{result.group}": {result.error}')
            elif result.loaded:
                for warning in result.loaded.warnings:
                    self.tell(logging.WARNING, f'"{result.group}": {warning}')
                if result.loaded.changed:
                    self.tell(logging.INFO, f'loaded "{result.group}" {result.loaded.path}')
        return self._status(failed)

    def look(self) -> str:
        """Load nothing: the system is somebody else's."""
        return self._status([])

    def active(self) -> dict[str, str]:
        """Ask the Director what is active: group → file; remembered for the start after a crash.

        Raises:
            DirectorError: no answer in time.
        """
        limit = min(ANSWER, self.notify.watchdog_limit / 2 or ANSWER)
        answer = self.control.ask({"DirectorOp": "RetrieveAll"}, "AllAddresses", limit)
        found = {
            group: str(told["Versions"][told["ActiveHash"]]["File"])
            for group, told in answer["Groups"].items()
            if told.get("ActiveHash")
        }
        self._remember(found)
        return found

    def _chosen(self) -> dict[str, str]:
        control, found = self.control, {}
        pins = control.pins()
        try:
            phase = Phase.of(read_regular(control.state / PHASE, LONGEST_STATE))
        except OSError:
            phase = None  # the first time
        for group, files in control.store.available().items():
            there = [Present(str(one.path), one.path.stat().st_ctime) for one in files]
            events = control.history(group)
            kept = None if group in pins else chosen_before(events, there, phase)
            if kept:
                found[group] = kept
        return found

    def _load_each(self, wanted: dict[str, str], how: str) -> list[str]:
        """Load a file for each group; returns the groups that failed."""
        failed = []
        self.notify.more_time(LOAD_LIMIT * max(1, len(wanted)) + 30)
        targets = {
            group: file if Path(file).is_file() else group for group, file in sorted(wanted.items())
        }
        try:
            results = self.control.load_each(targets) if targets else []
        except DirectorError as problem:
            results = [Refreshed(group, None, problem) for group in targets]
        for result in results:
            if result.loaded:
                self.tell(logging.INFO, f'{how} "{result.group}" {result.loaded.path}')
            else:
                failed.append(result.group)
                self.tell(logging.ERROR, f'"{result.group}": {result.error}')
        return failed

    def _status(self, failed: list[str]) -> str:
        self.failed = failed
        active = self.active()
        line = f"{len(active)} group{'' if len(active) == 1 else 's'} active"
        return f"{line}; not loaded: {', '.join(failed)}" if failed else line

    @property
    def _memory(self) -> Path | None:
        # systemd removes it when the service is stopped and keeps it for a restart by itself
        # (RuntimeDirectoryPreserve=restart), which is just as long as it is true.
        place = self.control.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
        return Path(place) / MEMORY if place else None

    def _remember(self, active: dict[str, str]) -> None:
        if self._memory and self._remembered() != active:
            write_atomically(self._memory, json.dumps(active).encode(), mode=0o600)

    def _remembered(self) -> dict[str, str] | None:
        if self._memory is None:
            return None
        try:
            told: Any = json.loads(read_regular(self._memory, LONGEST_STATE))
        except (OSError, ValueError):
            return None
        return told if isinstance(told, dict) else None
