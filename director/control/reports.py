"""What DirectorControl tells of the running system: status, convention, logs, findings, handles of roles.

What lives here: asking for it. What does not: what a report is (`director.report`), where log lines stand
(`director.logs`), what is looked for (`director.doctor`), how it is printed (`director.cli`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterable, Mapping, Set
from dataclasses import replace
from typing import TYPE_CHECKING

from director.choice import PHASE, Phase, still_failed
from director.control.files import Files
from director.control.running import Running
from director.errors import DirectorError, NotFound, NotValidated, SettingsError
from director.files import LONGEST_STATE, read_regular

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from director.doctor import Finding
    from director.pins import Pin
    from director.report import Elsewhere, GroupStatus, OverrideStatus, Status
    from director.roles import Role
    from director.settings.config import Config
    from director.trust import HostTrust


class Reports(Files, Running):
    """Tells how things are; changes nothing."""

    def status(self, group: str | None = None) -> Status:
        """How the running system is, of all groups or one; what is revoked only where marks and settings read.

        What a version was loaded with is the Director's word; which GROUP.tli replaces a signed TLI at the next load is
        read from the director directory now.
        """
        from director.report import LeaderStatus, Status, group_status

        told = self.ask({"DirectorOp": "Status", "Group": group}, "Status")
        self._require(told)
        versions = [one for group in told["Groups"].values() for one in group["Versions"]]
        hashes = [one["SourceHash"] for one in versions]
        revoked: dict[str, str] = {}
        times: dict[str, tuple[str | None, bool]] = {}
        failed: list[GroupStatus] = []
        problem = unpinned = ""
        pins: dict[str, Pin] = {}
        try:
            pins = self.pins()
        except DirectorError as found:
            unpinned = str(found)
        try:
            if group is None:
                failed = self._not_brought_up(told["Groups"], told["Started"], pins)
            trust = self.trust("status")
            times, revoked = trust.times(), trust.revoked(hashes)
        except DirectorError as found:
            problem = str(found)
        processes, leader = self.processes, told.get("Leader")
        groups = [group_status(name, one, revoked, times) for name, one in told["Groups"].items()]
        return Status(
            told["Directory"],
            told["State"],
            processes.config.admin_port,
            processes.config.system_base,
            told["Pid"],
            told["Protocol"],
            told["PackageVersion"],
            told["Started"],
            told.get("TookOver"),
            tuple(sorted(processes.members())),
            told["Blocked"],
            self._with_overrides([*groups, *failed]),
            problem,
            LeaderStatus(leader["Address"], leader["Heard"], leader["Away"]) if leader else None,
            unpinned,
        )

    def _with_overrides(self, groups: Iterable[GroupStatus]) -> tuple[GroupStatus, ...]:
        """The groups, each with the operator's own TLI that lies here for it now.

        A copy of a signed TLI is none, nor is one that replaces none, unless no load could read it.
        """
        there = [(one, self.store.override(one.name)) for one in groups]
        if not any(path for _, path in there):
            return tuple(one for one, _ in there)
        trust = self.trust("status")
        signed: dict[str, set[str | None]] = {}
        with contextlib.suppress(NotValidated):  # marks that do not read are told of above
            for told in trust.marks.read().accepted.values():
                signed.setdefault(told.group, set()).add(told.tli)
        return tuple(
            replace(one, override=self._override(one, path, signed.get(one.name, set()), trust))
            if path
            else one
            for one, path in there
        )

    def _override(
        self, group: GroupStatus, path: Path, signed: Set[str | None], trust: HostTrust
    ) -> OverrideStatus | None:
        from director.loading import text_of
        from director.report import OverrideStatus
        from director.settings.tli import digest, parse_tli

        sha256 = None
        try:
            text = text_of(path)
            sha256 = digest(text)
            # The marks know most copies, and what the active version was loaded with is none: no .tls has to be read.
            if sha256 in signed:
                return None
            if sha256 != group.overridden and trust.has_signed(group.name, text):
                return None
            parse_tli(text, name=str(path), environ=self.environ)
        except SettingsError as problem:
            return OverrideStatus(str(path), sha256, str(problem))
        replaces = group.overridden or any(signed)
        return OverrideStatus(str(path), sha256, "") if replaces else None

    def _not_brought_up(
        self, known: Container[str], started: datetime, pins: Mapping[str, Pin]
    ) -> list[GroupStatus]:
        """The groups that the last start failed to load before the Director heard of them.

        Args:
            known: what the Director tells of.
            started: when it was.
            pins: those that are known.
        """
        from director.report import FailureStatus, GroupStatus

        try:
            phase = Phase.of(read_regular(self.state / PHASE, LONGEST_STATE))
        except OSError:
            return []
        if phase is None or phase.begin < started.timestamp():
            return []  # that was the start of another system
        found = []
        # What an operator took away is missed by nobody.
        here = set(self.store.available()) | set(pins)
        for name, why in sorted(phase.failed.items()):
            if name in here and name not in known and still_failed(self.history(name), phase):
                pin = pins.get(name)
                text = f"The start did not load it: {why}\nWhen that is mended: `director load {name}`."
                version, file = (pin.version, pin.file) if pin else (None, name)
                failure = FailureStatus(version, file, "start", text)
                found.append(GroupStatus(name, None, None, pin.file if pin else None, failure, ()))
        return found

    def not_loaded(self, groups: Iterable[GroupStatus]) -> list[str]:
        """The groups that have a file or a pin here and are none of these; at a member none are to be loaded.

        Args:
            groups: of `status`.
        """
        if self.member_of():
            return []
        here = {name for name, files in self.store.available().items() if files}
        here |= self.pinned_groups()
        return sorted(here - {one.name for one in groups})

    def logs(self, group: str) -> list[str]:
        """The log lines of a group's actors on this host, past ones too, oldest first; of a system that ended likewise.

        Raises:
            NotFound: nothing is known of such a group; on a member, nothing of it has run here.
        """
        from director.logs import log_files, read_tail, select

        leader, addresses = self.member_of(), list[str]()
        if self.running() and not leader:
            for one in self.status(group).groups:
                actors = (actor for version in one.versions for actor in version.actors)
                addresses += [actor.address for actor in actors if actor.address]
        if not addresses and not leader:
            self.require_group(group)
        lines: list[str] = []
        for path in log_files(self._logs().logging):
            lines += read_tail(path)
        if self.unit and self.unit.manager == "systemd":
            from director.unitlog import unit_lines

            lines += unit_lines(self.unit.name)
        found = list(select(lines, group, addresses))
        if leader and not found:
            raise NotFound(
                f"No line of a group {group!r} is in this host's log, {self.log_place}.",
                hint=f"`director logs {group}` on the leader of the convention, {leader}, tells where its actors run.",
            )
        return found

    @property
    def log_place(self) -> str:
        """Where `logs` looks, for people: in files, and of a systemd unit in the journal."""
        if self.unit and self.unit.manager == "systemd":
            read = f"`journalctl -u {self.unit.name}`"
            return f"what this user may read of the journal ({read}), or in {self._logs().log_directory}"
        return str(self._logs().log_directory)

    def _logs(self) -> Config:
        """The settings as the unit's own process reads them, which has a log directory of its own."""
        from director.settings.config import read_config

        if not self.unit or not self.unit.logs:
            return self.config
        return read_config(self.directory, {**self.environ, "LOGS_DIRECTORY": self.unit.logs})

    def elsewhere(self, group: str) -> list[Elsewhere]:
        """On the leader of a convention: the other hosts that actors of a group run on; elsewhere none."""
        from director.report import elsewhere

        if self.member_of() or not self._leaders()[0] or not self.running():
            return []
        return elsewhere(self.convention(), group)

    def doctor(self) -> list[Finding]:
        """What is wrong here, or might be, each with its remedy, errors first; nothing is changed or started."""
        from director.doctor import Finding, Patient, examine
        from director.doctor.running import running

        found = examine(Patient(self.store, self.environ, self.check))
        codes = {finding.code for finding in found}
        if "settings" in codes:
            return found
        if not self.running():
            if not codes & {"no-directory", "no-state", "state", "dead-admin"}:
                text = (
                    f"No actor system is running at admin port {self.processes.config.admin_port}."
                )
                found.append(Finding("warning", "not-running", text, "`director start` starts it."))
            return sorted(found, key=lambda finding: finding.level)
        try:
            status = self.status()
            found += running(status, self.not_loaded(status.groups))
        except DirectorError as problem:
            found.append(Finding("error", problem.code, problem.message, problem.hint))
        return sorted(found, key=lambda finding: finding.level)

    def role(self, role: str, group: str | None = None) -> Role:
        """A handle of a role that follows it over upgrades; it is false where no actor has the role now."""
        from director.roles import find_role

        return find_role(self.connection, role, group)
