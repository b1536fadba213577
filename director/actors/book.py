"""What the activation state machine knows, and the smallest steps that it takes.

What lives here: the versions, who is active, what waits; creating, telling and ending one role actor. What does not:
when to do so (`director.actors.endings`, `director.actors.activation`, `director.actors.groups`: each a floor above).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from director.actors.versions import (
    LOADING,
    Action,
    AskReady,
    AskTrust,
    Create,
    End,
    Failure,
    Finished,
    Record,
    RoleActor,
    Send,
    State,
    Timer,
    Version,
    Word,
)
from director.settings.tli import Message

#: Seconds from creation until an actor must have taken its first message; its Ready question comes on top.
READY_LIMIT = 30.0
#: Seconds after ActorExitRequest until an actor that did not exit is given up.
END_LIMIT = 10.0
#: Seconds after it was killed until an actor whose end was not told is given up.
KILL_LIMIT = 3.0
#: Seconds between the news that a role passes on and the old actor's OnDeactivate: requests on their way arrive first.
GRACE = 0.25
#: Seconds for the Source Authority to say whether a loaded source may run again; it may be busy with another.
WORD_LIMIT = 30.0


class Book:
    """The state of all groups; ``_out`` collects the actions of the event that is being handled."""

    def __init__(self) -> None:
        self.versions: dict[str, Version] = {}
        self.active: dict[str, str] = {}
        self.failures: dict[str, Failure] = {}
        #: Global names that Thespian waits for without end: nothing can have them until the system restarts.
        self.blocked: dict[str, str] = {}
        self._queue: list[Version] = []
        self._abandoned: set[str] = set()
        #: Sources that Thespian is about to forget, each with the number of its timer: not loaded again before it says
        #: that it has.
        self._leaving: dict[str, int] = {}
        #: Sources that somebody else loaded: Thespian tells nothing when they are loaded once more.
        self._present: set[str] = set()
        #: Open questions to the Source Authority: the sources, and what follows its word.
        self._questions: dict[int, tuple[tuple[str, ...], Callable[[Word], None]]] = {}
        #: Groups whose next load waits for the authority's word.
        self._asking: set[str] = set()
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

    def loading(self, group: str) -> Version | None:
        """The version of a group that is on its way to become active; never more than one."""
        return next((v for v in self.of_group(group) if v.state in LOADING), None)

    def _queued(self, source_hash: str) -> Version | None:
        """The load of a source that waits for its turn; never more than one."""
        return next((q for q in self._queue if q.source_hash == source_hash), None)

    def find(self, actor_id: int) -> tuple[Version, RoleActor] | None:
        """The version and role actor of an incarnation, or None once it is gone."""
        for version in self.versions.values():
            for actor in version.actors:
                if actor_id and actor.id == actor_id:
                    return version, actor
        return None

    def _holders(self, version: Version) -> Iterator[tuple[Version, RoleActor]]:
        """Living actors of other versions of the group that hold a GlobalName of this one."""
        names = {a.spec.global_name for a in version.actors} - {None}
        for other in self.of_group(version.group):
            if other is not version:
                for actor in other.living:
                    if actor.spec.global_name in names and not actor.trial:
                        yield other, actor

    # ---- the Source Authority's word -------------------------------------------------------------

    def _ask(
        self, wanted: Sequence[Version], asked: str, note: str, then: Callable[[Word], None]
    ) -> None:
        """Nothing that was active once is so again without the authority's word, which is of this moment."""
        self._next += 1
        sources = tuple(version.source_hash for version in wanted)
        self._questions[self._next] = (sources, then)
        self._out.append(AskTrust(self._next, sources, asked, note))
        self._out.append(Timer(("word", "", self._next), WORD_LIMIT))

    def _hear(self, number: int, word: Word | None) -> None:
        """The word has come, None: its time is over. A second one means nothing."""
        sources, then = self._questions.pop(number, ((), None))
        if then is not None:
            text = f"the Source Authority said nothing within {WORD_LIMIT:.0f} s"
            then(word or Word("", dict.fromkeys(sources, ("no-authority", text))))

    # ---- one version, one actor ------------------------------------------------------------------

    def _enter(self, version: Version, state: State) -> None:
        version.state = state
        self._next += 1
        version.epoch = self._next

    def _create(self, version: Version, actor: RoleActor, *, trial: bool = False) -> None:
        self._next += 1
        actor.id, actor.trial, actor.started = self._next, trial, self._now
        actor.ready = actor.asked = actor.ending = actor.killed = False
        actor.moving = actor.deactivated = actor.stopped = actor.failed = actor.exiting = False
        actor.answer, actor.released = "", 0
        name = None if trial else actor.spec.global_name
        self._out.append(Create(actor.id, actor.spec.class_name, version.source_hash, name))
        if not trial:
            self._tell(actor, actor.spec.on_load)
        self._out.append(AskReady(actor.id))
        if version.state not in LOADING:  # those are watched together
            self._timer("up", version, actor.id, READY_LIMIT)

    def _tell(self, actor: RoleActor, message: Message | None) -> None:
        if message is not None and actor.id:
            self._out.append(Send(actor.id, message.value))

    def _deactivate(self, actor: RoleActor) -> None:
        if actor.id and not actor.deactivated:
            actor.deactivated = True
            if not actor.exiting:  # it was told before that
                self._tell(actor, actor.spec.on_deactivate)

    def _end(self, actor: RoleActor) -> None:
        found = self.find(actor.id)
        if found and not actor.ending:
            actor.ending = actor.exiting = True
            self._out.append(End(actor.id))
            self._timer("end", found[0], actor.id, END_LIMIT)

    # ---- what is told ----------------------------------------------------------------------------

    def _timer(self, kind: str, version: Version, number: int, seconds: float) -> None:
        self._out.append(Timer((kind, version.source_hash, number), seconds))

    def _record(self, version: Version, event: str, text: str = "") -> None:
        told = (version.version, version.source_hash, version.file, text)
        self._out.append(Record(version.group, event, *told))

    def _note_failure(self, version: Version, code: str, text: str) -> None:
        self.failures[version.group] = Failure(version.version, version.file, code, text)

    def _finish(self, version: Version, request: str, code: str, text: str) -> None:
        self._out.append(
            Finished(request, True, code, f"{version.file} {text}", version.source_hash)
        )

    def _refuse(self, version: Version, request: str, code: str, text: str) -> None:
        self._out.append(
            Finished(request, False, code, f"{version.file}: {text}", version.source_hash)
        )

    def _refuse_all(self, version: Version, code: str, text: str) -> None:
        for request in [*version.waiters, *version.settlers, *version.gatherers]:
            self._refuse(version, request, code, text)
        version.waiters.clear()
        version.settlers.clear()
        version.gatherers.clear()

    def _take(self) -> list[Action]:
        out, self._out = self._out, []
        return out
