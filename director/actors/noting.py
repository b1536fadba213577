"""What a Director tells its Notebook, and that the Notebook lives.

What lives here: that part of the Director. What does not: what the note says of groups, and the Notebook itself
(`director.actors.notebook`), what is taken up from a note (`director.actors.director`).
"""

from __future__ import annotations

import logging
from typing import Any

from director.actors import notebook
from director.actors.asking import Asking
from director.actors.doors import NOTEBOOK_CLASS
from director.actors.messages import Message

log = logging.getLogger("director")


class Noting(Asking):
    """The part of the Director that leaves word for a successor."""

    def _take_up(self, told: Message | None) -> None:
        """A predecessor's note has come."""
        raise NotImplementedError

    def _keep_note(self) -> None:
        """Tell the Notebook what a successor has to know, when that has changed; not before we were told."""
        if self.noted is None:
            return
        told = {
            "Versions": notebook.note(self.groups, self.actors, self.unpacked, self.members),
            "Watchers": [list(one) for one in self.watchers],
            **self._note_of_hosts(),
        }
        if told != self.noted:
            self.noted = told
            self.send(self.notebook, {"NotebookOp": "Keep", "Note": told})

    def _note_came(self, message: Message, sender: Any) -> None:
        """The Notebook tells what it has, and so its address; one that is new has nothing yet."""
        note, self.notebook = message["Note"], sender
        if self.noted is None:
            self._take_up(note)
        elif note != self.noted:
            self.send(sender, {"NotebookOp": "Keep", "Note": self.noted})

    def _look_after_notebook(self) -> None:
        """One that was killed has a successor of its own: nobody else tells of its end.

        For a moment Thespian still gives the address of the dead one. Then it is looked at once more.
        """
        if self.noted is not None and notebook.gone([self.notebook]):
            log.warning("the Notebook has died; creating another")
            another = self.createActor(NOTEBOOK_CLASS, globalName=notebook.NOTEBOOK_NAME)
            self.send(another, {"NotebookOp": "Recall"})
