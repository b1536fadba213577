"""Marks: what may arrive on a host that has seen other versions, and that the book survives."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.actors.known import forget, forget_all
from director.errors import DirectorError, NotValidated
from director.marks import (
    REMEMBERED,
    Accepted,
    Arrivals,
    MarkBook,
    Marks,
    kind_of,
    loaded_here,
    note_origin,
    with_origins,
)
from director.tls.keys import SigningKey, generate_ed25519
from director.tls.rules import Source, bare

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ONE, OTHER = generate_ed25519(), generate_ed25519()


def sha(number: int) -> str:
    return f"{number:064x}"


def source(number: int, version: str | None, key: SigningKey = ONE, group: str = "app") -> Source:
    return Source(sha(number), key.public, group, version, True, NOW)


def entry(told: Source) -> Accepted:
    return Accepted(
        told.group, told.version, told.key.fingerprint, "00", "f.tls", "2026-11-24", "arrived"
    )


def book(*seen: Source) -> MarkBook:
    made = MarkBook()
    for one in seen:
        made = made.with_accepted(one.sha256, entry(one))
    return made


def code(rule: Arrivals, told: Source) -> str:
    try:
        rule.source(told)
    except NotValidated as problem:
        assert problem.hint
        return problem.code
    return "valid"


@pytest.mark.parametrize(
    ("seen", "arriving", "expected"),
    [
        ([], source(1, "1.0"), "valid"),
        ([source(1, "1.0")], source(2, "1.1"), "valid"),
        ([source(1, "1.0")], source(2, "0.9"), "downgrade"),
        ([source(1, "2.0")], source(2, "2.0rc1"), "downgrade"),
        ([source(1, "1.0")], source(1, "1.0"), "valid"),
        ([source(1, "1.0"), source(2, "2.0")], source(1, "1.0"), "valid"),
        ([source(1, "1.0")], source(2, "1.0"), "version-taken"),
        ([source(1, "1.0")], source(2, "1.0.0"), "version-taken"),
        ([source(1, "1.0")], source(2, "1.0", OTHER), "version-taken"),
        ([source(1, "2.0")], source(2, "1.0", OTHER), "valid"),
        ([source(1, "2.0")], source(2, "1.0", group="other"), "valid"),
        ([source(1, None)], source(2, None), "valid"),
        ([source(1, "1.0")], source(2, None), "valid"),
        ([source(1, "202611241200")], source(2, "2.0"), "valid"),
        ([source(1, "202611241200")], source(2, "202611241159"), "downgrade"),
        ([source(1, "2.0"), source(2, "202611241200")], source(3, "1.0"), "downgrade"),
    ],
)
def test_what_may_arrive(seen: list[Source], arriving: Source, expected: str) -> None:
    assert code(Arrivals(book(*seen)), arriving) == expected


def test_what_the_operator_allows_and_no_more() -> None:
    known = book(source(1, "2.0"))
    assert code(Arrivals(known, allowed={"downgrade"}), source(2, "1.0")) == "valid"
    assert code(Arrivals(known, allowed={"replace"}), source(2, "1.0")) == "downgrade"
    assert code(Arrivals(known, allowed={"replace"}), source(2, "2.0")) == "valid"
    assert code(Arrivals(known, allowed={"downgrade"}), source(2, "2.0")) == "version-taken"


@pytest.mark.parametrize("allowed", [set(), {"replace"}, {"downgrade"}])
def test_what_needs_two_words_is_told_of_both_whichever_is_lacking(allowed: set[str]) -> None:
    known = book(source(1, "1.0"), source(2, "2.0"))
    with pytest.raises(NotValidated) as caught:
        Arrivals(known, allowed=allowed).source(source(3, "1.0"))
    assert "`director install FILE --replace --allow-downgrade`" in caught.value.hint
    assert "`director load" not in caught.value.hint
    assert code(Arrivals(known, allowed={"replace", "downgrade"}), source(3, "1.0")) == "valid"


@pytest.mark.parametrize(
    "wrong",
    [
        *({"version": 3}, {"group": None}, {"manifested": 1}, {"expires": "never"}, {"tli": []}),
        *({"key": 3}, {"surplus": 1}),
    ],
)
def test_marks_with_a_value_of_another_kind_do_not_read(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    told = json.loads(book(source(1, "1.0")).to_bytes())
    (one,) = told["accepted"].values()
    one.update(wrong)
    Marks(tmp_path).path.write_text(json.dumps(told))
    with pytest.raises(NotValidated) as caught:
        Marks(tmp_path).read()
    assert caught.value.code == "marks"


def test_a_version_that_a_revoked_key_or_a_revoked_file_took_is_free_again() -> None:
    known = book(source(1, "9.9", OTHER))
    taken = source(2, "9.9")
    assert code(Arrivals(known), taken) == "version-taken"
    assert code(Arrivals(known, revoked={bare(OTHER.public.fingerprint)}), taken) == "valid"
    assert code(Arrivals(known, revoked={sha(1)}), taken) == "valid"


def test_an_allowed_downgrade_leaves_the_mark_where_it_was() -> None:
    known = book(source(1, "2.0"), source(2, "1.0"))
    assert known.mark(ONE.public.fingerprint, "app", "1.0") == "2.0"


def test_the_book_comes_back_as_it_was_written() -> None:
    known = book(
        source(1, "1.0"), source(2, "202611241200"), source(3, None), source(4, "2", OTHER)
    )
    assert MarkBook.from_bytes(known.to_bytes()) == known
    assert known.with_accepted(sha(1), entry(source(1, "1.0"))) is known


def test_only_so_many_files_of_a_group_are_remembered_and_the_mark_stays() -> None:
    known = book(*(source(number, f"1.{number}") for number in range(REMEMBERED + 5)))
    known = known.with_accepted(sha(9999), entry(source(9999, "1.0", group="other")))
    assert len(known.accepted) == REMEMBERED + 1 and sha(0) not in known.accepted
    assert code(Arrivals(known), source(0, "1.0")) == "downgrade"


@given(st.lists(st.sampled_from(["1.0", "1.1", "2.0", "202611241200", "202611241201"])))
def test_the_mark_is_always_the_highest_of_its_kind(versions: list[str]) -> None:
    known = book(*(source(number, version) for number, version in enumerate(versions)))
    for kind in ("release", "date"):
        of_kind = [version for version in versions if kind_of(version) == kind]
        told = known.highest.get((ONE.public.fingerprint, "app", kind))
        assert told == (max(of_kind) if of_kind else None)


def test_a_book_that_does_not_read_lets_nothing_through(tmp_path: Path) -> None:
    marks = Marks(tmp_path)
    for text in (b"", b"{}", b"[]", b'{"schema": 2}', b'{"schema": 1, "marks": 3, "accepted": {}}'):
        marks.path.write_bytes(text)
        with pytest.raises(DirectorError) as caught:
            marks.read()
        assert caught.value.code == "marks" and caught.value.hint


def test_a_check_that_fails_under_the_lock_changes_nothing(tmp_path: Path) -> None:
    marks = Marks(tmp_path / "state")

    def no(seen: MarkBook) -> None:
        raise NotValidated("no", code="downgrade")

    with pytest.raises(NotValidated):
        marks.accept(sha(1), entry(source(1, "1.0")), no)
    assert marks.read() == MarkBook()


def _accept(state: Path, number: int) -> None:
    told = replace(entry(source(number, f"1.{number}")), key="k")
    Marks(state).accept(sha(number), told, lambda seen: None)


def test_processes_that_accept_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    started = [context.Process(target=_accept, args=(tmp_path, number)) for number in range(12)]
    for process in started:
        process.start()
    for process in started:
        process.join(30)
        assert process.exitcode == 0
    known = Marks(tmp_path).read()
    assert len(known.accepted) == 12 and known.mark("k", "app", "1.0") == "1.11"
    assert Marks(tmp_path).path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("202611241200", "date"),
        ("202611240000", "date"),
        ("200001010000", "date"),
        ("202611241260", "version"),
        ("202613010000", "version"),
        ("202602300000", "version"),
        ("199912312359", "version"),
        ("999999999999", "version"),
        ("20261124120000", "version"),
        ("202611241200.1", "version"),
        ("1!999999999999", "version"),
        ("99999999999", "release"),
        ("20261124", "release"),
        ("2026.11", "release"),
        ("2.999999999999", "release"),
    ],
)
def test_what_is_a_date_what_a_release_and_what_may_not_arrive(version: str, kind: str) -> None:
    found = code(Arrivals(MarkBook()), source(1, version))
    assert found == ("version" if kind == "version" else "valid")
    assert kind == "version" or kind_of(version) == kind


def test_what_was_accepted_before_goes_back_whatever_its_number() -> None:
    assert code(Arrivals(book(source(1, "999999999999"))), source(1, "999999999999")) == "valid"


def test_what_nobody_signed_moves_no_mark_and_takes_no_place() -> None:
    named = replace(source(1, "99999.0"), manifested=False)
    known = MarkBook().with_accepted(named.sha256, replace(entry(named), manifested=False))
    assert known.mark(ONE.public.fingerprint, "app", "1.0") is None
    assert code(Arrivals(known), source(2, "2.0")) == "valid"
    assert code(Arrivals(known), source(2, "99999.0")) == "valid"
    # Among their like they are guarded as before.
    assert code(Arrivals(known), replace(source(2, "2.0"), manifested=False)) == "downgrade"
    assert code(Arrivals(known), replace(source(2, "99999.0"), manifested=False)) == "version-taken"


def test_another_name_of_known_bytes_that_nobody_signed_a_version_for_shuts_out_no_release() -> (
    None
):
    def unsigned(number: int, version: str) -> tuple[Source, Accepted]:
        told = replace(source(number, version), manifested=False)
        return told, replace(entry(told), manifested=False)

    known = MarkBook()
    for told, entered in (unsigned(1, "1.0"), unsigned(1, "99999.0")):
        assert code(Arrivals(known), told) == "valid"
        known = known.with_accepted(told.sha256, entered)
    assert code(Arrivals(known), unsigned(2, "2.0")[0]) == "valid"
    assert code(Arrivals(known), unsigned(2, "0.9")[0]) == "downgrade"


def test_what_is_kept_is_not_forgotten() -> None:
    known = book(*(source(number, f"1.{number}") for number in range(REMEMBERED)))
    new = source(REMEMBERED, f"1.{REMEMBERED}")
    assert sha(0) not in known.with_accepted(new.sha256, entry(new)).accepted
    after = known.with_accepted(new.sha256, entry(new), {sha(0)}).accepted
    assert sha(0) in after and len(after) == REMEMBERED + 1


def test_the_origin_of_what_is_loaded_survives_the_marks(tmp_path: Path) -> None:
    told = entry(source(7, "1.0"))
    lost = MarkBook()
    assert with_origins(tmp_path, lost) is lost
    note_origin(tmp_path, sha(7), told)
    assert with_origins(tmp_path, lost).accepted == {sha(7): told}
    assert loaded_here(tmp_path) == {told.source_hash}
    whole = lost.with_accepted(sha(7), told)
    assert with_origins(tmp_path, whole) is whole, "what the marks know is not read again"
    forget(tmp_path, told.source_hash)
    assert with_origins(tmp_path, lost) is lost
    note_origin(tmp_path, sha(7), told)
    forget_all(tmp_path)
    assert with_origins(tmp_path, lost) is lost
    note_origin(tmp_path, sha(7), told)
    (tmp_path / "sources" / f"{told.source_hash}.origin").write_text("[]")
    assert with_origins(tmp_path, lost) is lost
