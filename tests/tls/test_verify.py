"""The decision: every way to trick it, and that it never raises."""

from __future__ import annotations

import json
import os
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.tags import Tag, sys_tags

from director.marks import Arrivals, MarkBook
from director.tls.archive import Member, write_archive
from director.tls.container import seal
from director.tls.keys import (
    PublicKey,
    SigningKey,
    generate_ed25519,
    generate_key,
    generate_p256,
)
from director.tls.limits import Limits
from director.tls.manifest import (
    MANIFEST_NAME,
    TLI_NAME,
    Distribution,
    Manifest,
    MemberRecord,
    describe,
)
from director.tls.rules import InTime, KeyGroups, ManifestRequired, Revoked
from director.tls.verify import Policy, Verdict, verify

NOW = datetime(2026, 11, 24, tzinfo=UTC)
TLI = b"{'Actors': {'foo.bar.Bar': {}}}"
TLI_MEMBER = Member(TLI_NAME, TLI)
MEMBERS = [
    TLI_MEMBER,
    Member("foo/__init__.py", b""),
    Member("foo/bar.py", b"class Bar: pass\n"),
]


def manifest(key: SigningKey, members: Sequence[Member] = MEMBERS, **changes: Any) -> Manifest:
    made = Manifest(
        group="foo",
        version="1.0",
        created="2026-11-24T00:00:00Z",
        requires_python=">=3.11",
        tags=("py3-none-any",),
        key_fingerprint=key.public.fingerprint,
        key_algorithm=key.public.algorithm,
        members=describe(members),
        bundled=(Distribution("tabulate", "0.9.0", "MIT"),),
        external=("thespian",),
        actors=("foo.bar.Bar",),
    )
    return replace(made, **changes)


def signed(key: SigningKey, told: bytes, members: Sequence[Member] = MEMBERS) -> bytes:
    return seal(write_archive([Member(MANIFEST_NAME, told), *members]), key)


def decide(
    data: bytes,
    keys: Sequence[PublicKey],
    policy: Policy | None = None,
    name: str | None = "foo-1.0.tls",
) -> Verdict:
    return verify(data, keys, policy or Policy(), NOW, file_name=name)


def test_a_good_file_is_valid(key: SigningKey) -> None:
    verdict = decide(signed(key, manifest(key).to_bytes()), [key.public])
    assert verdict.valid and (verdict.code, verdict.exit_status) == ("valid", 0)
    assert verdict.tli == TLI.decode() and verdict.manifest == manifest(key)
    assert verdict.key == key.public and len(verdict.sha256) == 64


def test_any_one_of_the_keys_may_vouch(key: SigningKey) -> None:
    data = signed(key, manifest(key).to_bytes())
    assert decide(data, [generate_key(2048).public, key.public]).valid


def test_the_manifest_comes_back_as_it_was_written(key: SigningKey) -> None:
    assert Manifest.from_bytes(manifest(key).to_bytes()) == manifest(key)
    assert manifest(key).to_bytes() == manifest(key).to_bytes()


def test_without_a_manifest_it_is_valid_but_marked_unless_the_policy_wants_one(
    key: SigningKey,
) -> None:
    data = seal(write_archive(MEMBERS[1:]), key)
    assert decide(data, [key.public]).code == "valid-unmanifested"
    refused = decide(data, [key.public], Policy(rules=(ManifestRequired(),)))
    assert (refused.valid, refused.code) == (False, "unmanifested")


def without(name: str) -> list[Member]:
    return [member for member in MEMBERS if member.name != name]


Case = Callable[[SigningKey], bytes]
CASES: dict[str, tuple[Case, str]] = {
    "a member changed": (
        lambda k: signed(
            k, manifest(k).to_bytes(), [*MEMBERS[:2], Member("foo/bar.py", b"class Bar: evil\n")]
        ),
        "manifest-members",
    ),
    "a member more": (
        lambda k: signed(k, manifest(k).to_bytes(), [*MEMBERS, Member("foo/evil.py", b"")]),
        "manifest-members",
    ),
    "a member less": (
        lambda k: signed(k, manifest(k).to_bytes(), MEMBERS[:2]),
        "manifest-members",
    ),
    "members in another order": (
        lambda k: signed(k, manifest(k).to_bytes(), [MEMBERS[0], MEMBERS[2], MEMBERS[1]]),
        "manifest-members",
    ),
    "the TLI changed": (
        lambda k: signed(k, manifest(k).to_bytes(), [Member(TLI_NAME, b"{}"), *MEMBERS[1:]]),
        "manifest-members",
    ),
    "a TLI but no manifest": (lambda k: seal(write_archive(MEMBERS), k), "manifest-missing"),
    "the manifest not first": (
        lambda k: seal(write_archive([*MEMBERS, Member(MANIFEST_NAME, manifest(k).to_bytes())]), k),
        "manifest-place",
    ),
    "another group": (lambda k: signed(k, manifest(k, group="bar").to_bytes()), "renamed"),
    "another version": (lambda k: signed(k, manifest(k, version="1.1").to_bytes()), "renamed"),
    "no version": (lambda k: signed(k, manifest(k, version=None).to_bytes()), "renamed"),
    "another key": (
        lambda k: signed(k, manifest(k, key_fingerprint="sha256:00").to_bytes()),
        "manifest-key",
    ),
    "another Python": (
        lambda k: signed(k, manifest(k, requires_python=">=4").to_bytes()),
        "requires-python",
    ),
    "a Python that does not read": (
        lambda k: signed(k, manifest(k, requires_python="new").to_bytes()),
        "manifest",
    ),
    "a wrong digest": (
        lambda k: signed(
            k,
            replace(
                manifest(k), members=(*describe(MEMBERS[:2]), MemberRecord("foo/bar.py", 16, "00"))
            ).to_bytes(),
        ),
        "manifest-members",
    ),
    "a module of the standard library": (
        lambda k: seal(write_archive([Member("calendar.py", b""), Member("foo/a.py", b"")]), k),
        "reserved-name",
    ),
    "its own director": (
        lambda k: seal(write_archive([Member("director/__init__.py", b"")]), k),
        "reserved-name",
    ),
    "no ZIP": (lambda k: seal(b"PK\5\6" + b"x" * 18, k), "zip-end"),
}


@pytest.mark.parametrize("case", CASES)
def test_properly_signed_but_not_what_it_says(key: SigningKey, case: str) -> None:
    make, code = CASES[case]
    verdict = decide(make(key), [key.public])
    assert (verdict.valid, verdict.code) == (False, code)
    assert verdict.archive is None and verdict.tli is None and verdict.message
    assert verdict.exit_status == (6 if code.startswith("zip") else 7)


def told(key: SigningKey, **changes: Any) -> bytes:
    loaded = json.loads(manifest(key).to_bytes())
    for name, value in changes.items():
        if value is KeyError:
            del loaded[name]
        else:
            loaded[name] = value
    return json.dumps(loaded).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "hatch-thespian-manifest-2"},
        {"builder": 3},
        {"commit": None},
        {"external": ["not a requirement"]},
        {"external": ["x; python_version > '3'"]},
        {"external": ["x @ https://example.org/x.whl"]},
        {"external": ["x; (" + "(" * 900 + "python_version > '3'" + ")" * 900 + ")"]},
        {"external": ["no-such-thing"] * 1001},
        {"tags": ["cp311"]},
        {"tags": ["cp311-cp311-"]},
        {"tags": [f"cp311-cp311-p{number}" for number in range(1001)]},
        {"format": KeyError},
        {"group": 3},
        {"group": KeyError},
        {"version": 1.0},
        {"surplus": 1},
        {"members": {}},
        {"members": [{"name": "x"}]},
        {"members": [{"name": "x", "size": True, "sha256": "00"}]},
        {"members": [3]},
        {"tags": "py3"},
        {"tags": [None]},
        {"bundled": [{"name": "x", "version": 1, "licence": ""}]},
    ],
)
def test_manifests_that_do_not_read(key: SigningKey, changes: dict[str, Any]) -> None:
    verdict = decide(signed(key, told(key, **changes)), [key.public])
    assert (verdict.valid, verdict.code) == (False, "manifest")


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{", b"\xff", b'{"a": 1, "a": 2}', b'{"a": NaN}', b"[" * 100_000],
)
def test_manifests_that_are_no_strict_json(key: SigningKey, text: bytes) -> None:
    assert decide(signed(key, text), [key.public]).code == "manifest"


def test_no_key_a_strangers_key_and_a_changed_byte(key: SigningKey) -> None:
    data = signed(key, manifest(key).to_bytes())
    assert decide(data, []).code == "no-keys"
    assert decide(data, [generate_key(2048).public]).code == "signature"
    changed = bytearray(data)
    changed[len(data) // 2] ^= 1
    assert decide(bytes(changed), [key.public]).code == "signature"
    assert decide(data[:-1], [key.public]).exit_status == 7


@pytest.mark.parametrize(
    "name", ["bar-1.0.tls", "foo-1.1.tls", "foo.tls", "foo-1.0.0.tls", "evil", "foo-1.0.zip"]
)
def test_a_renamed_file_is_noticed(key: SigningKey, name: str) -> None:
    data = signed(key, manifest(key).to_bytes())
    assert decide(data, [key.public], name=name).code == "renamed"


def test_nothing_behind_the_signature_is_looked_at_before_it_is_valid(
    key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked(*_: object) -> None:
        raise AssertionError("it was looked at")

    monkeypatch.setattr("director.tls.verify.read_parts", looked)
    data = signed(generate_key(2048), manifest(key).to_bytes())
    assert decide(data, [key.public]).code == "signature"


def test_the_size_is_limited_before_anything_else(key: SigningKey) -> None:
    policy = Policy(limits=Limits(max_bytes=100))
    data = signed(key, manifest(key).to_bytes())
    assert decide(data, [key.public], policy).code == "too-large"


#: Every CI run tries so many changed files; `MUTATIONS=10000` does it at leisure.
MUTATIONS = int(os.environ.get("MUTATIONS", "500"))


@pytest.fixture(scope="module")
def wholes(key: SigningKey) -> list[tuple[SigningKey, bytes]]:
    signers = [key, generate_ed25519(), generate_p256()]
    return [(signer, signed(signer, manifest(signer).to_bytes())) for signer in signers]


def change(data: bytes, draw: st.DataObject) -> bytes:
    """One change of the kinds that a disk, a network or an attacker makes."""
    place, other = (draw.draw(st.integers(0, len(data) - 1)) for _ in range(2))
    value = draw.draw(st.binary(min_size=1, max_size=4))
    low, high = sorted((place, other))
    kinds = {
        "flip": data[:place] + bytes([data[place] ^ 1 << (other % 8)]) + data[place + 1 :],
        "write": data[:place] + value + data[place + len(value) :],
        "cut": data[:place],
        "insert": data[:place] + value + data[place:],
        "drop": data[:low] + data[high:],
        "repeat": data[:high] + data[low:],
        "swap": data[:low] + data[high : high + 1] + data[low + 1 :],
    }
    return kinds[draw.draw(st.sampled_from(sorted(kinds)))]


@settings(max_examples=MUTATIONS, deadline=None)
@given(draw=st.data())
def test_no_change_of_a_file_is_valid_and_none_raises(
    key: SigningKey, wholes: list[tuple[SigningKey, bytes]], draw: st.DataObject
) -> None:
    _, whole = draw.draw(st.sampled_from(wholes))
    changed = whole
    for _ in range(draw.draw(st.integers(1, 3))):
        changed = change(changed, draw) or b"x"
    verdict = decide(changed, [one.public for one, _ in wholes])
    assert verdict.valid is (changed == whole)
    assert verdict.code and verdict.message and verdict.exit_status in {0, 6, 7}


@settings(max_examples=MUTATIONS, deadline=None)
@given(draw=st.data())
def test_no_change_of_a_zip_raises_even_when_it_was_properly_signed(
    key: SigningKey, draw: st.DataObject
) -> None:
    whole = write_archive([Member(MANIFEST_NAME, manifest(key).to_bytes()), *MEMBERS])
    changed = change(whole, draw)
    place = len(changed) - 22
    if place < 0 or changed[place : place + 4] != b"PK\5\6":
        return
    verdict = decide(seal(changed, key), [key.public])
    if verdict.valid:  # dates and the like may differ; what decides may not
        assert verdict.archive is not None and verdict.manifest == manifest(key)
        assert [verdict.archive.read(m.name) for m in MEMBERS] == [m.data for m in MEMBERS]


def test_who_built_it_may_be_told_or_not(key: SigningKey) -> None:
    told = manifest(key, builder="b 1", commit="c0ffee", pipeline="https://ci.example/1")
    assert Manifest.from_bytes(told.to_bytes()) == told
    assert b"builder" not in manifest(key).to_bytes()


TAGS = frozenset({Tag("cp311", "cp311", "linux_x86_64"), Tag("py3", "none", "any")})


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        (("py3-none-any",), "valid"),
        (("cp311-cp311-linux_x86_64",), "valid"),
        (("cp310.cp311-cp311-manylinux1_x86_64.linux_x86_64", "py3-none-any"), "valid"),
        (("cp311-cp311-linux_x86_64", "cp311-cp311-win_amd64"), "tags"),
        (("cp312-cp312-linux_x86_64",), "tags"),
        (("py3-none-" + "x." * 300 + "any",), "tags"),
        (("CP311-cp311-Linux_x86_64",), "valid"),
        (("py3-none-any",) * 2000, "valid"),
    ],
)
def test_a_host_has_to_support_each_of_the_tags(
    key: SigningKey, tags: tuple[str, ...], code: str
) -> None:
    data = signed(key, manifest(key, tags=tags).to_bytes())
    verdict = decide(data, [key.public], Policy(tags=TAGS))
    assert verdict.code == code and verdict.exit_status == (0 if code == "valid" else 7)


def test_without_a_policy_the_tags_are_those_of_this_very_python(key: SigningKey) -> None:
    mine = str(next(sys_tags()))
    assert decide(signed(key, manifest(key, tags=(mine,)).to_bytes()), [key.public]).valid
    other = mine.replace("cp3", "cp2")
    assert not decide(signed(key, manifest(key, tags=(other,)).to_bytes()), [key.public]).valid


def long_tags(number: int) -> str:
    """A tag set of 499 characters that this host supports, and that stands for half a million tags."""
    words = ".".join(f"{one:x}" for one in range(16, 70))
    return f"cp311.{words}-cp311.{words}-linux_x86_64.x{number}.{words[:130]}"


def test_the_signer_does_not_choose_what_tags_cost(key: SigningKey) -> None:
    data = signed(key, manifest(key, tags=tuple(map(long_tags, range(200)))).to_bytes())
    began = time.process_time()
    assert decide(data, [key.public], Policy(tags=TAGS)).valid
    assert time.process_time() - began < 1, "they are never expanded"


@pytest.mark.parametrize("field", ["tags", "surplus"])
def test_a_manifest_that_deflate_made_of_nothing_takes_no_memory(
    key: SigningKey, field: str
) -> None:
    text = told(key)[:-1] + f', "{field}": ['.encode() + b"[]," * (20 << 20) + b"[]]}"
    data = signed(key, text)
    assert len(data) < 100_000
    tracemalloc.start()
    try:
        verdict = decide(data, [key.public])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert verdict.code == "manifest" and peak < 10 << 20


def test_the_manifest_of_many_members_with_odd_names_is_not_too_large(key: SigningKey) -> None:
    members = [TLI_MEMBER, *(Member("\U0001f600" * 20 + f"/{n:05}", b"") for n in range(8000))]
    text = manifest(key, members).to_bytes()
    assert len(text) > 2 << 20
    assert decide(signed(key, text, members), [key.public]).valid


@pytest.mark.parametrize(
    "text", ["x; '3' < python_version", "x @ file:///etc/passwd", "x[a]>=1", "x>=1"]
)
def test_packaging_that_reads_by_recursion_is_asked_for_no_marker_and_may_fail(
    key: SigningKey, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reader(told: str) -> Any:
        assert not {";", "@"} & {*told}, "packaging before 26.4 ends with RecursionError there"
        raise RecursionError

    monkeypatch.setattr("director.tls.fits.Requirement", reader)
    data = signed(key, manifest(key, external=(text,)).to_bytes())
    assert decide(data, [key.public]).code == "manifest"


@pytest.mark.parametrize(
    ("external", "lacking"),
    [
        (("thespian",), ""),
        (("arrays>=1.5", "thespian"), ""),
        (("arrays>=3", "thespian"), "arrays>=3 (it has 2.0rc1)"),
        (
            ("frames-of-arrays>=1", "arrays", "lists-of-arrays"),
            "frames-of-arrays>=1, lists-of-arrays",
        ),
        (("debianised",), ""),
        (("debianised>1",), "debianised>1 (it has 1-2ubuntu~x)"),
    ],
)
def test_a_host_has_to_have_what_is_expected_of_it(
    key: SigningKey, external: tuple[str, ...], lacking: str
) -> None:
    has = {"thespian": "4.0.1", "arrays": "2.0rc1", "debianised": "1-2ubuntu~x"}
    data = signed(key, manifest(key, external=external).to_bytes())
    verdict = decide(data, [key.public], Policy(installed=has.get))
    assert verdict.code == ("external" if lacking else "valid")
    assert f"It expects on this host: {lacking}." in verdict.message or not lacking
    assert decide(data, [key.public]).code == ("valid" if external == ("thespian",) else "external")


#: Values that have broken readers of such files: digits without end, surrogates, odd versions, times and requirements.
NASTY = st.one_of(
    st.sampled_from(
        [
            *(
                "1" * 5000,
                ">=" + "1" * 5000,
                "==1." + "9" * 4400,
                "\ud800",
                "\0",
                "",
                "-",
                "1.0\n",
                "../x",
            ),
            *(
                "9999-12-31T23:59:59-23:59",
                "0001-01-01T00:00:00+23:59",
                "2026-11-24",
                "24:00",
                "-1",
            ),
            *(
                "numpy>=" + "1" * 5000,
                "numpy[" * 99,
                "a; python_version < '3'",
                "x @ file:///etc/passwd",
            ),
            *("py3-none-any", "py3-none-" + "a." * 200 + "b", "-", "--", "py3-none", "x" * 100_000),
        ]
    ),
    st.text(max_size=20),
    st.none(),
    st.integers(),
    st.integers(min_value=2**63, max_value=2**70),
    st.floats(),
    st.booleans(),
    st.lists(st.text(max_size=5), max_size=3),
)


@settings(max_examples=MUTATIONS, deadline=None)
@given(
    field=st.sampled_from(sorted(Manifest.__dataclass_fields__)),
    nasty=NASTY,
    listed=st.booleans(),
    name=st.sampled_from(["foo-1.0.tls", None, "x"]),
)
def test_no_manifest_of_a_trusted_signer_raises(
    key: SigningKey, field: str, nasty: Any, listed: bool, name: str | None
) -> None:
    loaded = json.loads(manifest(key).to_bytes())
    loaded[field] = [nasty] if listed else nasty
    verdict = decide(signed(key, json.dumps(loaded).encode()), [key.public], rules(), name)
    assert verdict.code and verdict.message and verdict.exit_status in {0, 6, 7}


def rules() -> Policy:
    """All of a host's rules, so that each meets what the manifest says."""
    book = MarkBook({}, {("sha256:00", "foo", "release"): "1.0"})
    return Policy(rules=(Revoked({}), KeyGroups({}), InTime(), Arrivals(book)))
