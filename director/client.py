"""Thespian's ActorSystem as clients use it: one that only talks to what runs; and who holds the Admin's port else.

What lives here: attaching to an Admin, the look whether its port is free. What does not: the Director
(`director.connection`), starting a system (`director.system`).
"""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from director.errors import DirectorError
from director.system import BASES_THAT_STAY, SystemProcesses

HINT = "Stop that, or write another port into adminport.cfg."


def attach(processes: SystemProcesses, capabilities: dict[str, Any]) -> Any:
    """An ActorSystem at the Admin's port, where something was seen to answer.

    Thespian would start an Admin of its own where it meets none, and asks what answers otherwise for 11 s whether it is
    one. So long it takes only with a system of ours, which may be busy.

    Args:
        processes: of the system.
        capabilities: the port, and the convention.

    Raises:
        DirectorError: code ``foreign-port``: it is no Admin of this base.
    """
    from thespian.actors import ActorSystem, InvalidActorAddress

    base, port = processes.config.system_base, processes.config.admin_port
    patient = bool(processes.members())
    try:
        if base not in BASES_THAT_STAY:
            return ActorSystem(base, capabilities, transientUnique=True)
        plain: Any = importlib.import_module(f"thespian.system.{base}").ActorSystemBase

        class Client(plain):  # type: ignore[misc]
            def _startAdmin(self, *told: Any) -> None:  # noqa: N802
                """Nothing: a client starts no system. Whether one is there is asked next."""

            def _verifyAdminRunning(self) -> bool:  # noqa: N802
                if super()._verifyAdminRunning():
                    return True
                if patient:
                    return False
                raise InvalidActorAddress(self.adminAddr, "it does not answer as an Admin does")

        mine = Client(SimpleNamespace(capabilities=dict(capabilities)))
        return ActorSystem(mine, capabilities, transientUnique=True)
    except InvalidActorAddress:
        raise DirectorError(
            f"Port {port} is answered by {_holder(port) or 'something'}, which is no actor system of {base}.",
            hint=HINT,
            code="foreign-port",
        ) from None


def require_free(processes: SystemProcesses) -> None:
    """See that an Admin could listen at its port; for a minute it would not be told that it cannot.

    Raises:
        DirectorError: code ``foreign-port``: somebody listens at it, perhaps at another address of this host.
    """
    port = processes.config.admin_port
    udp = processes.config.system_base == "multiprocUDPBase"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as trial:
        if os.name == "posix":  # as Thespian does; on Windows it would let two have one port
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("", port))
        except PermissionError:
            text = f"This user may not listen at port {port}"
        except OSError:
            text = f"Port {port} is held by {_holder(port) or 'something'}"
        else:
            return
    raise DirectorError(
        f"{text}: no actor system can be started there.", hint=HINT, code="foreign-port"
    )


def _holder(port: int) -> str:
    """The process that listens at a port, for people; "" where this user cannot see it."""
    from director.actors.leftovers import listener  # where something is wrong only

    with contextlib.suppress(OSError):
        pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208
        pid = listener(port, pids)
        if pid:
            name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
            return f"process {pid} ({name})"
    return ""
