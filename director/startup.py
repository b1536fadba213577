"""What a service loads: at its start, after a crash, and when it is told to refresh.

What lives here: the order of a crash's memory, operators' choices and the newest versions; what is remembered for the
next start. What does not: the rule of choices (`director.choice`), the process's life (`director.foreground`).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Set
from pathlib import Path
from typing import Any

from director.choice import LONGEST_REASON, PHASE, Phase, Present, chosen_before
from director.control import LOAD_LIMIT, DirectorControl, Refreshed
from director.errors import DirectorError, LoadFailed
from director.files import LONGEST_STATE, read_regular, write_atomically
from director.notify import Notifier
from director.telling import Tell

#: Seconds that an answer of the Director may take.
ANSWER = 10.0
#: The file in the runtime directory that tells what was active a moment ago.
MEMORY = "active.json"


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
        self._reasons: dict[str, Exception | None] = {}
        #: Groups that should be active and are not, with the file that was so; "" where none was.
        self._lost: dict[str, str] = {}
        #: What was told of each file that could not be written, until it could again.
        self._unwritten: dict[Path, str] = {}

    def at_start(self) -> str:
        """What was active before a crash; else what operators chose, and the newest of every other group.

        A pin made meanwhile counts. What cannot be restored is loaded as a refresh would.
        """
        before, chosen, begin = self._remembered(), self._chosen(), time.time()
        self.failed = []
        try:
            if before is not None and not self.control.member_of():
                return self._restore(before)
            failed = self._load_each(chosen, "kept, as it was chosen,")
            return self.refresh(leave=set(chosen) - set(failed))
        finally:
            failed_now = {
                group: str(self._reasons.get(group) or "")[:LONGEST_REASON] for group in self.failed
            }
            phase = Phase(begin, time.time(), frozenset(chosen), failed_now)
            self._note(self.control.state / PHASE, phase.to_bytes())

    def _restore(self, before: dict[str, str]) -> str:
        self._lost = dict(before)  # whatever comes now, the next restart knows of all of them
        failed = self._load_each(before, "restored")
        if not failed:
            return self._status([])
        again = {group for group in failed if self._has_another(group, before[group])}
        if again:
            names = ", ".join(sorted(again))
            self.tell(logging.WARNING, f"not restored: {names}; trying what a refresh would load")
            self.refresh(leave=set(self.control.store.available()) - again)
        active = self.active()
        return self._status([group for group in failed if group not in active])

    def _has_another(self, group: str, file: str) -> bool:
        """Whether a refresh might load another file than the one that did not start a moment ago."""
        if not isinstance(self._reasons.get(group), LoadFailed):
            return True
        files = self.control.store.available().get(group, [])
        pin = group in self.control.pinned_groups()
        # Where the remembered file is gone, what a refresh loads was tried in its place.
        tried = file if file and Path(file).is_file() else str(files[0].path) if files else ""
        return bool(files) and not pin and str(files[0].path) != tried

    def refresh(self, leave: Set[str] = frozenset()) -> str:
        """The newest version (of a pinned group the pinned one) of every group but those to leave."""
        self.notify.more_time(LOAD_LIMIT * max(1, len(self.control.store.available())) + 30)
        failed = []
        for result in self.control.refresh(leave):
            if result.waiting:
                self._tell_waiting(result)
            elif result.error:
                failed.append(result.group)
                self._tell_failed(result)
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
        self._lost = {group: file for group, file in self._lost.items() if group not in found}
        self._remember(self._lost | found)
        return found

    def _chosen(self) -> dict[str, str]:
        control, found = self.control, {}
        pins = control.pinned_groups()
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
        pins = self.control.pinned_groups()
        targets = {
            # Of a pinned group its name means the pinned file, whatever was active.
            group: file if file and Path(file).is_file() and group not in pins else group
            for group, file in sorted(wanted.items())
        }
        try:
            results = self.control.load_each(targets) if targets else []
        except DirectorError as problem:
            results = [Refreshed(group, None, problem) for group in targets]
        for result in results:
            if result.loaded:
                self.tell(logging.INFO, f'{how} "{result.group}" {result.loaded.path}')
            elif result.waiting:
                self._tell_waiting(result)
            else:
                failed.append(result.group)
                self._tell_failed(result)
        return failed

    def _tell_failed(self, result: Refreshed) -> None:
        self._reasons[result.group] = result.error
        self.tell(logging.ERROR, f'"{result.group}": {result.error}')

    def _tell_waiting(self, result: Refreshed) -> None:
        self.tell(logging.WARNING, f'"{result.group}" waits for a host: {result.error}')

    def forget(self) -> None:
        """The service is ended on purpose: its next start, also by `systemctl restart`, is none after a crash."""
        if self._memory:
            self._memory.unlink(missing_ok=True)

    def _status(self, failed: list[str]) -> str:
        self.failed = failed
        there = set(self.control.store.available())
        # One without a file here was taken away by its operator, unless a crash's memory has not been through yet.
        self._lost |= {group: "" for group in failed if group in there and group not in self._lost}
        active = self.active()
        line = f"{len(active)} group{'' if len(active) == 1 else 's'} active"
        return f"{line}; not loaded: {', '.join(failed)}" if failed else line

    @property
    def _memory(self) -> Path | None:
        # systemd keeps it for every restart (RuntimeDirectoryPreserve=restart), by itself after a death or by hand;
        # `forget` sees that only a death leaves it.
        place = self.control.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
        return Path(place) / MEMORY if place else None

    def _remember(self, active: dict[str, str]) -> None:
        if self._memory and self._remembered() != active:
            self._note(self._memory, json.dumps(active).encode())

    def _note(self, path: Path, data: bytes) -> None:
        """Write what a later start reads; a disk that takes nothing more ends no service that runs."""
        try:
            write_atomically(path, data, mode=0o600)
        except OSError as problem:
            told = f"{path} cannot be written: {problem.strerror}; what a start after a crash loads may be older."
            if self._unwritten.get(path) != told:
                self.tell(logging.WARNING, told)
            self._unwritten[path] = told
        else:
            self._unwritten.pop(path, None)

    def _remembered(self) -> dict[str, str] | None:
        if self._memory is None:
            return None
        try:
            told: Any = json.loads(read_regular(self._memory, LONGEST_STATE))
        except (OSError, ValueError):
            return None
        return told if isinstance(told, dict) else None
