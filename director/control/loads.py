"""What DirectorControl has the Director do: load, refresh, unload, undo, pin.

What lives here: those. What does not: which file and which TLI a load means (`director.loading`), the activation
itself (`director.actors`).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from director.control.base import valid
from director.control.files import Files, source_hash_of
from director.control.results import Loaded, Refreshed
from director.control.running import Running
from director.errors import DirectorError, LoadFailed, NotFound, NotValidated, SettingsError
from director.store import Available

if TYPE_CHECKING:
    from director.history import Pin
    from director.settings.tli import Tli

#: Seconds to wait for a load to be decided: validation, start, and a GlobalName's hand-over.
LOAD_LIMIT = 300.0
#: Seconds to wait for a pin: the Source Authority decides about its file, and may be busy with another.
PIN_LIMIT = 60.0
#: Bytes of a source that Thespian's UDP transport carries: one datagram of 65,507, less what it adds.
UDP_LIMIT = 64_000
#: Codes of a load that failed for another reason than the Source Authority's refusal.
NOT_STARTED = {
    "actor-died", "blocked", "busy", "cache", "group", "load-failed", "locked", "malformed",
    "message-failed", "name-taken", "no-authority", "not-ended", "not-ready", "nothing-to-undo",
    "operation-failed", "os-error", "state", "superseded", "tli-changed", "unloaded", "unpack",
    "unreadable", "unsettled", "went-back",
}  # fmt: skip
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
    """Changes what is loaded."""

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
        try:
            _ = self.config  # first of all: every file that does not read is told
        except SettingsError as problem:
            self.trust("load").audit_refusal(Path(target).name, problem)
            raise
        self.leave_to_leader()
        self.trust("load").finish_installs()
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
        return _Wanted(chosen, tli, request, warnings)

    def _loaded(self, wanted: _Wanted, answer: dict[str, Any], warnings: list[str]) -> Loaded:
        if not answer["Success"]:
            problem = refused(answer)
            if problem.code == "tli-changed" and warnings:
                problem.hint = f"Perhaps this is why: {' '.join(warnings)}"
            if problem.code == "changed":  # no authority was asked: nobody else writes it down
                self.trust("load").audit_refusal(wanted.chosen.path.name, problem)
            raise problem
        self.say(str(answer["Message"]))
        return Loaded(
            wanted.chosen.group,
            wanted.chosen.path,
            str(answer["SourceHash"]),
            answer["Code"] != "unchanged",
            (*wanted.warnings, *warnings),
        )

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
        pins = self.pins()
        wanted = [
            (group, partial(loading.choose, self.store, target, pins))
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
                problem = _os_error(problem, group)
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

    def refresh(
        self,
        leave: Container[str] = (),
        told: Callable[[Refreshed], None] = lambda one: None,
    ) -> list[Refreshed]:
        """Load the newest file (of a pinned group the pinned one) of every group that is not active already.

        Several groups are loaded at once. One bad group stops no other.

        Args:
            leave: groups that are left as they are.
            told: told each group as it ends.

        Returns:
            one for each group, by name.
        """
        from director import loading

        self.store.require()
        self.trust("refresh").finish_installs()
        results: list[Refreshed] = []
        wanted: list[tuple[str, Callable[[], Available]]] = []
        self.start()
        leader = self._follows()
        if leader:  # sources are loaded there, and come from there (guide 2.2)
            here = [one.path.name for files in self.store.available().values() for one in files]
            if here:
                self.warn(
                    f"This host is a member of the convention led by {leader}: "
                    f"{', '.join(sorted(here))} are not loaded from here."
                )
            self._end_revoked_here()
            return []
        groups = self.loaded()
        revoked = self.revoked(groups)
        failed = self._failed_groups()
        pins = self.pins()
        times = self.trust("refresh").times()
        for group, files in self.store.available().items():
            if not files or group in leave:
                continue
            try:
                newest = loading.newest(self.store, files, pins)
                digest = source_hash_of(newest.path)
                over = times.get(digest, (None, True))[1]  # what is new here is looked at
                in_time = self._in_time(newest, files, pins) if over else newest
                if in_time != newest:
                    newest, digest = in_time, source_hash_of(in_time.path)
            except DirectorError as problem:
                results.append(Refreshed(group, None, problem))
            except OSError as problem:
                results.append(Refreshed(group, None, _os_error(problem, group)))
            else:
                changed = groups.get(group, {}).get("ActiveHash") != digest
                if changed or digest in revoked:
                    wanted.append((group, partial(_same, newest)))
                    continue
                if group in failed:
                    results.append(Refreshed(group, None, _gave_up(group)))
                else:
                    loaded = Loaded(group, newest.path, digest, changed=False)
                    results.append(Refreshed(group, loaded, None))
            told(results[-1])
        if wanted:
            results += self._load_all(wanted, told)
        results.sort(key=lambda one: one.group)
        # After the loads: a newer version that is good takes over without a gap.
        ended = self._unload_revoked(self.loaded() if wanted else groups)
        for one in ended:
            told(one)
        return results + ended

    def _in_time(
        self, newest: Available, files: list[Available], pins: Mapping[str, Pin]
    ) -> Available:
        """The newest file, or where its time is over the next of the group that is valid; a pin is kept to.

        Raises:
            NotValidated: code ``expired``: there is no other. What runs goes on.
        """
        verdict = self.check(newest.path)
        if verdict.code != "expired":
            return newest  # the load tells what else is wrong with it
        others = [] if newest.group in pins else [one for one in files if one.path != newest.path]
        for other in others:
            if self.check(other.path).valid:
                self.warn(f"{newest.path}: {verdict.message} {other.path} is taken instead.")
                return other
        self.trust("refresh").audit(verdict, newest.path.name)
        raise NotValidated(
            f"{newest.path}: {verdict.message}",
            hint="No other version here is valid; what runs goes on, and would not start again.",
            code="expired",
        )

    def _failed_groups(self) -> set[str]:
        """Groups whose active version has an actor that died too often; `load` starts it again."""
        told = self.ask({"DirectorOp": "Status"}, "Status")["Groups"]
        return {
            name
            for name, group in told.items()
            for version in group["Versions"]
            if version["SourceHash"] == group["Active"]
            and any(actor["State"] == "failed" for actor in version["Actors"])
        }

    def revoked(self, groups: Mapping[str, Any] | None = None) -> dict[str, str]:
        """Loaded sources that are revoked by now: source hash → the reason.

        Args:
            groups: what `loaded` told a moment ago; default: it is asked now.
        """
        groups = self.loaded() if groups is None else groups
        loaded = [one for told in groups.values() for one in told["Loaded"]]
        return self.trust("refresh").revoked(loaded)

    def _end_revoked_here(self) -> None:
        """At a member, where an unload would reach the whole convention: what is revoked here ends here."""
        answer = self.ask({"DirectorOp": "EndRevoked"}, "RevokedEnded")
        self._require(answer)
        if not answer["Ended"]:
            return
        accepted = self.trust("refresh").marks.read().accepted.values()
        files = {told.source_hash: told.file for told in accepted}
        for digest, reason in answer["Ended"].items():
            text = f"{files.get(digest, '')} {digest} was ended on this host, since it is revoked: {reason}."
            self.warn(text.lstrip())

    def _unload_revoked(self, groups: Mapping[str, Any]) -> list[Refreshed]:
        results = []
        names = {one: name for name, told in groups.items() for one in told["Loaded"]}
        for digest, reason in self.revoked(groups).items():
            group, trust = names[digest], self.trust("refresh")
            try:
                known = trust.known_as(digest)
                self.unload(digest)
                trust.audit_loaded(known, "unloaded", "revoked", reason)
                self.warn(f'"{group}" {digest} was unloaded, since it is revoked: {reason}.')
            except DirectorError as problem:
                results.append(Refreshed(group, None, problem))
        return results

    def undo(self, group: str) -> Loaded:
        """Make the version active that was so before the present one, and pin the group to it.

        Raises:
            DirectorError: code ``nothing-to-undo``. NotValidated: it is not trusted any more; nothing changed.
            LoadFailed: it did not become active.
            NotFound: there is no such group, or the file of that version is not there any more.
        """
        self.leave_to_leader()
        answer = self.ask({"DirectorOp": "Undo", "Group": group}, "UndoResult", LOAD_LIMIT)
        if answer["Success"]:
            told = (str(answer["PinMessage"]),) if answer.get("PinCode") else ()
            return Loaded(group, Path(answer["File"]), answer["SourceHash"], True, told)
        if answer.get("Code") != "not-loaded":
            self.require_group(group)
            raise refused(answer)
        chosen = self.store.find(str(answer["File"]))
        loaded = self._load(chosen, undo=True)
        try:
            self._pin(group, chosen.version)
        except DirectorError as problem:  # the switch is done
            return replace(loaded, warnings=(*loaded.warnings, str(problem)))
        return loaded

    def pin(self, group: str, version: str | None = None) -> Pin:
        """Keep a group at a version; default the active one.

        Args:
            version: as ``director avail`` or ``director list`` shows it.

        Raises:
            NotFound: there is no such group or version. NotValidated: it would not be loaded now.
        """
        self.leave_to_leader()
        self.require_group(group)
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
        answer = self.ask(request, "Pinned", PIN_LIMIT)
        if not answer["Success"] and answer.get("Code") != "not-found":
            raise refused(answer)
        self._require(answer)
        return self.pins()[group]

    def unpin(self, group: str) -> None:
        """End a pin (NotFound where there is none)."""
        self.leave_to_leader()
        self.require_group(group)
        self._require(self.ask({"DirectorOp": "Unpin", "Group": group}, "Unpinned"))

    def unload(self, digest: str) -> None:
        """Unload the source with this hash; its actors have ended when this returns."""
        answer = self.ask(
            {"DirectorOp": "UnloadSource", "SourceHash": digest}, "SourceUnloaded", 60.0
        )
        self._require(answer, "`director list` shows what is loaded.")


def _same(chosen: Available) -> Available:
    return chosen


def _os_error(problem: OSError, group: str) -> DirectorError:
    return DirectorError(
        f"{problem.filename or group}: {problem.strerror}.",
        hint="Make room, or mend the permissions there, then try again.",
        code="os-error",
    )


def _gave_up(group: str) -> DirectorError:
    return LoadFailed(
        f"Its newest version is active, but an actor of it died too often and is not restarted: `director load "
        f"{group}` starts it again.",
        hint=f"`director status {group}` shows why.",
        code="actor-failed",
    )


def refused(answer: dict[str, Any]) -> DirectorError:
    """What the Director answered instead of doing it: the authority's refusal, or a version that did not start."""
    code = str(answer.get("Code", "load-failed"))
    family = (
        LoadFailed
        if code in NOT_STARTED
        else SettingsError
        if code == "settings"
        else NotFound
        if code == "not-found"
        else NotValidated
    )
    return family(str(answer.get("Message", "the load failed")), code=code)
