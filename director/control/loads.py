"""What DirectorControl has the Director load: one file, or one for each group.

What lives here: those. What does not: which file and which TLI a load means (`director.loading`), what refresh finds
to be loaded (`director.control.refreshing`), the activation itself (`director.actors`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from director.control.base import valid
from director.control.files import Files
from director.control.refusals import refused
from director.control.results import Loaded, Refreshed
from director.control.running import Running
from director.errors import DirectorError, NotValidated, SettingsError
from director.store import Available

if TYPE_CHECKING:
    from director.settings.tli import Tli

#: Seconds to wait for a load to be decided: validation, start, and a GlobalName's hand-over.
LOAD_LIMIT = 300.0
#: Bytes of a source that Thespian's UDP transport carries: one datagram of 65,507, less what it adds.
UDP_LIMIT = 64_000
#: What an operator of a convention may not expect of a refusal.
LEADER_TOO = (
    "The leader of a convention has to accept a source itself, even one that only members run."
)
#: Loads that are under way at once: enough that no disk or process is waited for alone, few enough that each is up in
#: its time on a small host.
AT_ONCE = 8


@dataclass(frozen=True)
class _Wanted:
    """A load that is about to be asked for."""

    chosen: Available
    tli: Tli
    request: dict[str, Any]
    warnings: list[str]


class Loads(Files, Running):
    """Has sources loaded."""

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
            DirectorError: code ``pins``: they do not read; codes of `director.loading.choose`.
            LoadFailed: it did not become active; what ran before still serves.
        """
        self.store.require()
        try:
            _ = self.config  # first of all: every file that does not read is told
        except SettingsError as problem:
            self.trust("load").decisions.refusal(Path(target).name, problem)
            raise
        self.leave_to_leader()
        self.finish_installs()
        from director import loading

        chosen = loading.choose(self.store, target, self.pins())
        if allow_downgrade:
            trust = self.trust("load --allow-downgrade")
            data = trust.read(chosen.path)
            valid(chosen.path, trust.admit(data, chosen.path.name, allowed=("downgrade",)))
        return self._load(chosen, settle=settle)

    def _load(
        self, chosen: Available, *, settle: float | None = None, undo: bool = False
    ) -> Loaded:
        from director import loading

        wanted = self._wanted(chosen, settle=settle, undo=undo)
        if self.start():
            self.say("the actor system was started")
        more = loading.differing(wanted.tli, self.processes.environment())
        answer = self.ask(wanted.request, "LoadResult", LOAD_LIMIT + (settle or 0.0))
        return self._loaded(wanted, answer, more)

    def _wanted(
        self, chosen: Available, *, settle: float | None = None, undo: bool = False
    ) -> _Wanted:
        """What the Director is to be asked, when the file and its TLI were found to be good."""
        from director import loading

        data = self.trust("load").read(chosen.path)
        try:
            verdict = self.require_valid(chosen.path, data)
        except NotValidated as problem:
            if self._leaders()[0]:
                problem.hint = f"{problem.hint} {LEADER_TOO}".strip()
            raise
        if chosen.sha256 not in (None, verdict.sha256):
            raise DirectorError(
                f"{chosen.path} was replaced a moment ago; nothing was loaded.",
                hint="Try it again.",
                code="changed",
            )
        if len(data) > UDP_LIMIT and self.processes.config.system_base == "multiprocUDPBase":
            raise DirectorError(
                f"{chosen.path} has {len(data)} bytes; multiprocUDPBase sends at most {UDP_LIMIT} in one message.",
                hint="Use multiprocTCPBase, which has no such limit (thespbase.cfg).",
                code="too-large-for-udp",
            )
        signed = self.trust("load").has_signed
        tli, warnings = loading.Definitions(self.store, self.environ, signed).of(chosen, verdict)
        request = {
            "DirectorOp": "LoadSource",
            "Source": str(chosen.path),
            "Group": chosen.group,
            "Definition": tli.definition(),
            "Override": tli.override,
            "SHA256": verdict.sha256,
            "Wait": True,
            "Undo": undo,
        }
        if settle is not None:
            request["Settle"] = float(settle)
        return _Wanted(chosen, tli, request, warnings)

    def _loaded(self, wanted: _Wanted, answer: dict[str, Any], warnings: list[str]) -> Loaded:
        if not answer["Success"]:
            problem = refused(answer)
            if problem.code == "no-host":
                problem.hint = self._demands(wanted.chosen.group, answer)
            if problem.code == "tli-changed" and warnings:
                problem.hint = f"Perhaps this is why: {' '.join(warnings)}"
            if problem.code == "changed":  # no authority was asked: nobody else writes it down
                self.trust("load").decisions.refusal(wanted.chosen.path.name, problem)
            raise problem
        self.say(str(answer["Message"]))
        return Loaded(
            wanted.chosen.group,
            wanted.chosen.path,
            str(answer["SourceHash"]),
            answer["Code"] != "unchanged",
            (*wanted.warnings, *warnings),
        )

    def _demands(self, group: str, answer: dict[str, Any]) -> str:
        """For people: which roles of a loaded source wait for a host, and what they demand of it."""
        from director.actors.known import recall
        from director.actors.needs import ANY, of_class

        known = recall(self.store.state, str(answer["SourceHash"]))
        lines = []
        for one in answer.get("Waiting", ()):
            name, role = str(one["ActorClass"]), one["Role"]
            found = of_class(Path(known.directory), name) if known else {}
            needs = [
                f"{key!r}" if value == ANY else f"{key!r}: {value}"
                for key, value in found.items()
                if key
            ]
            who = f"The role {role!r}" if role else name
            if one["Code"] == "host-refused":
                lines.append(f"{who} of {group} waits until a host that fits accepts its source.")
                continue
            what = f"the capability {' and '.join(needs)}" if needs else "what its class asks for"
            lines.append(f"{who} of {group} waits for a host with {what}.")
        return " ".join([*lines, "`director status --convention` shows who is there."])

    def load_each(
        self, targets: Mapping[str, str], told: Callable[[Refreshed], None] = lambda one: None
    ) -> list[Refreshed]:
        """Load a file for each group, several at once; one that fails stops no other.

        Args:
            targets: by group what `load` takes.
            told: told each as it ends.

        Returns:
            one for each group, by name.

        Raises:
            DirectorError: code ``ask-leader``, on a member of a convention.
        """
        from director import loading

        self.store.require()
        self.leave_to_leader()
        self.start()
        pins, listed = self.pins(), self.store.available()
        wanted = [
            (group, partial(loading.choose, self.store, target, pins, listed))
            for group, target in targets.items()
        ]
        return self._load_all(wanted, told)

    def _load_all(
        self,
        wanted: Iterable[tuple[str, Callable[[], Available]]],
        told: Callable[[Refreshed], None],
    ) -> list[Refreshed]:
        from director import loading

        results: list[Refreshed] = []
        asked: dict[str, _Wanted] = {}
        theirs = self.processes.environment()

        def end(group: str, loaded: Loaded | None, problem: DirectorError | OSError | None) -> None:
            if isinstance(problem, OSError):
                problem = os_error(problem, group)
            results.append(Refreshed(group, loaded, problem))
            told(results[-1])

        def requests() -> Iterator[tuple[str, dict[str, Any]]]:
            for group, find in wanted:
                try:
                    asked[group] = self._wanted(find())
                except (DirectorError, OSError) as problem:
                    end(group, None, problem)
                else:
                    yield group, asked[group].request

        for group, answer in self.connection.ask_each(
            requests(), "LoadResult", LOAD_LIMIT, AT_ONCE
        ):
            one = asked.pop(group)
            if isinstance(answer, DirectorError):
                end(group, None, answer)
                continue
            try:
                end(group, self._loaded(one, answer, loading.differing(one.tli, theirs)), None)
            except DirectorError as problem:
                end(group, None, problem)
        return sorted(results, key=lambda one: one.group)


def os_error(problem: OSError, group: str) -> DirectorError:
    return DirectorError(
        f"{problem.filename or group}: {problem.strerror}.",
        hint="Make room, or mend the permissions there, then try again.",
        code="os-error",
    )
