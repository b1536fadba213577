"""The way up: how a version becomes the active one of its group, or fails and changes nothing.

A version is *validating → (stopping →) starting → (handover → naming →) active*. Activation is start-first (design,
"Run side"): the new version's actors are created, sent their OnLoad Message and have to be ready before the group
switches. ``Handover: 'stop-first'`` deactivates the old version before that. An actor with a GlobalName has to make
room in either case: its class is created once without the name to see that it starts, then the holder of the name is
deactivated and ended.
"""

from __future__ import annotations

from functools import partial

from director.actors.book import GRACE, READY_LIMIT
from director.actors.endings import HOST_DELAY, Endings
from director.actors.versions import (
    COMING_UP,
    TAKING_OVER,
    AskReady,
    Changed,
    End,
    LoadSource,
    RoleActor,
    Send,
    State,
    Version,
    Word,
)
from director.settings.tli import STOP_FIRST

#: Seconds that validation of a source may take (Thespian forgets a pending source after 120 s).
VALIDATION_LIMIT = 90.0


class Activation(Endings):
    """Validation, start, hand-over, switch; and the way back from each."""

    def _validate(self, version: Version) -> None:
        self._enter(version, State.VALIDATING)
        version.order = version.epoch
        self.versions[version.source_hash] = version
        self._abandoned.discard(version.source_hash)
        if version.source_hash in self._present:
            self._present.discard(version.source_hash)
            self._make_room(version)
            return
        self._out.append(LoadSource(version.source_hash))
        self._timer("validation", version, version.epoch, VALIDATION_LIMIT)

    def _make_room(self, version: Version) -> None:
        """Validated, or wanted back: stop-first asks the old version to let go, else this one starts."""
        old = self.active_version(version.group)
        if version.tli.handover != STOP_FIRST or old is None or not old.living:
            self._start(version)
            return
        self._enter(version, State.STOPPING)
        for actor in old.actors:
            actor.moving = True
        self._out.append(Changed(version.group, "moving"))
        self._timer("stop", version, version.epoch, GRACE)

    def _stop_old(self, version: Version) -> None:
        """Grace has passed: OnDeactivate, and a sign that it was taken; without one only the end frees."""
        old = self.active_version(version.group)
        version.gap_from = self._now
        for actor in old.living if old else []:
            self._deactivate(actor)
            if actor.spec.on_deactivate is None:
                self._end(actor)
            else:
                self._out.append(AskReady(actor.id))
        if old:
            self._timer("stopped", version, version.epoch, old.tli.drain)
        self._advance(version)

    def _start(self, version: Version) -> None:
        self._enter(version, State.STARTING)
        if not version.actors:
            version.actors = [RoleActor(spec) for spec in version.tli.actors]
        for actor in version.actors:
            actor.tried = actor.lost = False
            if not actor.id:
                self._create(version, actor, trial=actor.spec.global_name is not None)
        self._await_ready(version)
        self._advance(version)

    def _await_ready(self, version: Version) -> None:
        questions = [a.spec.ready.timeout for a in version.actors if a.spec.ready]
        self._timer("ready", version, version.epoch, READY_LIMIT + max(questions, default=0.0))

    def _advance(self, version: Version) -> None:
        """Take a loading version as far as it can go now."""
        old = self.active_version(version.group)
        if version.state is State.STOPPING and version.gap_from is not None:
            if old is None or all(actor.stopped for actor in old.living):
                self._start(version)
            return
        if version.state is State.STARTING and all(_started(a) for a in version.actors):
            self._enter(version, State.HANDOVER)
            holders = list(self._holders(version))
            for _, actor in holders:
                actor.moving = True
            if holders:
                self._out.append(Changed(version.group, "moving"))
                self._timer("release", version, version.epoch, GRACE)
        if version.state is State.HANDOVER and not list(self._holders(version)):
            self._enter(version, State.NAMING)
            for actor in version.actors:
                if actor.spec.global_name is not None and not actor.id and not actor.lost:
                    self._create(version, actor)
            if any(actor.id and not actor.ready for actor in version.actors):
                self._await_ready(version)
        if version.state is State.NAMING and all(
            a.ready or (a.lost and not a.id) for a in version.actors
        ):
            self._switch(version)

    def _release(self, version: Version) -> None:
        """Grace has passed: the holders of our names are deactivated, and ended after Drain."""
        if version.gap_from is None:
            version.gap_from = self._now
        for other, actor in list(self._holders(version)):
            if version.tli.handover == STOP_FIRST and actor.stopped:
                self._end(actor)
            else:
                self._deactivate(actor)
                self._next += 1
                actor.released = self._next
                self._timer("holder", other, actor.released, other.tli.drain)

    # ---- readiness -------------------------------------------------------------------------------

    def _took_all(self, version: Version, actor: RoleActor) -> None:
        """The actor runs and has taken every message so far."""
        question = actor.spec.ready
        if actor.deactivated:
            actor.stopped = True
        elif actor.ready or actor.asked:
            return
        elif question is not None and not actor.trial:
            actor.asked = True
            self._out.append(Send(actor.id, question.message))
            self._timer("answer", version, actor.id, question.timeout)
        else:
            self._is_ready(version, actor)
        loading = self.loading(version.group)
        if loading:
            self._advance(loading)

    def _is_ready(self, version: Version, actor: RoleActor) -> None:
        actor.ready = True
        if actor.lost:
            self._found_host(version, actor)
        elif version.state is State.ACTIVE and not actor.trial:
            self._out.append(Changed(version.group, "actor"))
        if actor.trial:
            actor.tried = True
            self._end(actor)

    def _no_answer(self, version: Version, actor: RoleActor) -> None:
        """The time for the Ready question's answer has passed."""
        if not actor.asked or actor.ready:
            return
        text = f"{actor.spec.class_name} did not answer its Ready question"
        text += f" as told; its last answer was {actor.answer}" if actor.answer else ""
        if version.state in COMING_UP:
            self._fail(version, "not-ready", text)
        elif version.state is State.ACTIVE:
            self._not_up(version, actor)

    # ---- the switch ------------------------------------------------------------------------------

    def _switch(self, version: Version) -> None:
        """The point of no return, save for the tentative period."""
        old = self.active_version(version.group)
        for actor in version.actors:
            if actor.deactivated:  # it was active before, and stayed
                self._tell(actor, actor.spec.on_reactivate)
            actor.deactivated = actor.moving = actor.stopped = False
            actor.deaths = actor.released = 0
        version.stayed = None
        self._enter(version, State.ACTIVE)
        version.order = version.epoch
        version.previous = old.source_hash if old else None
        version.tentative = True
        self.active[version.group] = version.source_hash
        self.failures.pop(version.group, None)
        self._out.append(Changed(version.group, "active"))
        text = "is active"
        if version.gap_from is not None:
            text += f"; roles were handed over in {self._now - version.gap_from:.2f} s"
            version.gap_from = None
        lost = [actor for actor in version.actors if actor.lost]
        if lost:
            text += f"; no host takes {', '.join(a.spec.class_name for a in lost)} yet"
            self._note_waiting(version, anew=True)
        self._record(version, "active", text)
        for request in version.waiters:
            if lost:
                self._gather(version, request, version.patient_until or self._now)
            else:
                self._finish(version, request, "active", text)
        version.waiters.clear()
        for actor in lost:
            self._timer("restart", version, version.actors.index(actor), HOST_DELAY)
        self._timer("settled", version, version.epoch, version.settle)
        if old:
            self._retire(old)
        self._unload_surplus(version)
        self._start_next(version.group)

    def _settled(self, version: Version) -> None:
        if version.fallen:
            return
        version.tentative = False
        if version.settlers and any(not (a.ready or a.failed or a.lost) for a in version.actors):
            self._timer("settled", version, version.epoch, 0.5)  # one that was failed is on its way
            return
        failure = self.failures.get(version.group)
        if failure and failure.code == "actor-failed" and all(a.ready for a in version.actors):
            del self.failures[version.group]
        for request in version.settlers:
            self._finish(version, request, "active", f"is active since {version.settle:g} s")
        version.settlers.clear()

    # ---- the way back ----------------------------------------------------------------------------

    def _died_active(self, version: Version, actor: RoleActor, reason: str) -> None:
        """An actor of the active version ended unbidden."""
        what = f"{actor.spec.class_name} ended\n{reason}".rstrip()
        previous = self.versions.get(version.previous or "")
        if version.fallen:
            version.fallen.append((actor, reason))
        elif version.tentative and previous and previous.state is State.RETIRED:
            version.fallen.append((actor, reason))
            why, epoch = f"an actor of {version.file} died", version.epoch
            heirs = self._heirs(version.group, previous.source_hash)
            self._ask(heirs, "went-back", why, lambda word: self._fall(version, epoch, what, word))
        else:
            self._stay(version, "there is no earlier one to go back to", what)
            self._restart_later(version, actor, reason)

    def _fall(self, version: Version, epoch: int, what: str, word: Word) -> None:
        """The authority has said to which version a tentative one goes back, if to any."""
        fallen, version.fallen = version.fallen, []
        if version.epoch != epoch:
            return  # unloaded, or succeeded, in between
        loading = self.loading(version.group)
        heir = self._heir(version.group, word)
        if heir and not (loading and loading.state in TAKING_OVER):
            self._go_back(version, heir, what)
            return
        self._stay(version, "there is none that may take its place now", what)
        for actor, reason in fallen:
            if not actor.id:
                self._restart_later(version, actor, reason)

    def _stay(self, version: Version, why: str, what: str) -> None:
        self._unsettled(version, "unsettled", f"it stays active, for {why}, but {what}")

    def _go_back(self, version: Version, previous: Version, what: str) -> None:
        """Within the tentative period: the version before is the active one again."""
        text = (
            f"went back to {previous.version or previous.file}: within {version.settle:g} s {what}"
        )
        for actor in version.living:
            self._deactivate(actor)
        version.tentative = False
        self._enter(version, State.FAILED)
        self._refuse_all(version, "went-back", text)
        self._record(version, "went-back", text)
        for actor in version.living:
            self._end(actor)
        self._reactivate(previous)
        self._note_failure(version, "went-back", text)
        self._out.append(Changed(version.group, "active"))
        self._drop_if_empty(version)

    def _fail(self, version: Version, code: str, text: str) -> None:
        """A version did not become active, and what served before serves on: it ends, or is idle again as it was."""
        validating = version.state is State.VALIDATING
        if version.state is State.NAMING and code == "not-ready":
            for actor in version.actors:
                name = actor.spec.global_name
                if name is not None and actor.id and not actor.ready and not actor.asked:
                    self._out.append(End(actor.id))  # should it only be late
                    actor.id = 0
                    self._block(name, version)
                    code, text = "blocked", f"{text}: {self.blocked[name]}"
        active, stayed = self.active_version(version.group), version.stayed
        back = active is not None and stayed is not None and code != "unloaded"
        self._enter(version, State.RETIRED if back else State.FAILED)
        version.stayed = None
        self._note_failure(version, code, text)
        self._record(version, "failed", text)
        self._refuse_all(version, code, text)
        if active:
            moved = any(actor.moving for actor in active.actors)
            self._revive(active, only_stopped=True)
            if moved:
                self._out.append(Changed(version.group, "actor"))
        else:
            self._succeed(version.group, f"{version.file} did not become active", Word())
        if validating:
            # Never unloaded while pending: that ends Thespian's Admin (adminCore.h_ValidateSource).
            del self.versions[version.source_hash]
        for actor in version.living:
            if not (back and stayed and actor.id in stayed):
                self._end(actor)
        if back and active:
            self._timer("retire", version, version.epoch, GRACE)
            self._unload_surplus(active)
        else:
            self._drop_if_empty(version)
        self._start_next(version.group)

    # ---- the queue -------------------------------------------------------------------------------

    def _begin(self, wanted: Version) -> None:
        """Nothing stands in the way of this load: validate it, or bring a loaded version back."""
        known = self.versions.get(wanted.source_hash)
        requests = [*wanted.waiters, *wanted.settlers]
        if known is None:
            self._validate(wanted)
        elif known.state is State.RETIRED:
            known.waiters, known.settlers = wanted.waiters, wanted.settlers
            known.settle, known.tli = wanted.settle, wanted.tli
            known.stayed = frozenset(actor.id for actor in known.living)
            self._make_room(known)
        else:
            for request in requests:
                self._finish(known, request, "unchanged", "is active already")

    def _start_next(self, group: str) -> None:
        while self.loading(group) is None and group not in self._asking:
            mine = (q for q in self._queue if q.group == group)
            queued = next((q for q in mine if not self._going(q.source_hash)), None)
            if queued is None:
                return
            known = self.versions.get(queued.source_hash)
            if known is not None and known.state is State.RETIRED:
                self._asking.add(group)
                then = partial(self._come_back, queued)
                self._ask([known], "load", "it is still loaded", then)
                return
            self._queue.remove(queued)
            self._begin(queued)

    def _come_back(self, wanted: Version, word: Word) -> None:
        """The authority's word about a loaded version that is wanted again; one that has left is validated afresh."""
        self._asking.discard(wanted.group)
        known = self.versions.get(wanted.source_hash)
        if known is not None and known.state is State.RETIRED:
            self._queue.remove(wanted)
            if word.may == known.source_hash:
                self._begin(wanted)
            else:
                code, text = word.refused.get(known.source_hash, ("no-authority", "no word came"))
                self._note_failure(known, code, text)
                self._record(known, "failed", text)
                self._refuse_all(wanted, code, text)
        self._start_next(wanted.group)

    def _going(self, source_hash: str) -> bool:
        """Whether a source is about to leave: it may be loaded again when it has gone."""
        known = self.versions.get(source_hash)
        ending = known is not None and known.state in {State.ENDING, State.FAILED}
        return ending or source_hash in self._leaving

    def _left(self, source_hash: str) -> None:
        self._leaving.pop(source_hash, None)
        for group in {queued.group for queued in self._queue if queued.source_hash == source_hash}:
            self._start_next(group)


def _started(actor: RoleActor) -> bool:
    """Ready, or, where it waits for its name, tried and gone again; or it waits for a host."""
    if actor.id:
        return actor.ready and not actor.trial
    return actor.tried or actor.lost
