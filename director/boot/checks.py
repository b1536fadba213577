"""What must be true before bootstart writes anything: the name is free, the service can reach what it runs.

What lives here: those checks; they look, and change nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import director
from director.boot.commands import Runner, holds
from director.boot.places import hint_at_root, place, there
from director.boot.plan import Plan, Service
from director.control import DirectorControl
from director.errors import BootError, DirectorError, NotFound, UsageError
from director.reload import NAME
from director.service import Unit, find_unit, unit_of
from director.startup import MEMORY

#: What a boot empties, and what a unit with PrivateTmp does not see.
_VOLATILE = ("/tmp", "/var/tmp", "/run", "/dev")  # noqa: S108 - nothing is written there
#: What a state directory has in it as soon as a system was started with it, or a file was installed.
_OUR_STATE = (
    "boot.json",
    "system.json",
    "start.lock",
    "history.jsonl",
    "marks.json",
    "audit.jsonl",
)
#: What the runtime directory of a service has in it.
_OUR_MEMORY = (MEMORY, NAME)


def unit_there(service: Service, plan: Plan) -> Unit | None:
    """What the unit file says that is there now; None: there is none of bootstart's."""
    file = plan.files[-1]
    try:
        path = place(service.root, file.path)
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        data = path.read_bytes()
    except OSError:
        return None
    return unit_of(data.decode(file.encoding, "replace"))


def require_same_name(plan: Plan, before: Unit) -> None:
    """Raise UsageError where the unit of this name was made for another name that became the same."""
    asked, meant = plan.unit.asked or plan.unit.name, before.asked or before.name
    if asked != meant:
        raise UsageError(
            f"{plan.files[-1].path} is the service {meant!r}, not {asked!r}.",
            hint=f"What a manager does not take in a name becomes `-`; `bootstop {before.name}` removes that one.",
        )


def require_own_name(plan: Plan, service: Service, before: Unit | None) -> None:
    """Raise where the name, its directories or the director directory are another service's."""
    if before:
        require_same_name(plan, before)
    for path in (place(service.root, one) for one in plan.rivals):
        if there(path):
            raise BootError(
                f"There is a service {plan.unit.name} of this host's own: {path}.",
                hint="Choose another name.",
            )
    other = find_unit(Path(service.directory), {}, Path(service.root or "/"))
    if other and (other.manager, other.name) != (plan.unit.manager, plan.unit.name):
        raise BootError(
            f"The service {other.name} runs {service.directory} already.",
            hint=f"`director bootstop {other.name}` removes it; two would be in each other's way.",
        )
    if not before:
        kept = [place(service.root, one) for one in plan.kept]
        _require_ours([path for path in kept if _is_filled(path)], _OUR_STATE)
        # An empty one may be ours: systemd leaves it where a service was given up.
        passing = [place(service.root, one) for one in plan.passing]
        _require_ours([path for path in passing if _is_filled(path)], _OUR_MEMORY)


def _is_filled(path: Path) -> bool:
    try:
        return path.is_dir() and any(path.iterdir())
    except OSError as problem:
        raise _unreadable(problem) from None


def _require_ours(places: Sequence[Path], signs: Sequence[str]) -> None:
    """The manager gives these to the service's user, and it or ``--purge`` removes them: only a system's own may be."""
    try:
        ours = any((path / name).exists() for path in places for name in signs)
    except OSError as problem:
        raise _unreadable(problem) from None
    if places and not ours:
        raise BootError(
            f"{places[0]} is there and is not an actor system's.", hint="Choose another name."
        )


def _unreadable(problem: OSError) -> BootError:
    return BootError(
        f"{problem.filename} cannot be read: {problem.strerror}.", hint=hint_at_root(problem)
    )


def require_reachable(control: DirectorControl, service: Service) -> None:
    """Raise where the service could not come up for want of a file, or of the right to read it."""
    directory = f"{service.root}{service.directory}"
    if not Path(directory).is_dir():
        raise NotFound(
            f"The director directory {directory} does not exist.",
            hint="Create it, or set THESPIAN_DIRECTOR_DIR to the right one.",
        )
    if service.root:
        if not os.path.lexists(service.root + service.python):
            raise NotFound(
                f"There is no {service.python} in {service.root}.",
                hint="Name the image's interpreter with --python PATH, as the booted host sees it.",
            )
        return
    _ = control.config  # SettingsError comes before anything is written
    if os.name != "posix":
        return
    _require_lasting(service.python, directory, *service.behind)
    if service.user == "root":
        return
    who = _ids(service)
    package = str(Path(director.__file__).parent)
    for path in (service.python, package, directory, *service.behind):
        closed = _closed(Path(path), *who)
        if closed:
            name = service.user or "the service's own user"
            raise BootError(
                f"{name} cannot reach {path}: {closed} is closed to it.",
                hint="Open it, move it to a place like /opt, or name another user with --user.",
            )


def _require_lasting(*paths: str) -> None:
    for path in paths:
        if any(Path(path).is_relative_to(place) for place in _VOLATILE):
            raise BootError(
                f"{path} is gone after the next boot, which empties {', '.join(_VOLATILE)}.",
                hint="Move it to a place like /opt.",
            )


def _ids(service: Service) -> tuple[int, set[int]]:
    """User and group ids of the service; a user that is still to be made has neither."""
    import pwd

    try:
        found = pwd.getpwnam(service.user or "")
    except KeyError:
        return -1, set()
    return found.pw_uid, set(os.getgrouplist(found.pw_name, found.pw_gid))


def _closed(path: Path, user: int, groups: set[int]) -> Path | None:
    """The first place on the way to a path that a user may not enter, or the path itself."""
    for one in (*reversed(path.absolute().parents), path.absolute()):
        found = one.stat()
        shift = 6 if found.st_uid == user else 3 if found.st_gid in groups else 0
        need = 0o1 if one != path or stat.S_ISREG(found.st_mode) else 0o5
        if (found.st_mode >> shift) & need != need:
            return one
    return None


def require_free(control: DirectorControl, plan: Plan, run: Runner) -> None:
    """Raise where a system runs that the service did not start: there would be two, or none that is watched."""
    active = next((command for command in reversed(plan.start) if command.unless), None)
    try:
        running = control.running()
    except DirectorError:
        return
    if running and not (active and holds(active, run)):
        raise BootError(
            f"An actor system that no service started runs at port {control.config.admin_port}.",
            hint="`director shutdown` ends it; then run bootstart again.",
        )
