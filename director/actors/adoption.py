"""What a Director takes over from one that died, and what is left where another host leads, for the state machine.

What lives here: those events. What does not: what the successor knows of it (`director.actors.notebook`).
"""

from __future__ import annotations

from typing import Self

from director.actors.activation import Activation
from director.actors.versions import LOADING, Action, Changed, RoleActor, State, Version, Word


class Adoption(Activation):
    """The part of all groups that a successor begins with."""

    def adopt(
        self, version: Version, state: State, living: list[bool | None], now: float
    ) -> list[int]:
        """Take over a version of a Director that died.

        Args:
            state: where it stood. One whose load was not decided never served: its actors are to be killed, and it
                goes; one that was ending, or had failed, goes with the last of its actors.
            living: for each actor of the TLI whether it was deactivated, None where it does not live.

        Returns:
            the incarnation of each actor, 0 where none lives.
        """
        self._now = now
        self.versions[version.source_hash] = version
        self._present.discard(version.source_hash)
        if state in LOADING:
            living = [None for _ in version.tli.actors]
        self._enter(version, state if state in {State.ACTIVE, State.RETIRED} else State.ENDING)
        version.order = version.epoch
        version.actors = [RoleActor(spec) for spec in version.tli.actors]
        for actor, deactivated in zip(version.actors, living, strict=True):
            if deactivated is not None:
                self._next += 1
                actor.id, actor.ready, actor.deactivated = self._next, True, deactivated
                actor.started = now
        if state is State.ACTIVE:
            self.active[version.group] = version.source_hash
            for number, actor in enumerate(version.actors):
                if not actor.id:
                    self._timer("restart", version, number, version.tli.restart.delay)
        if state in LOADING:
            text = "the Director died while it was being loaded; load it again"
            self._note_failure(version, "interrupted", text)
            self._record(version, "failed", text)
        else:
            self._record(version, "adopted", "taken over from a Director that died")
        return [actor.id for actor in version.actors]

    def give_up(self, text: str) -> tuple[Self, list[Action]]:
        """Another host leads from now on: a state without groups, which goes on where this one ends.

        Nothing is unloaded. So Thespian has every source still, and tells nothing when it is loaded once more. Numbers
        go on: timers and words that belong to this state are yet to come.

        Args:
            text: what whoever waits for something is told.

        Returns:
            that state; what answers those who wait.
        """
        after = type(self)()
        after._next, after.blocked = self._next, dict(self.blocked)
        after._leaving, after._abandoned = dict(self._leaving), set(self._abandoned)
        there = {v.source_hash for v in self.versions.values() if v.state is not State.VALIDATING}
        after._present = self._present | there - set(self._leaving)
        for version in [*self.versions.values(), *self._queue]:
            self._refuse_all(version, "ask-leader", text)
        return after, self._take()

    def after_adoption(self) -> list[Action]:
        """All versions are taken over: what the dead Director had begun is ended or taken back."""
        known = list(self.versions.values())
        for version in [v for v in known if v.state is State.ENDING]:
            for actor in version.living:
                self._end(actor)
            self._drop_if_empty(version)
        for version in known:
            if version.state is State.RETIRED:  # the grace before its OnDeactivate has passed
                for actor in version.living:
                    self._deactivate(actor)
            elif version.state is State.ACTIVE and any(a.deactivated for a in version.living):
                self._record(version, "adopted", "a hand-over was cut off: its roles come back")
                self._revive(version, only_stopped=True)
                self._out.append(Changed(version.group, "actor"))
        for group in sorted({version.group for version in known}):
            active = self.active_version(group)
            if active:
                self._unload_surplus(active)
            else:
                self._succeed(group, "the Director died", Word())
        return self._take()
