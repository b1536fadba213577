"""Talking to the Director of a running actor system.

What lives here: one connection of this process, requests and the replies to them, the comparison of protocol numbers.
What does not: what is asked (`director.control`), processes (`director.system`).
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from director import convention
from director.audit import who
from director.client import attach
from director.errors import DirectorError, NotRunning
from director.store import Store
from director.system import SystemProcesses

#: Seconds to wait for an answer of the Director to a small question.
ASK_LIMIT = 10.0
#: Seconds until the Admin has to have given the Director's address.
FIND_LIMIT = 8.0
#: Seconds to wait for a start by somebody else that is under way.
STARTING = 10.0
#: Seconds without an answer after which to look whether one can still come.
LOOK_AFTER = 2.0


class Connection:
    """This process's line to the actor system of a director directory; it never starts one.

    Args:
        processes: of that system.
        directory, state: told to a Director that was born after its predecessor's death.
        say: told each step.
        warn: told what an operator should know.
    """

    def __init__(
        self,
        processes: SystemProcesses,
        directory: Path,
        state: Path,
        say: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        self.processes = processes
        self.places = {"Directory": str(directory), "State": str(state)}
        self.say = say
        self.warn = warn
        self._system: Any = None
        self._director: Any = None
        self.identity: dict[str, Any] = {}

    def close(self) -> None:
        """Give up the line; the actor system goes on."""
        self._system = self._director = None

    @property
    def system(self) -> Any:
        """Thespian's ActorSystem of the running system.

        Raises:
            NotRunning: there is none. DirectorError: code ``foreign-port``: something else is there.
        """
        if self._system is None:
            port = self.processes.config.admin_port
            if not self.processes.running():
                raise not_running(self.processes)
            # Actors on other hosts answer to the address that leads to the convention, not to the loopback's.
            address = convention.address(self.processes.config.convention_leader, port)
            self._system = attach(self.processes, {"Admin Port": port, **address})
        return self._system

    def ask(self, request: dict[str, Any], kind: str, limit: float = ASK_LIMIT) -> dict[str, Any]:
        """Ask the Director and wait for the reply of this kind to this very request.

        Args:
            request: a message of `director.actors.messages`, without RequestId.
            kind: the ``DirectorResponse`` to wait for; a failed reply of another kind counts too.
            limit: seconds.

        Raises:
            NotRunning: no actor system. DirectorError: no reply in time (code ``no-answer``), no Director (code
                ``no-director``), or one of another version of this package (code ``protocol``).
        """
        if self._director is None:
            self._meet(limit)
        return self._ask(request, kind, limit)

    def ask_each(
        self, requests: Iterable[tuple[str, dict[str, Any]]], kind: str, limit: float, at_once: int
    ) -> Iterator[tuple[str, dict[str, Any] | DirectorError]]:
        """Ask several things, some of them at once; each answer comes as soon as it is there.

        Args:
            requests: each with a name of its own; taken one by one, when there is room.
            kind, limit: as for `ask`, of each.
            at_once: so many wait for their answer at a time.

        Yields:
            the name, and the answer or why there is none. A Director that dies fails what waits for it; its successor
            is asked the rest.
        """
        left, waiting = iter(requests), dict[str, tuple[str, float]]()
        more = True
        while more or waiting:
            while more and len(waiting) < at_once:
                name, request = next(left, ("", None))
                if request is None:
                    more = False
                    break
                try:
                    if self._director is None:
                        self._meet()
                    waiting[self._tell(request)] = (name, time.monotonic() + limit)
                except DirectorError as problem:
                    yield name, problem
            if not waiting:
                continue
            try:
                answer = self._hear(LOOK_AFTER)
            except DirectorError as problem:
                for name, _ in waiting.values():
                    yield name, problem
                waiting.clear()
                continue
            request_id = str(answer.get("RequestId")) if answer else ""
            if answer and request_id in waiting and _is_last(answer, kind):
                yield waiting.pop(request_id)[0], answer
            now = time.monotonic()
            for request_id, (name, deadline) in list(waiting.items()):
                if deadline < now:
                    del waiting[request_id]
                    yield name, self._no_answer(name, limit)

    def _find(self, limit: float) -> Any:
        """The Director's address; where it has died another is born by this.

        Raises:
            DirectorError: code ``no-director``: within so many seconds the Admin gave none.
        """
        from thespian.actors import ActorSystemException

        from director.actors.messages import DIRECTOR_NAME

        system, found, problems = self.system, list[Any](), list[str]()

        def look() -> None:
            try:
                found.append(system.createActor("director.Director", globalName=DIRECTOR_NAME))
            except ActorSystemException as problem:
                problems.append(f" ({problem})")

        # Thespian itself waits for 50 s (systemBase.newPrimaryActor), and takes no other limit.
        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        thread.join(limit)
        if found:
            return found[0]
        raise DirectorError(
            f"The actor system runs, and has given no Director for {limit:.0f} s{''.join(problems)}: one that died at "
            "its birth keeps its name, and no other can have it.",
            hint="What runs goes on, without anybody to look after it. If this stays so: `director shutdown`, then "
            "`director start`.",
            code="no-director",
        )

    def _meet(self, limit: float = FIND_LIMIT) -> None:
        """Find the Director, compare protocols, and tell one that is new where it is."""
        from director.actors.messages import PROTOCOL

        self._director = self._find(min(limit, FIND_LIMIT))
        try:
            self.identity = self._ask({"DirectorOp": "Identify"}, "Identity", ASK_LIMIT)
            theirs = self.identity.get("Protocol")
            if theirs != PROTOCOL:
                raise DirectorError(
                    f"The running Director speaks protocol {theirs}, this command {PROTOCOL}.",
                    hint="After an upgrade of this package: `director shutdown`, then `director start`.",
                    code="protocol",
                )
            self._await_start()
            self._require_ours()
            if not self.identity.get("Directory"):
                if not self.identity.get("Told"):
                    text = "The Director had died; a new one takes up what its predecessor left."
                    self.warn(text)
                startup = {"DirectorOp": "Startup", **self.places}
                self.identity = self._ask(startup, "Identity", 15.0)
                self._require_ours()
        except DirectorError:
            self._director = None
            raise

    def _await_start(self) -> None:
        """A system that is just being started has no record of its processes yet; the start tells its Director."""
        deadline = time.monotonic() + STARTING
        while (
            not self.identity.get("Directory")
            and not self.processes.members()
            and time.monotonic() < deadline
        ):
            time.sleep(0.1)
            self.identity = self._ask({"DirectorOp": "Identify"}, "Identity", ASK_LIMIT)

    def require_ours(self) -> None:
        """See that the running system is this directory's, unless its processes show it.

        Raises:
            DirectorError: code ``foreign-system``: it is another director directory's.
        """
        if not self.processes.members() and self._director is None:
            try:
                self._meet()
            except DirectorError as problem:
                # Where processes are not seen, what was started here last at this port is what runs there.
                known = self.processes.port_then == self.processes.config.admin_port
                if problem.code != "no-director" or not known:
                    raise

    def require_director(self) -> None:
        """See that somebody looks after the running system; a Director that died has a successor by this.

        Raises:
            DirectorError: code ``no-director``: it has none, and gets none. Else as `require_ours`.
        """
        self.require_ours()
        if self._director is None:
            try:
                self._meet()
            except DirectorError as problem:
                if problem.code == "no-director":
                    raise
                self.say(f"the Director was not met: {problem.message}")

    def _require_ours(self) -> None:
        theirs = self.identity.get("Directory")
        if theirs and theirs != self.places["Directory"]:
            raise DirectorError(
                f"The actor system at port {self.processes.config.admin_port} is that of the director directory "
                f"{theirs}, not of {self.places['Directory']}.",
                hint="Set THESPIAN_DIRECTOR_DIR to that one, or another port in adminport.cfg here.",
                code="foreign-system",
            )

    def _ask(self, request: dict[str, Any], kind: str, limit: float) -> dict[str, Any]:
        request_id = self._tell(request)
        deadline = time.monotonic() + limit
        while (left := deadline - time.monotonic()) > 0:
            answer = self._hear(min(left, LOOK_AFTER), look=left > LOOK_AFTER)
            # Answers to earlier requests that came too late are none to this one.
            if answer and answer.get("RequestId") == request_id:
                if answer.get("DirectorResponse") == "AskLeader":
                    raise _ask_leader(answer)
                if _is_last(answer, kind):
                    return answer
                self.say(f"{answer.get('DirectorResponse')}: {answer.get('SourceHash', '')}")
        raise self._no_answer(str(request.get("DirectorOp")), limit)

    def _tell(self, request: dict[str, Any]) -> str:
        """Have a request sent while answers are waited for; returns what its answers are known by."""
        request_id = uuid.uuid4().hex
        # `tell` would wait for up to a minute until a Director that hangs has taken it (systemBase.tell).
        told = {**request, "Who": who(), "RequestId": request_id}
        self.system.ask(self._director, told, timedelta(0))
        return request_id

    def _hear(self, seconds: float, *, look: bool = True) -> dict[str, Any] | None:
        """The next message of the Director; where none came, and ``look``, see whether one still can."""
        begin = time.monotonic()
        answer = self.system.listen(timedelta(seconds=seconds))
        early = (
            time.monotonic() - begin < seconds * 0.9
        )  # Thespian gives up at once where nobody listens
        if answer is None and (look or early):
            self._look_after()
        return answer if isinstance(answer, dict) else None

    def _no_answer(self, what: str, limit: float) -> DirectorError:
        return DirectorError(
            f"The Director did not answer {what} within {limit:.0f} s.",
            hint=f"Look into {self.processes.config.log_directory}.",
            code="no-answer",
        )

    def _look_after(self) -> None:
        """Nothing came for a while: raise DirectorError (code ``director-died``) where nothing can come."""
        pid = self.identity.get("Pid")
        members = self.processes.members()
        if pid is not None and members and pid not in members:
            self.close()
            raise DirectorError(
                "The Director died over this request.",
                hint="Its groups go on; `director status` brings a new one, which takes them over.",
                code="director-died",
            )
        if not self.processes.running():
            self.close()
            raise DirectorError(
                "The actor system ended over this request.",
                hint="`director start` cleans up and starts it anew.",
                code="system-died",
            )


def _is_last(answer: dict[str, Any], kind: str) -> bool:
    """Whether this is the reply that was waited for, or a failure."""
    return answer.get("DirectorResponse") == kind or not answer.get("Success")


def _ask_leader(answer: dict[str, Any]) -> DirectorError:
    """What a member's Director cannot answer, as an error."""
    hints = {
        "ask-leader": "`director status --convention` shows the convention.",
        "leader-away": "Its groups run on where they are; look after that host, or the network.",
    }
    code = str(answer.get("Code"))
    text = str(answer.get("Message"))
    return DirectorError(f"{text[:1].upper()}{text[1:]}.", hint=hints.get(code, ""), code=code)


def not_running(processes: SystemProcesses) -> NotRunning:
    """The error that says so, and whether an Admin died.

    Raises:
        NotFound: the director directory is missing, so that it is probably another that was meant.
    """
    port = processes.config.admin_port
    left = processes.members()
    if left:
        return NotRunning(
            f"The Admin at port {port} died and left {len(left)} processes, which answer nobody new.",
            hint="`director start` ends them and starts anew.",
            code="admin-died",
        )
    Store(processes.config.directory, processes.state).require()
    return NotRunning(
        f"No actor system is running at admin port {port}.", hint="`director start` starts it."
    )
