"""What was decided about sources, written into the audit log: one line each.

What lives here: what a line tells. What does not: deciding (`director.trust`), the file and its rotation
(`director.audit`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from director.audit import Audit
from director.errors import DirectorError
from director.marks import Accepted
from director.tls.naming import split_file_name
from director.tls.verify import Verdict


@dataclass(frozen=True)
class Decisions:
    """Writes decisions down.

    Args:
        state: the state directory, whose log it is.
        asked: what asks: ``load``, ``install``, ``tlsinfo``, ``authority``.
        who: who asked, as far as is known.
        warn: told what an operator should know.
    """

    state: Path
    asked: str
    who: str
    warn: Callable[[str], None]

    def verdict(self, verdict: Verdict, name: str, *, note: str = "") -> None:
        """A decision about a file, or about a source that is loaded."""
        told: dict[str, Any] = {}
        if verdict.key is not None:
            told["key"] = verdict.key.fingerprint
        # What a manifest says counts once its signature is right, whatever else is wrong.
        signed = verdict.manifest or (
            verdict.source if verdict.source and verdict.source.manifested else None
        )
        if signed is not None:
            told |= {"group": signed.group, "version": signed.version}
        word = "valid" if verdict.valid else "refused"
        self.append(name, verdict.sha256, word, verdict.code, note, **told)

    def refusal(self, name: str, problem: DirectorError) -> None:
        """It did not come so far that a file was looked at."""
        self.append(name, None, "refused", problem.code, "")

    def loaded(self, known: Mapping[str, Accepted], word: str, code: str, note: str) -> None:
        """What became of a loaded source, which is known as this: it was unloaded, or ended."""
        for sha256, told in known.items():
            fields = {"group": told.group, "version": told.version, "key": told.key}
            self.append(told.file, sha256, word, code, note, **fields)

    def append(
        self, name: str, digest: str | None, word: str, code: str, note: str, **told: Any
    ) -> None:
        """Write one line; should that fail, the operator is told, and what was decided stands.

        Args:
            name: the base name of the file.
            digest: its SHA-256, hex; None where it was not read.
            word, code: the verdict.
            note: what an auditor would ask about; "" for nothing.
            told: ``group``, ``version`` and ``key``, where somebody signed for them.
        """
        line: dict[str, Any] = {
            "who": self.who,
            "asked": self.asked,
            "file": name,
            "sha256": digest,
        }
        line |= {"group": None, "version": None, "key": None}
        if "group" not in told:  # nobody signed them: they are only what the file's name claims
            with contextlib.suppress(DirectorError):
                group, version = split_file_name(name)
                line |= {"group": group, "version": version, "claimed": True}
        line |= told
        line |= {"verdict": word, "code": code} | ({"note": note} if note else {})
        try:
            Audit(self.state).append(line)
        except (OSError, DirectorError) as problem:
            text = problem.strerror if isinstance(problem, OSError) else problem
            self.warn(f"the audit log in {self.state} was not written: {text}")


@contextlib.contextmanager
def foreseen(name: str) -> Iterator[None]:
    """What nobody foresaw while a file was decided about becomes an error like others: told, audited, and answered.

    The Source Authority would else die of it and leave the Admin waiting.

    Args:
        name: the base name of the file.

    Raises:
        DirectorError: code ``internal``. What is foreseen, and OSError, come through as they are.
    """
    try:
        yield
    except (DirectorError, OSError):
        raise
    except Exception as problem:
        raise DirectorError(
            f"{name} was not decided about, and nothing of it is accepted: {type(problem).__name__} in this director.",
            hint="Report it with that file, and with what `director tlsinfo` says of it.",
            code="internal",
        ) from problem
