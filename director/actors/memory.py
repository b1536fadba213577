"""Giving memory back to the system that the C library keeps after much was freed.

What lives here: that call. glibc hands back by itself what lies free at the end of its heap alone, and a few bytes
above what an unloaded source took are enough to keep all of it: 225 MB of the Admin after ten versions of 20 MB.
Standard library only.
"""

from __future__ import annotations

import contextlib


def give_back() -> None:
    """Ask glibc to hand back every free page (malloc_trim(3)); elsewhere nothing."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes  # where it is needed: actors are forks of the Admin, with all that it imported

        ctypes.CDLL(None).malloc_trim(0)
