"""The Director, its notebook and the Source Authority as the Admin sees them.

Thespian's Admin imports the class of whatever it starts, and every role actor is a fork of the Admin: what those need
(cryptography, readers of archives, state machines) would lie in the memory of each, and make its start slower. So the
Admin is given these, which import nothing and become the real ones in their own processes.
"""

from __future__ import annotations

from typing import Any

from thespian.actors import Actor

#: What `createActor` is given.
DIRECTOR_CLASS = "director.actors.doors.Director"
AUTHORITY_CLASS = "director.actors.doors.SourceAuthority"
NOTEBOOK_CLASS = "director.actors.doors.Notebook"


class Director(Actor):
    """Becomes a `director.actors.director.Director`, found under the global name ``Director``."""

    def __new__(cls) -> Any:
        """Import the real class and make one of it."""
        from director.actors.director import Director as Real

        return Real()


def disown(actor: Any) -> None:
    """Make an actor one of no source, although an actor of a loaded source was the first to ask for it.

    Thespian would give that source to all that this one creates, and nothing could be created when it is unloaded
    (actorManager.createActor).
    """
    manager = actor._myRef
    manager._sourceHash, manager._sources = None, {None: None}


class SourceAuthority(Actor):
    """Becomes a `director.actors.authority.SourceAuthority`."""

    def __new__(cls) -> Any:
        """Import the real class and make one of it."""
        from director.actors.authority import SourceAuthority as Real

        return Real()


class Notebook(Actor):
    """Becomes a `director.actors.notebook.Notebook`."""

    def __new__(cls) -> Any:
        """Import the real class and make one of it."""
        from director.actors.notebook import Notebook as Real

        return Real()
