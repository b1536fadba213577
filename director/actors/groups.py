"""The activation state machine of groups: events in, actions out.

What lives here: which version of a group is active, which actors each version has, and what must be
done next when a source is validated or refused, an actor is ready or has exited, or a timer fires.
What does not: Thespian, clocks, files, addresses. `director.actors.director` performs the actions.

A version is *validating → starting → (handover → naming →) active → retired → ending*, or *failed*.
Activation is start-first (design, "Run side"): the new version's actors are created, sent their
OnLoad Message and have to be ready before the group switches; the old version gets OnDeactivate
afterwards and stays. Only an actor with a GlobalName has to make room first: its class is created once
without the name to see that it starts, then the holder of the name is deactivated and ended.
"""

from __future__ import annotations

from collections.abc import Iterator

from director.actors.versions import (
    LOADING,
    Action,
    AskReady,
    Changed,
    Create,
    End,
    Finished,
    LoadSource,
    RoleActor,
    Send,
    State,
    Timer,
    UnloadSource,
    Version,
)
from director.settings.tli import Message
from director.tls.version import version_key

#: Seconds that validation of a source may take (Thespian forgets a pending source after 120 s).
VALIDATION_LIMIT = 90.0
#: Seconds until a source that is being unloaded may be loaded again, should Thespian not tell that it has gone.
LEAVING_LIMIT = 10.0
#: Seconds from creation until every actor of a version must be ready.
READY_LIMIT = 30.0
#: Seconds after ActorExitRequest until an actor that did not exit is given up.
END_LIMIT = 10.0
#: An actor that dies is created again after 0.2 s, 0.4 s, … up to this delay in seconds.
RESTART_DELAY_FIRST, RESTART_DELAY_LAST = 0.2, 30.0
#: Deaths in a row, each within RESTART_CALM seconds of the start, after which an actor is failed.
RESTART_BURST = 5
RESTART_CALM = 60.0


class Groups:
    """All groups of one actor system. Every event method returns the actions to perform, in order."""

    def __init__(self) -> None:
        self.versions: dict[str, Version] = {}
        self.active: dict[str, str] = {}
        self.failures: dict[str, str] = {}
        self._queue: list[Version] = []
        self._abandoned: set[str] = set()
        #: Sources that Thespian is about to forget: not loaded again before it says that it has.
        self._leaving: set[str] = set()
        self._out: list[Action] = []
        self._next = 0
        self._now = 0.0

    # ---- what can be seen ------------------------------------------------------------------------

    def of_group(self, group: str) -> list[Version]:
        """The versions of a group that are in the system, most recently loaded first."""
        found = [v for v in self.versions.values() if v.group == group]
        return sorted(found, key=lambda v: -v.order)

    def active_version(self, group: str) -> Version | None:
        """The active version of a group, or None."""
        return self.versions.get(self.active.get(group, ""))

    def find(self, actor_id: int) -> tuple[Version, RoleActor] | None:
        """The version and role actor of an incarnation, or None once it is gone."""
        for version in self.versions.values():
            for actor in version.actors:
                if actor_id and actor.id == actor_id:
                    return version, actor
        return None

    # ---- events ----------------------------------------------------------------------------------

    def load(self, request: str, wanted: Version, now: float) -> list[Action]:
        """Somebody wants this version to be the active one of its group."""
        self._now = now
        known = self.versions.get(wanted.source_hash)
        if known is None:
            wanted.waiters.append(request)
            busy = any(v.state in LOADING for v in self.of_group(wanted.group))
            busy = busy or wanted.source_hash in self._leaving
            twin = next((q for q in self._queue if q.source_hash == wanted.source_hash), None)
            if twin:
                twin.waiters.append(request)
            elif busy:
                self._queue.append(wanted)
            else:
                self._validate(wanted)
        elif known.group != wanted.group:
            self._refuse(known, request, "group", f"is loaded as a source of group {known.group}")
        elif known.state is State.ACTIVE:
            self._finish(known, request, "active", "is active already")
        elif known.state is State.RETIRED:
            if any(v.state in LOADING for v in self.of_group(known.group)):
                self._refuse(known, request, "busy", "another version is being loaded; load again")
            else:
                self._bring_back(known, request)
        elif known.state in LOADING:
            known.waiters.append(request)
        else:
            self._refuse(known, request, "ending", "is being unloaded; load again in a moment")
        return self._take()

    def source_loaded(self, source_hash: str, now: float) -> list[Action]:
        """Thespian tells that a source was validated and may be used."""
        self._now = now
        version = self.versions.get(source_hash)
        if version is None:
            if source_hash in self._abandoned:
                self._abandoned.discard(source_hash)
                self._leave(source_hash)
                self._out.append(UnloadSource(source_hash))
        elif version.state is State.VALIDATING:
            version.state = State.STARTING
            version.actors = [RoleActor(spec) for spec in version.tli.actors]
            for actor in version.actors:
                self._create(version, actor, trial=actor.spec.global_name is not None)
            self._out.append(Timer(("ready", source_hash, version.order), READY_LIMIT))
            self._advance(version)
        return self._take()

    def source_refused(self, source_hash: str, code: str, text: str, now: float) -> list[Action]:
        """The Source Authority refused a source, and will unload it once Thespian has taken note."""
        self._now = now
        self._leave(source_hash)
        version = self.versions.get(source_hash)
        if version and version.state is State.VALIDATING:
            self._fail(version, code, text)
        return self._take()

    def source_unloaded(self, source_hash: str, now: float) -> list[Action]:
        """Thespian tells that a source is gone, perhaps because somebody else unloaded it."""
        self._now = now
        version = self.versions.get(source_hash)
        if source_hash in self._leaving:
            self._left(source_hash)
        elif version and version.state in LOADING:
            self._fail(version, "unloaded", "was unloaded by somebody else")
        elif version and version.state in {State.ACTIVE, State.RETIRED}:
            self._end_version(version)
        return self._take()

    def actor_ready(self, actor_id: int, source_hash: str | None, now: float) -> list[Action]:
        """An actor answered that it runs; ``source_hash`` is the source that it is of."""
        self._now = now
        found = self.find(actor_id)
        if found and not found[1].ready:
            version, actor = found
            if source_hash is not None and source_hash != version.source_hash:
                name = actor.spec.global_name
                actor.id = 0  # not ours: it must not be ended with the version
                if version.state in LOADING:
                    text = f"the global name {name!r} is held by an actor of another source"
                    self._fail(version, "name-taken", text)
                else:
                    actor.failed = True
                return self._take()
            actor.ready = True
            if actor.trial:
                self._end(actor)
            self._advance(version)
        return self._take()

    def actor_exited(self, actor_id: int, reason: str, now: float) -> list[Action]:
        """An actor has ended; ``reason`` is its own traceback where it left one."""
        self._now = now
        found = self.find(actor_id)
        if found:
            version, actor = found
            expected = actor.ending
            actor.id, actor.ready, actor.ending = 0, False, False
            if version.state in {State.STARTING, State.NAMING} and not expected:
                what = f"{actor.spec.class_name} ended before it was ready"
                self._fail(version, "actor-died", f"{what}\n{reason}".rstrip())
            elif version.state is State.ACTIVE and not expected and not actor.deactivated:
                self._restart_later(version, actor)
            if version.state in {State.ENDING, State.FAILED}:
                self._drop_if_empty(version)
            for loading in [v for v in self.of_group(version.group) if v.state in LOADING]:
                self._advance(loading)
        return self._take()

    def timer(self, key: tuple[str, str, int], now: float) -> list[Action]:
        """A timer fired; one whose occasion has passed changes nothing."""
        self._now = now
        kind, source_hash, number = key
        version = self.versions.get(source_hash)
        if kind == "leaving":
            self._left(source_hash)
        if version is None:
            return self._take()
        if kind == "validation" and version.state is State.VALIDATING:
            self._abandoned.add(source_hash)
            text = f"the Source Authority gave no answer within {VALIDATION_LIMIT:.0f} s"
            self._fail(version, "no-authority", text)
        elif kind == "ready" and number == version.order and version.state in LOADING:
            late = [a.spec.class_name for a in version.actors if a.id and not a.ready]
            if version.state is not State.HANDOVER and late:
                text = f"not ready within {READY_LIMIT:.0f} s: {', '.join(late)}"
                self._fail(version, "not-ready", text)
        elif kind == "drain":
            if version.state is State.RETIRED and number == version.order:
                self._end_version(version)
        elif kind == "restart" and version.state is State.ACTIVE:
            actor = version.actors[number]
            held = {other.spec.global_name for _, other in self._holders(version)}
            if actor.id or actor.deactivated:
                pass
            elif actor.spec.global_name in held:
                self._out.append(Timer(key, RESTART_DELAY_FIRST))
            else:
                self._create(version, actor)
                self._out.append(Changed(version.group))
        elif kind in {"end", "release"}:
            found = self.find(number)
            if found and kind == "release":
                if found[1].deactivated:
                    self._end(found[1])
            elif found and version.state in {State.ENDING, State.FAILED}:
                found[1].id = 0
                self._drop_if_empty(version)
            elif found:
                for loading in [v for v in self.of_group(version.group) if v.state in LOADING]:
                    self._fail(loading, "not-ended", f"{found[1].spec.class_name} did not end")
        return self._take()

    def unload(self, request: str, source_hash: str, now: float) -> list[Action]:
        """Somebody wants this source to be unloaded."""
        self._now = now
        version = self.versions.get(source_hash)
        if version is None:
            text = f"no source {source_hash} is loaded"
            self._out.append(Finished(request, False, "not-found", text, source_hash))
        elif version.state in LOADING:
            self._refuse(version, request, "busy", "is being loaded; unload it afterwards")
        else:
            version.waiters.append(request)
            if version.state in {State.ACTIVE, State.RETIRED}:
                self._end_version(version)
        return self._take()

    # ---- the way up ------------------------------------------------------------------------------

    def _validate(self, version: Version) -> None:
        self._next += 1
        version.order = self._next
        version.state = State.VALIDATING
        self.versions[version.source_hash] = version
        self._abandoned.discard(version.source_hash)
        self._out.append(LoadSource(version.source_hash))
        self._out.append(Timer(("validation", version.source_hash, 0), VALIDATION_LIMIT))

    def _create(self, version: Version, actor: RoleActor, *, trial: bool = False) -> None:
        self._next += 1
        actor.id, actor.ready, actor.ending, actor.trial = self._next, False, False, trial
        actor.deactivated = False
        actor.started = self._now
        name = None if trial else actor.spec.global_name
        self._out.append(Create(actor.id, actor.spec.class_name, version.source_hash, name))
        if not trial:
            self._tell(actor, actor.spec.on_load)
        self._out.append(AskReady(actor.id))

    def _advance(self, version: Version) -> None:
        """Take a loading version as far as it can go now."""
        if version.state is State.STARTING:
            trials = [a for a in version.actors if a.spec.global_name is not None]
            plain = [a for a in version.actors if a.spec.global_name is None]
            if all(a.ready for a in plain) and not any(a.id for a in trials):
                version.state = State.HANDOVER
                for holder in self._holders(version):
                    self._release(holder)
        if version.state is State.HANDOVER and not list(self._holders(version)):
            version.state = State.NAMING
            self._next += 1
            named = [a for a in version.actors if a.spec.global_name is not None]
            for actor in named:
                self._create(version, actor)
            if named:
                version.order = self._next
                self._out.append(Timer(("ready", version.source_hash, version.order), READY_LIMIT))
        if version.state is State.NAMING and all(a.ready for a in version.actors):
            self._switch(version)

    def _holders(self, version: Version) -> Iterator[tuple[Version, RoleActor]]:
        """Living actors of other versions of the group that hold a GlobalName of this one."""
        names = {a.spec.global_name for a in version.actors} - {None}
        for other in self.of_group(version.group):
            if other is not version:
                for actor in other.living:
                    if actor.spec.global_name in names and not actor.trial:
                        yield other, actor

    def _release(self, holder: tuple[Version, RoleActor]) -> None:
        version, actor = holder
        if not actor.deactivated:
            actor.deactivated = True
            self._tell(actor, actor.spec.on_deactivate)
        key = ("release", version.source_hash, actor.id)
        self._out.append(Timer(key, version.tli.drain))

    def _switch(self, version: Version) -> None:
        old = self.active_version(version.group)
        version.state = State.ACTIVE
        self.active[version.group] = version.source_hash
        self.failures.pop(version.group, None)
        self._out.append(Changed(version.group))
        for request in version.waiters:
            self._finish(version, request, "active", "is active")
        version.waiters.clear()
        if old:
            self._retire(old)
        self._unload_surplus(version)
        self._start_next(version.group)

    def _retire(self, version: Version) -> None:
        version.state = State.RETIRED
        for actor in version.living:
            if not actor.deactivated:
                actor.deactivated = True
                self._tell(actor, actor.spec.on_deactivate)

    def _unload_surplus(self, newest: Version) -> None:
        """AutoUnload: True ends an old version, a number keeps so many (DefineGroup's rules)."""
        kept = 1
        for old in self.of_group(newest.group):
            if old.state is not State.RETIRED:
                continue
            auto = old.tli.auto_unload
            surplus = auto if isinstance(auto, bool) else kept >= auto
            if surplus or (old.version is None and newest.version is None):
                key = ("drain", old.source_hash, old.order)
                self._out.append(Timer(key, old.tli.drain))
            else:
                kept += 1

    # ---- the way back and down -------------------------------------------------------------------

    def _fail(self, version: Version, code: str, text: str) -> None:
        validating = version.state is State.VALIDATING
        version.state = State.FAILED
        self.failures[version.group] = text
        for request in version.waiters:
            self._refuse(version, request, code, text)
        version.waiters.clear()
        active = self.active_version(version.group)
        if active:
            self._revive(active, only_deactivated=True)
        if validating:
            # Never unloaded while pending: that ends Thespian's Admin (adminCore.h_ValidateSource).
            del self.versions[version.source_hash]
        for actor in version.living:
            self._end(actor)
        self._drop_if_empty(version)
        self._start_next(version.group)

    def _bring_back(self, version: Version, request: str) -> None:
        """A version that is still loaded becomes the active one again."""
        old = self.active_version(version.group)
        if old is not version:
            version.state = State.ACTIVE
            self.active[version.group] = version.source_hash
            self._next += 1
            version.order = self._next
            if old:
                self._retire(old)
                for holder in self._holders(version):
                    self._end(holder[1])
            self._revive(version)
            self._out.append(Changed(version.group))
            self._unload_surplus(version)
        self._finish(version, request, "active", "is active again")

    def _revive(self, version: Version, *, only_deactivated: bool = False) -> None:
        """OnReactivate for the living, a new one for those that exited (guide 2.7.2)."""
        held = {actor.spec.global_name for _, actor in self._holders(version)}
        for number, actor in enumerate(version.actors):
            if only_deactivated and not actor.deactivated:
                continue
            actor.deaths, actor.failed, actor.deactivated = 0, False, False
            if actor.id and not actor.ending:
                self._tell(actor, actor.spec.on_reactivate)
            elif actor.id:
                actor.ending = False  # its exit is no longer the end: the next one follows it
            elif actor.spec.global_name in held:
                key = ("restart", version.source_hash, number)
                self._out.append(Timer(key, RESTART_DELAY_FIRST))
            else:
                self._create(version, actor)

    def _end_version(self, version: Version) -> None:
        """End a version's actors; the highest version still loaded becomes active in its place."""
        was_active = version.state is State.ACTIVE
        if was_active:
            self._retire(version)
        version.state = State.ENDING
        for actor in version.living:
            self._end(actor)
        if was_active:
            del self.active[version.group]
            older = [v for v in self.of_group(version.group) if v.state is State.RETIRED]
            if older:
                best = max(older, key=lambda v: version_key(v.version))
                best.state = State.ACTIVE
                self._next += 1
                best.order = self._next
                self.active[version.group] = best.source_hash
                self._revive(best)
            self._out.append(Changed(version.group))
        self._drop_if_empty(version)

    def _end(self, actor: RoleActor) -> None:
        found = self.find(actor.id)
        if found and not actor.ending:
            actor.ending = True
            self._out.append(End(actor.id))
            self._out.append(Timer(("end", found[0].source_hash, actor.id), END_LIMIT))

    def _drop_if_empty(self, version: Version) -> None:
        if version.living or version.source_hash not in self.versions:
            return
        del self.versions[version.source_hash]
        self._leave(version.source_hash)
        self._out.append(UnloadSource(version.source_hash))
        for request in version.waiters:
            self._finish(version, request, "unloaded", "is unloaded")

    def _restart_later(self, version: Version, actor: RoleActor) -> None:
        calm = self._now - actor.started >= RESTART_CALM
        actor.deaths = 1 if calm else actor.deaths + 1
        if actor.deaths > RESTART_BURST:
            actor.failed = True
            self.failures[version.group] = (
                f"{actor.spec.class_name} died {actor.deaths} times in a row and is not restarted"
            )
        else:
            actor.deactivated = False
            delay = min(RESTART_DELAY_FIRST * 2 ** (actor.deaths - 1), RESTART_DELAY_LAST)
            number = version.actors.index(actor)
            self._out.append(Timer(("restart", version.source_hash, number), delay))
        self._out.append(Changed(version.group))

    # ---- small things ----------------------------------------------------------------------------

    def _start_next(self, group: str) -> None:
        if any(v.state in LOADING for v in self.of_group(group)):
            return
        for queued in self._queue:
            if queued.group == group and queued.source_hash not in self._leaving:
                self._queue.remove(queued)
                if queued.source_hash not in self.versions:
                    self._validate(queued)
                    return
                for request in queued.waiters:
                    self._refuse(queued, request, "busy", "was loaded meanwhile; load again")
                self._start_next(group)
                return

    def _leave(self, source_hash: str) -> None:
        self._leaving.add(source_hash)
        self._out.append(Timer(("leaving", source_hash, 0), LEAVING_LIMIT))

    def _left(self, source_hash: str) -> None:
        self._leaving.discard(source_hash)
        for group in {queued.group for queued in self._queue if queued.source_hash == source_hash}:
            self._start_next(group)

    def _tell(self, actor: RoleActor, message: Message | None) -> None:
        if message is not None and actor.id:
            self._out.append(Send(actor.id, message.value))

    def _finish(self, version: Version, request: str, code: str, text: str) -> None:
        self._out.append(
            Finished(request, True, code, f"{version.file} {text}", version.source_hash)
        )

    def _refuse(self, version: Version, request: str, code: str, text: str) -> None:
        self._out.append(
            Finished(request, False, code, f"{version.file}: {text}", version.source_hash)
        )

    def _take(self) -> list[Action]:
        out, self._out = self._out, []
        return out
