"""``python -m director`` is the same as ``director``, and both begin here.

What lives here: what has to come before the imports of the command line, or does without them.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from director import streams

#: Words that mean the page of help, which needs no command line library.
_HELP: tuple[list[str], ...] = ([], ["help"])


def main() -> NoReturn:
    """Run the command line."""
    out = streams.take_over()
    sys.exit(streams.verdict(out, _run()))


def _run() -> int:
    if sys.argv[1:] in _HELP and "_DIRECTOR_COMPLETE" not in os.environ:
        from director.page import show

        return show()
    if sys.argv[1:3] == ["start", "wait"] and hasattr(signal, "pthread_sigmask"):
        # A stop that comes while we import waits until `director.foreground` takes it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
    from director.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    main()
