"""What a member tells its leader of itself.

What lives here: the content of a Report, and the keys that a host has. No sending (`director.actors.convening`).
"""

from __future__ import annotations

import hashlib
import os
import platform
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import director
from director.actors.messages import PROTOCOL, Message
from director.convention import HOST_VARIABLE
from director.marks import Marks
from director.settings.config import read_trust
from director.store import Store
from director.tls.rules import bare
from director.trust import HostTrust


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
        *store.directory.glob("*_tls.key"),
        *store.directory.glob("*.cfg"),
        Marks(store.state).path,
    ]
    for path in sorted(found):
        try:
            stat = path.stat()
        except OSError:
            continue
        told.append(f"{path.name} {stat.st_mtime_ns} {stat.st_size}")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def keys(store: Store) -> dict[str, str]:
    """The keys that validate on this host now: fingerprint → file name."""
    ring = HostTrust(store, "report").keyring(read_trust(store.directory, os.environ))
    return {bare(key.fingerprint): Path(key.name).name for key in ring.keys}
