"""What this host is, and bootstart and bootstop on it.

What lives here: finding the service manager, what a plan needs to know of the host, and the two operations behind the
commands. Rendering and performing are pure or injected and live beside it, and so do the checks beforehand.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath

import director
from director.boot import MANAGERS, render
from director.boot.apply import install, remove
from director.boot.checks import (
    require_free,
    require_own_name,
    require_reachable,
    require_same_name,
    unit_there,
)
from director.boot.commands import Runner, run_command
from director.boot.places import ids_of, place, there
from director.boot.plan import Plan, Service
from director.boot.users import DATABASE
from director.control import DirectorControl
from director.errors import BootError, NotFound, UsageError


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
        raise NotFound(f"There is no directory {root}.", hint="Give the root of an image.")
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
    service = replace(service, behind=_behind(service, wanted.python))
    plan = render(manager, service)
    if wanted.user and manager != "windows":
        service = _with_user(service, plan)
    service = replace(service, made=_missing(service, plan))
    return render(manager, service), service


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
    before = unit_there(service, plan)
    require_own_name(plan, service, before)
    require_reachable(control, service)
    if start:
        if not _runs(plan.unit.manager):
            raise UsageError(
                f"{plan.unit.manager} does not run here: nothing can be started.",
                hint="Add the word nostart.",
            )
        require_free(control, plan, run)
    for warning in plan.warnings:
        control.warn(warning)
    return install(plan, start=start, run=run, root=service.root)


def bootstop(
    control: DirectorControl, wanted: Wanted, *, purge: bool = False, run: Runner = run_command
) -> tuple[list[str], tuple[str, ...]]:
    """Stop, disable and remove what bootstart wrote.

    Returns:
        what was done, a line each; and what was left on purpose.

    Raises:
        NotFound: bootstart wrote nothing of that name. BootError: see `apply.remove`.
    """
    bare = replace(wanted, user=None, create_user=False, python=wanted.python or "/")
    plan, service = plan_for(control, bare, start=False)
    unit = unit_there(service, plan)
    if unit:
        if plan.unit.asked:
            require_same_name(plan, unit)
        service = replace(
            service,
            directory=unit.directory,
            user=unit.user or None,
            create_user=bool(unit.created),
            made=unit.made,
        )
        plan = render(plan.unit.manager, service)
    kept = [path for one in plan.kept if there(path := place(service.root, one))]
    told = remove(plan, purge=purge, run=run, root=service.root)
    if purge:
        return told, ()
    user = (f"the user {service.user}",) if service.create_user else ()
    return told, (*(str(path) for path in kept if not path.is_symlink()), *user)


def _runs(manager: str) -> bool:
    """Whether a manager runs on this host; all but systemd are taken at their word."""
    return manager != "systemd" or Path("/run/systemd/system").exists()


def _missing(service: Service, plan: Plan) -> tuple[str, ...]:
    """What bootstart makes on the way, outermost first; what it made once counts for good."""
    before = unit_there(service, plan)
    if before:
        return before.made
    pure = PureWindowsPath if plan.unit.manager == "windows" else PurePosixPath
    paths = [pure(one) for one in (*(file.path for file in plan.files), *plan.kept)]
    wanted = [parent for path in paths for parent in list(reversed(path.parents))[1:]]
    if service.root and service.create_user:
        wanted += [pure(path) for path in DATABASE]
    found = dict.fromkeys(str(path) for path in wanted if not there(place(service.root, str(path))))
    return tuple(found)


def _behind(service: Service, python: str) -> tuple[str, ...]:
    """Where links lead on the way to what the service reads; a venv's interpreter may be a link into a home (uv)."""
    paths = [service.python, service.directory]
    if not service.root:
        paths.append(str(Path(director.__file__).parent))
        # The standard library of a venv lies with the interpreter that it was made of, be its own a link or a copy.
        paths += [] if python else [sys.base_prefix]
        return tuple(os.path.realpath(path) for path in paths)
    found = []
    for path in paths:
        for _ in range(40):  # as many as the kernel follows
            at = Path(service.root + path)
            if not at.is_symlink():
                break
            path = os.path.normpath(Path(path).parent / at.readlink())
            found.append(path)
    return tuple(found)


def _within(root: str, path: str) -> str:
    """A path as the booted image sees it."""
    if root and Path(path).is_relative_to(root):
        return "/" + str(Path(path).relative_to(root))
    return path


def _with_user(service: Service, plan: Plan) -> Service:
    """Whether the user is to be created: not one that was there before bootstart."""
    before = unit_there(service, plan)
    known = _user_exists(str(service.user), service.root)
    if not known and not service.create_user:
        raise BootError(
            f"There is no user {service.user}.",
            hint="Add --create-user to make it a system user, or name one that exists.",
        )
    ours = bool(before and before.created and before.user == service.user)
    return replace(service, create_user=ours or not known)


def _user_exists(user: str, root: str) -> bool:
    try:
        ids_of(user, root)
    except BootError:
        return False
    return True
