"""A cow that weighs."""

from thespian.actors import ActorTypeDispatcher

import foo
from foo.subdir1.baractor import herd
from foo.subdir2.barn.pigactor import PigActor


class CowActor(ActorTypeDispatcher):
    """Answers questions about the weight of animals."""

    def __init__(self):
        super().__init__()
        self.herd = herd()

    def receiveMsg_str(self, message, sender):
        """'Moo!', when it was loaded."""

    def receiveMsg_dict(self, message, sender):
        """``{'ask': 'weigh', 'number': N, 'animal': NAME}`` or ``{'ask': 'snort'}``."""
        if message.get("ask") == "snort":
            self.send(self.createActor(PigActor), {"reply to": sender})
        elif message.get("ask") == "weigh":
            self.send(sender, self.weigh(message))

    def weigh(self, message):
        animal = self.herd.get(message.get("animal"))
        return {
            "number": message.get("number"),
            "animal": message.get("animal"),
            "kilograms": animal["kilograms"] if animal else None,
            "version": foo.__version__,
        }
