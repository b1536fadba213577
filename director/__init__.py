"""Ship, sign and hot-load Thespian actor applications: the side that runs on hosts.

The names below are imported when they are first asked for, so that an actor's process and the
command line pay only for what they use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from director.actors.doors import Director
    from director.commands import DirectorControl
    from director.errors import DirectorError
    from director.logfilter import ActorAddressLogFilter
    from director.roles import Roles

__all__ = [
    "ActorAddressLogFilter",
    "Director",
    "DirectorControl",
    "DirectorError",
    "Roles",
    "__version__",
]

__version__ = "0.1.0"

_HOMES = {
    "ActorAddressLogFilter": "director.logfilter",
    "Director": "director.actors.doors",
    "DirectorControl": "director.commands",
    "DirectorError": "director.errors",
    "Roles": "director.roles",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
