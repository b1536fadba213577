"""launchd (macOS): a property list in /Library/LaunchDaemons (launchd.plist(5)).

launchd starts the job again when it fails. It knows no exit status that is not to be retried: settings that do not
read are tried again every ThrottleInterval seconds, and the log says why.
"""

from __future__ import annotations

import plistlib

from director.boot.plan import (
    Command,
    File,
    Folder,
    Plan,
    Service,
    command_of,
    describe_unit,
    fit,
)
from director.errors import UsageError
from director.service import SERVICE_VARIABLE

PLACE = "/Library/LaunchDaemons"


def render(service: Service) -> Plan:
    """The property list, the directories that the job writes to, and launchctl's commands."""
    service.check()
    if service.create_user:
        raise UsageError(
            "launchd has no command that creates a user.",
            hint=f"Create {service.user} with sysadminctl, then leave --create-user out.",
        )
    label = fit(service.name, allowed="A-Za-z0-9.-", ending=".plist")
    state, logs = f"/usr/local/var/lib/{label}", f"/usr/local/var/log/{label}"
    unit = describe_unit("launchd", service, label, state, ending=".plist")
    job = {
        "Label": label,
        "ProgramArguments": list(command_of(service)),
        "EnvironmentVariables": {
            "THESPIAN_DIRECTOR_DIR": service.directory,
            "THESPIAN_DIRECTOR_STATE": state,
            "LOGS_DIRECTORY": logs,
            SERVICE_VARIABLE: label,
        },
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": 45,
        "Umask": 0o077,
        "ProcessType": "Standard",
        "StandardOutPath": f"{logs}/director.log",
        "StandardErrorPath": f"{logs}/director.log",
    }
    if service.user:
        job["UserName"] = service.user
    text = plistlib.dumps(job).decode()
    head, rest = text.split("<plist", 1)
    path = f"{PLACE}/{label}.plist"
    owner = service.user or "root"
    target = f"system/{label}"
    out = ("launchctl", "bootout", target)
    bootstrap = ("launchctl", "bootstrap", "system", path)
    return Plan(
        unit=unit,
        files=(File(path, f"{head}<!-- {unit.line()} -->\n<plist{rest}"),),
        folders=tuple(Folder(folder, owner) for folder in (state, logs)),
        enable=()
        if service.offline
        else (Command(("launchctl", "enable", target), f"enable {label}"),),
        start=(
            Command(out, f"stop the old {label}", when_changed=True, may_fail=True),
            Command(
                bootstrap,
                f"start {label}",
                unless=("launchctl", "print", target),
                undo=out,
            ),
        ),
        stop=()
        if service.offline
        else (Command(out, f"stop {label}", undo=bootstrap, may_fail=True),),
        kept=(state, logs),
        rivals=(f"/System/Library/LaunchDaemons/{label}.plist",),
        warnings=()
        if service.user
        else ("The job runs as root, and so does all code that it loads; --user NAME is better.",),
    )
