"""systemd: a unit of Type=notify, hardened (systemd.service(5), systemd.exec(5)).

The service may do what an actor needs: talk over the network, write its state and logs, start processes. What else an
application may need is given back by a drop-in (docs/boot.md). Every setting here is known to systemd 247 and later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import PurePosixPath

from director.boot import users
from director.boot.plan import Command, File, Plan, Service, command_of, describe_unit, fit
from director.service import SERVICE_VARIABLE, TOO_OFTEN, journal_of, reset_hint

PLACE = "/etc/systemd/system"
#: Where units of the system and of other tools lie (systemd.unit(5)); one in PLACE would hide them.
_OTHER_PLACES = (
    "/etc/systemd/system.control",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/run/systemd/generator.late",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
_HOMES = ("/home", "/root", "/run/user")

_UNIT = """\
# {line}
# `director bootstart` wrote this file and `director bootstop` removes it. To change the service, write a drop-in:
# `systemctl edit {name}`. /etc/default/{name} and /etc/sysconfig/{name} may set environment variables.

[Unit]
Description=Thespian actor system of {description}
Wants=network-online.target
After=network-online.target nss-user-lookup.target
RequiresMountsFor={mounts}
# A system that dies again and again is given up after ten times in five minutes.
StartLimitIntervalSec=300
StartLimitBurst=10

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
# It ends when what is new was loaded: before systemd 253 nothing else makes `systemctl reload` wait for that.
ExecReload={reload} $MAINPID
Environment={directory}
Environment={state}
Environment={service}
EnvironmentFile=-/etc/default/{name}
EnvironmentFile=-/etc/sysconfig/{name}
{user}
StateDirectory={name}
StateDirectoryMode=0700
LogsDirectory={name}
LogsDirectoryMode=0750
# What was active is remembered here: for restarts by itself, not for the next boot.
RuntimeDirectory={name}
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=restart
Restart=on-failure
RestartSec=1
# Wrong usage, a missing directory and settings that do not read are not cured by trying again.
RestartPreventExitStatus=2 4 8
WatchdogSec=60
TimeoutStartSec=120
TimeoutStopSec=45
# The main process shuts the actors down in order; what it leaves is killed.
KillMode=mixed
UMask=0077

# Hardening
ProtectSystem=strict
ProtectHome={home}
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
PrivateUsers={private_users}
ProtectProc=invisible
ProcSubset=pid
ProtectClock=yes
ProtectHostname=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


def render(service: Service) -> Plan:
    """The unit file, the user where it is to be created, and systemctl's commands."""
    service.check()
    name = fit(service.name, ending=".service")
    # /var/lib/NAME is only a link there where the user is made at each start, and a link is nobody's private place.
    state = f"/var/lib/{name}" if service.user else f"/var/lib/private/{name}"
    unit = describe_unit("systemd", service, name, state, ending=".service")
    text = _UNIT.format(
        line=unit.line(),
        name=name,
        description=_percent(_of_one_line(service.directory)),
        mounts=quote(service.directory),
        command=command_line(command_of(service)),
        reload=command_line((service.python, "-I", "-m", "director.reload")),
        directory=quote(f"THESPIAN_DIRECTOR_DIR={service.directory}"),
        state=quote(f"THESPIAN_DIRECTOR_STATE={state}"),
        service=quote(f"{SERVICE_VARIABLE}={name}"),
        user=_user(service, name),
        home="read-only" if _in_home(service.python, service.directory, *service.behind) else "yes",
        private_users="no" if service.user == "root" else "yes",
    )
    words = users.sysusers(service, name)
    return Plan(
        unit=unit,
        files=(File(f"{PLACE}/{name}.service", text),),
        users=users.create(service, words),
        enable=_enable(service, name),
        start=_start(name),
        stop=_stop(service, name),
        forget=() if service.offline else (_RELOAD, _reset(name)),
        purge=users.remove(service, words),
        kept=tuple(
            f"/var/{kind}/{where}{name}"
            for kind in ("lib", "log")
            # A user that is made at each start has them in a place where its number does not matter.
            for where in (("",) if service.user else ("", "private/"))
        ),
        passing=(f"/run/{name}", f"/run/private/{name}"),
        dangling=() if service.offline else ((f"/run/{name}", f"private/{name}"),),
        # systemd makes a directory of a link that leads somewhere, and fails on this one.
        hindering=service.user is not None,
        rivals=tuple(f"{place}/{name}.service" for place in _OTHER_PLACES),
        warnings=_warnings(service),
    )


#: Where enabling makes its link: what [Install] says.
_LINKS = (f"{PLACE}/multi-user.target.wants",)
_RELOAD = Command(("systemctl", "daemon-reload"), "let systemd read its units again")


def _enable(service: Service, name: str) -> tuple[Command, ...]:
    unit = f"{name}.service"
    if service.offline:
        at = f"--root={service.root or '/'}"
        ask = ("systemctl", at, "is-enabled", unit)
        undo = ("systemctl", at, "disable", unit)
        return (
            Command(
                ("systemctl", at, "enable", unit),
                f"enable {unit}",
                unless=ask,
                undo=undo,
                touches=_LINKS,
            ),
        )
    return (
        Command(
            ("systemctl", "daemon-reload"),
            "let systemd read its units again",
            when_changed=True,
        ),
        Command(
            ("systemctl", "enable", unit),
            f"enable {unit}",
            unless=("systemctl", "is-enabled", unit),
            undo=("systemctl", "disable", unit),
        ),
    )


def _start(name: str) -> tuple[Command, ...]:
    unit = f"{name}.service"
    # The service's last words to sd_notify may be those of its last life.
    why = (("journalctl", "--sync"), journal_of(name))
    cure = (TOO_OFTEN, reset_hint(name))
    return (
        Command(
            ("systemctl", "restart", unit),
            f"start {unit}",
            when_changed=True,
            undo=("systemctl", "stop", unit),
            why=why,
            cure=cure,
        ),
        Command(
            ("systemctl", "start", unit),
            f"start {unit}",
            unless=("systemctl", "is-active", unit),
            undo=("systemctl", "stop", unit),
            why=why,
            cure=cure,
        ),
    )


def _stop(service: Service, name: str) -> tuple[Command, ...]:
    unit = f"{name}.service"
    if service.offline:
        at = f"--root={service.root or '/'}"
        again = ("systemctl", at, "enable", unit)
        disable = ("systemctl", at, "disable", unit)
        return (Command(disable, f"disable {unit}", undo=again, touches=_LINKS),)
    show = ("systemctl", "show", "--value")
    return (
        Command(
            ("systemctl", "stop", unit),
            f"stop {unit}",
            unless=(*show, "--property=ActiveState", unit),
            unless_says="inactive failed",
            undo=("systemctl", "start", unit),
        ),
        Command(
            ("systemctl", "disable", unit),
            f"disable {unit}",
            unless=(*show, "--property=UnitFileState", unit),
            unless_says="disabled",
            undo=("systemctl", "enable", unit),
        ),
    )


def _reset(name: str) -> Command:
    # A unit that failed is remembered even when its file is gone.
    words = ("systemctl", "reset-failed", f"{name}.service")
    return Command(words, f"forget failures of {name}.service", may_fail=True)


def _user(service: Service, name: str) -> str:
    if service.user is None:
        # A user that exists while the service runs; systemd gives it its directories again each time. Its name is
        # nobody else's: systemd would take a user that exists, and services of one name share one user.
        account = fit(name.lower(), allowed="a-z0-9_-")[:20].strip("-")
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        return f"DynamicUser=yes\nUser={account if account[:1].isalpha() else 'd'}-{digest}"
    return f"User={service.user}"


def _warnings(service: Service) -> tuple[str, ...]:
    if service.user == "root":
        return (
            "The service runs as root, and so does all code that it loads; a user of its own is better.",
        )
    if service.user == "nobody":
        return ("nobody is what other services run as too: they can read this one's state.",)
    return ()


def _in_home(*paths: str) -> bool:
    return any(PurePosixPath(path).is_relative_to(home) for path in paths for home in _HOMES)


def _percent(value: str) -> str:
    return value.replace("%", "%%")


def _of_one_line(directory: str) -> str:
    """The same directory: systemd joins a line to the next one where a backslash ends it."""
    return f"{directory}/" if directory.endswith("\\") else directory


def command_line(words: Sequence[str]) -> str:
    """A command of a unit: variables stand in its arguments, not in the path of the program (systemd.service(5))."""
    program, *arguments = words
    made = [quote(word).replace("$", "$$") for word in arguments]
    if (
        "$" in program
    ):  # it learns its own path, by which Python finds its packages, from an argument
        return " ".join([quote(f"@{program}"), quote(program).replace("$", "$$"), *made])
    return " ".join([quote(program), *made])


def quote(value: str) -> str:
    """A value as one word of a unit file: specifiers off, quoted where it needs it; ``$`` is nothing special there."""
    made = _percent(value).replace("\\", "\\\\").replace('"', '\\"')
    plain = all(char.isalnum() or char in "/._-=:+,@%" for char in made)
    return made if plain and made else f'"{made}"'
