"""Clients that want to hear of changes: one notification, or standing ones.

What lives here: that part of the Director: who watches, what is sent to them, and that those who died are forgotten.
What does not: what an Update holds (`director.actors.answers`); a member passes such requests on to its leader
(`director.actors.following`).
"""

from __future__ import annotations

import logging
from typing import Any

from thespian.actors import ActorSystemException

from director.actors import answers
from director.actors.messages import Message, reply
from director.actors.notebook import gone
from director.actors.requests import Requests

log = logging.getLogger("director")


class Watching(Requests):
    """The part of the Director that tells clients what changed."""

    def __init__(self) -> None:
        super().__init__()
        #: Who wants one notification, and who standing ones: of one group, or (None) of all.
        self.once: list[Any] = []
        self.watchers: list[tuple[Any, str | None]] = []

    def _do_RequestNotification(self, message: Message, sender: Any) -> None:
        if sender not in self.once:
            self.once.append(sender)

    def _do_Watch(self, message: Message, sender: Any) -> None:
        group = message.get("Group") or None
        self._unwatch(sender)
        self.watchers.append((sender, group))
        self._keep_note()
        names = [name for name in self.groups.active if group in (None, name)]
        told = {n: answers.update(self.groups, self.actors, n, "active") for n in sorted(names)}
        self.send(sender, reply("Watching", message, True, Groups=told))

    def _do_Unwatch(self, message: Message, sender: Any) -> None:
        self._unwatch(sender)
        self._keep_note()
        self.send(sender, reply("Unwatched", message, True))

    def _unwatch(self, sender: Any) -> None:
        self.watchers = [(one, group) for one, group in self.watchers if one != sender]

    def _tell_watchers(self, group: str, what: str) -> None:
        if what == "active":
            once, self.once = self.once, []
            for watcher in once:
                self._notify(watcher, {"DirectorResponse": "NotificationOfUpdate", "Success": True})
        self._update(self.watchers, group, what)

    def _update(self, watchers: list[tuple[Any, str | None]], group: str, what: str) -> None:
        told = answers.update(self.groups, self.actors, group, what)
        for watcher, wanted in list(watchers):
            if wanted in (None, group):
                self._notify(watcher, {"DirectorResponse": "Update", "Success": True, **told})

    def _notify(self, watcher: Any, told: Message) -> None:
        """One of them that cannot be sent to keeps no other from hearing it."""
        try:
            self.send(watcher, told)
        except ActorSystemException as problem:
            log.warning("a watcher is forgotten: %s", problem)
            self._unwatch(watcher)

    def _forget_dead_watchers(self) -> None:
        """A client that was killed does not say that it watches no more; one on another host is not seen from here."""
        dead = gone([*self.once, *(one for one, _ in self.watchers)])
        if dead:
            self.once = [one for one in self.once if one not in dead]
            self.watchers = [(one, group) for one, group in self.watchers if one not in dead]
            self._keep_note()
