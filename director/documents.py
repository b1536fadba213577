"""The JSON documents of ``--json``: one a command, each with its ``schema`` name.

What lives here: making them of what DirectorControl returns. Their schemas are the files of ``director/schemas``, which
tests hold every command's output against. A name's number changes when a reader of the old one would be misled.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from director.errors import DirectorError

if TYPE_CHECKING:
    from director.control.results import KeyFiles
    from director.doctor import Finding
    from director.history import Event
    from director.pins import Pin
    from director.report import Convention, Elsewhere, Status
    from director.settings.config import Config
    from director.store import Available
    from director.tls.verify import Verdict

Document = dict[str, Any]


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a document, by its command."""
    place = Path(__file__).parent / "schemas" / f"{name}.json"
    found: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    return found


def to_json(document: Document) -> str:
    """The document as text: ASCII, so that it is JSON in every locale, and of what JSON has."""
    try:
        return json.dumps(document, indent=1, default=_plain, allow_nan=False)
    except (TypeError, ValueError):  # rare, and a walk over all of it
        return json.dumps(_portable(document), indent=1, default=_plain, allow_nan=False)


def _portable(value: Any) -> Any:
    """The same without what JSON has not: infinities, and keys that are neither text nor numbers."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, dict):
        kept = (str, int, bool, type(None))
        return {
            key if isinstance(key, kept) else repr(key): _portable(one)
            for key, one in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_portable(one) for one in value]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone().isoformat(timespec="seconds")
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return str(value)


def _document(name: str, **fields: Any) -> Document:
    return {"schema": f"director/{name}/1", **fields}


def error(problem: DirectorError) -> Document:
    """What went wrong."""
    return _document("error", error=_error(problem))


def _error(problem: DirectorError) -> Document:
    return {
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
        "exit_status": problem.exit_status,
    }


def config(
    directory: Path, state: Path, settings: Config, errors: Iterable[DirectorError]
) -> Document:
    """``config``; a setting that does not read has its ``problem``, and an error of its own."""
    return _document(
        "config",
        directory=str(directory),
        state=str(state),
        settings=[asdict(one) for one in settings.settings],
        problems=list(settings.problems),
        errors=[_error(problem) for problem in errors],
    )


def help_(
    directory: Path, commands: Iterable[Document], settings: Iterable[Document] | None
) -> Document:
    """``help``: of all commands, or of one and without settings."""
    told = None if settings is None else list(settings)
    return _document("help", directory=str(directory), commands=list(commands), settings=told)


def keygen(made: KeyFiles) -> Document:
    """``keygen``."""
    return _document(
        "keygen",
        private=str(made.private),
        public=str(made.public),
        fingerprint=made.fingerprint,
    )


def install(installed: Iterable[Path], refused: Iterable[tuple[str, DirectorError]]) -> Document:
    """``install``: what was placed, and what was not, as it was named."""
    told = [{"file": file, "error": _error(problem)} for file, problem in refused]
    return _document("install", installed=[str(path) for path in installed], refused=told)


def gensrc(
    written: Iterable[Path],
    warnings: Iterable[str],
    listing: Iterable[tuple[int, str, str]] | None = None,
) -> Document:
    """``gensrc``; with ``--list`` nothing was written."""
    members = None
    if listing is not None:
        members = [{"name": name, "size": size, "why": why} for size, name, why in listing]
    files = [str(path) for path in written]
    return _document("gensrc", written=files, members=members, warnings=list(warnings))


def tlsinfo(
    path: Path,
    source_hash: str,
    verdict: Verdict,
    members: Iterable[tuple[str, int]] | None = None,
    member: tuple[str, bytes] | None = None,
) -> Document:
    """``tlsinfo`` of a valid file."""
    key, manifest = verdict.key, verdict.manifest
    assert key is not None  # noqa: S101 - it is valid
    listed = None
    if members is not None:
        listed = [{"name": name, "size": size} for name, size in members]
    return _document(
        "tlsinfo",
        file=str(path),
        sha256=verdict.sha256,
        source_hash=source_hash,
        manifested=manifest is not None,
        group=manifest.group if manifest else None,
        version=manifest.version if manifest else None,
        key={"file": key.name, "fingerprint": key.fingerprint, "algorithm": key.algorithm},
        members=listed,
        member=_member(*member) if member else None,
    )


def _member(name: str, data: bytes) -> Document:
    try:
        encoding, text = "utf-8", data.decode("utf-8")
    except UnicodeDecodeError:
        encoding, text = "base64", base64.b64encode(data).decode("ascii")
    return {"name": name, "size": len(data), "encoding": encoding, "data": text}


def avail(directory: Path, groups: Mapping[str, Sequence[tuple[Available, str]]]) -> Document:
    """``avail``."""
    told = {
        name: [
            {"file": str(one.path), "version": one.version, "source_hash": digest}
            for one, digest in files
        ]
        for name, files in groups.items()
    }
    return _document("avail", directory=str(directory), groups=told)


def loaded(results: Iterable[tuple[str, Any, DirectorError | None]], name: str) -> Document:
    """``load``, ``refresh``, ``undo`` and ``start``: for each group what was loaded, or its error.

    Args:
        results: group, `director.control.Loaded` or None, error or None.
    """
    told = [
        {
            "group": group,
            "file": str(one.path) if one else None,
            "source_hash": one.source_hash if one else None,
            "changed": one.changed if one else False,
            "warnings": list(one.warnings) if one else [],
            "error": _error(problem) if problem else None,
        }
        for group, one, problem in results
    ]
    return _document(name, groups=told)


def listing(groups: Mapping[str, Any]) -> Document:
    """``list``."""
    told = {}
    for name, group in groups.items():
        told[name] = [
            {
                "source_hash": digest,
                "active": digest == group["ActiveHash"],
                "version": group["Versions"][digest]["Version"],
                "file": group["Versions"][digest]["File"],
                "state": group["Versions"][digest]["State"],
                "actors": [
                    {
                        "actor_class": actor["ActorClass"],
                        "role": actor["Role"],
                        "address": actor["ActorAddress"] and str(actor["ActorAddress"]),
                        "started": actor["StartTime"],
                    }
                    for actor in group["Running"].get(digest, [])
                ],
            }
            for digest in group["Loaded"]
        ]
    return _document("list", groups=told)


def status(told: Status) -> Document:
    """``status``."""
    return _document("status", **asdict(told))


def convention(told: Convention) -> Document:
    """``status --convention``."""
    return _document("convention", **asdict(told))


def history(events: Iterable[Event]) -> Document:
    """``history``."""
    return _document("history", events=[asdict(event) for event in events])


def logs(group: str, lines: Sequence[str], elsewhere: Iterable[Elsewhere] = ()) -> Document:
    """``logs``."""
    told = [asdict(one) for one in elsewhere]
    return _document("logs", group=group, lines=list(lines), elsewhere=told)


def pins(found: Iterable[Pin]) -> Document:
    """``pin`` and ``unpin``: the pins that hold now."""
    return _document("pins", pins=[asdict(pin) for pin in found])


def doctor(findings: Iterable[Finding]) -> Document:
    """``doctor``."""
    return _document("doctor", findings=[asdict(finding) for finding in findings])


def done(command: str, **fields: Any) -> Document:
    """``shutdown``, ``unload``, ``bootstart``, ``bootstop``, ``demo``: what was done, in few words."""
    return _document(command, **fields)
