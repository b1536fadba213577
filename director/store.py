"""The director directory as an object: keys, what is available, install.

What lives here: reading and writing THESPIAN_DIRECTOR_DIR. What does not: deciding whether a file is trusted
(`director.trust`), settings (`director.settings`), what else lies in the state directory (`director.cache`,
`director.marks`, `director.audit`).

Every write goes to a temporary file beside the target, is flushed to the disk, and replaces the target in
one step; what an interrupted write leaves begins with a dot and is never read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from director.cache import Cache
from director.errors import DirectorError, KeyProblem, NotFound
from director.files import (
    digest_regular,
    is_temporary,
    locked,
    make_private,
    owner_for,
    read_regular,
    sync_directory,
    write_atomically,
)
from director.tls.limits import DEFAULT_LIMITS
from director.tls.naming import split_file_name
from director.tls.version import version_key

if TYPE_CHECKING:
    from director.tls.keys import PublicKey

#: Seconds to wait for another command; starting a system may take the longest.
LOCK_LIMIT = 120.0
#: In the state directory: the highest versions seen (`director.marks`).
MARKS = "marks.json"
#: Seconds after which a temporary or staged file is nobody's any more.
LEFTOVER_AGE = 3600.0
#: The name of a staged file: what it will be called, and its SHA-256.
_STAGED = re.compile(r"\.(.+\.tls)\.([0-9a-f]{64})\.staged", re.ASCII)
#: Bytes of a key file; the largest key that is accepted takes some 3,000.
_LONGEST_KEY = 65536


@dataclass(frozen=True)
class Available:
    """One .tls file of the directory: its path, group, and version (None: without one).

    ``sha256``: the bytes that are meant, hex, where no others that may lie there by now will do.
    """

    path: Path
    group: str
    version: str | None
    sha256: str | None = None


@dataclass(frozen=True)
class Store:
    """A director directory and its state directory.

    Args:
        directory: the operator's files: ``*_tls.key``, ``GROUP[-VERSION].tls``, ``GROUP.tli``, ``*.cfg``.
        state: what the system itself writes.
    """

    directory: Path
    state: Path

    # ---- keys ------------------------------------------------------------------------------------

    def keys(self, *, min_bits: int = 2048) -> tuple[list[PublicKey], list[KeyProblem]]:
        """The public keys on this host now, and what is wrong with the other key files.

        A bad key file never hides a good one (guide 2.2: any one key may validate a source).
        """
        from director.tls.keys import load_public_key  # brings cryptography: not for `avail`

        good: list[PublicKey] = []
        bad: list[KeyProblem] = []
        for path in self.key_files():
            try:
                pem = read_regular(path, _LONGEST_KEY)
                good.append(load_public_key(pem, name=str(path), min_bits=min_bits))
            except KeyProblem as problem:
                bad.append(problem)
            except OSError as problem:
                bad.append(KeyProblem(f"{path}: {problem.strerror}.", code="key-unreadable"))
        return good, bad

    def key_files(self) -> list[Path]:
        """The files of public keys. Hidden ones are none, as for Thespian's own director (``glob.glob``)."""
        found = self.directory.glob("*_tls.key")
        return sorted(path for path in found if not path.name.startswith("."))

    # ---- what is available -----------------------------------------------------------------------

    def require(self) -> None:
        """Raise NotFound where the directory itself is missing."""
        if not self.directory.is_dir():
            raise NotFound(
                f"The director directory {self.directory} does not exist.",
                hint="Create it, or set THESPIAN_DIRECTOR_DIR to the right one.",
            )

    def available(self) -> dict[str, list[Available]]:
        """Every group's .tls files, newest version first; groups sorted by name.

        Of equal versions in several spellings (3.0, 3.0.0) the file that came last is first: it took the others' place.
        A group that has only a ``GROUP.tli`` is there with no files. What is no regular file is not there at all: a
        dangling link has no bytes, and opening a FIFO could block for ever.
        """
        groups: dict[str, list[tuple[Available, int]]] = {}
        for path in sorted(self.directory.glob("*.tl[si]")):
            try:
                group, version = split_file_name(path.name)
            except DirectorError:
                continue  # `misnamed` tells of it
            try:
                told = path.stat()
            except OSError:
                continue
            if not stat.S_ISREG(told.st_mode):
                continue
            if path.suffix == ".tls":
                found = Available(path, group, version)
                groups.setdefault(group, []).append((found, told.st_ctime_ns))
            elif version is None:
                groups.setdefault(group, [])
        for files in groups.values():
            files.sort(key=lambda one: (version_key(one[0].version), one[1]), reverse=True)
        return {group: [one for one, _ in files] for group, files in sorted(groups.items())}

    def misnamed(self) -> list[DirectorError]:
        """What is wrong with the names of .tls and .tli files that are passed over; hidden ones are nobody's."""
        found = []
        for path in sorted(self.directory.glob("[!.]*.tl[si]")):
            try:
                split_file_name(path.name)
            except DirectorError as problem:
                text = f"{self.directory}: {problem.message} It is passed over."
                found.append(DirectorError(text, hint=problem.hint, code=problem.code))
        return found

    def find(
        self, target: str, listed: Mapping[str, Sequence[Available]] | None = None
    ) -> Available:
        """What ``load`` means by GROUP, GROUP.tli, GROUP-VERSION.tls or a path (guide 2.7).

        Args:
            target: that.
            listed: what `available` told, where it was asked already: it reads the whole directory.

        Raises:
            NotFound: no such file or group, with what there is.
        """
        path = Path(target)
        if path.suffix == ".tls":
            for place in (path, self.directory / path):
                if place.is_file():
                    group, version = split_file_name(place.name)
                    return Available(place.absolute(), group, version)
            raise NotFound(
                f"There is no file {target}, here or in {self.directory}.",
                hint="`director avail` lists what there is.",
            )
        group = path.name.removesuffix(".tli")
        listed = self.available() if listed is None else listed
        files = listed.get(group)
        if not files:
            known = list(listed)
            import difflib  # only mistakes need it

            near = difflib.get_close_matches(group, known, n=1)
            meant = f"Did you mean {near[0]!r}? " if near else ""
            raise NotFound(
                f"There is no .tls file of a group {group!r} in {self.directory}.",
                hint=f"{meant}Groups there: {', '.join(known) or 'none'}.",
            )
        return files[0]

    def override(self, group: str) -> Path | None:
        """The operator's own ``GROUP.tli``, where there is one."""
        path = self.directory / f"{group}.tli"
        # What is there and cannot be read, such as a link to nothing, is no reason to take another TLI than was wanted.
        return path if os.path.lexists(path) else None

    # ---- writing ---------------------------------------------------------------------------------

    def require_place(self, name: str) -> None:
        """Raise DirectorError (code ``irregular``) where no file of this base name could be placed."""
        target = self.directory / name
        if target.is_dir() and not target.is_symlink():
            raise DirectorError(
                f"{target} is a directory, so that no file can be placed there; nothing was changed.",
                hint="Move it out of the way.",
                code="irregular",
            )

    def same_version(self, name: str) -> list[Path]:
        """The files whose version is equal to that of a base name, and written otherwise (1.0, 1.0.0)."""
        group, version = split_file_name(name)
        return [
            one.path
            for one in self.available().get(group, [])
            if one.path.name != name and version_key(one.version) == version_key(version)
        ]

    def stage(self, name: str, data: bytes, sha256: str) -> Path:
        """Write a .tls file beside its place, whole and flushed, so that no full disk can come between what follows.

        Args:
            name: base name, ``GROUP[-VERSION].tls``.
            data: its bytes.
            sha256: of them, hex; it stands in the staged file's name.
        """
        split_file_name(name)
        self._drop_leftovers()
        staged = self.directory / f".{name}.{sha256}.staged"
        write_atomically(staged, data, mode=0o644, owner=owner_for(self.directory))
        return staged

    def place(self, staged: Path) -> Path:
        """Put a staged file, which was accepted, into its place; the old file or the whole new one is there.

        Its place is also that of a file whose version is equal and written otherwise. That goes last: the one that came
        last is the first of `available`, so that the replacement is done before.
        """
        target = self.directory / _STAGED.sub(r"\1", staged.name)
        staged.replace(target)
        sync_directory(self.directory)
        for other in self.same_version(target.name):
            if not other.samefile(target):  # as it is where case does not count
                other.unlink(missing_ok=True)
        return target

    def finish(
        self, accepted: Container[str], require_place: Callable[[str, str], None]
    ) -> list[DirectorError]:
        """Place what an install that was killed had staged, and this host accepted; the caller holds the lock.

        Args:
            accepted: SHA-256 (hex) of files that this host accepted.
            require_place: raises DirectorError where a file, by its base name and SHA-256, may not take its place now.

        Returns:
            why some were not placed; they are left as they are.
        """
        problems = []
        for staged in sorted(self.directory.glob(".*.staged")):
            told = _STAGED.fullmatch(staged.name)
            if told and told[2] in accepted:
                try:
                    require_place(told[1], told[2])
                    self.place(staged)
                except DirectorError as problem:
                    problems.append(problem)
                except OSError:
                    pass  # the directory may be read-only for the service
        return problems

    def _drop_leftovers(self) -> None:
        for path in self.leftovers(LEFTOVER_AGE):
            with contextlib.suppress(OSError):
                path.unlink()

    def leftovers(self, age: float) -> list[Path]:
        """What killed commands left in the director directory; a younger one may be another command's, at work now.

        Args:
            age: seconds since it was written.
        """
        before = time.time() - age
        found = []
        for path in sorted(self.directory.glob(".*")):
            if is_temporary(path.name) or _STAGED.fullmatch(path.name):
                with contextlib.suppress(OSError):
                    told = path.lstat()
                    if stat.S_ISREG(told.st_mode) and told.st_mtime < before:
                        found.append(path)
        return found

    def keep_newest(self, group: str, limit: int, keep: Path) -> list[Path]:
        """TLS_Keep_Limit: delete the oldest files of a group beyond ``limit``, never ``keep``.

        Returns the files deleted. A file that cannot be deleted raises OSError.
        """
        surplus = [one.path for one in self.available().get(group, [])[limit:]] if limit else []
        gone = []
        for path in surplus:
            if path != keep:
                path.unlink(missing_ok=True)
                gone.append(path)
        return gone

    def unpacked(self, sha256: str) -> Path:
        """Where the source of a .tls with this SHA-256 (hex) is unpacked."""
        return self.cache.place(sha256)

    def forget(self, sha256: str) -> None:
        """Remove an unpacked source that was unloaded, now or when no process uses it any more."""
        self.cache.forget(sha256)

    def tidy(self) -> None:
        """Remove unpacked sources that no process uses and whose file is not here any more."""
        if not self.cache.root.is_dir():
            return
        here = set()
        for one in (file for files in self.available().values() for file in files):
            with contextlib.suppress(OSError):
                here.add(digest_regular(one.path, DEFAULT_LIMITS.max_bytes, hashlib.sha256))
        self.cache.tidy(here)

    @property
    def cache(self) -> Cache:
        """The unpacked sources."""
        return Cache(self.state)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock file of the state directory: two commands never start two systems."""
        make_private(self.state)
        with locked(self.state / f"{name}.lock", LOCK_LIMIT):
            yield
