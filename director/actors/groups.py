"""The activation state machine of groups: events in, actions out.

What lives here: what each event means. Which steps follow lives in `director.actors.activation` (the way up) and
`director.actors.endings` (the way down, supervision); what is taken over from a dead Director in
`director.actors.adoption`, what is known in `director.actors.book`. Nothing here knows
Thespian, clocks, files or addresses: `director.actors.director` performs the actions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from director.actors.endings import HOST_PATIENCE
from director.actors.timers import Timers
from director.actors.versions import (
    COMING_UP,
    LOADING,
    TAKING_OVER,
    Action,
    Finished,
    RoleActor,
    State,
    UnloadSource,
    Version,
    Word,
)

#: Seconds that a verdict may come later than the news that its source was unloaded: a full disk makes a Director slow.
VERDICT_LIMIT = 2.0


class Groups(Timers):
    """All groups of one actor system. Every event method returns the actions to perform, in order."""

    def load(
        self, request: str, wanted: Version, now: float, *, settled: bool = False
    ) -> list[Action]:
        """Somebody wants this version to be the active one of its group.

        Args:
            request: answered by one Finished.
            wanted: as it would be if it is not known yet.
            now: seconds of a steady clock, as everywhere here.
            settled: answer after the tentative period, not at the switch.
        """
        self._now = now
        known = self.versions.get(wanted.source_hash)
        taken = [name for name in self.blocked if name in _names(wanted)]
        coming = known if known and known.state in LOADING else self._queued(wanted.source_hash)
        if known and known.group != wanted.group:
            self._refuse(known, request, "group", f"is loaded as a source of group {known.group}")
        elif known and known.state is State.ACTIVE and not _same_actors(known, wanted):
            text = "is active with another TLI than counts now, and keeps it; unload it and load it again"
            self._refuse(known, request, "tli-changed", f"{text}, or give it a new version")
        elif coming and not _same_actors(coming, wanted):
            text = (
                "is being loaded with another TLI than counts now; load it again when that is done"
            )
            self._refuse(coming, request, "tli-changed", text)
        elif known and known.state is State.RETIRED and not _same_actors(known, wanted):
            self._end_version(known)
            self._enqueue(request, wanted, settled)
        elif known and known.state is State.ACTIVE and known.tentative and settled:
            known.settlers.append(request)
        elif known and known.state is State.ACTIVE and any(a.failed for a in known.actors):
            known.tli, known.settle = wanted.tli, wanted.settle
            known.settlers.append(request)
            self._start_failed(known)
        elif known and known.state is State.ACTIVE and any(a.lost for a in known.actors):
            known.tli = wanted.tli
            self._gather(known, request, now + HOST_PATIENCE)
        elif known and known.state is State.ACTIVE:
            known.tli = wanted.tli  # Drain, Restart and the like count from now on
            self._finish(known, request, "unchanged", "is active already")
        elif taken:
            self._refuse(wanted, request, "blocked", self.blocked[taken[0]])
        elif known and known.state in LOADING:
            _list(known, settled).append(request)
        else:
            self._enqueue(request, wanted, settled)
        return self._take()

    def _enqueue(self, request: str, wanted: Version, settled: bool) -> None:
        twin = self._queued(wanted.source_hash)
        _list(twin or wanted, settled).append(request)
        if twin is None:
            self._queue.append(wanted)
        self._start_next(wanted.group)

    def source_loaded(self, source_hash: str, now: float) -> list[Action]:
        """Thespian tells that a source was validated and may be used."""
        self._now = now
        version = self.versions.get(source_hash)
        if version is None:
            if source_hash in self._abandoned:
                self._abandoned.discard(source_hash)
                self._leave(source_hash)
                self._out.append(UnloadSource(source_hash))
            elif source_hash not in self._leaving:
                self._present.add(source_hash)
        elif version.state is State.VALIDATING:
            self._make_room(version)
        return self._take()

    def source_missing(self, source_hash: str, now: float) -> list[Action]:
        """A source was unloaded while it waited to return, and nobody has its bytes to load it again."""
        self._now = now
        version = self.versions.get(source_hash)
        if version and version.state is State.VALIDATING:
            self._fail(version, "not-loaded", "is not loaded any more")
        return self._take()

    def source_refused(self, source_hash: str, code: str, text: str, now: float) -> list[Action]:
        """The Source Authority refused a source, and will unload it once Thespian has taken note."""
        self._now = now
        version = self.versions.get(source_hash)
        if version is None or not version.gone:
            self._leave(source_hash)
        if version and version.state is State.VALIDATING:
            self._fail(version, code, text)
        return self._take()

    def source_unloaded(self, source_hash: str, now: float) -> list[Action]:
        """Thespian tells that a source is gone, perhaps because somebody else unloaded it."""
        self._now = now
        self._present.discard(source_hash)
        version = self.versions.get(source_hash)
        if source_hash in self._leaving:
            self._left(source_hash)
        elif version and version.state is State.VALIDATING:
            # Perhaps it was refused, and the verdict is still on its way: they come from different senders.
            version.gone = True
            self._timer("gone", version, version.epoch, VERDICT_LIMIT)
        elif version and version.state in LOADING:
            self._fail(version, "unloaded", "was unloaded by somebody else")
        elif version and version.state in {State.ACTIVE, State.RETIRED}:
            loading, active = self.loading(version.group), version.state is State.ACTIVE
            if active and loading and loading.state in TAKING_OVER:
                self._fail(loading, "unloaded", f"{version.file} was unloaded by somebody else")
            self._end_version(version)
        return self._take()

    def actor_ready(self, actor_id: int, source_hash: str | None, now: float) -> list[Action]:
        """An actor took every message so far; ``source_hash`` is the source that it is of."""
        self._now = now
        found = self.find(actor_id)
        if found:
            version, actor = found
            # One of the host that holds a name tells no source at all.
            named = actor.spec.global_name is not None and not actor.trial
            if source_hash == version.source_hash or (source_hash is None and not named):
                self._took_all(version, actor)
            else:
                self._not_ours(version, actor)
        return self._take()

    def _not_ours(self, version: Version, actor: RoleActor) -> None:
        text = f"the global name {actor.spec.global_name!r} is held by an actor of another source"
        actor.id = 0  # not ours: it must not be ended with the version
        if version.state in LOADING:
            self._fail(version, "name-taken", text)
        else:
            self._give_up(version, actor, text)

    def actor_answered(self, actor_id: int, answer: Any, now: float) -> list[Action]:
        """A message of an actor that was asked its Ready question."""
        self._now = now
        found = self.find(actor_id)
        if found and found[1].asked and not found[1].ready:
            version, actor = found
            wanted = actor.spec.ready.reply if actor.spec.ready else None
            if wanted is None or _same(wanted.value, answer):
                self._is_ready(version, actor)
                loading = self.loading(version.group)
                if loading:
                    self._advance(loading)
            else:
                actor.answer = repr(answer)[:200]
        return self._take()

    def message_failed(self, actor_id: int, text: str, now: float) -> list[Action]:
        """An actor failed twice over a message of ours: one that is being started is not ready by that."""
        self._now = now
        found = self.find(actor_id)
        if found and found[0].state in COMING_UP and not found[1].ending:
            version, actor = found
            what = f"{actor.spec.class_name} failed twice over its first message"
            self._fail(version, "message-failed", f"{what}\n{text}".rstrip())
        return self._take()

    def actor_exited(self, actor_id: int, reason: str, now: float) -> list[Action]:
        """An actor has ended; ``reason`` is its own traceback where it left one."""
        self._now = now
        found = self.find(actor_id)
        if found:
            version, actor = found
            expected = actor.ending
            actor.id, actor.ready, actor.ending = 0, False, False
            if version.state in COMING_UP and not expected:
                what = f"{actor.spec.class_name} ended before it was ready"
                self._fail(version, "actor-died", f"{what}\n{reason}".rstrip())
            elif version.state is State.ACTIVE and not (
                expected or actor.deactivated or actor.moving
            ):
                self._died_active(version, actor, reason)
            elif version.state is State.STARTING and not actor.tried:
                # It is of an earlier try to bring the version back, which failed.
                self._create(version, actor, trial=actor.spec.global_name is not None)
            if version.state in {State.ENDING, State.FAILED}:
                self._drop_if_empty(version)
            loading = self.loading(version.group)
            if loading:
                self._advance(loading)
        return self._take()

    def actor_lost(self, actor_id: int, code: str, text: str, now: float) -> list[Action]:
        """An actor lost its host (``host-lost``), is refused there now (``host-refused``), or finds none (``no-host``).

        Where its version is active, or was so before a restart, that is no death of its own: it is tried again until a
        host takes it.
        """
        self._now = now
        found = self.find(actor_id)
        if found is None:
            return []
        version, actor = found
        if not version.may_wait or actor.ending or actor.deactivated or actor.moving:
            return self.actor_exited(actor_id, text, now)
        actor.id, actor.ready = 0, False
        self._wait_for_host(version, actor, code, text)
        self._advance(version)
        return self._take()

    def unload_elsewhere(self, source_hashes: Iterable[str], now: float) -> list[Action]:
        """Members missed the unload of these sources, which are not known here: it is said again."""
        self._now = now
        queued = {version.source_hash for version in self._queue}
        known = queued | set(self.versions) | set(self._leaving) | self._present
        for one in set(source_hashes) - known:
            self._leave(one)
            self._out.append(UnloadSource(one))
        return self._take()

    def trust_told(self, number: int, word: Word, now: float) -> list[Action]:
        """The Source Authority's answer to the AskTrust of this number."""
        self._now = now
        self._hear(number, word)
        return self._take()

    def unload(self, request: str, source_hash: str, now: float) -> list[Action]:
        """Somebody wants this source to be unloaded; who is active instead is asked before anything ends."""
        self._now = now
        self._unload(request, source_hash, None)
        return self._take()

    def _unload(self, request: str, source_hash: str, word: Word | None) -> None:
        version = self.versions.get(source_hash)
        loading = self.loading(version.group) if version else None
        if version is None:
            text = f"no source {source_hash} is loaded"
            self._out.append(Finished(request, False, "not-found", text, source_hash))
        elif version.state in LOADING:
            self._refuse(version, request, "busy", "is being loaded; unload it afterwards")
        elif loading and loading.state in TAKING_OVER and version.state is State.ACTIVE:
            text = f"{loading.file} is just taking over from it; unload it afterwards"
            self._refuse(version, request, "busy", text)
        elif version.state is State.ACTIVE and word is None and self._heirs(version.group):
            heirs, why = self._heirs(version.group), f"{version.file} was unloaded"
            self._ask(heirs, "unload", why, lambda told: self._unload(request, source_hash, told))
        else:
            version.waiters.append(request)
            if version.state in {State.ACTIVE, State.RETIRED}:
                self._end_version(version, word)


def _same_actors(known: Version, wanted: Version) -> bool:
    """Whether the same actors are to be told the same: then a loaded version may serve as it is."""
    return known.tli.actors == wanted.tli.actors


def _names(version: Version) -> set[str | None]:
    return {spec.global_name for spec in version.tli.actors}


def _list(version: Version, settled: bool) -> list[str]:
    return version.settlers if settled else version.waiters


def _same(wanted: Any, answer: Any) -> bool:
    """Equal and of one type: True is no 1 here."""
    return type(wanted) is type(answer) and bool(wanted == answer)
