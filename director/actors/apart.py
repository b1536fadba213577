"""What the Director has to know of keys, revocations and a source's text, asked of a process of its own.

Every role actor is a fork of the Director and lives with what that has imported; cryptography and what reads archives
would cost each of them memory and time. So ``python -I -m director.actors.apart`` reads one question from stdin and
prints its answer, both JSON. What lives here: both ends of that. Who asks: `director.actors.following`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from director.errors import DirectorError
from director.store import Store

#: Seconds that an answer may take; reading keys and marks takes some 0.1.
LIMIT = 20.0


def keys(store: Store) -> dict[str, str]:
    """The keys that validate on this host now: fingerprint → file name.

    Raises:
        DirectorError: a setting that trust depends on does not read; nobody answered.
    """
    return _ask(store, "keys", {})


def revoked(store: Store, source_hashes: Iterable[str]) -> dict[str, str]:
    """Those of these loaded sources (Thespian's hashes) whose file or key is revoked by now, with the reason.

    Raises:
        DirectorError: settings or marks do not read; nobody answered.
    """
    return _ask(store, "revoked", {"sources": list(source_hashes)})


def note_ended(store: Store, reasons: Mapping[str, str]) -> None:
    """Write into the audit log that these loaded sources (Thespian's hashes) were ended, as they are revoked.

    Raises:
        DirectorError: marks do not read; nobody answered.
    """
    _ask(store, "note", {"ended": dict(reasons)})


def needs(store: Store, directory: str, class_name: str) -> dict[str, str]:
    """What a class of an unpacked source needs of a host, as `director.actors.needs.of_class` tells.

    Raises:
        DirectorError: nobody answered.
    """
    return _ask(store, "needs", {"source": directory, "class": class_name})


def _ask(store: Store, question: str, told: Mapping[str, Any]) -> dict[str, str]:
    asked = {**told, "ask": question, "directory": str(store.directory), "state": str(store.state)}
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-m", "director.actors.apart"],
            input=json.dumps(asked).encode(),
            capture_output=True,
            cwd="/",
            timeout=LIMIT,
            check=True,
        )
        answer = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as problem:
        raise DirectorError(
            f"What {store.directory} says about trust could not be read: {problem}.",
            hint="Run `director doctor` on that host.",
            code="apart",
        ) from None
    if "problem" in answer:
        raise DirectorError(answer["problem"], code=answer["code"])
    found: dict[str, str] = answer["found"]
    return found


def answer(asked: Mapping[str, Any]) -> dict[str, str]:
    """Answer one question, in this very process.

    Raises:
        DirectorError: settings or marks do not read.
    """
    if asked["ask"] == "needs":  # no text of a source is parsed in the Director
        from director.actors.needs import of_class

        return of_class(Path(asked["source"]), asked["class"])
    from director.audit import account
    from director.settings.config import read_trust
    from director.tls.rules import bare
    from director.trust import HostTrust

    store = Store(Path(asked["directory"]), Path(asked["state"]))
    if asked["ask"] == "keys":
        ring = HostTrust(store, "report").keyring(read_trust(store.directory, os.environ))
        return {bare(key.fingerprint): Path(key.name).name for key in ring.keys}
    trust = HostTrust(store, "refresh", who=account())
    if asked["ask"] == "revoked":
        return trust.revoked(asked["sources"])
    for source_hash, reason in asked["ended"].items():
        trust.decisions.loaded(trust.known_as(source_hash), "ended", "revoked", reason)
    return {}


def main() -> int:
    """The process's whole life."""
    try:
        told: dict[str, Any] = {"found": answer(json.load(sys.stdin))}
    except DirectorError as problem:
        told = {"problem": str(problem), "code": problem.code}
    json.dump(told, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
