"""The farm's office."""

from tabulate import tabulate
from thespian.actors import ActorExitRequest, ActorTypeDispatcher

import foo
from foo.subdir1.baractor import BarActor


class FooActor(ActorTypeDispatcher):
    """Reports; asks BarActor for the herd first."""

    def __init__(self):
        super().__init__()
        self.started = False
        self.bar = None
        self.waiting = []

    def receiveMsg_str(self, message, sender):
        """'StartFoo', when it was loaded."""
        self.started = message == "StartFoo"

    def receiveMsg_tuple(self, message, sender):
        """('Restart', True), when this version is the active one again."""
        self.started = message == ("Restart", True)

    def receiveMsg_dict(self, message, sender):
        """A question, BarActor's answer, or the word that another version takes over."""
        if message.get("Shutdown"):
            self.send(self.myAddress, ActorExitRequest())
        elif "herd" in message:
            rows = [(name, one["kind"], one["kilograms"]) for name, one in message["herd"].items()]
            table = tabulate(rows, headers=("animal", "kind", "kg"), tablefmt="simple")
            self.send(self.waiting.pop(0), {"report": table, "version": foo.__version__})
        elif message.get("ask") == "report":
            self.bar = self.bar or self.createActor(BarActor)
            self.waiting.append(sender)
            self.send(self.bar, {"ask": "herd"})
