"""Processes of loaded sources that nobody supervises any more (Linux; elsewhere none are found).

What lives here: finding and ending them. Three things prove that a process is of a source. It holds the marker of its
unpacked directory open as long as it lives, and so do its forks. It is in the process group of a role actor, which is
made when that process becomes one (`director.actors.runtime`), and which everything that it starts is born into. Or,
where it is another program by now, its environment tells the actor system and the source.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from director.actors.words import GROUP, folder_of, is_alive
from director.convention import SOURCE_VARIABLE

#: How Thespian writes the address of an actor of this host, and Linux (net/tcp_states.h) the state of a socket.
_ADDRESS = re.compile(r"ActorAddr-\((?:T|UDP)\|:(\d+)\)")
_LISTENS = "0A"


@dataclass(frozen=True)
class Process:
    """A process, told from a later one of the same number by its start (clock ticks since the machine's)."""

    pid: int
    started: int

    @property
    def there(self) -> bool:
        """Whether it lives."""
        return is_alive(self.pid) and _started(self.pid) == self.started

    def signal(self, number: signal.Signals) -> bool:
        """Send it a signal; False where it is gone."""
        if not self.there:
            return False
        try:
            os.kill(self.pid, number)
        except OSError:
            return False
        return True


def end_older(directory: str, age: float) -> list[int]:
    """Kill the processes of an unpacked source that are older than this.

    Args:
        directory: where the source is unpacked.
        age: seconds.

    Returns:
        their ids.
    """
    return [
        process.pid
        for process in _holders(directory)
        if _age(process) > age and process.signal(signal.SIGKILL)
    ]


def kill_at(address: object) -> list[int]:
    """Kill the process of a loaded source that listens at an actor's address on this host.

    Returns:
        its id; none where no process of this actor system and of a loaded source does.
    """
    port = port_of(address)
    pid = listener(port, _of_sources()) if port else 0
    return [pid] if pid and Process(pid, _started(pid)).signal(signal.SIGKILL) else []


def _of_sources() -> Iterator[int]:
    """Processes of this actor system that became actors: each leads, or is in, a process group of its own."""
    for pid in _others():
        with contextlib.suppress(OSError):
            if os.getsid(pid) == os.getsid(0) and os.getpgid(pid) != os.getpgid(0):
                yield pid


def of_source(
    directory: str, source_hash: str, leaders: Iterable[int] | None = None
) -> list[Process]:
    """Every process of a source: its actors, what they forked, and what they started.

    Args:
        directory: where it is, or was, unpacked.
        source_hash: Thespian's name of it.
        leaders: what `leaders_of` told while the directory was there; default: what it tells now.
    """
    found = {*_holders(directory), *_told(source_hash)}
    for leader in leaders_of(directory) if leaders is None else leaders:
        found |= set(_group(leader))
    return sorted(found, key=lambda process: process.pid)


def stranded(directory: str) -> list[Process]:
    """What role actors of a source started, and left behind when they died."""
    found = []
    for leader in leaders_of(directory):
        if not is_alive(leader):
            left = _group(leader)
            if not left:  # the number may be another's from now on
                (folder_of(directory) / f"{leader}{GROUP}").unlink(missing_ok=True)
            found += left
    return found


def leaders_of(directory: str) -> list[int]:
    """The processes that became actors of a source, living and dead."""
    found = folder_of(directory).glob(f"*{GROUP}")
    return [int(path.stem) for path in found if path.stem.isdecimal()]


def listener(port: int, processes: Iterable[int]) -> int:
    """Which of these processes has a socket at a port of its own; 0 for none of them."""
    inodes = {socket.inode for socket in sockets({port})}
    for pid in processes:
        with contextlib.suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                target = os.readlink(link)  # noqa: PTH115
                if target.startswith("socket:[") and int(target[8:-1]) in inodes:
                    return pid
    return 0


@dataclass(frozen=True)
class Socket:
    """A socket of this host: its port, the kernel's number of it, and what waits in it to be read.

    ``taking``: whether messages of whomever arrive at it. ``waiting``: bytes; of one that listens, connections.
    """

    port: int
    inode: int
    taking: bool
    waiting: int


def port_of(address: object) -> int:
    """The port of an actor of this host by its address; 0 where it is another host's, or is not known yet."""
    found = _ADDRESS.fullmatch(str(address))
    return int(found[1]) if found else 0


def taking() -> set[int]:
    """The IPv4 ports of this host at which messages of whomever arrive.

    Linux tells the sockets that listen before all others (proc_net_tcp.rst). The others are not read: those of closed
    connections may be thousands, for a minute each.
    """
    ports: set[int] = set()
    for line in _lines("tcp"):
        _, local, _, state, _ = line.split(None, 4)
        if state != _LISTENS:
            break
        ports.add(_port(local))
    return ports | {_port(line.split(None, 2)[1]) for line in _lines("udp")}


def sockets(ports: Collection[int]) -> Iterator[Socket]:
    """The IPv4 sockets of this host at these ports of its own."""
    wanted = {f"{port:04X}" for port in ports}
    for kind in ("tcp", "udp"):
        for line in _lines(kind):
            if line.split(None, 2)[1][-4:] not in wanted:
                continue
            fields = line.split()
            inode, waiting = int(fields[9]), int(fields[4].rpartition(":")[2], 16)
            # A closed connection's state goes on for a while, and is nobody's.
            if inode:
                takes = kind == "udp" or fields[3] == _LISTENS
                yield Socket(_port(fields[1]), inode, takes, waiting)


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def _lines(kind: str) -> Iterator[str]:
    """What Linux tells of its sockets, a line each, read as far as it is asked for."""
    with contextlib.suppress(OSError), Path(f"/proc/net/{kind}").open() as told:
        next(told, None)  # the names of the columns
        yield from told


def _holders(directory: str) -> Iterator[Process]:
    """Processes that hold the marker of an unpacked source."""
    marker = os.path.realpath(Path(directory) / ".complete")
    for pid in _others():
        with contextlib.suppress(OSError):
            # The Director and the Source Authority open markers too, for a moment.
            if os.getsid(pid) == os.getsid(0) and os.getpgid(pid) == os.getpgid(0):
                continue
            links = Path(f"/proc/{pid}/fd").iterdir()
            if any(os.readlink(link) == marker for link in links):  # noqa: PTH115
                yield Process(pid, _started(pid))


def _told(source_hash: str) -> Iterator[Process]:
    """Programs whose environment says that an actor of the source of this very system started them."""
    system = os.environ.get("DIRECTOR_SYSTEM", "")
    wanted = {f"DIRECTOR_SYSTEM={system}".encode(), f"{SOURCE_VARIABLE}={source_hash}".encode()}
    for pid in _others() if system else ():
        with contextlib.suppress(OSError):
            if wanted <= set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")):
                yield Process(pid, _started(pid))


def _group(leader: int) -> list[Process]:
    found = []
    for pid in _others():
        with contextlib.suppress(OSError):
            if os.getpgid(pid) == leader and os.getsid(pid) == os.getsid(0) and is_alive(pid):
                found.append(Process(pid, _started(pid)))
    return found


def _others() -> list[int]:
    try:
        found = [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208
    except OSError:
        return []
    return [pid for pid in found if pid not in {os.getpid(), os.getppid()}]


def _started(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError):
        return 0


def _age(process: Process) -> float:
    up = float(Path("/proc/uptime").read_text().split()[0])
    return up - process.started / os.sysconf("SC_CLK_TCK")
