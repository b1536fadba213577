"""What a member tells its leader of itself.

What lives here: the content of a Report. No sending (`director.actors.convening`).
"""

from __future__ import annotations

import hashlib
import os
import platform
import socket
import time
from collections.abc import Mapping

import director
from director.actors.messages import PROTOCOL, Message
from director.convention import HOST_VARIABLE
from director.store import MARKS, Store


def report(
    store: Store, sources: Mapping[str, str], refused: Mapping[str, tuple[str, str]]
) -> Message:
    """A host's word about itself.

    Args:
        sources: loaded and validated ones, by Thespian's hash.
        refused: code and text of those that its authority refused.
    """
    return {
        "Host": os.environ.get(HOST_VARIABLE, ""),
        "Name": socket.gethostname(),
        "Python": platform.python_version(),
        "PackageVersion": director.__version__,
        "Protocol": PROTOCOL,
        "Sources": sorted(sources),
        "Refused": {one: list(why) for one, why in refused.items()},
        "Time": time.time(),
        "Trust": trust_token(store),
    }


def trust_token(store: Store) -> str:
    """Changes whenever keys, settings about trust or marks do; cheap enough to be asked every few seconds."""
    told = []
    found = [
        *store.key_files(),
        *store.directory.glob("*.cfg"),
        store.state / MARKS,
    ]
    for path in sorted(found):
        try:
            stat = path.stat()
        except OSError:
            continue
        told.append(f"{path.name} {stat.st_mtime_ns} {stat.st_size}")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()
