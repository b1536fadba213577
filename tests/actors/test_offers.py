"""A member is asked again about what it refused for a reason that may pass."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from thespian.actors import ActorAddress

from director.actors import versions as m
from director.actors.offers import FIRST, LONGEST, PASSING, Offers
from director.settings.tli import tli_from_definition
from tests.actors.test_director import Shell, started

__all__ = ["started"]


@pytest.mark.parametrize("code", sorted(PASSING))
def test_a_refusal_that_may_pass_is_asked_about_ever_later(code: str) -> None:
    offers, refused = Offers(), {"s": [code, "why"]}
    times = [now for now in range(0, 300, 2) if offers.due("h", refused, float(now))]
    gaps = [after - before for before, after in zip([0, *times], times, strict=False)]
    assert gaps[0] <= FIRST + 2 and gaps[:4] == sorted(gaps[:4])
    assert max(gaps) == LONGEST and gaps[-1] == LONGEST


@pytest.mark.parametrize(
    "code", ["signature", "no-keys", "revoked-file", "downgrade", "key-group", "tags", "expired"]
)
def test_a_lasting_refusal_is_not_asked_about(code: str) -> None:
    offers = Offers()
    assert not any(offers.due("h", {"s": [code, "why"]}, float(now)) for now in range(300))


def test_one_that_passed_and_one_of_another_host_begin_anew() -> None:
    offers, refused = Offers(), {"s": ["unpack", "no room"]}
    offers.due("h", refused, 0.0)
    assert offers.due("h", refused, 6.0) == ["s"] and not offers.due("h", refused, 12.0)
    assert offers.due("h", {}, 13.0) == []
    assert not offers.due("h", refused, 14.0) and offers.due("h", refused, 19.0) == ["s"]
    offers.due("i", refused, 20.0)
    offers.keep({"i"})
    assert offers.due("i", refused, 25.0) == ["s"] and not offers.due("h", refused, 26.0)


def test_a_refresh_at_a_member_has_its_leader_offer_again_what_was_refused(
    started: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader, member = ActorAddress("leader"), ActorAddress("member")
    monkeypatch.setattr(started, "_leads", lambda: False)
    started.leader, started.refusals = leader, {"s": ("unpack", "no room")}
    told = started.hear({"DirectorOp": "EndRevoked"})
    assert told is not None and told["Success"]
    assert (leader, {"MemberOp": "Again"}) in started.said
    # The leader hears that.
    monkeypatch.undo()
    path = tmp_path / "g-1.tls"
    path.write_bytes(b"source")
    digest = hashlib.md5(b"source", usedforsecurity=False).hexdigest()
    tli = tli_from_definition({"Actors": {}})
    started.groups.versions[digest] = m.Version(digest, "g", "1", str(path), tli)
    there = started.members.join("a", "h2/1", {}, 0.0)
    there.director, there.report = member, {"Refused": {digest: ["unpack", "no room"]}}
    started.hear({"MemberOp": "Again"}, "stranger")
    assert not [one for target, one in started.said if target == member]
    started.hear({"MemberOp": "Again"}, "member")
    (offer,) = [one for target, one in started.said if target == member]
    assert offer["MemberOp"] == "Bytes" and offer["Data"] == b"source"
    started._prepare(started.groups.versions[digest])  # and so does a load
    assert len([one for target, one in started.said if target == member]) == 2
