"""The Source Authority: decides for this host which sources may run, and makes them ready to.

What lives here: the actor. The decision itself is `director.tls.verify`, a pure function; the stub that Thespian
gets instead of the source is `director.actors.stub`.
"""

from __future__ import annotations

import hashlib
import io
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from thespian.actors import (
    ActorTypeDispatcher,
    LoadedSource,
    UnloadedSource,
    ValidatedSource,
    ValidateSource,
)

from director.actors.messages import REFUSED, Message
from director.actors.stub import refusal_archive, stub_archive
from director.store import Store
from director.tls.naming import top_level_names
from director.tls.verify import Policy, Verdict, verify

log = logging.getLogger("director.authority")

#: Loaded by the authority itself when it starts: it comes back only to the authority that the Admin
#: has registered, and Thespian gives no other sign of that.
PROBE = b"hatch-thespian: does the Source Authority stand?"
PROBE_HASH = hashlib.md5(PROBE, usedforsecurity=False).hexdigest()


class SourceAuthority(ActorTypeDispatcher):
    """Validates loaded sources for the Admin of its host, with the keys that lie there now."""

    def __init__(self) -> None:
        super().__init__()
        self.store: Store | None = None
        self.director: Any = None
        self.refused: set[str] = set()
        self.starters: list[Any] = []

    def receiveMsg_dict(self, message: Message, sender: Any) -> None:
        """``{"AuthorityOp": "Startup", "Directory": …, "State": …, "Director": address}``."""
        if message.get("AuthorityOp") == "Startup":
            first = self.store is None
            self.store = Store(Path(message["Directory"]), Path(message["State"]))
            self.director = message["Director"]
            if first:
                self.registerSourceAuthority()
                self.notifyOnSourceAvailability()
            self.starters.append(sender)
            self.loadActorSource(io.BytesIO(PROBE))

    def receiveMsg_ValidateSource(self, message: ValidateSource, sender: Any) -> None:
        """Answer the Admin, always, exactly once, and always with an archive that it can read.

        Thespian's own way to refuse, an empty answer, ends the Admin when it comes for a source that
        is not pending any more (adminCore.h_ValidatedSource).
        """
        source_hash = message.sourceHash
        if source_hash == PROBE_HASH:
            for starter in self.starters:
                self.send(starter, {"AuthorityResponse": "Standing", "Success": True})
            self.starters.clear()
            self.refused.add(source_hash)
            self.send(sender, ValidatedSource(source_hash, refusal_archive("a probe"), REFUSED))
            return
        verdict, stub, place = self._decide(message.sourceData, str(message.sourceInfo))
        info = str(message.sourceInfo) if verdict.valid else REFUSED + verdict.message
        if verdict.valid:
            self.refused.discard(source_hash)
            log.info("%s validated with %s", info, verdict.key.name if verdict.key else "")
        else:
            self.refused.add(source_hash)
            log.warning("%s refused (%s): %s", message.sourceInfo, verdict.code, verdict.message)
        self.send(
            self.director,
            {
                "AuthorityOp": "Verdict",
                "SourceHash": source_hash,
                "Valid": verdict.valid,
                "Code": verdict.code,
                "Message": verdict.message,
                "Unpacked": place,
            },
        )
        self.send(sender, ValidatedSource(source_hash, stub, info))

    def receiveMsg_LoadedSource(self, message: LoadedSource, sender: Any) -> None:
        """A refused source is unloaded as soon as Thespian took note of it, not before."""
        if message.sourceHash in self.refused:
            self.refused.discard(message.sourceHash)
            self.unloadActorSource(message.sourceHash)

    def receiveMsg_UnloadedSource(self, message: UnloadedSource, sender: Any) -> None:
        """Nothing to do: the Director keeps the books."""

    def _decide(self, data: bytes, name: str) -> tuple[Verdict, bytes, str]:
        assert self.store is not None  # noqa: S101 - registered only after Startup
        keys, bad = self.store.keys()
        for problem in bad:
            log.warning("skipped a key file: %s", problem)
        verdict = verify(data, keys, Policy(), datetime.now(UTC), file_name=Path(name).name)
        if not verdict.valid or verdict.archive is None:
            return verdict, refusal_archive(verdict.message), ""
        try:
            place = self.store.unpack(verdict.sha256, verdict.archive)
        except OSError as problem:
            text = f"{name} cannot be unpacked under {self.store.state}: {problem.strerror}."
            refused = Verdict(
                valid=False,
                code="unpack",
                message=f"{text} Make room or mend the permissions there, then load it again.",
                sha256=verdict.sha256,
                key=verdict.key,
                manifest=verdict.manifest,
                archive=None,
                exit_status=1,
            )
            return refused, refusal_archive(refused.message), ""
        tops = top_level_names(verdict.archive.names)
        return verdict, stub_archive(place, tops), str(place)
