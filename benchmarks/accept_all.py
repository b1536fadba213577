"""Actors that `benchmarks/load.py` installs on its hosts: an authority that looks at nothing, and one that imports."""

from __future__ import annotations

import contextlib
import importlib
import os
import time
from typing import Any

from thespian.actors import ActorTypeDispatcher, ValidatedSource


class AcceptAll(ActorTypeDispatcher):
    """A Source Authority for Thespian's own importer: every source is taken as it comes."""

    def receiveMsg_str(self, message: str, sender: Any) -> None:
        self.registerSourceAuthority()
        self.send(sender, "standing")

    def receiveMsg_ValidateSource(self, message: Any, sender: Any) -> None:
        self.send(sender, ValidatedSource(message.sourceHash, message.sourceData, "bench"))


class Unrelated(ActorTypeDispatcher):
    """Imports what it is told and tells the seconds; tells its own or its parent's process id."""

    def receiveMsg_list(self, message: list[str], sender: Any) -> None:
        began = time.perf_counter()
        for name in message:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        self.send(sender, time.perf_counter() - began)

    def receiveMsg_str(self, message: str, sender: Any) -> None:
        self.send(sender, os.getppid() if message == "admin" else os.getpid())
