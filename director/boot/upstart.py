"""Upstart (initctl): a job in /etc/init, for hosts of its time (upstart's init(5)).

The job runs `start wait` in the foreground; upstart starts it again when it fails, but not after a meant end or when
settings do not read.
"""

from __future__ import annotations

import shlex

from director.boot import users
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
from director.service import SERVICE_VARIABLE

_JOB = """\
# {line}
# `director bootstart` wrote this file and `director bootstop` removes it. /etc/default/{name} and
# /etc/sysconfig/{name} may set environment variables.

description "Thespian actor system {name}"
start on (local-filesystems and net-device-up IFACE!=lo)
stop on runlevel [!2345]
respawn
respawn limit 10 300
# 0: a meant end; 2, 4, 8: wrong usage, no directory, settings that do not read. Trying again cures none of them.
normal exit 0 2 4 8 TERM
kill timeout 45
umask 077
{user}
console log

script
{script}
end script
"""


def render(service: Service) -> Plan:
    """The job, the directories that it writes to, and initctl's commands."""
    service.check()
    name = fit(service.name, ending=".conf")
    state, logs = f"/var/lib/{name}", f"/var/log/{name}"
    unit = describe_unit("upstart", service, name, state, ending=".conf")
    text = _JOB.format(
        line=unit.line(),
        name=name,
        user=f"setuid {service.user}" if service.user else "",
        script=shell_script(service, name, state, logs),
    )
    owner = service.user or "root"
    running = ("initctl", "status", name)
    start = (
        Command(
            ("initctl", "stop", name), f"stop the old {name}", when_changed=True, may_fail=True
        ),
        Command(
            ("initctl", "start", name),
            f"start {name}",
            unless=running,
            unless_says="start/running",
            undo=("initctl", "stop", name),
        ),
    )
    reload = Command(
        ("initctl", "reload-configuration"), "let upstart read its jobs again", when_changed=True
    )
    words = users.useradd(service)
    stop = Command(
        ("initctl", "stop", name),
        f"stop {name}",
        unless=running,
        unless_says="stop/waiting",
        undo=("initctl", "start", name),
        may_fail=True,
    )
    return Plan(
        unit=unit,
        files=(File(f"/etc/init/{name}.conf", text),),
        users=users.create(service, words),
        folders=tuple(Folder(folder, owner) for folder in (state, logs)),
        enable=() if service.offline else (reload,),
        start=start,
        stop=() if service.offline else (stop,),
        forget=()
        if service.offline
        else (Command(("initctl", "reload-configuration"), "let upstart read its jobs again"),),
        purge=users.remove(service, words),
        kept=(state, logs),
        warnings=()
        if service.user
        else ("The job runs as root, and so does all code that it loads; --user NAME is better.",),
    )


def shell_script(service: Service, name: str, state: str, logs: str) -> str:
    """The job's main process, for ``sh -e``; files that may set variables come last and win."""
    variables = {
        "THESPIAN_DIRECTOR_DIR": service.directory,
        "THESPIAN_DIRECTOR_STATE": state,
        "LOGS_DIRECTORY": logs,
        SERVICE_VARIABLE: name,
    }
    lines = [f"    export {key}={shlex.quote(value)}" for key, value in variables.items()]
    lines += ["    set -a"]
    for folder in ("/etc/default", "/etc/sysconfig"):
        lines.append(f"    if [ -r {folder}/{name} ]; then . {folder}/{name}; fi")
    lines += ["    set +a", f"    exec {shlex.join(command_of(service))}"]
    return "\n".join(lines)
