"""What a Director knows of the other hosts of its convention: who is there, what they told, where actors run.

What lives here: the book of members, pure; no Thespian, no clocks. What does not: what is sent to them and when
(`director.actors.convening`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from director.actors.messages import Message
from director.convention import plain_address

#: Seconds after which a member's Director that does not answer is looked for again.
SILENT = 5.0
#: Seconds until those that were asked why an actor ended have to have answered, and where nothing at all was heard.
WHY_LIMIT, WHY_LONGEST = 1.5, SILENT
#: Seconds in which other hosts are expected to join: after our own birth, and after another joined.
GATHERING, SETTLING = 15.0, 5.0
#: Seconds that a member may have a source that its leader has not: loads of a leader that just started take a while.
STALE = 60.0
#: Seconds for which a host that has gone is still told of, and so many at most.
GONE, MOST_GONE = 86_400.0, 100


@dataclass
class Member:
    """Another system of the convention.

    ``admin`` is its Admin's address as text, ``host`` its capability `director.convention.HOST` ("": not one of ours),
    ``director`` the address of its Director once that was met, ``report`` what it told last. Times are seconds of a
    steady clock: ``joined``, ``heard``, and ``asked``, when something was sent that is not answered yet (0: nothing).
    ``offset``: seconds that its clock was ahead when that could be told last.
    ``doubted``: Thespian says that it has gone, and it may yet come back. ``leaving``: its operator shuts it down.
    """

    admin: str
    host: str
    capabilities: Message
    joined: float
    director: Any = None
    report: Message = field(default_factory=dict)
    heard: float = 0.0
    asked: float = 0.0
    offset: float | None = None
    doubted: bool = False
    leaving: bool = False

    @property
    def name(self) -> str:
        """Its name and address, for people."""
        return f"{self.host.partition('/')[0] or 'a host'} ({plain_address(self.admin)})"

    def away(self) -> str:
        """For people, why its actors are gone."""
        return f"{self.name} {'is being shut down' if self.leaving else 'is out of reach'}"


@dataclass
class Why:
    """An actor that ended somewhere else: which members are yet to tell what they know of it.

    ``words``: tracebacks that it left; ``refusals``: by host, code and text of the authorities that refused its source;
    ``since``: when they were asked, seconds of a steady clock.
    """

    source_hash: str
    waiting: set[str]
    since: float
    words: list[str] = field(default_factory=list)
    refusals: dict[str, tuple[str, str]] = field(default_factory=dict)

    def due(self, now: float, *, met: bool) -> bool:
        """Whether those that did not answer have had their time.

        A host that is busy for a moment is no reason to say that none takes the actor: the one that refused it has the
        reason, and only with that is the next one asked.

        Args:
            met: the actor gave a sign of life; its role is not served until this is settled.
        """
        limit = WHY_LIMIT if met or self.words or self.refusals else WHY_LONGEST
        return now - self.since >= limit - 0.01  # timers are not that exact


class Members:
    """The members of a convention as its leader's Director sees them."""

    def __init__(self, born: float) -> None:
        self.born = born
        self.present: dict[str, Member] = {}
        #: Those that have left or are out of reach, and since when, by Admin.
        self.gone: dict[str, tuple[Member, float]] = {}
        #: Group and version of sources, by source hash: of refused ones too, which are not loaded any more.
        self.names: dict[str, str] = {}
        #: The Admin (as text) of the system that an actor runs on, by incarnation; and that host's identity.
        self.places: dict[int, str] = {}
        self.homes: dict[int, str] = {}
        #: Addresses of actors that were given up while their host was away, by that host's identity.
        self.lost: dict[str, list[Any]] = {}
        #: The Admin's address (as text) of each identity that was here last at that address.
        self.hosts: dict[str, str] = {}
        #: Which hosts refused a source, and why: source hash → host → (code, text).
        self.refused: dict[str, dict[str, tuple[str, str]]] = {}
        #: Since when members have sources that are not loaded here.
        self.stale: dict[str, float] = {}
        #: What is asked about actors that ended, by incarnation.
        self.whys: dict[int, Why] = {}

    def join(self, admin: str, host: str, capabilities: Message, now: float) -> Member:
        """A system has joined, or came back; of one that was started anew nothing is left."""
        for one in [one for one in self.lost if one != host and self.hosts.get(one) == admin]:
            del self.lost[one]
        self.hosts = {**{h: a for h, a in self.hosts.items() if a != admin}, host: admin}
        for hosts in self.refused.values():
            for one in [one for one in hosts if one not in self.hosts]:
                del hosts[one]
        before, _ = self.gone.pop(admin, (None, 0.0))
        known = before.offset if before and before.host == host else None
        self.present[admin] = Member(admin, host, capabilities, now, offset=known)
        return self.present[admin]

    def leave(self, admin: str, now: float) -> list[int]:
        """A system has left or is out of reach; returns the incarnations that ran there."""
        member = self.present.pop(admin, None)
        if member is not None:
            self.gone[admin] = (member, now)
            for one in list(self.gone)[:-MOST_GONE]:
                del self.gone[one]
        for why in self.whys.values():
            why.waiting.discard(admin)
        return [actor for actor, place in self.places.items() if place == admin]

    def settle(self, actor: int, admin: str, host: str) -> None:
        """An actor runs on another host, which may be out of reach."""
        self.places[actor], self.homes[actor] = admin, host

    def place(self, actor: int) -> tuple[str, str] | None:
        """Admin and host that an actor runs on; None: at home, or not known."""
        admin = self.places.get(actor)
        return None if admin is None else (admin, self.homes.get(actor, ""))

    def forget(self, actor: int) -> None:
        """An incarnation has ended."""
        self.places.pop(actor, None)
        self.homes.pop(actor, None)
        self.whys.pop(actor, None)

    def clear(self) -> None:
        """This host leads no more: what ran on others, and what they had, is another's business."""
        for nothing in (self.places, self.homes, self.lost, self.stale, self.whys):
            nothing.clear()

    def astray(self, now: float, admin: str = "") -> list[tuple[int, Member]]:
        """The actors whose host is not there, each with that host, which is told as gone from now on.

        Args:
            admin: only of those that ran where this one is.
        """
        found = []
        for actor, place in self.places.items():
            member, host = self.present.get(place), self.homes.get(actor, "")
            if admin in ("", place) and (member is None or member.host != host):
                away = Member(place, host, {}, now)
                if member is None:
                    self.hosts.setdefault(host, place)
                    away = self.gone.setdefault(place, (away, now))[0]
                found.append((actor, away))
        return found

    def missing(self, now: float) -> list[tuple[Member, float]]:
        """Hosts that were here and are not, each with the seconds since it went."""
        self.gone = {a: one for a, one in self.gone.items() if now - one[1] < GONE}
        return [(member, now - since) for member, since in self.gone.values()]

    def call(self, source_hash: str, name: str, known: Collection[str]) -> None:
        """Note what people call a source.

        Args:
            known: the sources that are loaded here; of others only those stay that a member still tells of.
        """
        told = {one for member in self.present.values() for one in member.report.get("Refused", ())}
        keep = {*known, *told, *self.refused, source_hash}
        self.names = {one: called for one, called in self.names.items() if one in keep}
        self.names[source_hash] = name

    def met(self) -> list[Member]:
        """Members whose Director is known."""
        return [member for member in self.present.values() if member.director is not None]

    def keys(self) -> dict[str, str]:
        """The keys that validate on any of those that are here: name of its file, by fingerprint."""
        found: dict[str, str] = {}
        for member in self.present.values():
            found |= member.report.get("Keys", {})
        return found

    def gathering(self, now: float) -> bool:
        """Whether hosts may still be on their way: it is too early to say that none fits."""
        if now - self.born < GATHERING:
            return True
        return any(
            now - member.joined < SETTLING or (member.host and member.director is None)
            for member in self.present.values()
        )

    def banned(self, source_hash: str) -> list[str]:
        """The hosts that refused a source, and those that are being shut down."""
        leaving = {member.host for member in self.present.values() if member.leaving}
        return sorted(leaving.union(self.refused.get(source_hash, {})))

    def refusals_of(self, source_hash: str) -> str:
        """Who refused a source and why, a line each; "" where nobody did."""
        told = self.refused.get(source_hash, {})
        return "\n".join(
            f"{self._called(host)} refused it ({code}): {text}"
            for host, (code, text) in sorted(told.items())
        )

    def _called(self, host: str) -> str:
        """Name and address of a host by its identity."""
        name, admin = host.partition("/")[0], self.hosts.get(host)
        return f"{name} ({plain_address(admin)})" if admin else name

    def missed_unloads(self, loaded: Collection[str], now: float) -> list[str]:
        """Sources that a member still has although none of that name is loaded here, and that for long: it was cut off.

        Args:
            loaded: the source hashes that are loaded here.
        """
        there = {
            one for member in self.present.values() for one in member.report.get("Sources", ())
        }
        left = there - set(loaded)
        self.stale = {one: self.stale.get(one, now) for one in left}
        return sorted(one for one, since in self.stale.items() if now - since >= STALE)

    def actors_at(self, admin: str) -> list[int]:
        """The incarnations that run on a member."""
        return sorted(actor for actor, place in self.places.items() if place == admin)

    def ask_why(self, actor: int, source_hash: str, admins: set[str], now: float) -> Why:
        """An actor ended that these members may know about."""
        self.whys[actor] = Why(source_hash, set(admins), now)
        return self.whys[actor]
