"""The signed description inside the archive: what lives in it, how it is written, how strictly it is read.

Whether the archive fits its manifest is `director.tls.verify`'s business.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from director.errors import NotValidated
from director.tls.archive import Member

MANIFEST_NAME = "TLS-INF/manifest.json"
TLI_NAME = "TLS-INF/group.tli"
SBOM_NAME = "TLS-INF/sbom.cdx.json"
FORMAT = "hatch-thespian-manifest-1"
_LONGEST_TEXT = 2000
#: Bytes of a manifest beside what it tells of members, and of that for one whose name is empty.
_ROOM, _ROOM_OF_MEMBER = 1 << 20, 256
#: Keys that a manifest of this format may lack.
_OPTIONAL = frozenset({"builder", "commit", "expires", "pipeline"})


@dataclass(frozen=True)
class MemberRecord:
    """A member as the manifest binds it; ``sha256`` in hex."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Distribution:
    """A bundled distribution."""

    name: str
    version: str
    licence: str


@dataclass(frozen=True)
class Manifest:
    """What the signature binds beside the members' bytes.

    ``created`` is RFC 3339 UTC or None (builds without SOURCE_DATE_EPOCH are dateless, so that they
    are reproducible), ``expires`` RFC 3339 or None; ``requires_python`` a PEP 440 specifier set. ``tags`` are
    compressed tag sets as in a wheel's name, and a host has to support each of them. ``external`` are the
    requirements that a host has to meet. ``builder`` names the tool and its version, ``commit`` and ``pipeline`` where
    CI made it; each may be absent, and so may ``expires``.
    """

    group: str
    version: str | None
    created: str | None
    requires_python: str
    tags: tuple[str, ...]
    key_fingerprint: str
    key_algorithm: str
    members: tuple[MemberRecord, ...]
    bundled: tuple[Distribution, ...]
    external: tuple[str, ...]
    actors: tuple[str, ...]
    builder: str | None = None
    commit: str | None = None
    pipeline: str | None = None
    expires: str | None = None

    def to_bytes(self) -> bytes:
        """Canonical JSON: sorted keys, UTF-8, a newline at the end."""
        told = {
            name: value
            for name, value in asdict(self).items()
            if value is not None or name not in _OPTIONAL
        }
        text = json.dumps({"format": FORMAT, **told}, sort_keys=True, indent=1)
        return text.encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read a manifest strictly.

        Raises:
            NotValidated: code ``manifest`` with what is wrong: duplicate keys, NaN, other keys or types.
        """
        try:
            told = json.loads(
                data.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_no_constant
            )
        except (UnicodeDecodeError, ValueError, RecursionError):
            _wrong("it is not strict JSON")
        if not isinstance(told, dict) or told.pop("format", None) != FORMAT:
            _wrong(f"its format is not {FORMAT}")
        known = set(cls.__dataclass_fields__)
        if not known - _OPTIONAL <= set(told) <= known:
            _wrong("it has other keys than its format")
        for name in ("group", "requires_python", "key_fingerprint", "key_algorithm"):
            _text(told[name], name)
        for name in ("version", "created"):
            if told[name] is not None:
                _text(told[name], name)
        for name in _OPTIONAL & set(told):
            _text(told[name], name)
        for name in ("tags", "external", "actors"):
            told[name] = tuple(_text(item, name) for item in _items(told[name], name))
        told["members"] = tuple(
            MemberRecord(**_fields(item, {"name": str, "size": int, "sha256": str}))
            for item in _items(told["members"], "members")
        )
        told["bundled"] = tuple(
            Distribution(**_fields(item, {"name": str, "version": str, "licence": str}))
            for item in _items(told["bundled"], "bundled")
        )
        return cls(**told)


def check_size(size: int, names: Sequence[str]) -> None:
    """See that a manifest is no larger than one of such an archive can be, before it is unpacked.

    JSON of a few hundred KiB that deflate made of nothing can take gigabytes as Python objects. Members are no such
    thing: each costs the file itself more than its name.

    Args:
        size: of the manifest, bytes.
        names: of the archive's members.

    Raises:
        NotValidated: code ``manifest``.
    """
    # A character is written as one to twelve (\ud83d\ude00).
    if size > _ROOM + sum(_ROOM_OF_MEMBER + 12 * len(name) for name in names):
        _wrong("it is larger than its members explain")


def describe(members: Sequence[Member]) -> tuple[MemberRecord, ...]:
    """The records of members, in their order."""
    return tuple(
        MemberRecord(m.name, len(m.data), hashlib.sha256(m.data).hexdigest()) for m in members
    )


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) != len(pairs):
        raise ValueError("duplicate key")
    return told


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _items(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        _wrong(f"{name} is not a list")
    return list(value)


def _text(value: Any, name: str) -> str:
    # No honest one is that long, and Python reads no number of more than 4,300 digits.
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        _wrong(f"{name} is not text of at most {_LONGEST_TEXT} characters")
    return str(value)


def _fields(value: Any, kinds: dict[str, type]) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != kinds.keys():
        _wrong("a record has other keys than its format")
    for key, kind in kinds.items():
        if type(value[key]) is not kind:  # bool is an int to isinstance, and no size
            _wrong("a record has a value of a wrong type")
    return dict(value)


def _wrong(what: str) -> NoReturn:
    raise NotValidated(
        f"Its manifest does not read: {what}.", hint="Build the file again.", code="manifest"
    )
