"""Which groups an operator keeps at one version, and at which bytes: ``pins.json`` of the state directory.

What lives here: the file, and what a pin lets be loaded and be placed. The Director alone writes it; everybody may
read. What does not: which file a load means (`director.loading`), whether it is trusted (`director.trust`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from director.errors import DirectorError, NotFound
from director.files import LONGEST_STATE, digest_regular, read_regular, write_atomically
from director.store import Available, Store
from director.tls.limits import DEFAULT_LIMITS
from director.tls.naming import split_file_name

#: Fields of a pin, and what each may be.
_FIELDS: Mapping[str, tuple[type, ...]] = {
    "group": (str,),
    "version": (str, type(None)),
    "file": (str,),
    "since": (str,),
    "sha256": (str, type(None)),
}


@dataclass(frozen=True)
class Pin:
    """A group that ``load GROUP`` and ``refresh`` keep at one version.

    ``file`` is its base name. ``sha256``: of the bytes that it holds, hex; None in a pin that an earlier version of
    this package wrote, which holds whatever that file of the director directory has.
    """

    group: str
    version: str | None
    file: str
    since: str
    sha256: str | None = None


class Pins:
    """The pins of one state directory."""

    def __init__(self, state: Path) -> None:
        self.path = state / "pins.json"

    def read(self) -> dict[str, Pin]:
        """All pins by group; none where the file is missing.

        Raises:
            DirectorError: code ``pins``: it does not read; any group could be pinned then.
        """
        try:
            told = json.loads(read_regular(self.path, LONGEST_STATE))
            return {name: _pin(name, fields) for name, fields in told.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as problem:
            why = problem.strerror if isinstance(problem, OSError) else problem
            raise DirectorError(
                f"{self.path} does not read ({why}), so that nobody knows which groups are pinned.",
                hint="Run as the user of the actor system; or, where it is damaged, restore it from a backup or remove "
                "it: no group is pinned then (`director history` tells which were).",
                code="pins",
            ) from None

    def put(self, pin: Pin) -> None:
        """Pin a group; a pin that it has is replaced (DirectorError: as for `read`; OSError: it cannot be written)."""
        self._write({**self.read(), pin.group: pin})

    def remove(self, group: str) -> bool:
        """Unpin a group; False where it was not pinned (DirectorError, OSError: as for `put`)."""
        pins = self.read()
        known = pins.pop(group, None) is not None
        if known:
            self._write(pins)
        return known

    def _write(self, pins: dict[str, Pin]) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        told = {name: asdict(pin) for name, pin in sorted(pins.items())}
        write_atomically(self.path, json.dumps(told, indent=1).encode(), mode=0o600)


def _pin(name: str, fields: Any) -> Pin:
    """A pin as it was read; TypeError or ValueError where it is none."""
    pin = Pin(**fields)
    for field, types in _FIELDS.items():
        if not isinstance(getattr(pin, field), types):
            raise TypeError(f"{field} of the pin of {name} is {getattr(pin, field)!r}")
    if pin.group != name:
        raise ValueError(f"the pin of {name} is one of {pin.group}")
    return pin


def pinned_file(store: Store, pin: Pin) -> Available:
    """The file of the director directory that a pin means.

    Raises:
        NotFound: code ``pinned-missing``: it is not there any more. DirectorError: code ``pinned-changed``: it has
            other bytes now; code ``unreadable``.
    """
    path = store.directory / pin.file
    if not path.is_file():
        raise NotFound(
            f"The group {pin.group} is pinned to {pin.file}, which is not in {store.directory}.",
            hint=f"Place it there, or `director unpin {pin.group}`.",
            code="pinned-missing",
        )
    if pin.sha256 not in (None, _sha256(path)):
        raise DirectorError(
            f"The group {pin.group} is pinned to other bytes than {path} has now (SHA-256 {pin.sha256}).",
            hint=f"Put those back there, or `director unpin {pin.group}`.",
            code="pinned-changed",
        )
    return Available(path, pin.group, pin.version, pin.sha256)


def require_pinned(store: Store, pin: Pin, chosen: Available) -> Available:
    """A file that was named, with the bytes that the pin of its group holds.

    Raises:
        DirectorError: code ``pinned``: it is not what the group is pinned to; code ``unreadable``.
    """
    place = store.directory / pin.file
    same = place.is_file() and chosen.path.samefile(place)
    if not (same if pin.sha256 is None else _sha256(chosen.path) == pin.sha256):
        what = pin.file
        if chosen.path.name == pin.file:
            what = f"other bytes than those of {chosen.path}"
        raise DirectorError(
            f"The group {pin.group} is pinned to {what}.",
            hint=f"`director unpin {pin.group}` first.",
            code="pinned",
        )
    return Available(chosen.path, chosen.group, chosen.version, pin.sha256)


def require_kept(store: Store, pins: Mapping[str, Pin], name: str, sha256: str) -> None:
    """Nothing takes the place of the bytes that a group is pinned to.

    Args:
        pins: by group.
        name: base name of the file that is to be placed.
        sha256: of its bytes, hex.

    Raises:
        DirectorError: code ``pinned``; code ``unreadable``.
    """
    pin = pins.get(split_file_name(name)[0])
    if pin is None or pin.sha256 == sha256:
        return
    place = store.directory / pin.file
    taken = place in store.same_version(name)
    if name == pin.file and pin.sha256 and place.is_file():
        taken = _sha256(place) == pin.sha256  # where it has others already, nothing is lost
    if taken:
        raise DirectorError(
            f"The group {pin.group} is pinned to {pin.file}, whose place {name} would take; nothing was changed.",
            hint=f"`director unpin {pin.group}`, install it, then pin that.",
            code="pinned",
        )


def groups_of(read: Callable[[], Mapping[str, Pin]]) -> frozenset[str]:
    """The pinned groups; none where the pins do not read, which others tell."""
    try:
        return frozenset(read())
    except DirectorError:
        return frozenset()


def _sha256(path: Path) -> str:
    try:
        return digest_regular(path, DEFAULT_LIMITS.max_bytes, hashlib.sha256)
    except OSError as problem:
        raise DirectorError(
            f"{path}: {problem.strerror or problem}.",
            hint="Its group is pinned: mend the file, or its mode.",
            code="unreadable",
        ) from None
