"""What this host is, and bootstart and bootstop on it.

What lives here: finding the service manager, whether the service's user can reach what it has to run, and the two
operations behind the commands. Rendering and performing are pure or injected and live beside it.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import director
from director.boot import MANAGERS, render
from director.boot.apply import Runner, install, remove, run_command
from director.boot.plan import Plan, Service
from director.control import DirectorControl
from director.errors import BootError, DirectorError, NotFound, UsageError
from director.service import Unit, unit_of

#: What a boot empties, and what a unit with PrivateTmp does not see.
_VOLATILE = ("/tmp", "/var/tmp", "/run", "/dev")  # noqa: S108 - nothing is written there


@dataclass(frozen=True)
class Wanted:
    """What the user asked bootstart or bootstop for; "" and None: choose.

    Args:
        name: of the service.
        user: who runs it.
        create_user: make that user where it is missing.
        manager: the service manager.
        root: an image's root.
        python: the interpreter, as the booted host sees it.
    """

    name: str
    user: str | None = None
    create_user: bool = False
    manager: str = ""
    root: str = ""
    python: str = ""


def detect(platform: str, exists: Callable[[str], bool], root: str = "") -> str:
    """The service manager of a host or image.

    Args:
        platform: as ``sys.platform``.
        exists: whether a path is there, below ``root``.
        root: of an image, "" for a host that runs.

    Raises:
        BootError: none that is known.
    """
    if platform == "win32":
        return "windows"
    if platform == "darwin":
        return "launchd"
    # On a host that runs, what runs counts (sd_booted(3)); an image has what it will run.
    signs = (
        ("/usr/lib/systemd/systemd", "/lib/systemd/systemd") if root else ("/run/systemd/system",)
    )
    if any(exists(sign) for sign in signs):
        return "systemd"
    if exists("/etc/init") and any(exists(path) for path in ("/sbin/initctl", "/usr/sbin/initctl")):
        return "upstart"
    raise BootError(
        f"No service manager that is known {'is in ' + root if root else 'runs here'}.",
        hint=f"Name one with --manager ({', '.join(MANAGERS)}); with `nostart` it need not run.",
    )


def plan_for(control: DirectorControl, wanted: Wanted, *, start: bool) -> tuple[Plan, Service]:
    """What bootstart would do here; changes nothing.

    Raises:
        BootError, UsageError, NotFound: it cannot be done. SettingsError: the settings do not read.
    """
    root = str(Path(wanted.root).absolute()) if wanted.root else ""
    if root and not Path(root).is_dir():
        raise NotFound(f"There is no directory {root}.")
    manager = wanted.manager or detect(
        sys.platform, lambda path: Path(f"{root}{path}").exists(), root
    )
    if root and start:
        raise UsageError("Nothing can be started in an image.", hint="Add the word nostart.")
    # Where systemd does not run, its units can be enabled all the same.
    offline = bool(root) or (not start and not _runs(manager))
    service = Service(
        name=wanted.name,
        python=wanted.python or _within(root, sys.executable),
        directory=_within(root, str(control.directory)),
        user=wanted.user,
        create_user=wanted.create_user,
        root=root,
        offline=offline,
        nssm=(shutil.which("nssm") or "") if manager == "windows" else "",
    )
    plan = render(manager, service)
    if wanted.user and manager != "windows":
        service = _with_user(service, plan)
        plan = render(manager, service)
    return plan, service


def bootstart(
    control: DirectorControl, wanted: Wanted, *, start: bool, run: Runner = run_command
) -> list[str]:
    """Write the boot configuration, enable it, and start the service.

    Returns:
        what was done, a line each.

    Raises:
        BootError: naming the file or command; all is as it was before.
        SettingsError, NotFound, UsageError: before anything was written.
    """
    plan, service = plan_for(control, wanted, start=start)
    _require_reachable(control, service)
    if start:
        if not _runs(plan.unit.manager):
            raise UsageError(
                f"{plan.unit.manager} does not run here: nothing can be started.",
                hint="Add the word nostart.",
            )
        _require_free(control, plan, run)
    for warning in plan.warnings:
        control.warn(warning)
    return install(plan, start=start, run=run, root=service.root)


def bootstop(
    control: DirectorControl, wanted: Wanted, *, purge: bool = False, run: Runner = run_command
) -> tuple[list[str], tuple[str, ...]]:
    """Stop, disable and remove what bootstart wrote.

    Returns:
        what was done, a line each; and the places that were left on purpose.

    Raises:
        NotFound: bootstart wrote nothing of that name. BootError: see `apply.remove`.
    """
    bare = replace(wanted, user=None, create_user=False, python=wanted.python or "/")
    plan, service = plan_for(control, bare, start=False)
    unit = _unit_there(service, plan)
    if unit:
        user = unit.user if plan.unit.manager == "systemd" or unit.created else ""
        service = replace(
            service, directory=unit.directory, user=user or None, create_user=bool(unit.created)
        )
        plan = render(plan.unit.manager, service)
    told = remove(plan, purge=purge, run=run, root=service.root)
    return told, () if purge else plan.kept


def _runs(manager: str) -> bool:
    """Whether a manager runs on this host; all but systemd are taken at their word."""
    return manager != "systemd" or Path("/run/systemd/system").exists()


def _unit_there(service: Service, plan: Plan) -> Unit | None:
    path, encoding = plan.files[-1].path, plan.files[-1].encoding
    try:
        data = Path(f"{service.root}{path}").read_bytes()
    except OSError:
        return None
    return unit_of(data.decode(encoding, "replace"))


def _within(root: str, path: str) -> str:
    """A path as the booted image sees it."""
    if root and Path(path).is_relative_to(root):
        return "/" + str(Path(path).relative_to(root))
    return path


def _with_user(service: Service, plan: Plan) -> Service:
    """Whether the user is to be created: not one that was there before bootstart."""
    before = _unit_there(service, plan)
    known = _user_exists(str(service.user), service.root)
    if not known and not service.create_user:
        raise BootError(
            f"There is no user {service.user}.",
            hint="Add --create-user to make it a system user, or name one that exists.",
        )
    ours = bool(before and before.created and before.user == service.user)
    return replace(service, create_user=ours or not known)


def _user_exists(user: str, root: str) -> bool:
    if root:
        try:
            lines = Path(f"{root}/etc/passwd").read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        return any(line.startswith(f"{user}:") for line in lines)
    import pwd  # not on Windows

    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _require_reachable(control: DirectorControl, service: Service) -> None:
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
    _require_lasting(service.python, directory)
    if service.user == "root":
        return
    who = _ids(service)
    package = str(Path(director.__file__).parent)
    for path in (service.python, os.path.realpath(service.python), package, directory):
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
    for place in (*reversed(path.absolute().parents), path.absolute()):
        found = place.stat()
        shift = 6 if found.st_uid == user else 3 if found.st_gid in groups else 0
        need = 0o1 if place != path or stat.S_ISREG(found.st_mode) else 0o5
        if (found.st_mode >> shift) & need != need:
            return place
    return None


def _require_free(control: DirectorControl, plan: Plan, run: Runner) -> None:
    """Raise where a system runs that the service did not start: there would be two, or none that is watched."""
    active = next((command.unless for command in reversed(plan.start) if command.unless), ())
    try:
        running = control.running()
    except DirectorError:
        return
    if running and not (active and run(active).status == 0):
        raise BootError(
            f"An actor system that no service started runs at port {control.config.admin_port}.",
            hint="`director shutdown` ends it; then run bootstart again.",
        )
