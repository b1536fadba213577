"""What a host knows of the sources that were validated: a small file for each, in the state directory.

The Source Authority writes it before it lets a source in; Thespian's processes read it when they look a class up
(`director.actors.runtime`). Standard library only: this is imported before the actor system starts.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from director.files import LONGEST_STATE, read_regular, write_atomically

_HASH = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True)
class KnownSource:
    """A source that this host's authority decided about.

    Args:
        source_hash: Thespian's name of the source (MD5 of the .tls, hex).
        directory: where it is unpacked.
        tops: its importable top-level names.
        places: whether a module of it may decide where its actors run (`director.actors.placement`).
        refused: why the Source Authority refused it; "" where it was validated.
    """

    source_hash: str
    directory: str = ""
    tops: tuple[str, ...] = ()
    places: bool = False
    refused: str = ""


def remember(state: Path, source: KnownSource) -> None:
    """Write what is known of a source, whole or not at all."""
    path = _path(state, source.source_hash)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(path, json.dumps(asdict(source)).encode(), mode=0o600)


def forget(state: Path, source_hash: str) -> None:
    """The source is no longer loaded here."""
    _path(state, source_hash).unlink(missing_ok=True)
    _path(state, source_hash).with_suffix(".origin").unlink(missing_ok=True)


def forget_all(state: Path) -> None:
    """A system starts: what an earlier one validated is to be validated again."""
    for path in (state / "sources").glob("*.*"):
        if path.suffix in {".json", ".origin"}:  # the latter of `director.marks`
            path.unlink(missing_ok=True)


def recall(state: Path, source_hash: str) -> KnownSource | None:
    """What is known of a source; None for one that is not, or whose file does not read."""
    if not _HASH.fullmatch(source_hash):
        return None
    try:
        told = json.loads(read_regular(_path(state, source_hash), LONGEST_STATE))
        return KnownSource(
            str(told["source_hash"]),
            str(told["directory"]),
            tuple(str(top) for top in told["tops"]),
            bool(told["places"]),
            str(told.get("refused", "")),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def everything(state: Path) -> list[KnownSource]:
    """All that is known."""
    found = (recall(state, path.stem) for path in sorted((state / "sources").glob("*.json")))
    return [source for source in found if source is not None]


def _path(state: Path, source_hash: str) -> Path:
    return state / "sources" / f"{source_hash}.json"
