"""The book of members, and what lost hosts mean to the state machine."""

from __future__ import annotations

import pytest

from director.actors import notebook, reporting
from director.actors import versions as m
from director.actors.answers import Actors
from director.actors.endings import HOST_PATIENCE
from director.actors.groups import Groups
from director.actors.members import (
    GATHERING,
    GONE,
    MOST_GONE,
    SETTLING,
    STALE,
    WHY_LIMIT,
    WHY_LONGEST,
    Member,
    Members,
)
from director.actors.placement import own, wanted
from director.convention import HOST, NOT_ON, REMOTE_SOURCES
from director.settings.tli import tli_from_definition

TLI = {"Actors": {"a.A": {"OnLoad": {"Role": "A"}}}}


def active() -> tuple[Groups, m.RoleActor]:
    """A group with one serving actor."""
    groups = Groups()
    version = m.Version("h", "g", "1", "g-1.tls", tli_from_definition(TLI))
    groups.load("r", version, 0.0)
    groups.source_loaded("h", 0.0)
    actor = groups.versions["h"].actors[0]
    groups.actor_ready(actor.id, "h", 0.1)
    assert groups.active["g"] == "h"
    return groups, actor


def created(actions: list[m.Action]) -> list[m.Create]:
    return [one for one in actions if isinstance(one, m.Create)]


def finished(actions: list[m.Action]) -> list[m.Finished]:
    return [one for one in actions if isinstance(one, m.Finished)]


def test_a_lost_host_is_no_death_and_the_actor_is_tried_again_until_a_host_takes_it() -> None:
    groups, actor = active()
    told = groups.actor_lost(actor.id, "host-lost", "h2 is out of reach", 1.0)
    assert groups.failures["g"].code == "host-lost" and not actor.id and not actor.deaths
    assert [one.event for one in told if isinstance(one, m.Record)] == ["actor-lost"]
    for second in range(2, 60):
        actions = groups.timer(("restart", "h", 0), float(second))
        assert len(created(actions)) == 1
        again = groups.actor_lost(actor.id, "no-host", "no host takes it", second + 0.5)
        assert not [one for one in again if isinstance(one, (m.Record, m.Changed))]
        assert [one.key for one in again if isinstance(one, m.Timer)] == [("restart", "h", 0)]
    assert not actor.failed and not actor.deaths
    groups.timer(("restart", "h", 0), 70.0)
    found = groups.actor_ready(actor.id, "h", 70.1)
    assert m.Changed("g", "actor") in found and "g" not in groups.failures and not actor.lost


def test_a_load_of_an_active_version_says_that_an_actor_of_it_waits_for_a_host() -> None:
    groups, actor = active()
    version = groups.versions["h"]
    groups.actor_lost(actor.id, "host-lost", "h2 is out of reach", 1.0)
    assert not finished(groups.load("again", version, 2.0))
    look = ("gathered", "h", version.epoch)
    assert not finished(groups.timer(look, 2.0 + HOST_PATIENCE - 0.1))
    (answer,) = finished(groups.timer(look, 2.0 + HOST_PATIENCE))
    assert not answer.success and answer.code == "no-host"
    assert "a.A" in answer.text and "h2 is out of reach" in answer.text
    assert groups.active["g"] == "h"
    groups.timer(("restart", "h", 0), 20.0)
    groups.actor_ready(actor.id, "h", 20.1)
    (answer,) = finished(groups.load("once more", version, 24.0))
    assert answer.success and answer.code == "unchanged"


def test_a_load_of_an_active_version_succeeds_where_a_host_is_found_meanwhile() -> None:
    groups, actor = active()
    version = groups.versions["h"]
    groups.actor_lost(actor.id, "host-lost", "h2 is being shut down", 1.0)
    groups.load("again", version, 1.2)
    groups.timer(("restart", "h", 0), 2.0)
    (answer,) = finished(groups.actor_ready(actor.id, "h", 2.1))
    assert answer.success and answer.request == "again"
    groups.actor_lost(actor.id, "host-lost", "h3 is being shut down", 3.0)
    groups.load("late", version, 3.2)
    (answer, _) = finished(groups.unload("u", "h", 3.3))
    assert answer.request == "late" and not answer.success


def test_why_an_actor_has_no_host_is_told_as_it_is_now() -> None:
    groups, actor = active()
    groups.actor_lost(actor.id, "host-lost", "h2 is out of reach", 1.0)
    groups.timer(("restart", "h", 0), 2.0)
    groups.actor_lost(actor.id, "host-refused", "h3 refused it (unpack): no room", 2.1)
    assert groups.failures["g"].code == "host-refused"
    assert groups.failures["g"].text == "a.A: h3 refused it (unpack): no room"
    newer = m.Version("i", "g", "2", "g-2.tls", tli_from_definition(TLI))
    groups.load("r", newer, 3.0)
    groups.source_refused("i", "signature", "nobody signed it", 3.1)
    groups.timer(("restart", "h", 0), 4.0)
    groups.actor_lost(actor.id, "host-refused", "h3 refused it (unpack): no room", 4.1)
    assert groups.failures["g"].code == "signature"  # another's failure stays


TWO = {
    "Actors": {
        "a.A": {"OnLoad": {"Role": "A"}},
        "b.B": {"OnLoad": {"Role": "B"}},
        "c.C": {"OnLoad": {"Role": "C", "GlobalName": "c"}},
    }
}


def restored(until: float = 15.0) -> tuple[Groups, m.Version]:
    """A version that was active before a restart, being started: no host takes B or C."""
    groups = Groups()
    version = m.Version("h", "g", "1", "g-1.tls", tli_from_definition(TWO), patient_until=until)
    groups.load("r", version, 0.0)
    groups.source_loaded("h", 0.0)
    for actor in version.actors[1:]:
        groups.actor_lost(actor.id, "no-host", "no host takes it", 0.1)
    assert "g" not in groups.active
    return groups, version


def test_what_was_active_before_a_restart_serves_what_it_can_while_a_host_is_away() -> None:
    groups, version = restored()
    told = groups.actor_ready(version.actors[0].id, "h", 0.2)
    assert groups.active["g"] == "h" and not finished(told)
    assert groups.failures["g"].code == "no-host" and "b.B: no host" in groups.failures["g"].text
    look = ("gathered", "h", version.epoch)
    assert not finished(groups.timer(look, 14.9))
    (answer,) = finished(groups.timer(look, 15.0))
    assert not answer.success and answer.code == "no-host" and "b.B, c.C" in answer.text
    assert groups.active["g"] == "h" and version.actors[0].ready
    for number, actor in enumerate(version.actors[1:], 1):  # its host joins
        (again,) = created(groups.timer(("restart", "h", number), 25.0))
        assert again.class_name == actor.spec.class_name
        assert again.global_name == actor.spec.global_name
        assert groups.failures
        groups.actor_ready(actor.id, "h", 25.1)
    assert not groups.failures and all(one.ready for one in version.actors)


def test_a_restart_answers_as_soon_as_the_last_host_is_back() -> None:
    groups, version = restored()
    groups.actor_ready(version.actors[0].id, "h", 0.2)
    answers = []
    for number, actor in enumerate(version.actors[1:], 1):
        groups.timer(("restart", "h", number), 3.0)
        answers += finished(groups.actor_ready(actor.id, "h", 3.1))
    (answer,) = answers
    assert answer.success and answer.code == "active" and not groups.failures


def test_a_version_that_waited_and_was_retired_comes_back_as_any_other() -> None:
    groups, version = restored()
    groups.actor_ready(version.actors[0].id, "h", 0.2)
    newer = m.Version("i", "g", "2", "g-2.tls", tli_from_definition(TLI))
    groups.load("newer", newer, 1.0)
    told = groups.source_loaded("i", 1.0)
    told += groups.actor_ready(newer.actors[0].id, "i", 1.1)
    assert [(one.request, one.success) for one in finished(told)] == [("newer", True), ("r", False)]
    version.patient_until = None
    groups.load("back", version, 2.0)
    (question,) = list(groups._questions)
    assert created(groups.trust_told(question, m.Word("h"), 2.1))
    assert groups.loading("g") is version  # it starts what is missing, and is not up without


def test_a_version_that_is_being_loaded_fails_where_no_host_takes_its_actor() -> None:
    groups = Groups()
    version = m.Version("h", "g", "1", "g-1.tls", tli_from_definition(TLI))
    groups.load("r", version, 0.0)
    groups.source_loaded("h", 0.0)
    told = groups.actor_lost(version.actors[0].id, "no-host", "no host takes it", 1.0)
    (answer,) = finished(told)
    assert not answer.success and "no host takes it" in answer.text


def test_an_actor_that_is_on_its_way_out_is_not_brought_back_by_a_lost_host() -> None:
    groups, actor = active()
    groups.unload("u", "h", 1.0)
    told = groups.actor_lost(actor.id, "host-lost", "out of reach", 2.0)
    assert "h" not in groups.versions and not created(told)


def test_members_come_and_go_with_what_runs_on_them() -> None:
    members = Members(0.0)
    members.join("a", "h2/1", {}, 1.0)
    members.places |= {7: "a", 8: "b"}
    why = members.ask_why(9, "s", {"a", "b"}, 1.0)
    assert members.actors_at("a") == [7]
    assert members.leave("a", 2.0) == [7] and why.waiting == {"b"}
    assert members.leave("a", 2.0) == [7] and not members.present


def test_a_host_that_left_is_told_of_until_it_is_back_and_for_a_day_at_most() -> None:
    members = Members(0.0)
    for admin in ("a", "b"):
        members.join(admin, f"h{admin}/1", {}, 1.0)
        members.leave(admin, 2.0)
    assert [(one.admin, since) for one, since in members.missing(5.0)] == [("a", 3.0), ("b", 3.0)]
    members.join("a", "ha/2", {}, 6.0)
    assert [one.admin for one, _ in members.missing(7.0)] == ["b"]
    assert not members.missing(2.0 + GONE)
    for number in range(MOST_GONE + 5):
        members.join(f"m{number}", f"m{number}/1", {}, 1.0)
        members.leave(f"m{number}", 2.0)
    assert len(members.missing(3.0)) == MOST_GONE


def test_what_people_call_a_source_is_known_as_long_as_somebody_tells_of_it() -> None:
    members = Members(0.0)
    members.join("a", "h/1", {}, 1.0).report = {"Refused": {"refused": ["no-keys", "none"]}}
    for one in ("refused", "loaded", "gone"):
        members.call(one, f"{one}-1", {"loaded"})
    members.call("new", "new-1", {"loaded"})
    assert members.names == {one: f"{one}-1" for one in ("refused", "loaded", "new")}


def test_nothing_is_concluded_from_the_silence_of_a_host_that_is_busy() -> None:
    why = Members(0.0).ask_why(9, "s", {"a", "b"}, 10.0)
    assert not why.due(10.0, met=True) and why.due(10.0 + WHY_LIMIT, met=True)
    assert not why.due(10.0 + WHY_LIMIT, met=False) and why.due(10.0 + WHY_LONGEST, met=False)
    why.refusals["two/1"] = ("no-keys", "It has no key.")  # this is news, and the next can be asked
    assert why.due(10.0 + WHY_LIMIT, met=False)


def test_hosts_are_waited_for_a_while_after_birth_and_after_each_that_joins() -> None:
    members = Members(0.0)
    assert members.gathering(GATHERING - 0.1) and not members.gathering(GATHERING)
    member = members.join("a", "h2/1", {}, 100.0)
    assert members.gathering(200.0)  # it is one of ours, and was not met yet
    member.director = object()
    assert members.gathering(100.0 + SETTLING - 0.1) and not members.gathering(100.0 + SETTLING)
    members.join("b", "", {}, 100.0)  # not one of ours: never met
    assert not members.gathering(200.0)


def test_refusals_name_the_host_and_the_reason() -> None:
    members = Members(0.0)
    members.refused["s"] = {"two/1": ("no-keys", "It has no key."), "one/2": ("python", "Old.")}
    assert members.banned("s") == ["one/2", "two/1"] and members.banned("t") == []
    members.present["a"] = Member("a", "h3/7", {}, 1.0, leaving=True)
    assert members.banned("s") == ["h3/7", "one/2", "two/1"] and members.banned("t") == ["h3/7"]
    assert members.refusals_of("s").splitlines() == [
        "one refused it (python): Old.",
        "two refused it (no-keys): It has no key.",
    ]


def test_a_host_that_refused_is_not_asked_again_and_classes_see_only_their_own_requirements() -> (
    None
):
    assert wanted({HOST: "a"}, None) and wanted({HOST: "a"}, {NOT_ON: ["b"]})
    assert not wanted({HOST: "a"}, {NOT_ON: ["a", "b"]})
    assert not wanted({HOST: "a", REMOTE_SOURCES: "No"}, None)
    assert wanted({REMOTE_SOURCES: "No"}, None)  # not one of this package's: its own business
    assert own({NOT_ON: ["a"], "x": 1}) == {"x": 1} and own(None) is None


def test_an_unload_that_a_member_missed_is_said_again_after_a_while() -> None:
    members = Members(0.0)
    member = members.join("a", "h2/1", {}, 0.0)
    member.report = {"Sources": ["old", "loaded"]}
    assert members.missed_unloads({"loaded"}, 10.0) == []
    assert members.missed_unloads({"loaded"}, 10.0 + STALE - 1) == []
    assert members.missed_unloads({"loaded"}, 10.0 + STALE) == ["old"]
    member.report = {"Sources": ["loaded"]}
    assert members.missed_unloads({"loaded"}, 100.0) == [] and not members.stale


def test_only_what_nobody_here_knows_is_unloaded_elsewhere() -> None:
    groups, _ = active()
    groups.source_loaded("somebody's", 1.0)
    told = groups.unload_elsewhere(["h", "somebody's", "old"], 2.0)
    assert [one for one in told if isinstance(one, m.UnloadSource)] == [m.UnloadSource("old")]
    # Thespian tells nothing of a source that is not here: it may be loaded again after a while.
    assert not groups.unload_elsewhere(["old"], 3.0)
    (timer,) = [one for one in told if isinstance(one, m.Timer)]
    groups.timer(timer.key, 13.0)
    assert m.UnloadSource("old") in groups.unload_elsewhere(["old"], 14.0)


def test_nothing_is_kept_of_a_system_that_was_started_anew() -> None:
    members = Members(0.0)
    members.join("a", "h2/1", {}, 1.0)
    members.lost["h2/1"] = ["an actor"]
    members.refused["s"] = {"h2/1": ("no-keys", "")}
    members.leave("a", 9.0)
    members.join("a", "h2/1", {}, 2.0)  # it was only cut off
    assert members.lost["h2/1"] == ["an actor"] and members.banned("s") == ["h2/1"]
    members.leave("a", 9.0)
    members.join("a", "h2/2", {}, 3.0)
    assert "h2/1" not in members.lost and members.banned("s") == []


def test_an_actor_whose_host_came_to_refuse_it_goes_elsewhere_and_that_is_no_death() -> None:
    groups, actor = active()
    groups.actor_lost(actor.id, "host-refused", "two refused it (revoked-file): leaked", 1.0)
    assert groups.failures["g"].code == "host-refused" and not actor.deaths
    assert created(groups.timer(("restart", "h", 0), 2.0))
    groups.actor_ready(actor.id, "h", 2.1)
    assert "g" not in groups.failures


def test_a_successor_knows_where_an_actor_ran_that_answers_no_more() -> None:
    groups, actor = active()
    known, members = Actors(), Members(0.0)
    known.addresses[actor.id] = known.met[actor.id] = "an address"
    members.join("a", "h2/1", {}, 1.0)
    members.settle(actor.id, "a", "h2/1")
    told = notebook.note(groups, known, {}, members)

    successor, heirs = Groups(), Members(10.0)
    assert not notebook.take_up(told, successor, Actors(), heirs, 10.0)
    (adopted,) = successor.versions["h"].actors
    assert heirs.place(adopted.id) == ("a", "h2/1")
    # Its host left while no Director lived: nobody tells.
    ((gone, away),) = heirs.astray(15.0)
    assert gone == adopted.id and away.away() == "h2 (a) is out of reach"
    assert [one.host for one, _ in heirs.missing(16.0)] == ["h2/1"]
    # It was started anew, and has nothing of before.
    heirs.lost["h2/1"] = ["an address"]
    heirs.join("a", "h2/2", {}, 17.0)
    assert not heirs.lost and [one for one, _ in heirs.astray(17.0, "a")] == [adopted.id]
    assert not heirs.astray(17.0, "b")
    # It is there.
    heirs.join("a", "h2/1", {}, 18.0)
    assert not heirs.astray(18.0) and heirs.leave("a", 19.0) == [adopted.id]
    heirs.forget(adopted.id)
    assert heirs.place(adopted.id) is None and not heirs.astray(20.0)


def test_a_host_that_leads_no_more_answers_who_waits_and_keeps_what_thespian_has() -> None:
    groups, actor = active()
    groups.load("waits", m.Version("new", "g", "2", "g-2.tls", tli_from_definition(TLI)), 1.0)
    numbers = [one.key[2] for one in groups.source_loaded("new", 1.1) if isinstance(one, m.Timer)]
    groups.load("queued", m.Version("next", "g", "3", "g-3.tls", tli_from_definition(TLI)), 1.2)
    after, told = groups.give_up("ask the other")
    answers = {one.request: one.code for one in told if isinstance(one, m.Finished)}
    assert answers == {"waits": "ask-leader", "queued": "ask-leader"} and len(told) == 2
    assert not after.versions and not after.active
    # It leads again. Thespian has the sources and tells nothing when they are loaded.
    again = m.Version("h", "g", "1", "g-1.tls", tli_from_definition(TLI))
    told = after.load("again", again, 2.0)
    (create,) = created(told)
    assert create.actor > max(actor.id, *numbers)
    # A timer of before changes nothing.
    for number in numbers:
        assert not after.timer(("ready", "h", number), 40.0)
    assert again.state is m.State.STARTING


def test_a_clock_is_told_by_a_quick_answer_only_and_kept_over_a_cut() -> None:
    assert reporting.offset(1000.5, 10.0, 10.4, 1000.0) == pytest.approx(0.7)
    # It waited for 3.4 s on its way there: half of that is no clock's fault.
    assert reporting.offset(1000.0, 10.0, 13.4, 1000.0) is None
    assert reporting.offset(None, 10.0, 10.4, 1000.0) is None  # of another version
    assert reporting.offset(float("nan"), 10.0, 10.4, 1000.0) is None
    assert reporting.offset(1000.0, 10.0, 9.0, 1000.0) is None  # the machine was started anew
    members = Members(0.0)
    members.join("a", "h2/1", {}, 1.0).offset = 0.25
    members.leave("a", 9.0)
    assert members.join("a", "h2/1", {}, 10.0).offset == 0.25
    members.leave("a", 19.0)
    assert members.join("a", "h2/2", {}, 20.0).offset is None
