"""The director directory as an object: keys, what is available, install, the unpacked cache.

What lives here: all reading and writing of THESPIAN_DIRECTOR_DIR and of the state directory. What does
not: deciding whether a file is trusted (`director.tls.verify`), settings (`director.settings`).

Every write goes to a temporary file beside the target, is flushed to the disk, and replaces the target in
one step; what an interrupted write leaves begins with a dot and is never read.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from director.errors import DirectorError, KeyProblem, NotFound
from director.files import write_atomically
from director.tls.archive import Archive
from director.tls.keys import PublicKey, load_public_key
from director.tls.naming import split_file_name
from director.tls.version import version_key

#: Written last into an unpacked source: without it the directory is a left-over.
COMPLETE = ".complete"


@dataclass(frozen=True)
class Available:
    """One .tls file of the directory: its path, group, and version (None: without one)."""

    path: Path
    group: str
    version: str | None


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
        good: list[PublicKey] = []
        bad: list[KeyProblem] = []
        for path in sorted(self.directory.glob("*_tls.key")):
            try:
                if not path.is_file():  # a directory, a FIFO: opening one could block for ever
                    raise KeyProblem(f"{path} is not a regular file.", code="key-unreadable")
                good.append(load_public_key(path.read_bytes(), name=str(path), min_bits=min_bits))
            except KeyProblem as problem:
                bad.append(problem)
            except OSError as problem:
                bad.append(KeyProblem(f"{path}: {problem.strerror}.", code="key-unreadable"))
        return good, bad

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

        A group that has only a ``GROUP.tli`` is there with no files.
        """
        groups: dict[str, list[Available]] = {}
        for path in sorted(self.directory.glob("*.tl[si]")):
            try:
                group, version = split_file_name(path.name)
            except DirectorError:
                continue  # not a name that gensrc or the plugin gives: not ours to load
            if path.suffix == ".tls":
                groups.setdefault(group, []).append(Available(path, group, version))
            elif version is None:
                groups.setdefault(group, [])
        for files in groups.values():
            files.sort(key=lambda one: version_key(one.version), reverse=True)
        return dict(sorted(groups.items()))

    def find(self, target: str) -> Available:
        """What ``load`` means by GROUP, GROUP.tli, GROUP-VERSION.tls or a path (guide 2.7).

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
        files = self.available().get(group)
        if not files:
            known = ", ".join(self.available()) or "none"
            raise NotFound(
                f"There is no .tls file of a group {group!r} in {self.directory}.",
                hint=f"Groups there: {known}.",
            )
        return files[0]

    def override(self, group: str) -> Path | None:
        """The operator's own ``GROUP.tli``, where there is one."""
        path = self.directory / f"{group}.tli"
        return path if path.is_file() else None

    # ---- writing ---------------------------------------------------------------------------------

    def install(self, name: str, data: bytes) -> Path:
        """Place a verified .tls file; the old file or the whole new one is there, never a part.

        Args:
            name: base name, ``GROUP[-VERSION].tls``.
            data: its bytes, already verified.
        """
        split_file_name(name)
        target = self.directory / name
        write_atomically(target, data, mode=0o644)
        return target

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
        return self.state / "unpacked" / sha256

    def unpack(self, sha256: str, archive: Archive) -> Path:
        """Unpack a verified archive once; a second call finds the first one's directory.

        Args:
            sha256: of the .tls file, hex.
            archive: what `director.tls.verify` returned with a valid verdict.
        """
        target = self.unpacked(sha256)
        if (target / COMPLETE).is_file():
            return target
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{sha256[:12]}-", dir=target.parent))
        try:
            for entry, data in archive.iter_data():
                path = work / entry.name
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                path.write_bytes(data)
            # No fsync per member: the marker comes last, and without it the whole is made again.
            write_atomically(work / COMPLETE, b"", mode=0o600)
            if target.exists():
                shutil.rmtree(target)
            work.replace(target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return target

    def forget(self, sha256: str) -> None:
        """Remove an unpacked source and what its failed starts left; nothing runs from it."""
        target = self.unpacked(sha256)
        for path in (target, Path(f"{target}.errors")):
            shutil.rmtree(path, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock file of the state directory: two commands never start two systems."""
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.state / f"{name}.lock").open("w") as handle:
            try:
                import fcntl

                fcntl.flock(handle, fcntl.LOCK_EX)
            except ImportError:  # Windows has no flock: the admin port decides there
                pass
            yield
