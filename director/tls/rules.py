"""What a host may demand of a source beyond a right signature: small rules, which a policy puts together.

A rule raises `NotValidated` with a code and what to do, or says nothing. It looks only at what it is given: no
files, no clock. `director.tls.verify` asks each rule twice: about the signer, before anything behind the signature
is looked at, and about the source, when structure and manifest are right.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from director.errors import NotValidated
from director.tls.keys import PublicKey
from director.tls.version import date_of


@dataclass(frozen=True)
class Source:
    """What is known of a file whose signature and structure are right.

    ``group`` and ``version`` are the manifest's; without one (``manifested`` is False) those of the file's name ("" and
    None where it tells none), which nobody signed. ``created`` and ``expires`` are RFC 3339. ``now`` is UTC.
    """

    sha256: str
    key: PublicKey
    group: str
    version: str | None
    manifested: bool
    now: datetime
    created: str | None = None
    expires: str | None = None


class Rule:
    """A demand; this one demands nothing."""

    def signer(self, key: PublicKey, sha256: str) -> None:
        """Raise NotValidated for a file (by its SHA-256, hex) signed by this key, before its content is looked at."""

    def source(self, source: Source) -> None:
        """Raise NotValidated for a source."""


@dataclass(frozen=True)
class Revoked(Rule):
    """Keys and files that are not accepted any more.

    Args:
        hashes: SHA-256 in hex, of keys (their fingerprints without ``sha256:``) and of files → the reason, may be "".
    """

    hashes: Mapping[str, str]

    def signer(self, key: PublicKey, sha256: str) -> None:
        """Codes ``revoked-key`` and ``revoked-file``."""
        for code, found, what in (
            ("revoked-file", sha256, "This very file"),
            ("revoked-key", bare(key.fingerprint), f"The key {key.name} that signed it"),
        ):
            if found in self.hashes:
                reason = self.hashes[found]
                raise NotValidated(
                    f"{what} is revoked on this host{': ' + reason if reason else ''}.",
                    hint="Get a newer version, signed by a key that is trusted; revoked.cfg lists what is not.",
                    code=code,
                )


@dataclass(frozen=True)
class KeyGroups(Rule):
    """Which groups a key may sign; a key that is not named may sign any.

    Args:
        groups: fingerprint (hex, without ``sha256:``) → names of groups.
    """

    groups: Mapping[str, Set[str]]

    def source(self, source: Source) -> None:
        """Code ``key-group``."""
        allowed = self.groups.get(bare(source.key.fingerprint))
        if allowed is not None and source.group not in allowed:
            raise NotValidated(
                f"The key {source.key.name} may sign {', '.join(sorted(allowed)) or 'no group'}, "
                f"not {source.group or 'a file without a group'}.",
                hint="Have it signed by that group's own key, or widen keygroups.cfg.",
                code="key-group",
            )


@dataclass(frozen=True)
class ManifestRequired(Rule):
    """Files without a manifest, as Thespian's own director makes them, are refused."""

    def source(self, source: Source) -> None:
        """Code ``unmanifested``."""
        if not source.manifested:
            raise NotValidated(
                "It has no manifest, and this host requires one.",
                hint="Build it with the hatch plugin.",
                code="unmanifested",
            )


@dataclass(frozen=True)
class InTime(Rule):
    """Neither expired, nor made later than now.

    Args:
        slack: by how much clocks may differ.
        known: SHA-256 of files that were accepted before: a host that starts with its clock at 1970 still starts those.
    """

    slack: timedelta = timedelta(days=1)
    known: Set[str] = field(default_factory=frozenset)

    def source(self, source: Source) -> None:
        """Codes ``expired``, ``from-future`` and ``manifest``."""
        expires = _moment(source.expires, "expires")
        if expires is not None and source.now >= expires:
            raise NotValidated(
                f"It expired on {source.expires}.",
                hint="Get a newer version, or set the clock of this host right.",
                code="expired",
            )
        created = _moment(source.created, "created")
        if source.sha256 in self.known:
            return
        dated = date_of(source.version or "")
        latest = max((one for one in (created, dated) if one is not None), default=source.now)
        if latest > source.now + self.slack:
            raise NotValidated(
                f"It was made on {latest:%Y-%m-%dT%H:%MZ}, which is still to come.",
                hint="Set the clock of this host, or of the one that built it, right.",
                code="from-future",
            )


def bare(fingerprint: str) -> str:
    """A fingerprint's or a file's SHA-256 as hex alone."""
    return fingerprint.removeprefix("sha256:").lower()


def _moment(told: str | None, name: str) -> datetime | None:
    return None if told is None else moment(told, name)


def moment(told: str, name: str) -> datetime:
    """A manifest's time, UTC where it names no zone (NotValidated, code ``manifest``: it is none)."""
    try:
        found = datetime.fromisoformat(told)
    except ValueError:
        raise NotValidated(
            f"Its manifest does not read: {name} is no RFC 3339 time.",
            hint="Build the file again.",
            code="manifest",
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
