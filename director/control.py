"""DirectorControl: the programmatic API; every command of the command line is one method here.

A thin room over the ones below: talking to the Director (`director.connection`), what a load means
(`director.loading`), handles of roles (`director.roles`), processes (`director.system`), files (`director.store`),
history and pins (`director.history`), checks (`director.doctor`). Printing is `director.cli`'s, the ``cmd_*`` methods
are `director.commands`'.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from director import convention
from director.errors import (
    DamagedArchive,
    DirectorError,
    LoadFailed,
    NotFound,
    NotValidated,
    UsageError,
)
from director.files import create_files
from director.service import find_unit, start_unit
from director.settings.config import (
    Config,
    director_directory,
    read_config,
    read_convention,
    state_directory,
)
from director.store import Available, Store
from director.tls.naming import split_file_name

# What only some methods need is imported by them: `avail` does without cryptography.
if TYPE_CHECKING:
    from director.connection import Connection
    from director.doctor import Finding
    from director.history import Event, Pin
    from director.report import Convention, Status
    from director.roles import Role
    from director.system import SystemProcesses
    from director.tls.verify import Verdict
    from director.trust import HostTrust

#: Seconds to wait for a load to be decided: validation, start, and a GlobalName's hand-over.
LOAD_LIMIT = 300.0
#: Bytes of a source that Thespian's UDP transport carries: one datagram of 65,507, less what it adds.
UDP_LIMIT = 64_000
#: Codes of a load that failed for another reason than the Source Authority's refusal.
NOT_STARTED = frozenset(
    {"actor-died", "blocked", "busy", "cache", "changed", "group", "load-failed", "malformed"}
    | {"message-failed"}
    | {"name-taken", "no-authority", "not-ended", "not-ready", "operation-failed", "superseded"}
    | {"unloaded", "unpack", "unsettled", "went-back"}
)


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
        #: bootstart's unit for this directory, where there is one and this is not its own process.
        self.unit = find_unit(self.directory, self.environ)
        self.state = (
            Path(self.unit.state)
            if self.unit
            else state_directory(self.directory, self.environ).absolute()
        )
        self.store = Store(self.directory, self.state)
        self.say = say
        if warn is None:
            import logging

            warn = logging.getLogger("director").warning
        self.warn = warn
        self._warned: set[str] = set()
        self._config: Config | None = None
        self._connection: Connection | None = None

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
        if self._connection is not None:
            self._connection.close()

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
        from director.system import SystemProcesses

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
        if self.unit:
            if processes.running():
                return False
            self.say(f"starting the unit {self.unit.name}")
            start_unit(self.unit)
            return True
        with self.store.lock("start"):
            if processes.running():
                self.connection.require_ours()
                return False
            self._end_old_base()
            left = processes.end_leftovers()
            if left:
                self.warn(f"{_dead_admin(left)} They were ended before the new one was started.")
            processes.start()
        return True

    def _end_old_base(self) -> None:
        """``oldthespbase.cfg``: a system of the base before still holds the port, or might."""
        from dataclasses import replace

        from director.connection import Connection
        from director.system import SystemProcesses

        old = self.config.old_system_base
        if not old or old == self.config.system_base:
            return
        config = replace(self.config, system_base=old)
        processes = SystemProcesses(config, self.state, self.environ, self.say)
        if processes.running():
            line = Connection(processes, self.directory, self.state, self.say, self.warn)
            line.system.shutdown()
            line.close()
            processes.wait_until_gone()
            self.warn(f"An actor system of {old} was running and was shut down first.")

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
                from director.connection import not_running

                raise not_running(processes)
            self.warn(f"{_dead_admin(left)} They were ended.")
            return []
        self.connection.require_ours()
        try:
            # Else the exits of its actors would be deaths to it, and answered with restarts.
            self.ask({"DirectorOp": "Closing"}, "Closing", 3.0)
        except DirectorError as problem:
            self.say(f"the Director was not told: {problem.message}")
        self.system.shutdown()
        self.close()
        killed = processes.wait_until_gone()
        self._end_old_base()
        return killed

    @property
    def connection(self) -> Connection:
        """This object's line to the Director; it is made when it is first needed."""
        if self._connection is None:
            from director.connection import Connection

            self._connection = Connection(
                self.processes, self.directory, self.state, self.say, self.warn
            )
        return self._connection

    @property
    def system(self) -> Any:
        """Thespian's ActorSystem of the running system (NotRunning where there is none)."""
        return self.connection.system

    def ask(self, request: dict[str, Any], kind: str, limit: float = 10.0) -> dict[str, Any]:
        """Ask the Director; see `director.connection.Connection.ask`."""
        return self.connection.ask(request, kind, limit)

    def member_of(self) -> str:
        """The leaders of the convention that this host is a member of; "" where it may lead, or is alone."""
        leading, port = self._leaders()
        return ", ".join(leading) if convention.is_member(leading, port) else ""

    def _follows(self) -> str:
        """The leader of the convention; "" for the one that is named first, or a host alone."""
        leading, port = self._leaders()
        return leading[0] if convention.is_member(leading[:1], port) else ""

    def _leaders(self) -> tuple[list[str], int]:
        told, port, _ = read_convention(self.directory, self.environ)
        return convention.leaders(told, port), port

    def convention(self) -> Convention:
        """The hosts of the convention, as the leader sees them; works on members too.

        Raises:
            DirectorError: code ``leader-away``, on a member that cannot reach it.
        """
        from director.report import Convention, host_status

        told = self.ask({"DirectorOp": "Convention"}, "Convention")
        self._require(told)
        return Convention(str(told["Leader"]), tuple(host_status(one) for one in told["Hosts"]))

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
        from director.trust import HostTrust

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

    def load(
        self, target: str, *, settle: float | None = None, allow_downgrade: bool = False
    ) -> Loaded:
        """Load a group's newest file or a named one; returns when it is active.

        Args:
            target: GROUP, GROUP.tli, GROUP-VERSION.tls or a path. Of a pinned group, the pinned file.
            settle: wait so many seconds more, in which an actor's death goes back to the version before.
            allow_downgrade: take a file that is new to this host although a higher version was seen; that is recorded.

        Raises:
            NotFound, NotValidated, DamagedArchive, SettingsError: nothing was loaded.
            LoadFailed: it did not become active; what ran before still serves.
        """
        self.store.require()
        leader = self.member_of()
        if leader:
            raise DirectorError(
                f"This host is a member of the convention led by {leader}: load it there.",
                hint="Members take sources when an actor needs them.",
                code="ask-leader",
            )
        from director import loading

        chosen = loading.choose(self.store, target, self.pins())
        if allow_downgrade:
            data = chosen.path.read_bytes()
            trust = self.trust("load --allow-downgrade")
            _valid(chosen.path, trust.admit(data, chosen.path.name, allowed=("downgrade",)))
        return self._load(chosen, settle=settle)

    def _load(
        self, chosen: Available, *, settle: float | None = None, undo: bool = False
    ) -> Loaded:
        from director import loading

        data = chosen.path.read_bytes()
        verdict = self.require_valid(chosen.path, data)
        if self.config.system_base == "multiprocUDPBase" and len(data) > UDP_LIMIT:
            raise DirectorError(
                f"{chosen.path} has {len(data)} bytes; multiprocUDPBase sends at most {UDP_LIMIT} in one message.",
                hint="Use multiprocTCPBase, which has no such limit (thespbase.cfg).",
                code="too-large-for-udp",
            )
        tli, warnings = loading.Definitions(self.store, self.environ, self.check).of(
            chosen, verdict
        )
        if self.start():
            self.say("the actor system was started")
        warnings += loading.differing(tli, self.processes.environment())
        request = {
            "DirectorOp": "LoadSource",
            "Source": str(chosen.path),
            "Group": chosen.group,
            "Definition": tli.definition(),
            "SHA256": verdict.sha256,
            "Wait": True,
            "Undo": undo,
        }
        if settle is not None:
            request["Settle"] = float(settle)
        answer = self.ask(request, "LoadResult", LOAD_LIMIT + (settle or 0.0))
        if not answer["Success"]:
            code = str(answer.get("Code", "load-failed"))
            family = LoadFailed if code in NOT_STARTED else NotValidated
            raise family(str(answer.get("Message", "the load failed")), code=code)
        self.say(str(answer["Message"]))
        return Loaded(
            chosen.group,
            chosen.path,
            str(answer["SourceHash"]),
            answer["Code"] != "unchanged",
            tuple(warnings),
        )

    def refresh(self, leave: Container[str] = ()) -> list[Refreshed]:
        """Load the newest file (of a pinned group the pinned one) of every group that is not active already.

        One bad group stops no other.

        Args:
            leave: groups that are left as they are.
        """
        from director import loading

        self.store.require()
        results = []
        self.start()
        leader = self._follows()
        if leader:  # sources are loaded there, and come from there (guide 2.2)
            here = [one.path.name for files in self.store.available().values() for one in files]
            if here:
                self.warn(
                    f"This host is a member of the convention led by {leader}: "
                    f"{', '.join(sorted(here))} are not loaded from here."
                )
            return []
        groups = self.ask({"DirectorOp": "RetrieveAll"}, "AllAddresses")["Groups"]
        revoked = self.revoked()
        pins = self.pins()
        for group, files in self.store.available().items():
            if not files or group in leave:
                continue
            try:
                newest = loading.newest(self.store, group, pins)
                digest = source_hash(newest.path.read_bytes())
                if groups.get(group, {}).get("ActiveHash") == digest and digest not in revoked:
                    loaded = Loaded(group, newest.path, digest, changed=False)
                else:
                    loaded = self._load(newest)
                results.append(Refreshed(group, loaded, None))
            except DirectorError as problem:
                results.append(Refreshed(group, None, problem))
            except OSError as problem:
                error = DirectorError(f"{problem.filename or group}: {problem.strerror}.")
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

    def undo(self, group: str) -> Loaded:
        """Make the version active that was so before the present one, and pin the group to it.

        Raises:
            DirectorError: code ``nothing-to-undo``. NotFound: the file of that version is not there any more.
        """
        answer = self.ask({"DirectorOp": "Undo", "Group": group}, "UndoResult", LOAD_LIMIT)
        if answer["Success"]:
            return Loaded(group, Path(answer["File"]), answer["SourceHash"], changed=True)
        if answer.get("Code") != "not-loaded":
            raise DirectorError(str(answer.get("Message")), code=str(answer.get("Code")))
        chosen = self.store.find(str(answer["File"]))
        loaded = self._load(chosen, undo=True)
        self._pin(group, chosen.version)
        return loaded

    def pin(self, group: str, version: str | None = None) -> Pin:
        """Keep a group at a version; default the active one.

        Args:
            version: as ``director avail`` or ``director list`` shows it.

        Raises:
            NotFound: there is no such group or version.
        """
        files = {one.version: one for one in self.store.available().get(group, [])}
        if version is None:
            told = self.loaded(group).get(group)
            active = told and told["Versions"].get(told["ActiveHash"])
            if not active:
                raise NotFound(f"No version of {group!r} is active.", hint="Name a version.")
            version = active["Version"]
        elif version not in files:
            known = ", ".join(one or "without a version" for one in files) or "none"
            raise NotFound(
                f"There is no version {version} of {group!r} in {self.directory}.",
                hint=f"Versions there: {known}.",
            )
        return self._pin(group, version)

    def _pin(self, group: str, version: str | None) -> Pin:
        request = {"DirectorOp": "Pin", "Group": group, "Version": version}
        self._require(self.ask(request, "Pinned"))
        return self.pins()[group]

    def unpin(self, group: str) -> None:
        """End a pin (NotFound where there is none)."""
        self._require(self.ask({"DirectorOp": "Unpin", "Group": group}, "Unpinned"))

    @staticmethod
    def _require(answer: dict[str, Any], hint: str = "") -> None:
        if not answer["Success"]:
            family = NotFound if answer.get("Code") == "not-found" else DirectorError
            raise family(str(answer.get("Message")), hint=hint, code=str(answer.get("Code")))

    def pins(self) -> dict[str, Pin]:
        """All pins by group; works without a running system."""
        from director.history import Pins

        return Pins(self.state).read()

    def history(self, group: str | None = None) -> list[Event]:
        """What happened, oldest first, to all groups or one; works without a running system."""
        from director.history import History

        return History(self.state).read(group)

    def unload(self, digest: str) -> None:
        """Unload the source with this hash; its actors have ended when this returns.

        An older version that is active again thereby is audited: it was accepted before.
        """
        before = {told["ActiveHash"] for told in self.loaded().values()}
        answer = self.ask(
            {"DirectorOp": "UnloadSource", "SourceHash": digest}, "SourceUnloaded", 60.0
        )
        self._require(answer, "`director list` shows what is loaded.")
        for told in self.loaded().values():
            if told["ActiveHash"] and told["ActiveHash"] not in before:
                note = f"after {digest} was unloaded"
                self.trust("unload").audit_loaded(told["ActiveHash"], "valid", "active-again", note)

    def loaded(self, group: str | None = None) -> dict[str, Any]:
        """Every group's sources and actors, as RetrieveAll tells them."""
        request = {"DirectorOp": "RetrieveAll"} | ({"Group": group} if group else {})
        groups: dict[str, Any] = self.ask(request, "AllAddresses")["Groups"]
        return groups

    def status(self, group: str | None = None) -> Status:
        """How the running system is, of all groups or one."""
        from director.report import Status, group_status

        told = self.ask({"DirectorOp": "Status", "Group": group}, "Status")
        self._require(told)
        versions = [one for group in told["Groups"].values() for one in group["Versions"]]
        revoked = self.trust("status").revoked(one["SourceHash"] for one in versions)
        return Status(
            told["Directory"],
            told["State"],
            self.config.admin_port,
            self.config.system_base,
            told["Pid"],
            told["Protocol"],
            told["PackageVersion"],
            told["Started"],
            tuple(sorted(self.processes.members())),
            told["Blocked"],
            tuple(group_status(name, one, revoked) for name, one in told["Groups"].items()),
        )

    def logs(self, group: str) -> list[str]:
        """The log lines of a group's actors, past ones too, oldest first; of a system that ended likewise.

        Raises:
            NotFound: nothing was ever heard of such a group.
        """
        from director.logs import log_files, read_tail, select

        addresses: list[str] = []
        if self.running():
            for one in self.status(group).groups:
                actors = (actor for version in one.versions for actor in version.actors)
                addresses += [actor.address for actor in actors if actor.address]
        lines: list[str] = []
        for path in log_files(self.config.logging):
            lines += read_tail(path)
        found = list(select(lines, group, addresses))
        if not found and not self.history(group) and group not in self.store.available():
            known = sorted({event.group for event in self.history()} | set(self.store.available()))
            raise NotFound(
                f"Nothing was ever loaded of a group {group!r} here.",
                hint=f"Known are: {', '.join(known) or 'none'}.",
            )
        return found

    def doctor(self) -> list[Finding]:
        """What is wrong here, or might be, each with its remedy; nothing is changed or started."""
        from director.doctor import Finding, Patient, examine

        found = examine(Patient(self.store, self.environ, self.check))
        if any(finding.code == "settings" for finding in found) or not self.running():
            return found
        try:
            groups = self.status().groups
        except DirectorError as problem:
            return [*found, Finding("error", problem.code, problem.message, problem.hint)]
        for group in groups:
            if group.failure:
                first = group.failure.text.splitlines()[0]
                text = f"{group.name}: {group.failure.file}: {first}"
                remedy = f"`director status {group.name}` shows all of it."
                found.append(Finding("error", group.failure.code, text, remedy))
            if group.loading:
                text = f"{group.name}: the load of {group.loading} is not decided yet."
                remedy = "Wait, then look at `director status` again."
                found.append(Finding("warning", "pending", text, remedy))
        return found

    def role(self, role: str, group: str | None = None) -> Role | None:
        """A handle of a role that follows it over upgrades, or None where no active version has it."""
        from director.roles import find_role

        return find_role(self.connection, role, group)


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
