"""DirectorControl: the programmatic API; every command of the command line is one method here.

What lives here: talking to a running system, and choosing what a load means. What does not: printing (`director.cli`),
deciding (`director.tls.verify`, `director.actors.groups`), processes (`director.system`), files (`director.store`).
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from director.errors import (
    DamagedArchive,
    DirectorError,
    LoadFailed,
    NotFound,
    NotRunning,
    NotValidated,
    UsageError,
)
from director.files import create_files
from director.settings.config import Config, director_directory, read_config, state_directory
from director.settings.tli import Tli, parse_tli, tli_from_definition
from director.store import Available, Store
from director.system import SystemProcesses
from director.tls.naming import split_file_name
from director.tls.verify import Verdict
from director.trust import HostTrust

#: Seconds to wait for an answer of the Director to a small question.
ASK_LIMIT = 10.0
#: Seconds to wait for a load to be decided: validation, start, and a GlobalName's hand-over.
LOAD_LIMIT = 300.0


@dataclass(frozen=True)
class KeyFiles:
    """A key pair that was made: its two files, and the fingerprint of the public key."""

    private: Path
    public: Path
    fingerprint: str


@dataclass(frozen=True)
class Generated:
    """What gensrc wrote, and what its user should know."""

    paths: tuple[Path, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Loaded:
    """What a load did: the file, its group and source hash, and warnings for the operator."""

    group: str
    path: Path
    source_hash: str
    changed: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refreshed:
    """What refresh did for one group: ``loaded``, or the error that stopped it."""

    group: str
    loaded: Loaded | None
    error: DirectorError | None


@dataclass(frozen=True)
class Role:
    """An active actor, found by its Role."""

    group: str
    role: str
    actor_class: str
    source_hash: str
    address: Any
    started: datetime


class DirectorControl:
    """Works with one director directory and, where one runs, its actor system.

    Args:
        directory: the director directory; default THESPIAN_DIRECTOR_DIR, else the platform's.
        environ: the environment that settings and TLI expressions see; default ``os.environ``.
        say: told each step, a line at a time (the command line's ``verbose``).
        warn: told what an operator should know although the call goes on; default: the log ``director``.
    """

    def __init__(
        self,
        directory: str | Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        say: Callable[[str], None] = lambda line: None,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self.environ = dict(os.environ if environ is None else environ)
        if directory is not None:
            self.environ["THESPIAN_DIRECTOR_DIR"] = str(directory)
        self.directory = director_directory(self.environ).absolute()
        self.state = state_directory(self.directory, self.environ).absolute()
        self.store = Store(self.directory, self.state)
        self.say = say
        self.warn = warn or logging.getLogger("director").warning
        self._warned: set[str] = set()
        self._config: Config | None = None
        self._system: Any = None
        self._director: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up the connection; the actor system goes on."""
        self._system = self._director = None

    @property
    def config(self) -> Config:
        """The settings, read once (SettingsError where a file does not read)."""
        if self._config is None:
            self._config = read_config(self.directory, self.environ)
        return self._config

    # ---- the actor system ------------------------------------------------------------------------

    @property
    def processes(self) -> SystemProcesses:
        """The processes of this directory's actor system."""
        return SystemProcesses(self.config, self.state, self.environ, self.say)

    def running(self) -> bool:
        """Whether something answers at the admin port; never starts anything."""
        return self.processes.running()

    def start(self) -> bool:
        """Start the actor system unless it runs; True when this call started it.

        Raises:
            SettingsError: a setting does not read; nothing was started.
            DirectorError: the system did not come up.
        """
        self.store.require()
        processes = self.processes
        with self.store.lock("start"):
            if processes.running():
                return False
            left = processes.end_leftovers()
            if left:
                self.warn(f"{_dead_admin(left)} They were ended before the new one was started.")
            processes.start()
        return True

    def shutdown(self) -> list[int]:
        """Stop the actor system and see that every process of it has gone.

        Returns:
            the ids of processes that had to be killed.

        Raises:
            NotRunning: there is no actor system to stop.
        """
        processes = self.processes
        if not processes.running():
            left = processes.end_leftovers()
            if not left:
                raise self._not_running()
            self.warn(f"{_dead_admin(left)} They were ended.")
            return []
        self._connect().shutdown()
        self.close()
        return processes.wait_until_gone()

    def _not_running(self) -> NotRunning:
        return NotRunning(
            f"No actor system is running at admin port {self.config.admin_port}.",
            hint="`director start` starts it.",
        )

    def _connect(self) -> Any:
        """The running actor system; never starts one."""
        if self._system is None:
            if not self.running():
                raise self._not_running()
            from thespian.actors import ActorSystem, InvalidActorAddress

            try:
                self._system = ActorSystem(
                    self.config.system_base,
                    {"Admin Port": self.config.admin_port},
                    transientUnique=True,
                )
            except InvalidActorAddress:
                raise DirectorError(
                    f"Something answers at port {self.config.admin_port}, but it is no actor system of "
                    f"{self.config.system_base}.",
                    hint="Find out what holds the port, or write another one into adminport.cfg.",
                    code="foreign-port",
                ) from None
        return self._system

    @property
    def system(self) -> Any:
        """Thespian's ActorSystem of the running system (NotRunning where there is none)."""
        return self._connect()

    def ask(self, request: dict[str, Any], kind: str, limit: float = ASK_LIMIT) -> dict[str, Any]:
        """Ask the Director and wait for the reply of this kind to this very request.

        Args:
            request: a message of `director.actors.messages`, without RequestId.
            kind: the ``DirectorResponse`` to wait for; a failed reply of another kind counts too.
            limit: seconds.

        Raises:
            NotRunning: no actor system. DirectorError: no reply in time.
        """
        system = self._connect()
        if self._director is None:
            from director.actors.messages import DIRECTOR_NAME

            self._director = system.createActor(
                "director.actors.director.Director", globalName=DIRECTOR_NAME
            )
        request_id = uuid.uuid4().hex
        system.tell(self._director, {**request, "RequestId": request_id})
        deadline = time.monotonic() + limit
        while (left := deadline - time.monotonic()) > 0:
            answer = system.listen(timedelta(seconds=left))
            # Answers to earlier requests that came too late are none to this one.
            if isinstance(answer, dict) and answer.get("RequestId") == request_id:
                if answer.get("DirectorResponse") == kind or not answer.get("Success"):
                    return answer
                self.say(f"{answer.get('DirectorResponse')}: {answer.get('SourceHash', '')}")
        raise DirectorError(
            f"The Director did not answer {request.get('DirectorOp')} within {limit:.0f} s.",
            hint=f"Look into {self.config.log_directory}.",
            code="no-answer",
        )

    # ---- files -----------------------------------------------------------------------------------

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
            UsageError: there is no such kind.
        """
        from director.tls.keys import generate_ed25519, generate_key, generate_p256

        makers = {
            "rsa": lambda: generate_key(bits),
            "ed25519": generate_ed25519,
            "p256": generate_p256,
        }
        if kind not in makers:
            raise UsageError(f"{kind!r} is no kind of key.", hint=f"Known are {', '.join(makers)}.")
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
        """What could be loaded: for each group its files, newest first, each with its source hash."""
        self.store.require()
        return {
            group: [(one, source_hash(one.path.read_bytes())) for one in files]
            for group, files in self.store.available().items()
        }

    def trust(self, asked: str) -> HostTrust:
        """This host's word about sources; ``asked`` stands in the audit log as what asked for a decision."""
        return HostTrust(
            self.store, asked, environ=self.environ, warn=self._warn_once, say=self.say
        )

    def check(self, path: Path, data: bytes | None = None, *, asked: str = "check") -> Verdict:
        """Verify a .tls file with keys, settings and marks of the director directory, as the authority would."""
        data = path.read_bytes() if data is None else data
        verdict = self.trust(asked).look(data, path.name)
        self.say(f"{path}: {verdict.code}: {verdict.message}")
        return verdict

    def inspect(self, path: Path) -> Verdict:
        """The verdict on a file that must be valid; the question is audited.

        Raises:
            NotValidated, DamagedArchive: with the reason and what to do.
        """
        verdict = self.check(path, asked="tlsinfo")
        self.trust("tlsinfo").audit(verdict, path.name)
        return _valid(path, verdict)

    def require_valid(self, path: Path, data: bytes) -> Verdict:
        """The verdict on a file that must be valid to be loaded; a refusal is audited, and so is a return.

        Raises:
            NotValidated, DamagedArchive: with the reason and what to do.
        """
        verdict = self.check(path, data, asked="load")
        if verdict.valid:
            self.trust("load").audit_return(verdict, path.name)
        else:
            self.trust("load").audit(verdict, path.name)
        return _valid(path, verdict)

    def install(self, source: str | Path, *, replace: bool = False) -> Path:
        """Verify a .tls file and place it in the director directory, whole or not at all.

        Args:
            source: its path.
            replace: take other bytes of a version that was accepted before; that is recorded.

        Raises:
            NotValidated, DamagedArchive: with the reason; nothing changed.
        """
        self.store.require()
        path = Path(source)
        split_file_name(path.name)
        data = path.read_bytes()
        allowed = ("replace",) if replace else ()
        # Noted first: should the machine stop in between, both the old bytes and the new ones are accepted.
        _valid(path, self.trust("install").admit(data, path.name, allowed=allowed))
        return self.store.install(path.name, data)

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

    def _warn_once(self, line: str) -> None:
        if line not in self._warned:
            self._warned.add(line)
            self.warn(line)

    # ---- loading ---------------------------------------------------------------------------------

    def load(self, target: str, *, allow_downgrade: bool = False) -> Loaded:
        """Load a group's newest file or a named one; returns when it is active.

        Args:
            target: GROUP, GROUP.tli, GROUP-VERSION.tls or a path.
            allow_downgrade: take a file that is new to this host although a higher version was seen; that is recorded.

        Raises:
            NotFound, NotValidated, DamagedArchive, SettingsError: nothing was loaded.
            LoadFailed: it did not become active; what ran before still serves.
        """
        self.store.require()
        chosen = self.store.find(target)
        if allow_downgrade:
            data = chosen.path.read_bytes()
            trust = self.trust("load --allow-downgrade")
            _valid(chosen.path, trust.admit(data, chosen.path.name, allowed=("downgrade",)))
        return self._load(chosen)

    def _load(self, chosen: Available) -> Loaded:
        data = chosen.path.read_bytes()
        verdict = self.require_valid(chosen.path, data)
        tli, warnings = self._definition(chosen, verdict)
        if self.start():
            self.say("the actor system was started")
        request = {
            "DirectorOp": "LoadSource",
            "Source": str(chosen.path),
            "Group": chosen.group,
            "Definition": tli.definition(),
            "SHA256": verdict.sha256,
            "Wait": True,
        }
        answer = self.ask(request, "LoadResult", LOAD_LIMIT)
        if not answer["Success"]:
            code = str(answer.get("Code", "load-failed"))
            family = NotValidated if code in {"signature", "no-keys"} else LoadFailed
            raise family(str(answer.get("Message", "the load failed")), code=code)
        self.say(str(answer["Message"]))
        changed = "already" not in str(answer["Message"])
        return Loaded(
            chosen.group, chosen.path, str(answer["SourceHash"]), changed, tuple(warnings)
        )

    def _definition(self, chosen: Available, verdict: Verdict) -> tuple[Tli, list[str]]:
        """The TLI that counts: the signed one, unless the operator wrote one of their own."""
        signed = verdict.tli
        override = self.store.override(chosen.group)
        own = override.read_text(encoding="utf-8") if override else None
        if own is not None and own != signed and not self._is_copy(chosen, own):
            tli = parse_tli(own, name=str(override), environ=self.environ)
            told = [] if signed is None else [f"{override} replaces the signed TLI."]
            return tli, told
        if signed is None:
            return tli_from_definition({"Actors": {}}), []
        return parse_tli(signed, name=f"{chosen.path}!group.tli", environ=self.environ), []

    def _is_copy(self, chosen: Available, text: str) -> bool:
        """Whether a GROUP.tli is just the signed one of another version that lies beside it."""
        others = self.store.available().get(chosen.group, [])
        return any(self.check(one.path).tli == text for one in others if one.path != chosen.path)

    def refresh(self) -> list[Refreshed]:
        """Load the newest file of every group that is not active already; one bad group stops no other."""
        self.store.require()
        results = []
        self.start()
        groups = self.ask({"DirectorOp": "RetrieveAll"}, "AllAddresses")["Groups"]
        revoked = self.revoked()
        for group, files in self.store.available().items():
            if not files:
                continue
            newest = files[0]
            try:
                digest = source_hash(newest.path.read_bytes())
                if groups.get(group, {}).get("ActiveHash") == digest and digest not in revoked:
                    loaded = Loaded(group, newest.path, digest, changed=False)
                else:
                    loaded = self._load(newest)
                results.append(Refreshed(group, loaded, None))
            except DirectorError as problem:
                results.append(Refreshed(group, None, problem))
            except OSError as problem:
                error = DirectorError(f"{newest.path}: {problem.strerror}.")
                results.append(Refreshed(group, None, error))
        # After the loads: a newer version that is good takes over without a gap.
        results += self._unload_revoked()
        return results

    def revoked(self) -> dict[str, str]:
        """Loaded sources that are revoked by now: source hash → the reason."""
        loaded = [one for told in self.loaded().values() for one in told["Loaded"]]
        return self.trust("refresh").revoked(loaded)

    def _unload_revoked(self) -> list[Refreshed]:
        results = []
        groups = {one: name for name, told in self.loaded().items() for one in told["Loaded"]}
        for digest, reason in self.revoked().items():
            group = groups[digest]
            try:
                self.unload(digest)
                self.trust("refresh").audit_loaded(digest, "unloaded", "revoked", reason)
                self.warn(f'"{group}" {digest} was unloaded, since it is revoked: {reason}.')
            except DirectorError as problem:
                results.append(Refreshed(group, None, problem))
        return results

    def unload(self, digest: str) -> None:
        """Unload the source with this hash; its actors have ended when this returns.

        An older version that is active again thereby is audited: it was accepted before.
        """
        before = {told["ActiveHash"] for told in self.loaded().values()}
        answer = self.ask(
            {"DirectorOp": "UnloadSource", "SourceHash": digest}, "SourceUnloaded", 60.0
        )
        if not answer["Success"]:
            family = NotFound if answer.get("Code") == "not-found" else DirectorError
            raise family(str(answer.get("Message")), hint="`director list` shows what is loaded.")
        for told in self.loaded().values():
            if told["ActiveHash"] and told["ActiveHash"] not in before:
                note = f"after {digest} was unloaded"
                self.trust("unload").audit_loaded(told["ActiveHash"], "valid", "active-again", note)

    def loaded(self, group: str | None = None) -> dict[str, Any]:
        """Every group's sources and actors, as RetrieveAll tells them."""
        request = {"DirectorOp": "RetrieveAll"} | ({"Group": group} if group else {})
        groups: dict[str, Any] = self.ask(request, "AllAddresses")["Groups"]
        return groups

    def role(self, role: str, group: str | None = None) -> Role | None:
        """The active actor of a role, or None."""
        answer = self.ask(
            {"DirectorOp": "RetrieveRole", "Role": role, "Group": group}, "RoleAddress"
        )
        if not answer["Success"]:
            return None
        return Role(
            answer["Group"],
            answer["Role"],
            answer["ActorClass"],
            answer["SourceHash"],
            answer["ActorAddress"],
            answer["StartTime"],
        )


def _valid(path: Path, verdict: Verdict) -> Verdict:
    if not verdict.valid:
        family = DamagedArchive if verdict.exit_status == 6 else NotValidated
        raise family(f"{path}: {verdict.message}", code=verdict.code)
    return verdict


def source_hash(data: bytes) -> str:
    """Thespian's name of a source: the MD5 of its bytes (systemBase.loadActorSource). Trusts nothing."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _dead_admin(left: list[int]) -> str:
    return f"An Admin of this directory died and left {len(left)} processes of its actors."
