"""Thespian's own director as a command, for the benchmarks: ``python benchmarks/theirs.py COMMAND …``.

Its validation needs ``base64.decodestring``, which Python 3.9 dropped; it is put back here and nowhere else.
"""

from __future__ import annotations

import base64
import sys

vars(base64).setdefault("decodestring", base64.decodebytes)

from thespian.director import DirectorControl  # noqa: E402

if __name__ == "__main__":
    sys.exit(DirectorControl()(*sys.argv[1:]))
