"""DirectorControl: the programmatic API; every command of the command line is one method here.

What lives here: talking to a running system, starting and stopping one, choosing what a load means. What does
not: printing (`director.cli`), deciding (`director.tls.verify`, `director.actors.groups`).
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from director.errors import DamagedArchive, DirectorError, LoadFailed, NotRunning, NotValidated
from director.settings.config import Config, director_directory, read_config, state_directory
from director.settings.tli import Tli, parse_tli, tli_from_definition
from director.store import Available, Store
from director.tls.naming import split_file_name
from director.tls.verify import Policy, Verdict, verify

#: Seconds to wait for an answer of the Director to a small question.
ASK_LIMIT = 10.0
#: Seconds to wait for a load to be decided: validation, start, and a GlobalName's hand-over.
LOAD_LIMIT = 300.0
#: Seconds that starting or stopping a system may take.
START_LIMIT, STOP_LIMIT = 60.0, 15.0


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
    """

    def __init__(
        self,
        directory: str | Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.environ = dict(os.environ if environ is None else environ)
        if directory is not None:
            self.environ["THESPIAN_DIRECTOR_DIR"] = str(directory)
        self.directory = director_directory(self.environ).absolute()
        self.state = state_directory(self.directory, self.environ).absolute()
        self.store = Store(self.directory, self.state)
        self.say = say
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

    def running(self) -> bool:
        """Whether something answers at the admin port; never starts anything."""
        udp = self.config.system_base == "multiprocUDPBase"
        if udp:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                try:
                    probe.bind(("", self.config.admin_port))
                except OSError:
                    return True
            return False
        try:
            with socket.create_connection(("127.0.0.1", self.config.admin_port), timeout=5):
                return True
        except OSError:
            return False

    def start(self) -> bool:
        """Start the actor system unless it runs; True when this call started it.

        Raises:
            SettingsError: a setting does not read; nothing was started.
            DirectorError: the system did not come up.
        """
        self.store.require()
        config = self.config
        with self.store.lock("start"):
            if self.running():
                return False
            for place in (self.state, config.log_directory):
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.say(f"starting {config.system_base} at admin port {config.admin_port}")
            told = self._start_process()
            if not told.get("ok"):
                raise DirectorError(
                    f"The actor system did not start: {told.get('error', 'no reason given')}.",
                    hint=f"Look into {config.log_directory}; is port {config.admin_port} free?",
                )
            (self.state / "system.json").write_text(json.dumps(told), encoding="utf-8")
        return True

    def _start_process(self) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="director-start-") as folder:
            result = Path(folder) / "result.json"
            command = [sys.executable, "-I", "-m", "director.actors.host"]
            # `-I` leaves out PYTHON* variables and the working directory: actors inherit sys.path.
            process = subprocess.Popen(
                [*command, str(self.directory), str(self.state), str(result)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=self.environ,
                close_fds=True,
                start_new_session=True,
            )
            try:
                process.wait(START_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                return {"ok": False, "error": f"no answer within {START_LIMIT:.0f} s"}
            if not result.is_file():
                return {
                    "ok": False,
                    "error": f"the starting process ended with {process.returncode}",
                }
            told: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
            return told

    def shutdown(self) -> list[int]:
        """Stop the actor system and see that every process of it has gone.

        Returns:
            the ids of processes that had to be killed.

        Raises:
            NotRunning: there is no actor system to stop.
        """
        known = self._known_system()
        self._connect().shutdown()
        self.close()
        session = known.get("session")
        killed = []
        if session:
            deadline = time.monotonic() + STOP_LIMIT
            while (left := session_members(session)) and time.monotonic() < deadline:
                time.sleep(0.05)
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
                except ProcessLookupError:
                    pass
        (self.state / "system.json").unlink(missing_ok=True)
        return killed

    def _known_system(self) -> dict[str, Any]:
        try:
            text = (self.state / "system.json").read_text(encoding="utf-8")
            known: dict[str, Any] = json.loads(text)
            return known
        except (OSError, ValueError):
            return {}

    def _connect(self) -> Any:
        """The running actor system; never starts one."""
        if self._system is None:
            if not self.running():
                raise NotRunning(
                    f"No actor system is running at admin port {self.config.admin_port}.",
                    hint="`director start` starts it.",
                )
            from thespian.actors import ActorSystem

            self._system = ActorSystem(
                self.config.system_base,
                {"Admin Port": self.config.admin_port},
                transientUnique=True,
            )
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

    def check(self, path: Path, data: bytes | None = None) -> Verdict:
        """Verify a .tls file with the keys of the director directory, as the authority would."""
        keys, bad = self.store.keys()
        for problem in bad:
            self.say(f"skipped: {problem}")
        for key in keys:
            self.say(f"key {key.name} ({key.fingerprint})")
        data = path.read_bytes() if data is None else data
        verdict = verify(data, keys, Policy(), datetime.now(UTC), file_name=path.name)
        self.say(f"{path}: {verdict.code}: {verdict.message}")
        return verdict

    def require_valid(self, path: Path, data: bytes) -> Verdict:
        """The verdict on a file that must be valid.

        Raises:
            NotValidated, DamagedArchive: with the reason and what to do.
        """
        verdict = self.check(path, data)
        if not verdict.valid:
            family = DamagedArchive if verdict.exit_status == 6 else NotValidated
            raise family(f"{path}: {verdict.message}", code=verdict.code)
        return verdict

    def install(self, source: str | Path) -> Path:
        """Verify a .tls file and place it in the director directory, whole or not at all."""
        self.store.require()
        path = Path(source)
        split_file_name(path.name)
        data = path.read_bytes()
        self.require_valid(path, data)
        return self.store.install(path.name, data)

    # ---- loading ---------------------------------------------------------------------------------

    def load(self, target: str) -> Loaded:
        """Load a group's newest file or a named one; returns when it is active.

        Args:
            target: GROUP, GROUP.tli, GROUP-VERSION.tls or a path.

        Raises:
            NotFound, NotValidated, DamagedArchive, SettingsError: nothing was loaded.
            LoadFailed: it did not become active; what ran before still serves.
        """
        self.store.require()
        return self._load(self.store.find(target))

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
        for group, files in self.store.available().items():
            if not files:
                continue
            newest = files[0]
            try:
                digest = source_hash(newest.path.read_bytes())
                if groups.get(group, {}).get("ActiveHash") == digest:
                    loaded = Loaded(group, newest.path, digest, changed=False)
                else:
                    loaded = self._load(newest)
                results.append(Refreshed(group, loaded, None))
            except DirectorError as problem:
                results.append(Refreshed(group, None, problem))
            except OSError as problem:
                error = DirectorError(f"{newest.path}: {problem.strerror}.")
                results.append(Refreshed(group, None, error))
        return results

    def unload(self, digest: str) -> None:
        """Unload the source with this hash; its actors have ended when this returns."""
        answer = self.ask(
            {"DirectorOp": "UnloadSource", "SourceHash": digest}, "SourceUnloaded", 60.0
        )
        if not answer["Success"]:
            from director.errors import NotFound

            family = NotFound if answer.get("Code") == "not-found" else DirectorError
            raise family(str(answer.get("Message")), hint="`director list` shows what is loaded.")

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


def source_hash(data: bytes) -> str:
    """Thespian's name of a source: the MD5 of its bytes (systemBase.loadActorSource). Trusts nothing."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def session_members(session: int) -> list[int]:
    """The ids of the living processes of a session (Linux; elsewhere none are found)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if fields[3] == str(session) and fields[0] not in "ZX":
            found.append(int(entry.name))
    return found
