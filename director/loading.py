"""What a load means: which file, and which TLI.

What lives here: what a pinned group's load means, the signed TLI and the operator's own, the variables it was evaluated
with. What does not: pins themselves (`director.pins`), the load (`director.control` asks the Director for it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from director.errors import SettingsError
from director.files import read_text
from director.pins import Pin, pinned_file, require_pinned
from director.settings.tli import Tli, digest, parse_tli, tli_from_definition
from director.store import Available, Store

if TYPE_CHECKING:
    from director.tls.verify import Verdict


def choose(
    store: Store,
    target: str,
    pins: Mapping[str, Pin],
    listed: Mapping[str, Sequence[Available]] | None = None,
) -> Available:
    """The file that ``load TARGET`` means: of a pinned group only the pinned one.

    Args:
        listed: as for `Store.find`.

    Raises:
        NotFound: there is none. DirectorError: code ``pinned``, for other bytes of a pinned group; codes as for
            `director.pins.pinned_file`.
    """
    chosen = store.find(target, listed)
    pin = pins.get(chosen.group)
    if pin is None:
        return chosen
    if target.endswith(".tls"):
        return require_pinned(store, pin, chosen)
    return pinned_file(store, pin)


def newest(store: Store, files: Sequence[Available], pins: Mapping[str, Pin]) -> Available:
    """The file of a group that refresh wants to be active.

    Args:
        files: of the group, the newest first, as `Store.available` lists them: it reads the whole directory.

    Raises:
        DirectorError: as for `director.pins.pinned_file`.
    """
    pin = pins.get(files[0].group)
    return pinned_file(store, pin) if pin else files[0]


@dataclass(frozen=True)
class Definitions:
    """Finds the TLI that counts for a file: the signed one, unless the operator wrote one of their own.

    Args:
        store: of the director directory.
        environ: what expressions see.
        signed: whether a text is the signed TLI of any file of a group, be it one that may run or not: such a
            GROUP.tli is a copy that was placed beside its version, and nobody's own.
    """

    store: Store
    environ: Mapping[str, str]
    signed: Callable[[str, str], bool]

    def of(self, chosen: Available, verdict: Verdict) -> tuple[Tli, list[str]]:
        """The TLI, and what the operator should know about it.

        Raises:
            SettingsError: it does not read.
        """
        signed = verdict.tli
        override = self.store.override(chosen.group)
        own = text_of(override) if override else None
        if own is not None and own != signed and not self.signed(chosen.group, own):
            tli = parse_tli(own, name=str(override), environ=self.environ)
            if signed is None:
                return tli, []
            return replace(tli, override=digest(own)), [f"{override} replaces the signed TLI."]
        if signed is None:
            return tli_from_definition({"Actors": {}}), []
        return parse_tli(signed, name=f"{chosen.path}!group.tli", environ=self.environ), []


def text_of(path: Path) -> str:
    """The text of a TLI file.

    Raises:
        SettingsError: it cannot be read, or is no text.
    """
    try:
        return read_text(path)
    except UnicodeDecodeError:
        raise SettingsError(
            "it is not UTF-8 text", path=str(path), hint="Save it as UTF-8."
        ) from None
    except OSError as problem:
        raise SettingsError(
            problem.strerror or str(problem),
            path=str(path),
            hint="Mend it, or remove it: the signed TLI counts then.",
        ) from None


def differing(tli: Tli, theirs: Mapping[str, str] | None) -> list[str]:
    """A line for each variable that the TLI used and that is another in the actor system."""
    if theirs is None:
        return []
    return [
        f"the TLI was read with {name}={value!r}, but the actor system has {theirs.get(name)!r}."
        for name, value in sorted(tli.variables.items())
        if theirs.get(name) != value
    ]
