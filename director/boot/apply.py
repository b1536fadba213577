"""Performing a plan and taking it back: all of it, or nothing.

What lives here: writing files under a root, and the way back from a step that failed or was interrupted. What does
not: running commands (`director.boot.commands`), what is to be written and run (`director.boot.systemd` and its like).
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from director.boot.alone import alone
from director.boot.commands import Done, Runner, holds, run_command
from director.boot.interrupts import heard_once
from director.boot.places import drop_empty, ids_of, place, require_removable, there
from director.boot.plan import Command, File, Folder, Plan
from director.errors import BootError, NotFound
from director.files import sync_directory, write_atomically
from director.service import unit_of


def install(plan: Plan, *, start: bool, run: Runner = run_command, root: str = "") -> list[str]:
    """Write what differs, enable, and start; what is as it should be is left alone.

    Args:
        plan: of `director.boot.render`.
        start: also start the service.
        run: runs commands.
        root: of an image; "" for this host.

    Returns:
        what was done, a line each.

    Raises:
        BootError: naming the file or command, or that it was interrupted; all is as it was before.
    """
    work = _Work(plan, run, root)
    with alone(), heard_once():
        work.ran = start and work.is_so(plan.start[-1])
        try:
            for file in plan.files:
                work.write(file)
            for command in plan.users:
                work.perform(command)
            for folder in plan.folders:
                work.make(folder)
            if plan.hindering:
                work.drop_dangling()
            for command in (*plan.enable, *(plan.start if start else ())):
                work.perform(command)
        except BaseException as problem:  # noqa: BLE001 - raised again, when nothing is left by half
            left = work.take_back()
            hint = "All is as it was before."
            if any(command in plan.start for command in work.tried):
                hint = f"All is as it was before, but for what the service itself wrote: {', '.join(plan.kept)}."
            if left:
                hint = f"Taking back what was done failed too: {'; '.join(left)}."
            raise _with_hint(problem, hint) from None
    if not work.told:
        return ["nothing to do: all is as it should be"]
    return work.told


def remove(
    plan: Plan, *, purge: bool = False, run: Runner = run_command, root: str = ""
) -> list[str]:
    """Stop, disable and remove what `install` wrote; with ``purge`` also state, logs and a created user.

    Returns:
        what was done, a line each.

    Raises:
        NotFound: there is nothing of that name.
        BootError: a file that is not bootstart's, cannot be removed, a command that failed, or an interruption; the
            service is as it was before, and running it again tries again.
    """
    with alone(), heard_once():
        return _remove(plan, purge, run, root)


def _remove(plan: Plan, purge: bool, run: Runner, root: str) -> list[str]:
    found = [(path, file) for file in plan.files if there(path := place(root, file.path))]
    if not found:
        raise NotFound(
            f"There is no {root}{plan.files[-1].path}.",
            hint="`bootstop NAME` takes bootstart's name.",
        )
    for path, file in found:
        _require_ours(path, file)
        require_removable(path)
    kept = [path for one in plan.kept if there(path := place(root, one))] if purge else []
    for path in kept:
        require_removable(path)
    work = _Work(plan, run, root)
    try:
        for command in (*plan.stop, *(plan.purge if purge else ())):
            work.perform(command)
        for path in kept:
            work.clear(path)
        for path, _ in found:
            work.unlink(path)
        for command in plan.forget:
            work.perform(command)
        work.drop_dangling()
    except BaseException as problem:  # noqa: BLE001 - raised again, when nothing is left by half
        left = work.put_back()
        hint = "The service is as it was before; run it again when that is mended."
        if left:
            hint = f"Bringing the service back failed too: {'; '.join(left)}."
        raise _with_hint(problem, hint) from None
    work.told += drop_empty(root, plan.unit.made)
    return work.told


def _with_hint(problem: BaseException, hint: str) -> BaseException:
    """What stopped the work, with what was done about it; a mistake of this program stays what it is."""
    if isinstance(problem, KeyboardInterrupt):
        return BootError("It was interrupted.", hint=hint)
    if isinstance(problem, BootError):
        return BootError(problem.message, hint=f"{problem.hint} {hint}".strip())
    return problem


def describe(plan: Plan, *, start: bool) -> list[str]:
    """Every file with its text and every command, as ``--print`` shows them."""
    lines = []
    for file in plan.files:
        lines += [f"# {file.path} (mode {file.mode:04o})", *file.text.splitlines(), ""]
    for folder in plan.folders:
        lines.append(f"# {folder.path}/ (mode {folder.mode:04o}, owner {folder.owner})")
    lines.append("# commands")
    for command in (*plan.users, *plan.enable, *(plan.start if start else ())):
        when = [f"unless `{shlex.join(command.unless)}` succeeds"] if command.unless else []
        if command.unless_says:
            when = [
                f"unless `{shlex.join(command.unless)}` says {' or '.join(command.unless_says.split())}"
            ]
        when += ["when a file was changed"] if command.when_changed else []
        link = " and always " if command.unless else ", "
        lines.append(shlex.join(command.words) + (f"    # {link.join(when)}" if when else ""))
    return lines


class _Work:
    """One run: what was written and done so far, so that it can be taken back."""

    def __init__(self, plan: Plan, run: Runner, root: str) -> None:
        self.plan = plan
        self.run = run
        self.root = root
        self.told: list[str] = []
        self.before: list[tuple[Path, bytes | None, int]] = []
        self.folders: list[Path] = []
        self.tried: list[Command] = []
        self.done: list[Command] = []
        #: What was there already and was told anew because a file was changed.
        self.renewed: list[Command] = []
        #: Whether the service ran before.
        self.ran = False

    @property
    def replaced(self) -> bool:
        """Whether there was a service before."""
        return any(old is not None for _, old, _ in self.before)

    @property
    def changed(self) -> bool:
        """Whether there is something that the manager was not told yet."""
        return bool(self.before) or any(command.makes for command in self.done)

    def is_so(self, command: Command) -> bool:
        """Whether the manager says that a command is not needed."""
        return bool(command.unless) and holds(command, self.run)

    def drop_dangling(self) -> None:
        """Remove what systemd leaves: a link to a directory that has gone, and no other."""
        for name, target in self.plan.dangling:
            path = place(self.root, name)
            try:
                if not path.is_symlink() or path.exists() or os.readlink(path) != target:  # noqa: PTH115
                    continue
                path.unlink()
            except OSError as problem:
                raise BootError(f"{path} cannot be removed: {problem.strerror}.") from None
            self.told.append(f"removed {path}, a link to nowhere")

    def write(self, file: File) -> None:
        path = place(self.root, file.path)
        old: bytes | None = None
        mode = 0
        if there(path):
            _require_ours(path, file)
            old, mode = path.read_bytes(), stat.S_IMODE(path.stat().st_mode)
            if old == file.data and (mode == file.mode or os.name == "nt"):
                return
        try:
            self._make_parents(path)
            self.before.append((path, old, mode))
            write_atomically(path, file.data, mode=file.mode)
        except OSError as problem:
            raise _unwritable(path, problem) from None
        self.told.append(f"{'wrote' if old is None else 'changed'} {path}")

    def make(self, folder: Folder) -> None:
        path = place(self.root, folder.path, whole=True)
        if path.is_dir():
            return
        try:
            self._make_parents(path)
            self.folders.append(path)
            path.mkdir()
            path.chmod(folder.mode)
            os.chown(path, *ids_of(folder.owner, self.root))
        except OSError as problem:
            raise _unwritable(path, problem) from None
        self.told.append(f"made {path}")

    def _make_parents(self, path: Path) -> None:
        for folder in reversed([one for one in path.parents if not one.exists()]):
            self.folders.append(folder)
            folder.mkdir(mode=0o755)

    def clear(self, path: Path) -> None:
        """Remove state or logs; a link goes, not what it leads to."""
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        except OSError as problem:
            where = problem.filename if isinstance(problem.filename, str) else path
            raise BootError(f"{where} cannot be removed: {problem.strerror}.") from None
        self.told.append(f"removed {path}")

    def unlink(self, path: Path) -> None:
        try:
            old, mode = path.read_bytes(), stat.S_IMODE(path.stat().st_mode)
            self.before.append((path, old, mode))
            path.unlink()
            sync_directory(path.parent)
        except OSError as problem:
            raise BootError(f"{path} cannot be removed: {problem.strerror}.") from None
        self.told.append(f"removed {path}")

    def perform(self, command: Command) -> None:
        self._require_inside(command)
        if command.when_changed and not command.unless and not self.changed:
            return
        if self.is_so(command):
            if not (command.when_changed and self.changed):
                return
            self.renewed.append(command)
        self.tried.append(command)
        try:
            done = self._run(command, command.words)
        except BaseException:
            self.done.append(command)  # the manager may go on with it by itself
            raise
        if done.status and not command.may_fail:
            told = [done, *(one for one in map(self.run, command.why) if not one.status)]
            words = " ".join(" ".join(one.output for one in told).split())[-1500:]
            if self._is_to_undo(command):
                # It may have worked by half: a start that failed is tried again by the manager.
                self._run(command, command.undo)
            said, hint = command.cure
            raise BootError(
                f"`{shlex.join(command.words)}` failed with {done.status}: {words or 'it said nothing'}.",
                hint=hint if said and said in words else "",
            )
        if not done.status:
            self.done.append(command)
            self.told.append(command.purpose)

    def _is_to_undo(self, command: Command) -> bool:
        """Whether what undoes a command brings back what was before: not what was there, or ran, already."""
        there_before = command in self.renewed or (self.ran and command in self.plan.start)
        return bool(command.undo) and not there_before

    def _require_inside(self, command: Command) -> None:
        for path in command.touches:
            place(self.root, path, whole=True)

    def _run(self, command: Command, words: Sequence[str]) -> Done:
        """Run a command, or what undoes it, within the image; its litter goes."""
        self._require_inside(command)
        litter = [one for one in command.litter if not there(place(self.root, one))]
        done = self.run(words)
        for one in litter:
            place(self.root, one).unlink(missing_ok=True)
        return done

    def _undo(self, command: Command) -> list[str]:
        done = self._run(command, command.undo)
        if done.status:
            return [f"`{shlex.join(command.undo)}`: {' '.join(done.output.split())}"]
        return []

    def put_back(self) -> list[str]:
        """Bring back a service that could not be removed; returns what did not work."""
        left = self._restore()
        if self.before:
            for command in self.plan.forget:
                self.run(command.words)
        for command in reversed(self.done):
            if command.undo:
                left += self._undo(command)
        return left

    def take_back(self) -> list[str]:
        """Undo commands and restore files; returns what did not work."""
        left = []
        for command in reversed(self.done):
            if self._is_to_undo(command):
                left += self._undo(command)
        left += self._restore()
        for command in self.renewed:
            if command not in self.plan.start:  # with its old file
                left += self._again(command)
        told = [command.purpose for command in self.done if command.lasts]
        if told and not any(command.makes for command in self.done):
            left.append(f"{', '.join(dict.fromkeys(told))} stays: run bootstart again")
        for folder in reversed(self.folders):
            with contextlib.suppress(OSError):
                folder.rmdir()
        if not self.replaced:
            drop_empty(self.root, self.plan.unit.made)
        if self.before:
            for command in self.plan.forget:
                self.run(command.words)
        if self.ran and any(command in self.plan.start for command in self.tried):
            # With its old file the service may run again.
            left += self._again(self.plan.start[-1])
        return left

    def _again(self, command: Command) -> list[str]:
        done = self._run(command, command.words)
        if done.status:
            return [f"`{shlex.join(command.words)}`: {' '.join(done.output.split())}"]
        return []

    def _restore(self) -> list[str]:
        left = []
        for path, old, mode in reversed(self.before):
            try:
                if old is None:
                    path.unlink(missing_ok=True)
                    sync_directory(path.parent)
                else:
                    write_atomically(path, old, mode=mode)
            except OSError as problem:
                left.append(f"{path}: {problem.strerror}")
        return left


def _require_ours(path: Path, file: File) -> None:
    """Raise BootError for what bootstart did not write, or cannot read."""
    try:
        plain = stat.S_ISREG(path.lstat().st_mode)
        text = path.read_bytes().decode(file.encoding, "replace") if plain else ""
    except OSError as problem:
        raise BootError(f"{path} cannot be read: {problem.strerror}.") from None
    if unit_of(text) is None:
        what = " (a directory)" if path.is_dir() and not path.is_symlink() else ""
        raise BootError(
            f"{path}{what} was not written by bootstart; it was left as it is.",
            hint="Choose another name, or remove it first.",
        )


def _unwritable(path: Path, problem: OSError) -> BootError:
    if isinstance(problem, PermissionError) and os.name == "posix" and os.geteuid() != 0:
        return BootError(f"{path} cannot be written by this user; try it as root.")
    return BootError(f"{path} cannot be written: {problem.strerror}.")
