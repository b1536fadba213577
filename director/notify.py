"""What a service tells its manager: sd_notify(3), as one datagram to the socket that NOTIFY_SOCKET names.

What lives here: sending, and how often a watchdog wants to hear. Where there is no manager, nothing is sent.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

#: Seconds that the manager may take to make room for a message.
_SEND_LIMIT = 5.0


class Notifier:
    """Tells systemd, or nobody.

    Args:
        environ: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are read from it.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.address = environ.get("NOTIFY_SOCKET", "")
        #: Seconds within which the watchdog wants a word (sd_watchdog_enabled(3)); 0.0: there is none.
        self.watchdog_limit = 0.0
        if environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            microseconds = environ.get("WATCHDOG_USEC", "0")
            self.watchdog_limit = int(microseconds) / 1e6 if microseconds.isdigit() else 0.0

    def ready(self, status: str) -> None:
        """The service is up, or up again after a reload; the watchdog has its own limit again."""
        limit = [f"WATCHDOG_USEC={int(self.watchdog_limit * 1e6)}"] if self.watchdog_limit else []
        self._send("READY=1", f"STATUS={_line(status)}", *limit)

    def status(self, status: str) -> None:
        """A sentence for ``systemctl status``."""
        self._send(f"STATUS={_line(status)}")

    def watchdog(self) -> None:
        """All is well."""
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """The settings and sources are being read again; `ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        """The service is ending."""
        self._send("STOPPING=1", f"STATUS={_line(status)}")

    def more_time(self, seconds: float) -> None:
        """What goes on now, until it is ready, may take this long: without being late, and unwatched."""
        lines = [f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}"]
        if self.watchdog_limit:
            lines.append(f"WATCHDOG_USEC={int(max(seconds, self.watchdog_limit) * 1e6)}")
        self._send(*lines)

    def _send(self, *lines: str) -> None:
        if not self.address:
            return
        # A leading "@" stands for the abstract namespace's zero byte.
        address = "\0" + self.address[1:] if self.address[0] == "@" else self.address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(_SEND_LIMIT)
            try:
                sender.sendto("\n".join(lines).encode("utf-8", "backslashreplace"), address)
            except TimeoutError:
                return  # a manager that is busy; a stop must not wait for it
            except OSError:
                self.address = ""  # a manager that went away hears nothing more


def _line(text: str) -> str:
    return " ".join(text.split())[:500]
