"""What the activation state machine keeps and what it wants done: states, versions, role actors, actions.

What does not live here: any decision (`director.actors.groups`), Thespian, clocks, files, addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from director.settings.tli import ActorSpec, Tli


class State(Enum):
    """Where a version stands in its life."""

    VALIDATING = "validating"
    STOPPING = "stopping"
    STARTING = "starting"
    HANDOVER = "handover"
    NAMING = "naming"
    ACTIVE = "active"
    RETIRED = "retired"
    ENDING = "ending"
    FAILED = "failed"


#: States of a version that is on its way to become active.
LOADING = {State.VALIDATING, State.STOPPING, State.STARTING, State.HANDOVER, State.NAMING}

#: States in which its own actors have to live: the death of one is its failure.
COMING_UP = {State.STARTING, State.HANDOVER, State.NAMING}

#: States in which the old version is asked to make room.
TAKING_OVER = {State.STOPPING, State.HANDOVER, State.NAMING}


@dataclass
class RoleActor:
    """One actor that a TLI names, in one version.

    ``id`` names the incarnation (0: none lives); ``trial`` is a nameless one that only shows that the class of a
    GlobalName starts, ``tried`` that it did. ``moving``: its role is about to pass to another version, clients wait.
    ``stopped``: it has taken its OnDeactivate. ``asked``: its Ready question is out, ``answer`` what came instead.
    ``lost``: its host is out of reach, or no host takes it; ``why``: code and text of that as it is now. ``killed``: it
    did not exit when it was asked to.
    """

    spec: ActorSpec
    id: int = 0
    ready: bool = False
    trial: bool = False
    tried: bool = False
    asked: bool = False
    answer: str = ""
    ending: bool = False
    moving: bool = False
    deactivated: bool = False
    stopped: bool = False
    #: Which hand-over of its name it makes room for, by number; 0: none. An earlier one's time means nothing then.
    released: int = 0
    #: It was told to exit, whatever was thought better of since.
    exiting: bool = False
    failed: bool = False
    lost: bool = False
    why: tuple[str, str] = ("", "")
    killed: bool = False
    deaths: int = 0
    started: float = 0.0


@dataclass
class Version:
    """One loaded source of a group.

    ``epoch`` changes with the state, so that timers of a state that has passed are known. ``previous`` is the source
    that was active before; while ``tentative`` an actor's death goes back to it. ``fallen``: the actors that died, with
    their reasons, until the Source Authority has said which version takes over. ``settle``: seconds of that period.
    ``waiters`` are answered at the switch, ``settlers`` after the tentative period. ``gap_from``: when roles of the
    old version stopped being served, None while they are. ``gone``: Thespian has forgotten it before its verdict came.

    ``patient_until``: of one that was active before the system was started anew: it becomes so though no host takes an
    actor of it, and until then (seconds of a steady clock) its load waits for hosts. None: a load of it fails then.
    ``stayed``: of one that was loaded and idle and is being started again, the actors that lived then; None of others.
    ``gatherers``: loads that are answered when every actor has a host, or when that time is over.
    """

    source_hash: str
    group: str
    version: str | None
    file: str
    tli: Tli
    state: State = State.VALIDATING
    actors: list[RoleActor] = field(default_factory=list)
    waiters: list[str] = field(default_factory=list)
    settlers: list[str] = field(default_factory=list)
    order: int = 0
    epoch: int = 0
    previous: str | None = None
    tentative: bool = False
    fallen: list[tuple[RoleActor, str]] = field(default_factory=list)
    settle: float = 2.0
    gap_from: float | None = None
    gone: bool = False
    patient_until: float | None = None
    stayed: frozenset[int] | None = None
    gatherers: list[str] = field(default_factory=list)

    @property
    def may_wait(self) -> bool:
        """Whether an actor that finds no host waits for one, and is no failure of a load."""
        restored = self.patient_until is not None and self.state in COMING_UP
        return self.state is State.ACTIVE or restored

    def again(self) -> Version:
        """The same source, as somebody wants it who knows nothing of what became of it here."""
        told = (self.source_hash, self.group, self.version, self.file, self.tli)
        return Version(*told, settle=self.settle)

    @property
    def living(self) -> list[RoleActor]:
        return [actor for actor in self.actors if actor.id]


@dataclass(frozen=True)
class Word:
    """What the Source Authority said: the source that may run again ("" for none), and why others may not.

    ``refused`` maps a source hash to a stable code and a text for people.
    """

    may: str = ""
    refused: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """What went wrong last in a group, until a version becomes active again."""

    version: str | None
    file: str
    code: str
    text: str


@dataclass(frozen=True)
class LoadSource:
    """Hand the bytes of this source to Thespian's Admin."""

    source_hash: str


@dataclass(frozen=True)
class AskTrust:
    """Ask the Source Authority for the first of these loaded sources that may run again, trusted as of now.

    For the audit log: ``asked`` is ``load``, ``unload`` or ``went-back``, ``note`` what happened. The answer is
    `Groups.trust_told` with this number.
    """

    number: int
    sources: tuple[str, ...]
    asked: str
    note: str


@dataclass(frozen=True)
class UnloadSource:
    """Have Thespian's Admin forget this source; nothing of it is pending there."""

    source_hash: str


@dataclass(frozen=True)
class Create:
    """Create an actor of a source and remember it as ``actor``."""

    actor: int
    class_name: str
    source_hash: str
    global_name: str | None


@dataclass(frozen=True)
class Send:
    """Send an actor a message of its TLI."""

    actor: int
    message: Any


@dataclass(frozen=True)
class AskReady:
    """Ask the actor for a sign that it took every message sent before this one."""

    actor: int


@dataclass(frozen=True)
class End:
    """Send the actor ActorExitRequest."""

    actor: int


@dataclass(frozen=True)
class Kill:
    """Kill what is left of a source's processes: they were asked to exit, and had their time."""

    source_hash: str


@dataclass(frozen=True)
class KillActor:
    """Kill this actor's process: it was asked to exit, and had its time."""

    actor: int


@dataclass(frozen=True)
class Timer:
    """Call `Groups.timer` with this key after so many seconds."""

    key: tuple[str, str, int]
    seconds: float


@dataclass(frozen=True)
class Finished:
    """The request of this id is done; ``code`` is stable, ``text`` for people."""

    request: str
    success: bool
    code: str
    text: str
    source_hash: str


@dataclass(frozen=True)
class Changed:
    """Watchers of this group have news.

    ``what``: ``active`` (another version, or none, is active now), ``moving`` (roles are about to pass on: clients
    wait), ``actor`` (an actor was replaced, or given up).
    """

    group: str
    what: str


@dataclass(frozen=True)
class Record:
    """An event for the history of a group; ``text`` for people."""

    group: str
    event: str
    version: str | None
    source_hash: str
    file: str
    text: str


Action = (
    LoadSource
    | AskTrust
    | UnloadSource
    | Create
    | Send
    | AskReady
    | End
    | Kill
    | KillActor
    | Timer
    | Finished
    | Changed
    | Record
)
