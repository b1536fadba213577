"""Where the log of a service goes: the journal with its fields, or JSON documents, one a line.

What lives here: two handlers of `logging` and the choice between them by DIRECTOR_LOG, which `director.foreground`
sets for the actor system that it starts. A ``thesplog.cfg`` may name the handlers too. Only the standard library:
the process that writes the actors' log imports this.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

#: ``journal``, or ``json:PATH``: that named pipe. Anything else: files, as by default.
LOG_VARIABLE = "DIRECTOR_LOG"
#: journald's own socket (systemd.journal-fields(7), the native protocol).
JOURNAL = "/run/systemd/journal/socket"


def priority(level: int) -> int:
    """The syslog priority of a level of `logging`: 2 critical … 7 debug (syslog(3))."""
    for least, number in ((50, 2), (40, 3), (30, 4), (20, 6)):
        if level >= least:
            return number
    return 7


def is_journal(environ: Mapping[str, str], descriptor: int) -> bool:
    """Whether an open file is the one that systemd told of in JOURNAL_STREAM (systemd.exec(5))."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def journal_entry(fields: Mapping[str, str]) -> bytes:
    """One datagram of the native protocol; a value of several lines is told by its length."""
    made = b""
    for name, value in fields.items():
        data = value.encode("utf-8", "replace")
        if b"\n" in data:
            made += name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
        else:
            made += name.encode() + b"=" + data + b"\n"
    return made


def json_line(
    level: str, logger: str, message: str, actor: str = "", when: float | None = None
) -> str:
    """One record as a JSON document of a line; ``when`` in seconds since the epoch."""
    at = datetime.now(UTC) if when is None else datetime.fromtimestamp(when, UTC)
    told = {"time": at.isoformat(), "level": level, "logger": logger, "actor": actor}
    return json.dumps({**told, "message": message})  # ASCII: it is JSON in every locale


def _message(record: logging.LogRecord) -> str:
    text = record.getMessage()
    if record.exc_info and not record.exc_text:
        record.exc_text = logging.Formatter().formatException(record.exc_info)
    return f"{text}\n{record.exc_text}" if record.exc_text else text


def _actor(record: logging.LogRecord) -> str:
    return str(getattr(record, "actorAddress", ""))


class JournalHandler(logging.Handler):
    """Sends records to the journal, with PRIORITY, ACTOR_ADDRESS, LOGGER and the place in the source."""

    def __init__(self, path: str = JOURNAL) -> None:
        super().__init__()
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record; one that cannot be sent is told on stderr, as `logging` does."""
        try:
            self._send(journal_entry(self._fields(record)))
        except Exception:  # noqa: BLE001 - as in the standard library's handlers: arguments may not fit, for one
            self.handleError(record)

    def _fields(self, record: logging.LogRecord) -> dict[str, str]:
        actor = _actor(record)
        words = _message(record)
        return {
            "MESSAGE": f"{actor} {words}" if actor else words,
            "PRIORITY": str(priority(record.levelno)),
            "SYSLOG_IDENTIFIER": "director",
            "LOGGER": record.name,
            "ACTOR_ADDRESS": actor,
            "CODE_FILE": record.pathname,
            "CODE_LINE": str(record.lineno),
            "CODE_FUNC": record.funcName or "",
        }

    def _send(self, entry: bytes) -> None:
        try:
            self.socket.sendto(entry, self.path)
        except OSError as problem:
            if problem.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            self._pass(entry)

    def _pass(self, entry: bytes) -> None:
        """One too large for a datagram is passed as a sealed file in memory (systemd's "Native Journal Protocol")."""
        import fcntl  # not on Windows

        handle = os.memfd_create("journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with os.fdopen(handle, "wb", closefd=False) as stream:
                stream.write(entry)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(handle, fcntl.F_ADD_SEALS, seals)
            told = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handle.to_bytes(4, sys.byteorder))]
            self.socket.sendmsg([b""], told, 0, self.path)
        finally:
            os.close(handle)

    def close(self) -> None:
        """Give the socket back."""
        self.socket.close()
        super().close()


class PipeHandler(logging.Handler):
    """Writes JSON lines into a named pipe (`director.logpipe`), or a file.

    Args:
        path: of the pipe; somebody reads it.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        # Not to wait for a reader that has gone: opening fails then.
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)
        os.set_blocking(handle, True)
        self.stream = os.fdopen(handle, "w", encoding="utf-8", buffering=1)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            line = json_line(
                record.levelname, record.name, _message(record), _actor(record), record.created
            )
            self.stream.write(line + "\n")
            self.stream.flush()
        except Exception:  # noqa: BLE001 - as above
            self.handleError(record)


def service_handler(environ: Mapping[str, str]) -> dict[str, Any] | None:
    """The handler, for `logging.config`, that DIRECTOR_LOG asks for; None: files."""
    kind, _, path = environ.get(LOG_VARIABLE, "").partition(":")
    if kind == "journal":
        return {"class": "director.journal.JournalHandler"}
    if kind == "json" and path:
        return {"class": "director.journal.PipeHandler", "path": path}
    return None
