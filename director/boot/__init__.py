"""Boot wiring: what makes a host come up with its actors (guide 2.5), for each service manager.

What lives here: the choice of the platform's module. Each renders a `plan.Service` into a `plan.Plan` of files and
commands, a pure function; `apply` performs plans and takes them back; `detect` finds the host's manager.
"""

from __future__ import annotations

from director.boot import launchd, systemd, upstart, windows
from director.boot.plan import Plan, Service
from director.errors import UsageError

MANAGERS = {
    "systemd": systemd.render,
    "upstart": upstart.render,
    "launchd": launchd.render,
    "windows": windows.render,
}


def render(manager: str, service: Service) -> Plan:
    """The files and commands that boot a director directory's system with this manager.

    Args:
        manager: systemd, upstart, launchd or windows.
        service: what is to be started, and as whom.

    Raises:
        UsageError: the manager is none of these, or the service cannot be told to it.
    """
    if manager not in MANAGERS:
        raise UsageError(
            f"{manager!r} is no service manager that is known.",
            hint=f"Known are: {', '.join(MANAGERS)}.",
        )
    return MANAGERS[manager](service)
