"""Ship, sign and hot-load Thespian actor applications: the side that runs on hosts.

The names below are imported when they are first asked for, so that an actor's process and the
command line pay only for what they use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from director.actors.director import Director
    from director.control import DirectorControl
    from director.errors import DirectorError

__all__ = ["Director", "DirectorControl", "DirectorError", "__version__"]

__version__ = "0.1.0"

_HOMES = {
    "Director": "director.actors.director",
    "DirectorControl": "director.control",
    "DirectorError": "director.errors",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
