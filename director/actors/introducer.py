"""Brings the Directors of two hosts together: global names are each host's own, so that one has to go there to ask."""

from __future__ import annotations

import signal
from typing import Any

from thespian.actors import ActorTypeDispatcher

from director.actors.doors import DIRECTOR_CLASS
from director.actors.messages import DIRECTOR_NAME, Message
from director.convention import HOST

#: Seconds that one lives at most: its leader sends the next after `director.actors.members.SILENT`.
LIFE = 15.0


class Introducer(ActorTypeDispatcher):
    """Created by the leader's Director on a member; it passes one message on to the Director there."""

    def __init__(self) -> None:
        # A cut may lose the leader's word that it may go, its address, or its only message: it ends without any.
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, LIFE)

    @staticmethod
    def actorSystemCapabilityCheck(capabilities: Any, requirements: Any) -> bool:
        """Only the host that is meant."""
        return bool(capabilities.get(HOST) == (requirements or {}).get(HOST))

    def receiveMsg_dict(self, message: Message, sender: Any) -> None:
        """``{"MemberOp": "Meet", "Leader": address, …}``."""
        director = self.createActor(DIRECTOR_CLASS, globalName=DIRECTOR_NAME)
        self.send(director, message)
