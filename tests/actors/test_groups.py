"""The activation state machine: tables of situations, and random sequences that must keep its promises."""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from director.actors import groups as g
from director.actors import versions as m
from director.settings.tli import ActorSpec, Message, Tli


def spec(name: str, *, named: str | None = None) -> ActorSpec:
    return ActorSpec(
        class_name=f"app.{name}",
        role=name,
        global_name=named,
        on_load=Message(f"load {name}"),
        on_reactivate=Message(f"again {name}"),
        on_deactivate=Message(f"stop {name}"),
    )


def tli(*actors: ActorSpec, auto_unload: bool | int = False) -> Tli:
    return Tli(actors=actors, auto_unload=auto_unload, keep_limit=0, drain=10.0, variables={})


class Host:
    """Plays Thespian to the machine: every action is recorded; actors live until they are ended."""

    def __init__(self) -> None:
        self.groups = g.Groups()
        self.now = 0.0
        self.log: list[m.Action] = []
        self.timers: list[m.Timer] = []
        self.finished: dict[str, m.Finished] = {}
        self.alive: dict[int, m.Create] = {}
        self.serial = 0

    def do(self, actions: list[m.Action]) -> None:
        for action in actions:
            self.log.append(action)
            match action:
                case m.Timer():
                    self.timers.append(action)
                case m.Finished(request):
                    assert request not in self.finished, "a request is answered once"
                    self.finished[request] = action
                case m.Create(actor):
                    self.alive[actor] = action
                case m.Send(actor) | m.AskReady(actor) | m.End(actor):
                    assert actor in self.alive, "only living actors are talked to"

    def load(self, digest: str, *actors: ActorSpec, auto: bool | int = False) -> str:
        self.serial += 1
        request = f"r{self.serial}"
        version = m.Version(
            digest, "app", digest, f"app-{digest}.tls", tli(*actors, auto_unload=auto)
        )
        self.do(self.groups.load(request, version, self.now))
        return request

    def validated(self, digest: str) -> None:
        self.do(self.groups.source_loaded(digest, self.now))

    def ready(self) -> None:
        """Every actor answers, and every actor that was told to end has ended, until all is quiet."""
        seen: set[int] = set()
        busy = True
        while busy:
            busy = False
            for actor, made in list(self.alive.items()):
                if any(isinstance(a, m.End) and a.actor == actor for a in self.log):
                    self.exit(actor)
                    busy = True
                elif actor not in seen:
                    seen.add(actor)
                    self.do(self.groups.actor_ready(actor, made.source_hash, self.now))
                    busy = True

    def exit(self, actor: int, reason: str = "") -> None:
        del self.alive[actor]
        self.do(self.groups.actor_exited(actor, reason, self.now))

    def fire(self, kind: str) -> None:
        due = [timer for timer in self.timers if timer.key[0] == kind]
        self.timers = [timer for timer in self.timers if timer.key[0] != kind]
        for timer in due:
            self.do(self.groups.timer(timer.key, self.now))

    def up(self, digest: str, *actors: ActorSpec, auto: bool | int = False) -> str:
        request = self.load(digest, *actors, auto=auto)
        self.validated(digest)
        self.ready()
        return request

    def sent(self) -> list[object]:
        return [action.message for action in self.log if isinstance(action, m.Send)]

    @property
    def active(self) -> str | None:
        return self.groups.active.get("app")


def test_a_first_load_creates_in_order_sends_the_message_and_then_switches() -> None:
    host = Host()
    request = host.load("1", spec("a"), spec("b"))
    assert host.active is None
    host.validated("1")
    assert request not in host.finished
    host.ready()
    assert host.active == "1" and host.finished[request].success
    assert host.sent() == ["load a", "load b"]


def test_the_old_version_is_deactivated_after_the_switch_and_stays() -> None:
    host = Host()
    host.up("1", spec("a"))
    host.up("2", spec("a"))
    assert host.active == "2"
    assert host.sent() == ["load a", "load a", "stop a"]
    assert len(host.alive) == 2


def test_a_version_whose_actor_dies_before_it_is_ready_changes_nothing() -> None:
    host = Host()
    host.up("1", spec("a"))
    request = host.load("2", spec("a"))
    host.validated("2")
    host.exit(max(host.alive), "ImportError: no such module")
    assert host.active == "1" and not host.finished[request].success
    assert "ImportError" in host.finished[request].text
    assert host.sent() == ["load a", "load a"], "the old version was never deactivated"
    assert m.UnloadSource("2") in host.log


def test_a_version_that_is_never_ready_is_given_up() -> None:
    host = Host()
    host.up("1", spec("a"))
    request = host.load("2", spec("a"))
    host.validated("2")
    host.fire("ready")
    assert host.finished[request].code == "not-ready" and host.active == "1"


def test_a_refused_source_is_never_unloaded_while_it_may_be_pending() -> None:
    host = Host()
    request = host.load("1", spec("a"))
    host.do(host.groups.source_refused("1", "signature", "no key vouches for it", 0))
    assert host.finished[request].code == "signature"
    assert m.UnloadSource("1") not in host.log and host.groups.versions == {}


def test_a_silent_authority_fails_the_load_and_a_late_answer_is_unloaded() -> None:
    host = Host()
    request = host.load("1", spec("a"))
    host.fire("validation")
    assert host.finished[request].code == "no-authority"
    host.validated("1")
    assert host.active is None and host.log[-1] == m.UnloadSource("1")


def test_the_same_hash_loaded_twice_at_once_answers_both_and_loads_once() -> None:
    host = Host()
    first, second = host.load("1", spec("a")), host.load("1", spec("a"))
    host.validated("1")
    host.ready()
    assert host.finished[first].success and host.finished[second].success
    assert host.log.count(m.LoadSource("1")) == 1


def test_a_second_version_waits_for_the_first_to_be_decided() -> None:
    host = Host()
    host.load("1", spec("a"))
    second = host.load("2", spec("a"))
    assert m.LoadSource("2") not in host.log
    host.validated("1")
    host.ready()
    assert m.LoadSource("2") in host.log
    host.validated("2")
    host.ready()
    assert host.active == "2" and host.finished[second].success


def test_a_global_name_is_tried_without_it_then_handed_over_after_the_holder_has_gone() -> None:
    host = Host()
    host.up("1", spec("a", named="The A"))
    names = [made.global_name for made in host.log if isinstance(made, m.Create)]
    assert names == [None, "The A"]
    holder = next(iter(host.alive))
    request = host.load("2", spec("a", named="The A"))
    host.validated("2")
    host.ready()
    assert host.sent()[-1] == "stop a" and host.active == "1"
    host.exit(holder)
    host.ready()
    assert host.active == "2" and host.finished[request].success
    assert host.sent() == ["load a", "stop a", "load a"], "OnDeactivate is sent once"


def test_a_holder_that_does_not_leave_by_itself_is_ended_after_drain() -> None:
    host = Host()
    host.up("1", spec("a", named="The A"))
    host.load("2", spec("a", named="The A"))
    host.validated("2")
    host.ready()
    assert host.active == "1"
    host.fire("release")
    host.ready()
    assert host.active == "2" and len(host.alive) == 1


def test_a_failure_during_the_hand_over_brings_the_old_holder_back() -> None:
    host = Host()
    host.up("1", spec("a", named="The A"))
    host.load("2", spec("a", named="The A"))
    host.validated("2")
    host.ready()
    host.exit(next(iter(host.alive)))
    host.exit(max(host.alive), "boom")
    host.ready()
    host.fire("restart")
    host.ready()
    assert host.active == "1"
    assert [made.source_hash for made in host.alive.values()] == ["1"]


def test_a_name_held_by_a_stranger_fails_the_load() -> None:
    host = Host()
    request = host.load("1", spec("a", named="The A"))
    host.validated("1")
    host.ready_trial = True  # type: ignore[attr-defined]
    trial = next(iter(host.alive))
    host.do(host.groups.actor_ready(trial, "1", 0))
    host.exit(trial)
    host.do(host.groups.actor_ready(max(host.alive), "other", 0))
    assert host.finished[request].code == "name-taken" and host.active is None


def test_auto_unload_ends_the_old_version_after_drain() -> None:
    host = Host()
    host.up("1", spec("a"), auto=True)
    host.up("2", spec("a"), auto=True)
    assert len(host.alive) == 2, "it drains first"
    host.fire("drain")
    host.ready()
    assert [made.source_hash for made in host.alive.values()] == ["2"]
    assert m.UnloadSource("1") in host.log


def test_auto_unload_as_a_number_keeps_so_many() -> None:
    host = Host()
    for digest in ("1", "2", "3"):
        host.up(digest, spec("a"), auto=2)
    host.fire("drain")
    host.ready()
    assert sorted(host.groups.versions) == ["2", "3"]


def test_unloading_the_active_version_reactivates_the_highest_still_loaded() -> None:
    host = Host()
    for digest in ("2", "1", "3"):
        host.up(digest, spec("a"))
    host.do(host.groups.unload("u", "3", 0))
    host.ready()
    assert host.active == "2" and host.finished["u"].success
    assert host.sent()[-2:] == ["stop a", "again a"]


def test_unloading_another_version_leaves_the_active_one_alone() -> None:
    host = Host()
    host.up("1", spec("a"))
    host.up("2", spec("a"))
    before = host.sent()
    host.do(host.groups.unload("u", "1", 0))
    host.ready()
    assert host.active == "2" and host.sent() == before
    assert host.finished["u"].success and m.UnloadSource("1") in host.log


def test_unloading_what_is_not_loaded_says_so() -> None:
    host = Host()
    host.do(host.groups.unload("u", "9", 0))
    assert host.finished["u"].code == "not-found"


def test_a_dead_role_actor_is_created_again_and_given_its_message() -> None:
    host = Host()
    host.up("1", spec("a"))
    host.exit(next(iter(host.alive)))
    host.fire("restart")
    assert host.sent() == ["load a", "load a"] and len(host.alive) == 1


def test_an_actor_that_keeps_dying_is_failed_in_the_end() -> None:
    host = Host()
    host.up("1", spec("a"))
    for _ in range(g.RESTART_BURST + 1):
        host.exit(next(iter(host.alive)))
        host.fire("restart")
    assert host.alive == {} and "not restarted" in host.groups.failures["app"]


def test_an_old_version_loaded_again_becomes_active_without_a_new_validation() -> None:
    host = Host()
    host.up("1", spec("a"))
    host.up("2", spec("a"))
    request = host.load("1", spec("a"))
    assert host.active == "1" and host.finished[request].success
    assert host.log.count(m.LoadSource("1")) == 1
    assert host.sent()[-2:] == ["stop a", "again a"]


def test_a_source_that_is_leaving_is_loaded_again_only_when_it_has_gone() -> None:
    # Unloaded while pending it would end Thespian's Admin; an early load would be ignored there.
    host = Host()
    host.load("1", spec("a"))
    host.do(host.groups.source_refused("1", "signature", "no", host.now))
    request = host.load("1", spec("a"))
    assert host.log.count(m.LoadSource("1")) == 1
    host.do(host.groups.source_unloaded("1", host.now))
    assert host.log.count(m.LoadSource("1")) == 2
    host.validated("1")
    host.ready()
    assert host.finished[request].success


def test_a_source_that_never_leaves_is_loaded_again_after_a_while() -> None:
    host = Host()
    host.load("1", spec("a"))
    host.do(host.groups.source_refused("1", "signature", "no", host.now))
    host.load("1", spec("a"))
    host.fire("leaving")
    assert host.log.count(m.LoadSource("1")) == 2


class Machine(RuleBasedStateMachine):
    """Random loads, deaths, timers and unloads: what must always hold, holds."""

    def __init__(self) -> None:
        super().__init__()
        self.host = Host()
        self.told: deque[str] = deque()

    @rule(
        digest=st.sampled_from("1234"), named=st.booleans(), auto=st.sampled_from([False, True, 2])
    )
    def load(self, digest: str, named: bool, auto: bool | int) -> None:
        self.host.load(digest, spec("a", named="N" if named else None), spec("b"), auto=auto)

    @rule(digest=st.sampled_from("1234"))
    def validated(self, digest: str) -> None:
        self.host.validated(digest)

    @rule(digest=st.sampled_from("1234"))
    def refused(self, digest: str) -> None:
        self.host.do(self.host.groups.source_refused(digest, "signature", "no", self.host.now))

    @rule(digest=st.sampled_from("1234"))
    def gone(self, digest: str) -> None:
        self.host.do(self.host.groups.source_unloaded(digest, self.host.now))

    @rule()
    def ready(self) -> None:
        self.host.ready()

    @rule(number=st.integers(0, 20))
    def death(self, number: int) -> None:
        if self.host.alive:
            actors = sorted(self.host.alive)
            self.host.exit(actors[number % len(actors)])

    @rule(kind=st.sampled_from(["ready", "validation", "drain", "restart", "release", "leaving"]))
    def time_passes(self, kind: str) -> None:
        self.host.now += 5
        self.host.fire(kind)

    @rule(digest=st.sampled_from("1234"))
    def unload(self, digest: str) -> None:
        self.host.serial += 1
        request = f"r{self.host.serial}"
        self.host.do(self.host.groups.unload(request, digest, self.host.now))

    @invariant()
    def one_active_version_at_most(self) -> None:
        states = [v.state for v in self.host.groups.versions.values()]
        assert states.count(m.State.ACTIVE) <= 1
        assert (m.State.ACTIVE in states) == (self.host.active is not None)

    @invariant()
    def one_version_at_a_time_is_being_loaded(self) -> None:
        states = [v.state for v in self.host.groups.versions.values()]
        assert sum(state in m.LOADING for state in states) <= 1

    @invariant()
    def every_living_actor_is_known(self) -> None:
        known = {a.id for v in self.host.groups.versions.values() for a in v.actors}
        ended = {a.actor for a in self.host.log if isinstance(a, m.End)}
        assert set(self.host.alive) <= known | ended

    def teardown(self) -> None:
        """Left alone for long enough, every request has its answer."""
        for _ in range(12):
            for digest in "1234":
                self.host.validated(digest)
            self.host.ready()
            for kind in ("leaving", "release", "ready", "drain", "restart"):
                self.host.fire(kind)
        asked = {f"r{number + 1}" for number in range(self.host.serial)}
        assert asked == set(self.host.finished)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
