"""The half of DirectorControl that works on files; no actor system is asked for any of it.

What lives here: keys, sources and what is written down about them. What does not: the directory's own rules
(`director.store`), trust (`director.trust`), building (`hatch_thespian`).
"""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from director.control.base import Base, valid
from director.control.results import Generated, KeyFiles
from director.errors import DirectorError, NotFound, SettingsError, UsageError
from director.files import create_files, digest_regular
from director.store import Available
from director.text import nearest
from director.tls.limits import DEFAULT_LIMITS
from director.tls.naming import split_file_name

if TYPE_CHECKING:
    from director.history import Event
    from director.pins import Pin
    from director.tls.verify import Verdict


class Files(Base):
    """Keys, .tls files, pins and the history of a director directory."""

    def keygen(
        self,
        name: str = "sourcekey",
        *,
        kind: str = "rsa",
        bits: int = 3072,
        passphrase: str | None = None,
    ) -> KeyFiles:
        """Make a key pair: ``NAME.pem`` (0600) signs, ``NAME_tls.key`` goes to hosts.

        The private key is encrypted where a passphrase is given, or THESPIAN_SIGNING_KEY_PASSPHRASE is set.

        Args:
            name: a path without ending.
            kind: ``rsa`` (also for hosts that run Thespian's own director), ``ed25519`` or ``p256``.
            bits: of an RSA modulus, 2048 or more.
            passphrase: of the private key.

        Raises:
            DirectorError: code ``exists``; an existing file is never overwritten.
            UsageError: there is no such kind, or the name has no last part that a key file could have.
        """
        from director.tls.keys import generate_ed25519, generate_key, generate_p256

        makers = {
            "rsa": lambda: generate_key(bits),
            "ed25519": generate_ed25519,
            "p256": generate_p256,
        }
        if kind not in makers:
            raise UsageError(f"{kind!r} is no kind of key.", hint=f"Known are {', '.join(makers)}.")
        base = os.path.basename(name)  # noqa: PTH119 - Path("keys/") has the name "keys"
        if not base or base.startswith("."):
            raise UsageError(
                f"{name!r} is no name of a key pair.",
                hint="Give a path without ending, such as `sourcekey`; no host reads hidden key files.",
            )
        private, public = Path(f"{name}.pem"), Path(f"{name}_tls.key")
        key = makers[kind]()
        told = passphrase or self.environ.get("THESPIAN_SIGNING_KEY_PASSPHRASE", "")
        secret = told.encode() or None
        create_files([(private, key.private_pem(secret), 0o600), (public, key.public_pem, 0o644)])
        return KeyFiles(private, public, key.public.fingerprint)

    def locate(self, file: str) -> Path:
        """A .tls file by its path, or by its name in the director directory.

        Raises:
            NotFound: there is none.
        """
        for path in (Path(file), self.directory / file):
            if path.is_file():
                return path
        raise NotFound(
            f"The tls file {file} does not exist, here or in {self.directory}.",
            hint="`director avail` lists those of the director directory.",
        )

    def avail(self) -> dict[str, list[tuple[Available, str]]]:
        """What could be loaded: for each group its files, newest first, each with its source hash.

        What is passed over for its name is warned of.
        """
        self.store.require()
        self._warn_of_names()
        return {
            group: [(one, source_hash_of(one.path)) for one in files]
            for group, files in self.store.available().items()
        }

    def _warn_of_names(self) -> None:
        for problem in self.store.misnamed():
            self._warn_once(str(problem))

    def inspect(self, path: Path) -> Verdict:
        """The verdict on a file that must be valid; the question is audited.

        Raises:
            NotValidated, DamagedArchive: with the reason and what to do.
        """
        verdict = self.check(path, asked="tlsinfo")
        self.trust("tlsinfo").decisions.verdict(verdict, path.name)
        self._warn_of_tli(path, valid(path, verdict))
        return verdict

    def _warn_of_tli(self, path: Path, verdict: Verdict) -> None:
        """Tell early of a signed TLI that no load takes; the file is valid, and an own GROUP.tli may replace it."""
        if verdict.tli is None:
            return
        from director.settings.expressions import grammatical  # not for `avail`

        try:
            grammatical(verdict.tli, name=f"{path}!group.tli")
        except SettingsError as problem:
            self.warn(f"its TLI does not read, so that a load of it will fail: {problem}")

    def require_valid(self, path: Path, data: bytes) -> Verdict:
        """The verdict on a file that must be valid to be loaded; a refusal is audited, and so is a return.

        Raises:
            NotValidated, DamagedArchive: with the reason and what to do.
        """
        verdict = self.check(path, data, asked="load")
        if verdict.valid:
            self.trust("load").audit_return(verdict, path.name)
        else:
            self.trust("load").decisions.verdict(verdict, path.name)
        return valid(path, verdict)

    def install(
        self, source: str | Path, *, replace: bool = False, allow_downgrade: bool = False
    ) -> Path:
        """Verify a .tls file and place it in the director directory, whole or not at all.

        Args:
            source: its path.
            replace: take other bytes of a version that was accepted before; that is recorded.
            allow_downgrade: take a file that is new to this host although a higher version was seen; recorded too. A
                member of a convention takes it from its leader then.

        Raises:
            NotValidated, DamagedArchive: with the reason; nothing changed.
        """
        self.store.require()
        path = Path(source)
        if path.is_dir():
            raise UsageError(
                f"{source} is a directory; install takes .tls files.",
                hint=f"`director install {source}{os.sep if not str(source).endswith(os.sep) else ''}*.tls`.",
            )
        if not path.exists():
            raise NotFound(
                f"There is no file {source} here.",
                hint="Name the path of a .tls file that was built or copied here.",
            )
        if path.suffix != ".tls":
            raise UsageError(
                f"{source} is no .tls file.",
                hint="A TLI is signed inside the .tls; one of your own is copied into the director directory.",
            )
        try:
            split_file_name(path.name)
        except DirectorError as problem:
            raise UsageError(
                problem.message,
                hint="Give it the name that it was built with: GROUP-VERSION.tls, or GROUP.tls.",
                code=problem.code,
            ) from None
        trust = self.trust("install")
        words = (("replace", replace), ("downgrade", allow_downgrade))
        allowed = [word for word, said in words if said]
        data = trust.read(path)
        with self.store.lock("install"):
            self._finish_staged()
            self._require_place(path.name, hashlib.sha256(data).hexdigest())
            staged: Path | None = None

            def stage(sha256: str, _: Any) -> None:
                nonlocal staged
                staged = self.store.stage(path.name, data, sha256)

            try:
                # Staged, noted as accepted, then placed: a full disk stops it before anything changed, and what a kill
                # comes between is finished by the next command.
                verdict = valid(path, trust.admit(data, path.name, stage, allowed=allowed))
                self._warn_of_tli(path, verdict)
                assert staged is not None  # noqa: S101 - it is valid
                return self.store.place(staged)
            except BaseException:
                if staged is not None:
                    staged.unlink(missing_ok=True)
                raise

    def finish_installs(self) -> None:
        """Place what an install that was killed had staged and this host accepted, where it may be placed still."""
        if any(self.directory.glob(".*.staged")):
            with self.store.lock("install"):
                self._finish_staged()

    def _finish_staged(self) -> None:
        accepted = self.trust("install").accepted()
        for problem in self.store.finish(accepted, self._require_place):
            self._warn_once(f"an install that was interrupted is not finished: {problem}")

    def _require_place(self, name: str, sha256: str) -> None:
        """Raise DirectorError where a file cannot take its place, before anything is noted."""
        from director.pins import require_kept

        self.store.require_place(name)
        require_kept(self.store, self.pins(), name, sha256)

    def gensrc(self, *arguments: str) -> Generated:
        """Make GROUP[-VERSION].tls and GROUP.tli in the director directory (guide 2.3).

        Args:
            arguments: GROUP KEY DIR [version:V] [deps:F] [tli:F] [fmt:E] [native:M] [external:F] SRC…

        Raises:
            UsageError: the arguments do not read. BuildError: everything that is wrong with what they name.
            KeyProblem: the key is unusable. NotFound: a directory is missing.
        """
        # The build side is imported when it is asked for: hosts that only run sources do without it.
        from hatch_thespian.gensrc import gather, generate, read_arguments

        request = read_arguments(arguments)
        self.store.require()
        steps = self._steps()
        parts = gather(request, Path.cwd(), self.environ, steps)
        package = generate(request, parts, Path.cwd(), self.environ, steps)
        return Generated(tuple(package.write(self.directory)), package.warnings)

    def gensrc_listing(self, *arguments: str) -> list[tuple[int, str, str]]:
        """What gensrc would put in: size, name and reason of each member; nothing is signed or written."""
        from hatch_thespian.gensrc import gather, read_arguments

        request = read_arguments(arguments)
        return gather(request, Path.cwd(), self.environ, self._steps()).listing()

    def _steps(self) -> Any:
        from hatch_thespian.progress import Steps

        return Steps(detail=self.say, line=self.say)

    def pins(self) -> dict[str, Pin]:
        """All pins by group; works without a running system.

        Raises:
            DirectorError: code ``pins``: they do not read.
        """
        from director.pins import Pins

        return Pins(self.state).read()

    def pinned_groups(self) -> frozenset[str]:
        """The groups that are pinned; none where that does not read, which `status` and `doctor` tell."""
        from director.pins import groups_of

        return groups_of(self.pins)

    def history(self, group: str | None = None) -> list[Event]:
        """What happened, oldest first, to all groups or one; works without a running system.

        Raises:
            NotFound: nothing is known of such a group.
        """
        from director.history import History

        if group is not None:
            self.require_group(group)
        return History(self.state).read(group)

    def known_groups(self) -> list[str]:
        """The groups that have files here, were ever loaded, or are pinned; sorted."""
        before = {event.group for event in self.history()}
        return sorted(before | set(self.store.available()) | self.pinned_groups())

    def require_group(self, group: str) -> None:
        """Raise NotFound, with the name that was probably meant, where nothing is known of a group or directory."""
        known = self.known_groups()
        if group not in known:
            self.store.require()
            hint = f"Known are: {', '.join(known) or 'none'}."
            raise NotFound(
                f"Nothing is known of a group {group!r} in {self.directory}.",
                hint=f"{nearest(group, known)} {hint}".strip(),
            )


def source_hash(data: bytes) -> str:
    """Thespian's name of a source: the MD5 of its bytes (systemBase.loadActorSource). Trusts nothing."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def source_hash_of(path: Path) -> str:
    """The same of a file; "" where it is larger than anything that loads, or no regular file (OSError: unreadable)."""
    try:
        return digest_regular(
            path, DEFAULT_LIMITS.max_bytes, lambda: hashlib.md5(usedforsecurity=False)
        )
    except OSError as problem:
        if problem.errno in {errno.EFBIG, errno.EINVAL}:
            return ""
        raise
