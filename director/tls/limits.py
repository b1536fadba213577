"""What keys and archives may cost; apart from what reads those: settings and the Director do without it.

What lives here: numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The bits of an RSA key: what is taken unless an operator lowers it, the lowest that can be set, the largest (a
#: verification with a larger one costs the host more than it is worth).
RSA_FLOOR, RSA_LOWEST, RSA_LARGEST = 2048, 1024, 16384


@dataclass(frozen=True)
class Limits:
    """What an archive may cost; the defaults are far above any application seen."""

    max_bytes: int = 512 << 20
    max_members: int = 60_000
    max_unpacked: int = 2 << 30
    #: What unpacks to more than this and to so many times its own size is a bomb; deflate can do 1,032 times.
    suspicious: int = 64 << 20
    max_ratio: int = 100


DEFAULT_LIMITS = Limits()
