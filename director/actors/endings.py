"""The way down and back: versions that retire, return or end, and actors that die and come again.

What does not live here: how a version becomes active (`director.actors.activation`).
"""

from __future__ import annotations

from director.actors.book import GRACE, Book
from director.actors.versions import (
    TAKING_OVER,
    Changed,
    End,
    RoleActor,
    State,
    Timer,
    UnloadSource,
    Version,
    Word,
)
from director.tls.version import version_key

#: Seconds until a source that is being unloaded may be loaded again, should Thespian not tell that it has gone.
LEAVING_LIMIT = 10.0
#: Seconds between two tries to create an actor that no host took.
HOST_DELAY = 1.0
#: Seconds that a load of an active version waits for hosts, and between two looks: one that was just lost finds another
#: in less, and a host that refused its source and was mended takes it in less.
HOST_PATIENCE, HOST_LOOK = 8.0, 0.25
#: Failures of an actor that has no host: it was lost with it, refused there later on, or none takes it.
HOST_CODES = {"host-lost", "host-refused", "no-host"}


class Endings(Book):
    """Retirement, supervision and unloading."""

    # ---- retirement ------------------------------------------------------------------------------

    def _retire(self, version: Version) -> None:
        """Another version is active: OnDeactivate follows when requests on their way have arrived."""
        self._enter(version, State.RETIRED)
        self._unsettled(version, "superseded", "another version took over before it had settled")
        self._timer("retire", version, version.epoch, GRACE)

    def _unsettled(self, version: Version, code: str, text: str) -> None:
        """The tentative period is over before its time."""
        version.tentative = False
        for request in [*version.settlers, *version.gatherers]:
            self._refuse(version, request, code, text)
        version.settlers.clear()
        version.gatherers.clear()

    def _unload_surplus(self, newest: Version) -> None:
        """AutoUnload: True ends an old version, a number keeps so many (DefineGroup's rules).

        Never before the new version has settled: it might still have to go back.
        """
        kept = 1
        for old in self.of_group(newest.group):
            if old.state is not State.RETIRED:
                continue
            auto = old.tli.auto_unload
            surplus = auto if isinstance(auto, bool) else kept >= auto
            if surplus or (old.version is None and newest.version is None):
                self._timer("drain", old, old.epoch, GRACE + max(old.tli.drain, newest.settle))
            else:
                kept += 1

    def _revive(self, version: Version, *, only_stopped: bool = False) -> None:
        """OnReactivate for the living, a new one for those that exited (guide 2.7.2)."""
        held = {actor.spec.global_name for _, actor in self._holders(version)}
        for number, actor in enumerate(version.actors):
            stopped = actor.deactivated or actor.moving
            if only_stopped and not stopped:
                continue
            told = actor.deactivated
            actor.deaths = 0
            actor.failed = actor.moving = actor.deactivated = actor.stopped = False
            actor.released = 0
            if actor.id and not actor.ending:
                self._tell(actor, actor.spec.on_reactivate if told else None)
            elif actor.id:
                actor.ending = False  # its exit is no longer the end: the next one follows it
            elif actor.spec.global_name in self.blocked:
                self._give_up(version, actor, self.blocked[str(actor.spec.global_name)])
            elif actor.spec.global_name in held:
                self._timer("restart", version, number, version.tli.restart.delay)
            else:
                self._create(version, actor)

    # ---- unloading -------------------------------------------------------------------------------

    def _end_version(self, version: Version, word: Word | None = None) -> None:
        """End a version's actors; the highest version that is loaded, and still trusted, becomes active in its place.

        Args:
            word: the Source Authority's about those, where it was asked already.
        """
        was_active = version.state is State.ACTIVE
        for actor in version.living:
            self._deactivate(actor)
        self._unsettled(version, "unloaded", "was unloaded before it had settled")
        self._enter(version, State.ENDING)
        for actor in version.living:
            self._end(actor)
        if was_active:
            del self.active[version.group]
            self._succeed(version.group, f"{version.file} was unloaded", word or Word())
            self._out.append(Changed(version.group, "active"))
        self._drop_if_empty(version)

    def _heirs(self, group: str, first: str | None = None) -> list[Version]:
        """The retired versions of a group: this one first, then the highest."""
        idle = [v for v in self.of_group(group) if v.state is State.RETIRED]
        idle.sort(key=lambda v: version_key(v.version), reverse=True)
        return sorted(idle, key=lambda v: v.source_hash != first)

    def _heir(self, group: str, word: Word) -> Version | None:
        """The version that may return by this word, where it is still there; who may not is told."""
        heirs = self._heirs(group)
        for heir in heirs:
            if heir.source_hash in word.refused:
                code, text = word.refused[heir.source_hash]
                self._note_failure(heir, code, f"it is not made active again: {text}")
                self._record(heir, "failed", f"is not made active again: {text}")
        return next((v for v in heirs if v.source_hash == word.may), None)

    def _succeed(self, group: str, why: str, word: Word) -> None:
        """A group has no active version: the one that may return does."""
        loading = self.loading(group)
        if group in self.active or (loading and loading.state in TAKING_OVER):
            return
        heir = self._heir(group, word)
        unasked = [v for v in self._heirs(group) if v.source_hash not in word.refused]
        if heir:
            self._reactivate(heir)
        elif unasked:
            self._ask(unasked, "unload", why, lambda told: self._succeed_late(group, why, told))

    def _succeed_late(self, group: str, why: str, word: Word) -> None:
        self._succeed(group, why, word)
        self._out.append(Changed(group, "active"))

    def _reactivate(self, version: Version) -> None:
        """Make a retired version the active one at once; the one before it is out of the way already."""
        self._enter(version, State.ACTIVE)
        version.order = version.epoch
        self.active[version.group] = version.source_hash
        self._record(version, "active", "is active again")
        self._revive(version)

    def _drop_if_empty(self, version: Version) -> None:
        if version.living or version.source_hash not in self.versions:
            return
        del self.versions[version.source_hash]
        self._leave(version.source_hash)
        self._out.append(UnloadSource(version.source_hash))
        if version.state is State.ENDING:
            self._record(version, "unloaded")
        for request in version.waiters:
            self._finish(version, request, "unloaded", "is unloaded")

    def _leave(self, source_hash: str) -> None:
        self._next += 1
        self._leaving[source_hash] = self._next
        self._out.append(Timer(("leaving", source_hash, self._next), LEAVING_LIMIT))

    # ---- supervision -----------------------------------------------------------------------------

    def _restart_later(self, version: Version, actor: RoleActor, reason: str) -> None:
        """An actor of the active version died: again after a delay, or never when it died too often."""
        limits = version.tli.restart
        calm = self._now - actor.started >= limits.within
        actor.deaths = 1 if calm else actor.deaths + 1
        self._record(version, "actor-died", f"{actor.spec.class_name} ended\n{reason}".rstrip())
        if actor.deaths > limits.limit:
            times = "once" if actor.deaths == 1 else f"{actor.deaths} times in a row"
            text = f"{actor.spec.class_name} died {times} and is not restarted"
            self._give_up(version, actor, f"{text}\n{reason}".rstrip())
        else:
            delay = min(limits.delay * 2 ** (actor.deaths - 1), limits.longest)
            self._timer("restart", version, version.actors.index(actor), delay)
        self._out.append(Changed(version.group, "actor"))

    def _wait_for_host(self, version: Version, actor: RoleActor, code: str, text: str) -> None:
        """An actor has no host: tried again until one takes it, and counted as no death.

        Of a version that is being started nothing is tried before the switch, which tells of it too.
        """
        first, actor.lost, actor.why = not actor.lost, True, (code, text)
        if version.state is not State.ACTIVE:
            return
        self._note_waiting(version, anew=first)
        if first:
            self._record(version, "actor-lost", f"{actor.spec.class_name}: {text}")
            self._out.append(Changed(version.group, "actor"))
        self._timer("restart", version, version.actors.index(actor), HOST_DELAY)

    def _note_waiting(self, version: Version, *, anew: bool) -> None:
        """What `status` shows: why actors have no host, as it is now.

        Args:
            anew: whatever was told of the group before; else only what was told of this is replaced.
        """
        lost = [actor for actor in version.actors if actor.lost]
        known = self.failures.get(version.group)
        if lost and (anew or known is None or known.code in HOST_CODES):
            text = "\n".join(f"{actor.spec.class_name}: {actor.why[1]}" for actor in lost)
            self._note_failure(version, lost[0].why[0], text)

    def _found_host(self, version: Version, actor: RoleActor) -> None:
        """An actor that had no host is ready on one."""
        actor.lost = False
        failure = self.failures.get(version.group)
        if any(other.lost for other in version.actors):
            self._note_waiting(version, anew=False)
        elif failure and failure.code in HOST_CODES:
            del self.failures[version.group]
        self._record(version, "actor-found", f"{actor.spec.class_name} is ready on a host")
        self._out.append(Changed(version.group, "actor"))
        self._gathered(version)

    def _gather(self, version: Version, request: str, until: float) -> None:
        """Answer a load of an active version when every actor has a host, or, at that time, tell which has none."""
        if not version.gatherers:
            self._timer("gathered", version, version.epoch, HOST_LOOK)
        version.gatherers.append(request)
        version.patient_until = max(version.patient_until or until, until)

    def _gathered(self, version: Version) -> None:
        """Look whether loads that wait for hosts can be answered."""
        lost = [actor for actor in version.actors if actor.lost]
        if not version.gatherers:
            return
        if lost and self._now < (version.patient_until or 0.0):
            self._timer("gathered", version, version.epoch, HOST_LOOK)
            return
        gatherers, version.gatherers = version.gatherers, []
        for request in gatherers:
            if lost:
                classes = ", ".join(actor.spec.class_name for actor in lost)
                text = f"is active, but no host takes {classes} now; it is tried every second"
                told = "\n".join([text, *dict.fromkeys(actor.why[1] for actor in lost)])
                self._refuse(version, request, "no-host", told)
            else:
                self._finish(version, request, "active", "is active")

    def _restart(self, version: Version, actor: RoleActor, number: int) -> None:
        """A restart is due; a name still held, or an occasion that has passed, changes that."""
        held = {other.spec.global_name for _, other in self._holders(version)}
        if actor.id or actor.deactivated or actor.moving or actor.failed:
            return
        if actor.spec.global_name in held:
            self._timer("restart", version, number, max(version.tli.restart.delay, 0.1))
        else:
            self._create(version, actor)
            if not actor.lost:  # that was told once
                self._out.append(Changed(version.group, "actor"))

    def _give_up(self, version: Version, actor: RoleActor, text: str) -> None:
        actor.failed = True
        self._unsettled(version, "unsettled", text)
        self._note_failure(version, "actor-failed", text)
        self._record(version, "actor-failed", text)

    def _start_failed(self, version: Version) -> None:
        """Somebody wants actors of the active version back that died too often; told when all have settled."""
        for actor in version.actors:
            name = actor.spec.global_name
            if not actor.failed:
                continue
            if name in self.blocked:
                self._unsettled(version, "blocked", self.blocked[str(name)])
                continue
            actor.failed, actor.deaths = False, 0
            self._restart(version, actor, version.actors.index(actor))
        self._timer("settled", version, version.epoch, version.settle)

    def _not_up(self, version: Version, actor: RoleActor) -> None:
        """An actor that was created again never answered."""
        name = actor.spec.global_name
        if name is not None and not actor.trial:
            # Thespian gave no actor for it, and will give none; one that is only late must not live unknown.
            self._out.append(End(actor.id))
            actor.id = 0
            self._block(name, version)
            self._give_up(version, actor, self.blocked[name])
            self._out.append(Changed(version.group, "actor"))
        else:
            self._end(actor)
            actor.ending = False  # its end counts as a death

    def _block(self, name: str, version: Version) -> None:
        self.blocked[name] = (
            f"the global name {name!r} gives no actor any more; only a restart of the actor system "
            "frees it (director shutdown, director start)"
        )
        self._record(version, "blocked", self.blocked[name])
