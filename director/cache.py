"""The unpacked cache: each source once, in a directory named by the SHA-256 of its file, private to its owner.

What lives here: filling it, checking what is there before it is used again, and removing it when its source is unloaded
and no process uses it. The members that come in were checked (`director.tls.verify.verify_into`).

``.complete`` is written last into an unpacked source: without it the directory is a left-over. ``.unloaded`` stands
beside it once the source was unloaded while a process still used it. No source has members of these names
(`director.tls.naming.reserved_names`).

An actor's process holds a shared lock on the marker of its source (`director.actors.runtime`), which its children
inherit and the kernel gives up with the last of them: that is how use is seen.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from director import tree
from director.errors import DirectorError
from director.files import locked, make_private, write_atomically
from director.tls.naming import COMPLETE, UNLOADED

#: Seconds to wait for another process that unpacks.
LOCK_LIMIT = 120.0


@dataclass(frozen=True)
class Cache:
    """The unpacked sources of a state directory."""

    state: Path

    @property
    def root(self) -> Path:
        """The directory that holds them all."""
        return self.state / "unpacked"

    def place(self, sha256: str) -> Path:
        """Where the source of a .tls with this SHA-256 (hex) is unpacked."""
        return self.root / sha256

    def fill(self, sha256: str, members: Iterator[tuple[str, bytes]]) -> Path:
        """Unpack a source, or check and mend what is there of it; all members are read.

        Args:
            sha256: of the .tls file, hex.
            members: names with ``/``, and bytes. What they raise leaves the cache as it was.

        Raises:
            OSError: it cannot be written.
            DirectorError: code ``cache``: it is not private.
        """
        self._require_private()
        with locked(self.state / "unpack.lock", LOCK_LIMIT):
            self._sweep(lambda entry: False)
            target = self.place(sha256)
            if (
                target.is_symlink()
            ):  # to what others may hold: mending it there would give it to them
                target.unlink()
            found = tree.survey(str(target)) if (target / COMPLETE).is_file() else None
            if found is not None:
                tree.mend(str(target), found, members, {COMPLETE, UNLOADED})
                (target / UNLOADED).unlink(missing_ok=True)
            else:
                self._unpack(target, members)
        return target

    def forget(self, sha256: str) -> bool:
        """Remove an unpacked source that was unloaded, and what its failed starts left.

        Returns:
            False: a process still uses it; it goes with the next sweep.
        """
        target = self.place(sha256)
        tree.discard(f"{target}.errors")
        if not target.is_dir():
            return True
        with locked(self.state / "unpack.lock", LOCK_LIMIT):
            if _in_use(target):
                (target / UNLOADED).touch(mode=0o600)
                return False
            self._remove(target)
        return True

    def sweep(self) -> bool:
        """Remove sources that were unloaded while a process used them; True where one is still used."""
        if not self.root.is_dir():
            return False
        with locked(self.state / "unpack.lock", LOCK_LIMIT):
            self._sweep(lambda entry: False)
            return any((entry / UNLOADED).exists() for entry in self.root.iterdir())

    def tidy(self, keep: Set[str]) -> None:
        """Remove every source that no process uses and that is not to be kept.

        Args:
            keep: SHA-256 of the files that may be loaded again.
        """
        if self.root.is_dir():
            with locked(self.state / "unpack.lock", LOCK_LIMIT):
                self._sweep(lambda entry: entry.name.removesuffix(".errors") not in keep)

    def _require_private(self) -> None:
        make_private(self.state)
        make_private(self.root)
        tree.spread(str(self.root))
        for directory in (self.state, self.root):
            told = directory.lstat()
            foreign = os.name == "posix" and told.st_uid != os.geteuid()
            if not stat.S_ISDIR(told.st_mode) or foreign:
                raise DirectorError(
                    f"{directory} belongs to another user, who could change what runs from it.",
                    hint="Give it to the user of the actor system, or set THESPIAN_DIRECTOR_STATE.",
                    code="cache",
                )
            if stat.S_IMODE(told.st_mode) & 0o022 or (
                directory == self.root and stat.S_IMODE(told.st_mode) & 0o077
            ):
                directory.chmod(0o700)

    def _unpack(self, target: Path, members: Iterator[tuple[str, bytes]]) -> None:
        import tempfile  # not for commands that only read

        work = Path(tempfile.mkdtemp(prefix=f".{target.name[:12]}-", dir=self.root))
        try:
            tree.write(str(work), members)
            # No fsync per member: the marker comes last, and without it the whole is made again.
            write_atomically(work / COMPLETE, b"", mode=0o600)
            if target.exists():
                self._remove(target)
            work.replace(target)
        finally:
            tree.discard(work)

    def _sweep(self, unwanted: Callable[[Path], bool]) -> None:
        """Left-overs begin with a dot; whoever makes one holds the lock that the caller holds now."""
        for entry in sorted(self.root.iterdir()):
            if entry.name.startswith("."):
                tree.discard(entry)
            elif ((entry / UNLOADED).exists() or unwanted(entry)) and not _in_use(entry):
                self._remove(entry)

    def _remove(self, target: Path) -> None:
        """Out of the way in one step, so that no half of it is ever found under its name."""
        import tempfile

        gone = Path(tempfile.mkdtemp(prefix=".gone-", dir=self.root))
        target.replace(gone / target.name)
        tree.discard(gone)


def _in_use(target: Path) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows: a file that is open there cannot be removed anyway
        return False
    try:
        handle = os.open(target / COMPLETE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
