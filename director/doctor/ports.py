"""The Admin's port: whether this user may take it, and whether somebody else might.

What lives here: the looks at a port number and the kernel's settings for it (ip(7), ip_local_port_range).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from director.doctor.finding import Finding, error, warning

#: Where Linux tells which ports it gives to connections and to listeners that ask for any.
RANGE = "sys/net/ipv4/ip_local_port_range"
RESERVED = "sys/net/ipv4/ip_local_reserved_ports"


def port(number: int, proc: Path = Path("/proc")) -> Iterator[Finding]:
    """What speaks against a port for the Admin.

    Args:
        number: of the port.
        proc: the kernel's own directory.
    """
    if number < 1024 and hasattr(os, "geteuid") and os.geteuid() != 0:
        yield error(
            "port",
            f"Admin port {number} needs a privileged user.",
            "Choose one from 1024 on in adminport.cfg.",
        )
    low, high = _range(proc)
    if low <= number <= high and not _reserved(number, proc):
        yield warning(
            "port-ephemeral",
            f"Admin port {number} is one of those that the kernel gives to any connection ({low} to {high}): "
            "while no system runs, another process may take it, an actor of another system too.",
            f"Choose one outside in adminport.cfg, or add it to net.{RESERVED[8:].replace('/', '.')} (sysctl).",
        )


def _range(proc: Path) -> tuple[int, int]:
    try:
        low, high = (proc / RANGE).read_text(encoding="ascii").split()
        return int(low), int(high)
    except (OSError, ValueError):
        return 1, 0  # no Linux: nothing is known


def _reserved(number: int, proc: Path) -> bool:
    try:
        parts = (proc / RESERVED).read_text(encoding="ascii").strip().split(",")
        spans = [part.partition("-") for part in parts if part]
        return any(int(low) <= number <= int(high or low) for low, _, high in spans)
    except (OSError, ValueError):
        return False
