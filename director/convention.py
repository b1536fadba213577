"""What a host's settings say of its convention: who leads, whether that is this host, and how soon absence is noticed.

What lives here: the address of the leader, Thespian's periods, the names that the hosts of a convention share. What
does not: who is a member now (`director.actors.members`).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator, MutableMapping

from director.errors import SettingsError

#: Thespian reads these when it is imported, so they are set for the process that starts a system; the operator's own
#: win. A member that is silent for three periods is gone, and tries to come back every period. Thespian's own (7:22,
#: 3:22, 3) would notice after 22 minutes; two periods are too few for a busy machine.
PERIODS = {
    "CONVENTION_REREGISTRATION_PERIOD": "0:03",
    "CONVENTION_RESTART_PERIOD": "0:02",
    "CONVENTION_REGISTRATION_MISS_MAX": "3",
}
#: Capability, and requirement of an actor that is wanted on one host: a running system, never two alike.
HOST = "Director Host"
#: Requirement of an actor: the systems that it is not to be created on.
NOT_ON = "Director Not On"
#: The environment variable that tells actors the value of the capability HOST.
HOST_VARIABLE = "DIRECTOR_HOST"
#: The environment variable that tells of which source an actor's process, and what that starts, is: its hash.
SOURCE_VARIABLE = "DIRECTOR_SOURCE"
#: Capability: Thespian's word for taking sources from other systems.
REMOTE_SOURCES = "AllowRemoteActorSources"
#: An Admin's address as Thespian writes it.
_ADMIN = re.compile(r"[^|()]*\(\w+\|(.+)\)")
#: A part of a host's name.
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", re.ASCII)


def leaders(told: str | list[str] | None, port: int) -> list[str]:
    """The leaders of a convention as ``HOST:PORT``, first choice first; none where the setting is not there.

    Args:
        told: ``convleader.cfg``: HOST[:PORT], several as a list or with commas between.
        port: where none is told.

    Raises:
        SettingsError: what stands there is no host's name or address, or a port is no number.
    """
    found = []
    for one in told if isinstance(told, list) else (told or "").split(","):
        if not one.strip():
            continue
        host, _, number = one.strip().partition(":")
        if not _can_be_host(host):
            raise SettingsError(
                f"{one.strip()!r} is no host of a convention leader",
                path="convleader.cfg",
                hint="It is HOST[:PORT], a name or an IPv4 address; several with commas between.",
            )
        if number and not (number.isdecimal() and 0 < int(number) < 65536):
            raise SettingsError(
                f"{number!r} is no port of a convention leader",
                path="convleader.cfg",
                hint="It is HOST[:PORT], several with commas between.",
            )
        found.append(f"{host}:{number or port}")
    return found


def _can_be_host(host: str) -> bool:
    """Whether a text is an IPv4 address or can be a host's name (RFC 1123, with the ``_`` that some have)."""
    try:
        labels = host.encode("idna").decode().removesuffix(".").split(".")
        if labels[-1].isdecimal():  # no name ends in a number
            socket.inet_pton(socket.AF_INET, host)
            return True
    except (OSError, UnicodeError):
        return False
    return all(map(_LABEL.fullmatch, labels))


def address(told: str | list[str] | None, port: int) -> dict[str, str | list[str]]:
    """Thespian's capability for the leaders, of a system and of its clients alike.

    A client without it gives an address of its own to answer to that only this machine can reach.
    """
    leading = leaders(told, port)
    if not leading:
        return {}
    return {"Convention Address.IPv4": leading if leading[1:] else leading[0]}


def plain_address(admin: str) -> str:
    """``HOST:PORT`` of an Admin's address as Thespian writes it."""
    found = _ADMIN.fullmatch(admin)
    return found[1] if found else admin


def is_member(leading: list[str], port: int) -> bool:
    """Whether another host than this one leads: sources are loaded there (guide 2.2).

    Args:
        leading: as `leaders` tells.
        port: of this host's Admin.
    """
    return bool(leading) and not any(_is_here(one, port) for one in leading)


def before(leading: list[str], port: int) -> list[str]:
    """The leaders that are named before this host, as ``ADDRESS:PORT``.

    Args:
        leading: as `leaders` tells.
        port: of this host's Admin.
    """
    found = []
    for one in leading:
        if _is_here(one, port):
            break
        host, _, number = one.partition(":")
        try:
            found.append(f"{socket.gethostbyname(host)}:{number}")
        except OSError:
            continue  # a name that is nobody's now
    return found


def _is_here(leader: str, port: int) -> bool:
    """An address is this host's own where a socket can be bound to it."""
    host, _, number = leader.partition(":")
    if int(number) != port:
        return False
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def doubts(
    leading: list[str], resolve: Callable[[str], str] | None = None
) -> Iterator[tuple[str, str, str]]:
    """What speaks against the names of leaders as this host resolves them.

    Args:
        leading: as `leaders` tells.
        resolve: gives the address of a name, or raises OSError; the system's where None.

    Yields:
        a stable code, a sentence, and what to do.
    """
    for one in leading:
        host = one.partition(":")[0]
        if host.split(".")[0] == "localhost" or host[-1:].isdecimal():
            continue  # what it is stands there
        try:
            found = (resolve or socket.gethostbyname)(host)
        except OSError as problem:
            text = f"{host} of convleader.cfg does not resolve on this host: {problem.strerror}."
            yield "leader-unresolved", text, "Write its address there, or mend /etc/hosts or DNS."
            continue
        if found.startswith("127."):
            # Debian's installer writes such a line, for the name of the machine itself.
            text = (
                f"{host} of convleader.cfg is {found} on this host, which it would give to other hosts as the leader's "
                "address: they could answer only to themselves."
            )
            hint = "Write the address that the others reach, or change the line of that name in /etc/hosts."
            yield "leader-loopback", text, hint


def prepare(environ: MutableMapping[str, str]) -> str:
    """Make an environment that of a system's processes.

    Args:
        environ: of the process that is about to start it, before it imports Thespian.

    Returns:
        the value of the capability HOST.
    """
    import uuid  # where a system starts only

    for name, value in PERIODS.items():
        environ.setdefault(name, value)
    environ[HOST_VARIABLE] = f"{socket.gethostname()}/{uuid.uuid4().hex}"
    return environ[HOST_VARIABLE]
