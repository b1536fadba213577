"""What DirectorControl does with versions that were loaded before: undo, pin, unload.

What lives here: those. What does not: loading (`director.control.loads`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from director.control.loads import LOAD_LIMIT, Loads
from director.control.refusals import refused
from director.control.results import Loaded
from director.errors import DirectorError, NotFound
from director.tls.version import version_key

if TYPE_CHECKING:
    from director.history import Pin

#: Seconds to wait for a pin: the Source Authority decides about its file, and may be busy with another.
PIN_LIMIT = 60.0


class Switches(Loads):
    """Goes back, stays, and takes away."""

    def undo(self, group: str) -> Loaded:
        """Make the version active that was so before the present one, and pin the group to it.

        Raises:
            DirectorError: code ``nothing-to-undo``. NotValidated: it is not trusted any more; nothing changed.
            LoadFailed: it did not become active.
            NotFound: there is no such group, or the file of that version is not there any more.
        """
        self._may_change()
        answer = self.ask({"DirectorOp": "Undo", "Group": group}, "UndoResult", LOAD_LIMIT)
        if answer["Success"]:
            told = (str(answer["PinMessage"]),) if answer.get("PinCode") else ()
            return Loaded(group, Path(answer["File"]), answer["SourceHash"], True, told)
        if answer.get("Code") != "not-loaded":
            self.require_group(group)
            problem = refused(answer)
            if problem.code == "nothing-to-undo":
                free = f"`director unpin {group}`, then " if group in self.pins() else ""
                problem.hint = (
                    f"{free}`director load FILE` makes another version active; `director history {group}` tells which "
                    "were so."
                )
            raise problem
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
            version: as ``director avail`` or ``director list`` shows it, or an equal one (1 for 1.0).

        Raises:
            NotFound: there is no such group or version. NotValidated: it would not be loaded now.
        """
        self._may_change()
        self.require_group(group)
        versions = [one.version for one in self.store.available().get(group, [])]
        if version is None:
            told = self.loaded(group).get(group)
            active = told and told["Versions"].get(told["ActiveHash"])
            if not active:
                raise NotFound(f"No version of {group!r} is active.", hint="Name a version.")
            version = active["Version"]
        elif version not in versions:
            equal = [one for one in versions if version_key(one) == version_key(version)]
            if not equal:
                known = ", ".join(one or "without a version" for one in versions) or "none"
                raise NotFound(
                    f"There is no version {version} of {group!r} in {self.directory}.",
                    hint=f"Versions there: {known}.",
                )
            version = equal[0]
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
