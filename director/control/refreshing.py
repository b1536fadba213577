"""What DirectorControl does at each `refresh`: the newest file of every group, and an end to what is revoked.

What lives here: those. What does not: how several are loaded at once (`director.control.loads`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from director.choice import LONGEST_REASON, PHASE, Phase
from director.control.files import source_hash_of
from director.control.loads import os_error
from director.control.results import Loaded, Refreshed
from director.control.switches import Switches
from director.errors import DirectorError, LoadFailed, NotValidated
from director.files import write_atomically
from director.store import Available

if TYPE_CHECKING:
    from director.pins import Pin


class Refreshing(Switches):
    """Brings what runs to what lies in the director directory."""

    def refresh(
        self,
        leave: Container[str] = (),
        told: Callable[[Refreshed], None] = lambda one: None,
        *,
        started: bool = False,
    ) -> list[Refreshed]:
        """Load the newest file (of a pinned group the pinned one) of every group that is not active already.

        Several groups are loaded at once. One bad group stops no other.

        Args:
            leave: groups that are left as they are.
            told: told each group as it ends.
            started: the caller has just started the system, so that `status` is to tell what fails.

        Returns:
            one for each group, by name.
        """
        self.store.require()
        self._warn_of_names()
        self.finish_installs()
        results: list[Refreshed] = []
        wanted: list[tuple[str, Callable[[], Available]]] = []
        started = (
            self.start() or started
        ) and not self.unit  # a unit's service notes its own start
        leader = self._follows()
        if leader:  # sources are loaded there, and come from there (guide 2.2)
            here = [one.path.name for files in self.store.available().values() for one in files]
            if here:
                self.warn(
                    f"This host is a member of the convention led by {leader}: "
                    f"{', '.join(sorted(here))} are not loaded from here."
                )
            self._end_revoked_here()
            return []
        groups = self.loaded()
        begin = time.time()
        revoked = self.revoked(groups)
        failed, waiting = self._troubled_groups()
        times = self.trust("refresh").times()
        pins, unknown = dict[str, "Pin"](), None
        try:
            pins = self.pins()
        except DirectorError as problem:  # whatever is newer, it may not be wanted
            unknown = problem
        for group, files in self.store.available().items():
            if not files or group in leave:
                continue
            active = groups.get(group, {}).get("ActiveHash")
            try:
                if unknown:
                    raise unknown
                newest, digest = self._wanted_file(files, pins, times)
            except DirectorError as problem:
                held = self._held(problem, pins.get(group), active)
                if held and not (active in revoked or group in waiting | failed):
                    results.append(Refreshed(group, held, None))
                else:
                    results.append(Refreshed(group, None, problem))
            except OSError as problem:
                results.append(Refreshed(group, None, os_error(problem, group)))
            else:
                if active != digest or digest in revoked or group in waiting:
                    wanted.append((group, partial(_same, newest)))
                    continue
                if group in failed:
                    results.append(Refreshed(group, None, _gave_up(group)))
                else:
                    loaded = Loaded(group, newest.path, digest, changed=False)
                    results.append(Refreshed(group, loaded, None))
            told(results[-1])
        if wanted:
            results += self._load_all(wanted, told)
        results.sort(key=lambda one: one.group)
        if started:
            self._note_start(begin, results)
        # After the loads: a newer version that is good takes over without a gap.
        ended = self._unload_revoked(self.loaded() if wanted else groups)
        for one in ended:
            told(one)
        return results + ended

    def _note_start(self, begin: float, results: Iterable[Refreshed]) -> None:
        failed = {
            one.group: str(one.error)[:LONGEST_REASON]
            for one in results
            if one.error and not one.waiting
        }
        phase = Phase(begin, time.time(), frozenset(), failed)
        try:
            write_atomically(self.state / PHASE, phase.to_bytes(), mode=0o600)
        except OSError as problem:
            self.warn(f"`director status` will not tell what failed: {os_error(problem, PHASE)}")

    def _wanted_file(
        self, files: list[Available], pins: Mapping[str, Pin], times: Mapping[str, Any]
    ) -> tuple[Available, str]:
        """The file of a group that is to be active, and its source hash.

        Raises:
            DirectorError: as for `director.loading.newest`; NotValidated: code ``expired``. OSError: it is unreadable.
        """
        from director import loading

        newest = loading.newest(self.store, files, pins)
        digest = source_hash_of(newest.path)
        over = times.get(digest, (None, True))[1]  # what is new here is looked at
        in_time = self._in_time(newest, files, pins) if over else newest
        return in_time, digest if in_time == newest else source_hash_of(in_time.path)

    def _held(self, problem: DirectorError, pin: Pin | None, active: str | None) -> Loaded | None:
        """What a pin holds and is active stays, though its file has gone or has other bytes by now."""
        if (
            pin is None
            or active is None
            or problem.code not in {"pinned-missing", "pinned-changed"}
        ):
            return None
        if pin.sha256 not in self.trust("refresh").known_as(active):
            return None
        return Loaded(pin.group, self.directory / pin.file, active, changed=False)

    def _in_time(
        self, newest: Available, files: list[Available], pins: Mapping[str, Pin]
    ) -> Available:
        """The newest file, or where its time is over the next of the group that is valid; a pin is kept to.

        Raises:
            NotValidated: code ``expired``: there is no other. What runs goes on.
        """
        verdict = self.check(newest.path)
        if verdict.code != "expired":
            return newest  # the load tells what else is wrong with it
        others = [] if newest.group in pins else [one for one in files if one.path != newest.path]
        for other in others:
            if self.check(other.path).valid:
                self.warn(f"{newest.path}: {verdict.message} {other.path} is taken instead.")
                return other
        self.trust("refresh").decisions.verdict(verdict, newest.path.name)
        raise NotValidated(
            f"{newest.path}: {verdict.message}",
            hint="No other version here is valid; what runs goes on, and would not start again.",
            code="expired",
        )

    def _troubled_groups(self) -> tuple[set[str], set[str]]:
        """Groups whose active version has an actor that died too often, and those where one has no host.

        `load` starts the first again; of the others it tells what they wait for.
        """
        told = self.ask({"DirectorOp": "Status"}, "Status")["Groups"]
        actors = {
            name: version["Actors"]
            for name, group in told.items()
            for version in group["Versions"]
            if version["SourceHash"] == group["Active"]
        }
        failed = {n for n, told in actors.items() if any(a["State"] == "failed" for a in told)}
        waiting = {n for n, told in actors.items() if any(a.get("Lost") for a in told)}
        return failed, waiting - failed

    def revoked(self, groups: Mapping[str, Any] | None = None) -> dict[str, str]:
        """Loaded sources that are revoked by now: source hash → the reason.

        Args:
            groups: what `loaded` told a moment ago; default: it is asked now.
        """
        groups = self.loaded() if groups is None else groups
        loaded = [one for told in groups.values() for one in told["Loaded"]]
        return self.trust("refresh").revoked(loaded)

    def _end_revoked_here(self) -> None:
        """At a member, where an unload would reach the whole convention: what is revoked here ends here."""
        answer = self.ask({"DirectorOp": "EndRevoked"}, "RevokedEnded")
        self._require(answer)
        if not answer["Ended"]:
            return
        accepted = self.trust("refresh").marks.read().accepted.values()
        files = {told.source_hash: told.file for told in accepted}
        for digest, reason in answer["Ended"].items():
            text = f"{files.get(digest, '')} {digest} was ended on this host, since it is revoked: {reason}."
            self.warn(text.lstrip())

    def _unload_revoked(self, groups: Mapping[str, Any]) -> list[Refreshed]:
        results = []
        names = {one: name for name, told in groups.items() for one in told["Loaded"]}
        for digest, reason in self.revoked(groups).items():
            group, trust = names[digest], self.trust("refresh")
            try:
                known = trust.known_as(digest)
                self.unload(digest)
                trust.decisions.loaded(known, "unloaded", "revoked", reason)
                self.warn(f'"{group}" {digest} was unloaded, since it is revoked: {reason}.')
            except DirectorError as problem:
                results.append(Refreshed(group, None, problem))
        return results


def _same(chosen: Available) -> Available:
    return chosen


def _gave_up(group: str) -> DirectorError:
    return LoadFailed(
        f"Its newest version is active, but an actor of it died too often and is not restarted: `director load "
        f"{group}` starts it again.",
        hint=f"`director status {group}` shows why.",
        code="actor-failed",
    )
