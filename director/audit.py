"""The audit log: one JSON line for every decision about a source, in ``audit.jsonl`` of the state directory.

Several processes write it; each line is whole or not there. It is rotated by size. Nothing here decides.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from director.files import append_line, locked, make_private, open_private

#: Seconds to wait for another process that writes.
LOCK_LIMIT = 10.0


@dataclass(frozen=True)
class Audit:
    """``audit.jsonl`` of a state directory, and ``audit.jsonl.1`` … with what was before.

    Args:
        state: the state directory.
        limit: bytes after which a new file is begun.
        kept: how many full files are kept beside it.
    """

    state: Path
    limit: int = 5 << 20
    kept: int = 4

    @property
    def path(self) -> Path:
        """The file that is written now."""
        return self.state / "audit.jsonl"

    def append(self, fields: Mapping[str, Any]) -> None:
        """Add a line with these fields; ``when`` stands first.

        Raises:
            OSError: it cannot be written; no part of the line is there then.
            DirectorError: code ``locked``.
        """
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"when": when, **fields}).encode()
        make_private(self.state)
        with locked(self.state / "audit.lock", LOCK_LIMIT):
            self._write(line)

    def _write(self, line: bytes) -> None:
        handle = self._open()
        try:
            size = os.fstat(handle).st_size
            if size and size + len(line) + 1 > self.limit:
                self._rotate()
                other = self._open()
                os.close(handle)
                handle = other
            append_line(handle, line, self.path)
        finally:
            os.close(handle)

    def _open(self) -> int:
        return open_private(self.path, os.O_RDWR | os.O_APPEND)

    def _rotate(self) -> None:
        for number in range(self.kept, 0, -1):
            older = Path(f"{self.path}.{number}")
            newer = self.path if number == 1 else Path(f"{self.path}.{number - 1}")
            if newer.exists():
                newer.replace(older)


def account() -> str:
    """The user that this process runs as."""
    try:
        import pwd

        return pwd.getpwuid(os.geteuid()).pw_name
    except (ImportError, KeyError):
        return str(os.geteuid())


def who() -> str:
    """The user of a command, and on whose behalf, where sudo told.

    Not for actors: their environment is that of whoever started the system.
    """
    name = account()
    behind = os.environ.get("SUDO_USER")
    return f"{behind} as {name}" if behind and behind != name else name
