"""What becomes due: the timers of the activation state machine.

What lives here: what each of them means when it fires. They are set where something is begun, and never taken back: one
whose occasion has passed changes nothing, by its version's epoch or its actor's incarnation.
"""

from __future__ import annotations

from director.actors.activation import VALIDATION_LIMIT
from director.actors.adoption import Adoption
from director.actors.book import KILL_LIMIT, READY_LIMIT
from director.actors.versions import Action, Kill, KillActor, RoleActor, State, Version


class Timers(Adoption):
    """The part of all groups that time moves."""

    def timer(self, key: tuple[str, str, int], now: float) -> list[Action]:
        """A timer fired; one whose occasion has passed changes nothing."""
        self._now = now
        kind, source_hash, number = key
        version = self.versions.get(source_hash)
        if kind == "leaving":
            if self._leaving.get(source_hash) == number:  # not that of an earlier load
                self._left(source_hash)
        elif kind == "word":
            self._hear(number, None)
        elif version is None:
            pass
        elif kind == "restart":
            if version.state is State.ACTIVE:
                self._restart(version, version.actors[number], number)
        elif kind == "holder":
            for actor in version.living:
                if actor.released == number:
                    self._end(actor)
        elif kind in {"end", "up", "answer"}:
            found = self.find(number)
            if found:
                self._actor_timer(kind, *found)
        elif number == version.epoch:
            self._version_timer(kind, version)
        return self._take()

    def _version_timer(self, kind: str, version: Version) -> None:
        """A timer of the state that the version is still in."""
        if kind == "validation":
            self._abandoned.add(version.source_hash)
            text = f"the Source Authority gave no answer within {VALIDATION_LIMIT:.0f} s"
            self._fail(version, "no-authority", text)
        elif kind == "stop":
            self._stop_old(version)
        elif kind == "stopped":
            old = self.active_version(version.group)
            for actor in old.living if old else []:
                if not actor.stopped:
                    self._end(actor)
        elif kind == "ready":
            trying = version.state is State.STARTING
            missing = [a for a in version.actors if not (a.ready or (trying and a.tried))]
            late = [actor.spec.class_name for actor in missing]
            if late:
                text = f"not ready within {READY_LIMIT:.0f} s: {', '.join(late)}"
                self._fail(version, "not-ready", text)
        elif kind == "gathered":
            self._gathered(version)
        elif kind == "gone":
            self._fail(version, "unloaded", "was unloaded by somebody else")
        elif kind == "release":
            self._release(version)
        elif kind == "settled":
            self._settled(version)
        elif kind == "retire":
            for actor in version.living:
                self._deactivate(actor)
        elif kind == "drain":
            self._end_version(version)

    def _actor_timer(self, kind: str, version: Version, actor: RoleActor) -> None:
        """A timer of an incarnation that still lives."""
        if kind == "up":
            if version.state is State.ACTIVE and not actor.ready and not actor.asked:
                self._not_up(version, actor)
        elif kind == "answer":
            self._no_answer(version, actor)
        elif version.state is State.ACTIVE and not actor.ready and not actor.ending:
            self._hangs(version, actor)
        elif actor.ending or version.state in {State.ENDING, State.FAILED}:
            self._did_not_end(version, actor)

    def _hangs(self, version: Version, actor: RoleActor) -> None:
        """Created again, it took no message and did not exit either: killed, and created once more when it has gone."""
        if not actor.killed:
            self._kill(version, actor, KillActor(actor.id))
            return
        actor.id = 0
        self._died_active(version, actor, "it took no message and did not end")

    def _kill(self, version: Version, actor: RoleActor, action: Kill | KillActor) -> None:
        """Its end may be told; where it is not, the timer gives it up. Until then the killer has to find it."""
        actor.killed = True
        self._out.append(action)
        self._record(version, "killed", f"{actor.spec.class_name} did not exit and was killed")
        self._timer("end", version, actor.id, KILL_LIMIT)

    def _did_not_end(self, version: Version, actor: RoleActor) -> None:
        """Asked to exit, it went on: it is killed, which may be told, or given up when it was not told."""
        going = version.state in {State.ENDING, State.FAILED}
        if not actor.killed:
            whom = Kill(version.source_hash) if going else KillActor(actor.id)
            self._kill(version, actor, whom)
            return
        loading = self.loading(version.group)
        if loading and not going:
            self._fail(loading, "not-ended", f"{actor.spec.class_name} did not end")
        if going:
            actor.id = 0
            self._drop_if_empty(version)
            if loading:
                self._advance(loading)
