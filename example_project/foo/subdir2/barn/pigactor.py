"""A pig that snorts once."""

from thespian.actors import ActorExitRequest, ActorTypeDispatcher


class PigActor(ActorTypeDispatcher):
    """Answers whom it is told to, and leaves."""

    def receiveMsg_dict(self, message, sender):
        self.send(message["reply to"], {"snort": "Oink!"})
        self.send(self.myAddress, ActorExitRequest())
