"""What DirectorControl does with versions that were loaded before: undo, pin, unload.

What lives here: those. What does not: loading (`director.control.loads`).
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from director.control.files import source_hash, source_hash_of
from director.control.loads import LOAD_LIMIT, Loads
from director.control.refusals import refused
from director.control.results import Loaded
from director.errors import DirectorError, NotFound
from director.store import Available
from director.tls.naming import split_file_name
from director.tls.version import version_key

if TYPE_CHECKING:
    from director.pins import Pin

#: Seconds to wait for a pin: the Source Authority decides about its file, and may be busy with another.
PIN_LIMIT = 60.0


class Switches(Loads):
    """Goes back, stays, and takes away."""

    def undo(self, group: str) -> Loaded:
        """Make the version active that was so before the present one, with the same bytes, and pin the group to it.

        Raises:
            DirectorError: code ``nothing-to-undo``; code ``replaced``: it is not loaded any more, and its file has
                other bytes by now; nothing changed. NotValidated: it is not trusted any more; nothing changed.
            LoadFailed: it did not become active.
            NotFound: there is no such group, or the file of that version is not there any more.
        """
        self._may_change()
        answer = self.ask({"DirectorOp": "Undo", "Group": group}, "UndoResult", LOAD_LIMIT)
        if answer["Success"]:
            failed = answer.get("PinCode")
            told = (str(answer["PinMessage"]),) if failed else self._lasting(group)
            told += self._not_taken_over(group, str(answer["SourceHash"]))
            return Loaded(group, Path(answer["File"]), answer["SourceHash"], True, told)
        if answer.get("Code") != "not-loaded":
            self.require_group(group)
            problem = refused(answer)
            if problem.code == "nothing-to-undo":
                free = f"`director unpin {group}`, then " if group in self.pinned_groups() else ""
                problem.hint = (
                    f"{free}`director load FILE` makes another version active; `director history {group}` tells which "
                    "were so."
                )
            raise problem
        chosen = self._as_it_was(group, str(answer["File"]), str(answer["SourceHash"]))
        loaded = self._load(chosen, undo=True)
        try:
            self._pin(group, chosen.version, loaded.source_hash)
        except DirectorError as problem:  # the switch is done
            return replace(loaded, warnings=(*loaded.warnings, str(problem)))
        more = (*self._lasting(group), *self._not_taken_over(group, loaded.source_hash))
        return replace(loaded, warnings=(*loaded.warnings, *more))

    def _as_it_was(self, group: str, file: str, digest: str) -> Available:
        """The file that was active before, where its bytes are still at hand.

        Args:
            file: what was loaded then.
            digest: its source hash.

        Raises:
            DirectorError: code ``replaced``. NotFound: no such file is there.
        """
        name = Path(file).name
        there = [one for one in dict.fromkeys((Path(file), self.directory / name)) if one.is_file()]
        version = split_file_name(name)[1]
        for path in there:
            data = self.trust("undo").read(path)
            if source_hash(data) == digest:
                return Available(path, group, version, hashlib.sha256(data).hexdigest())
        otherwise = "`director load FILE` makes another version active."
        if not there:
            raise NotFound(
                f"{name}, which was active before, is not loaded any more, and {file} has gone; nothing was changed.",
                hint=f"Place it there again, then `director undo {group}`; or {otherwise}",
            )
        why = " A file without a version has no other place than this." if version is None else ""
        raise DirectorError(
            f"{name}, which was active before, is not loaded any more, and {there[0]} has other bytes now, which "
            f"were not; nothing was changed.{why}",
            hint=f"Put the earlier file (source hash {digest}) there, then `director undo {group}`; or {otherwise}",
            code="replaced",
        )

    def _lasting(self, group: str) -> tuple[str, ...]:
        """A warning where the pin of a group holds what is active, and a start would not find it."""
        from director.pins import pinned_file

        try:
            pin = self.pins().get(group)
            if pin:
                pinned_file(self.store, pin)
        except DirectorError as problem:
            return (f"it is active, but a start would not load it: {problem}",)
        return ()

    def _not_taken_over(self, group: str, digest: str, *, active: bool = True) -> tuple[str, ...]:
        """On the leader of a convention, a warning where other hosts may refuse an older version: it has no failover.

        Args:
            digest: Thespian's hash of its source.
            active: it is the active one, and runs.
        """
        from director.report import may_refuse

        try:
            if not self._leaders()[0]:
                return ()
            book = self.trust("undo").marks.read()
            _, known = book.of_source(digest) or ("", None)
            if known is None or known.version is None:
                return ()
            own = version_key(known.version)
            newer = [one.version for one in book.accepted.values() if one.group == group]
            if not any(one and version_key(one) > own for one in newer):
                return ()
            hosts = may_refuse(self.convention(), group, digest, active=active)
        except DirectorError:  # what was asked for is done
            return ()
        if not hosts:
            return ()
        return (
            f"{', '.join(hosts)} may not take its roles over should their host go: one that has seen a newer version "
            f"and never {known.version} refuses that as a downgrade. `director install --allow-downgrade {known.file}` "
            "there lets it come.",
        )

    def pin(self, group: str, version: str | None = None) -> Pin:
        """Keep a group at a version; default the active one.

        Args:
            version: as ``director avail`` or ``director list`` shows it, or an equal one (1 for 1.0): its file, with
                the bytes that it has now. Of the active one it holds what runs, whatever its file has.

        Raises:
            NotFound: there is no such group or version. NotValidated: it would not be loaded now.
        """
        self._may_change()
        self.require_group(group)
        versions = [one.version for one in self.store.available().get(group, [])]
        if version is None:
            told = self.loaded(group).get(group)
            active = told and told["Versions"].get(told["ActiveHash"])
            if not told or not active:
                raise NotFound(f"No version of {group!r} is active.", hint="Name a version.")
            for line in self._not_taken_over(group, str(told["ActiveHash"])):
                self.warn(line)
            return self._pin(group, active["Version"], str(told["ActiveHash"]))
        if version not in versions:
            equal = [one for one in versions if version_key(one) == version_key(version)]
            if not equal:
                known = ", ".join(one or "without a version" for one in versions) or "none"
                raise NotFound(
                    f"There is no version {version} of {group!r} in {self.directory}.",
                    hint=f"Versions there: {known}.",
                )
            version = equal[0]
        pin = self._pin(group, version)
        with contextlib.suppress(OSError):
            digest = source_hash_of(self.directory / pin.file)
            for line in self._not_taken_over(group, digest, active=False):
                self.warn(line)
        return pin

    def _pin(self, group: str, version: str | None, loaded: str | None = None) -> Pin:
        request = {"DirectorOp": "Pin", "Group": group, "Version": version}
        if loaded:
            request["SourceHash"] = loaded
        answer = self.ask(request, "Pinned", PIN_LIMIT)
        if not answer["Success"] and answer.get("Code") != "not-found":
            raise refused(answer)
        self._require(answer)
        return self.pins()[group]

    def unpin(self, group: str) -> None:
        """End a pin (NotFound where there is none)."""
        self._may_change()
        self.require_group(group)
        self._require(self.ask({"DirectorOp": "Unpin", "Group": group}, "Unpinned"))

    def unload(self, digest: str) -> None:
        """Unload the source with this hash; its actors have ended when this returns."""
        self.processes.require_access()
        answer = self.ask(
            {"DirectorOp": "UnloadSource", "SourceHash": digest}, "SourceUnloaded", 60.0
        )
        self._require(answer, "`director list` shows what is loaded.")

    def _may_change(self) -> None:
        self.processes.require_access()
        self.leave_to_leader()
