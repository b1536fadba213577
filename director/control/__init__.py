"""DirectorControl: the programmatic API; every command of the command line is one method here.

A thin room over the ones below: talking to the Director (`director.connection`), what a load means
(`director.loading`), handles of roles (`director.roles`), processes (`director.system`), files (`director.store`),
history and pins (`director.history`), checks (`director.doctor`). Printing is `director.cli`'s, the ``cmd_*`` methods
are `director.commands`'. Its parts are the modules beside this one.
"""

from __future__ import annotations

from director.control.files import source_hash
from director.control.loads import LOAD_LIMIT, UDP_LIMIT
from director.control.refreshing import Refreshing
from director.control.reports import Reports
from director.control.results import Generated, KeyFiles, Loaded, Refreshed


class DirectorControl(Refreshing, Reports):
    """Works with one director directory and, where one runs, its actor system.

    Args:
        directory: the director directory; default THESPIAN_DIRECTOR_DIR, else the platform's.
        environ: the environment that settings and TLI expressions see; default ``os.environ``.
        say: told each step, a line at a time (the command line's ``verbose``).
        warn: told what an operator should know although the call goes on; default: the log ``director``.
    """


__all__ = [
    "LOAD_LIMIT",
    "UDP_LIMIT",
    "DirectorControl",
    "Generated",
    "KeyFiles",
    "Loaded",
    "Refreshed",
    "source_hash",
]
