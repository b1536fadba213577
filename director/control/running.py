"""The half of DirectorControl that has an actor system: whether it runs, starting, stopping and asking it.

What lives here: those. What does not: its processes (`director.system`), the line to the Director
(`director.connection`), what it is asked to do (`director.control.loads`, `switches`, `refreshing`) and to
tell (`director.control.reports`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from director import convention
from director.control.base import Base
from director.errors import DirectorError, NotFound, SettingsError
from director.service import start_unit
from director.settings.config import read_convention

if TYPE_CHECKING:
    from director.connection import Connection
    from director.report import Convention
    from director.system import SystemProcesses


class Running(Base):
    """The actor system of a director directory."""

    _connection: Connection | None = None

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
    def processes(self) -> SystemProcesses:
        """The processes of this directory's actor system, where it runs: adminport.cfg may say otherwise by now."""
        from director.system import SystemProcesses

        found = SystemProcesses.present(self.config, self.state, self.environ, self.say)
        behind = found.left_behind(self.config)
        if behind:
            self._warn_once(f"{behind} That counts from the next start.")
        return found

    def running(self) -> bool:
        """Whether something answers at the admin port; never starts anything."""
        return self.processes.running()

    def start(self) -> bool:
        """Start the actor system unless it runs; True when this call started it.

        Raises:
            SettingsError: a setting does not read; nothing was started.
            DirectorError: the system did not come up; or it runs and has no Director (code ``no-director``).
        """
        from director.client import require_free

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
                self.connection.require_director()
                return False
            self._end_old_base()
            left = processes.end_leftovers()
            if left:
                self.warn(f"{_dead_admin(left)} They were ended before the new one was started.")
            require_free(processes)
            doubts = list(convention.doubts(self._leaders()[0]))
            try:
                processes.start()
            except DirectorError as problem:
                if not doubts or isinstance(problem, SettingsError):
                    raise
                # Thespian then finds no address for itself.
                code, text, hint = doubts[0]
                raise DirectorError(f"{problem.message} {text}", hint=hint, code=code) from problem
        for _, text, hint in doubts:
            self.warn(f"{text} {hint}")
        return True

    def _end_old_base(self) -> None:
        """``oldthespbase.cfg``: a system of the base before still holds the port, or might."""
        from dataclasses import replace

        from director.connection import Connection
        from director.system import SystemProcesses

        old = self.config.old_system_base
        if not old or old == self.config.system_base:
            return
        processes = SystemProcesses(self.config, self.state, self.environ, self.say)
        port = processes.port_then or self.config.admin_port
        config = replace(self.config, system_base=old, admin_port=port)
        processes = replace(processes, config=config)
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
            DirectorError: code ``not-permitted``, for another user than root and its own.
            SettingsError: a setting does not read, and no Admin is known to run.
        """
        with self._despite_settings():
            return self._shutdown()

    @contextlib.contextmanager
    def _despite_settings(self) -> Iterator[None]:
        """A setting that does not read keeps nothing running: ``system.json`` tells how the system was started."""
        from director.system import SystemProcesses

        try:
            _ = self.config
        except SettingsError as problem:
            config, _ = self.survey()
            found = SystemProcesses.present(config, self.state, self.environ, self.say)
            if not found.admin_lives():
                raise
            self.warn(f"{problem} What runs was started with other settings, and is shut down.")
            self._config = config
            try:
                yield
            finally:
                self._config = None
        else:
            yield

    def _shutdown(self) -> list[int]:
        processes = self.processes
        processes.require_access()
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
            for name, number in self.ask({"DirectorOp": "EndElsewhere"}, "EndedElsewhere")["Left"]:
                many = "1 actor" if number == 1 else f"{number} actors"
                self.warn(
                    f"{name} is out of reach, and {many} of this system may run on there. They end when a leader meets "
                    "that host again."
                )
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

    @staticmethod
    def _require(answer: dict[str, Any], hint: str = "") -> None:
        if not answer["Success"]:
            family = NotFound if answer.get("Code") == "not-found" else DirectorError
            raise family(str(answer.get("Message")), hint=hint, code=str(answer.get("Code")))

    def loaded(self, group: str | None = None) -> dict[str, Any]:
        """Every group's sources and actors, as RetrieveAll tells them."""
        request = {"DirectorOp": "RetrieveAll"} | ({"Group": group} if group else {})
        groups: dict[str, Any] = self.ask(request, "AllAddresses")["Groups"]
        return groups

    def convention(self) -> Convention:
        """The hosts of the convention, as the leader sees them; works on members too.

        Raises:
            DirectorError: code ``leader-away``, on a member that cannot reach it.
        """
        from director.report import Convention, host_status

        told = self.ask({"DirectorOp": "Convention"}, "Convention")
        self._require(told)
        hosts = tuple(host_status(one) for one in told["Hosts"])
        return Convention(str(told["Leader"]), hosts, dict(told.get("Names", {})))

    def member_of(self) -> str:
        """The leaders of the convention that this host is a member of; "" where it may lead, or is alone."""
        leading, port = self._leaders()
        return ", ".join(leading) if convention.is_member(leading, port) else ""

    def leave_to_leader(self) -> None:
        """Raise DirectorError (code ``ask-leader``) on a member: this is known, or decided, on the leader."""
        leader = self.member_of()
        if leader:
            raise DirectorError(
                f"This host is a member of the convention led by {leader}, where groups are looked after; do it there.",
                hint="`director list` and `director status --convention` answer here, too.",
                code="ask-leader",
            )

    def _follows(self) -> str:
        """The leader of the convention; "" for the one that is named first, or a host alone."""
        leading, port = self._leaders()
        return leading[0] if convention.is_member(leading[:1], port) else ""

    def _leaders(self) -> tuple[list[str], int]:
        told, port, _ = read_convention(self.directory, self.environ)
        return convention.leaders(told, port), port


def _dead_admin(left: list[int]) -> str:
    return f"An Admin of this directory died and left {len(left)} processes of its actors."
