"""Windows: a service of an nssm that is installed, else an entry of the Task Scheduler. Nothing is downloaded.

The task is started at boot and again a minute after it failed (Task Scheduler schema, taskSettingsType). A service of
nssm is described by commands alone, so a note stands beside it that tells bootstop what was made.
"""

from __future__ import annotations

import subprocess
from xml.sax.saxutils import escape

from director.boot.plan import Command, File, Plan, Service, command_of, describe_unit, fit
from director.errors import UsageError
from director.service import SERVICE_VARIABLE, Unit

PLACE = "C:\\ProgramData\\thespian"

_TASK = """\
<?xml version="1.0" encoding="UTF-16"?>
<!-- {line} -->
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>Thespian actor system of {directory}</Description>
  </RegistrationInfo>
  <Triggers>
    <BootTrigger>
      <Enabled>true</Enabled>
    </BootTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>{user}</UserId>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>255</Count>
    </RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>{command}</Command>
      <Arguments>{arguments}</Arguments>
    </Exec>
  </Actions>
</Task>
"""

_NOTE = """\
{line}
`director bootstart` made the service {name} with nssm; `director bootstop` removes it and this note.
{settings}
"""
#: Well-known accounts of few rights: LocalService, without a password (Microsoft, "LocalService account").
_LOCAL_SERVICE = "S-1-5-19"


def render(service: Service) -> Plan:
    """An nssm service where nssm is installed, else a task."""
    service.check()
    if service.root or service.create_user:
        raise UsageError("On Windows there is neither --root nor --create-user.")
    name = fit(service.name, allowed="A-Za-z0-9_.-", limit=80)
    state = f"{PLACE}\\{name}\\state"
    unit = describe_unit("windows", service, name, state)
    return _nssm(service, unit) if service.nssm else _task(service, unit)


def _variables(service: Service, unit: Unit) -> dict[str, str]:
    return {
        "THESPIAN_DIRECTOR_DIR": service.directory,
        "THESPIAN_DIRECTOR_STATE": unit.state,
        SERVICE_VARIABLE: unit.name,
    }


def _task(service: Service, unit: Unit) -> Plan:
    # A task has no environment of its own; cmd's `set` gives it one. Percent signs would be expanded.
    for value in (service.python, service.directory):
        if any(char in value for char in '%"&|<>^!'):
            raise UsageError(
                f"The Task Scheduler cannot be told the path {value!r}.",
                hint='Use one without % " & | < > ^ !, or install nssm.',
            )
    sets = " && ".join(f'set "{key}={value}"' for key, value in _variables(service, unit).items())
    line = subprocess.list2cmdline(command_of(service))
    path = f"{PLACE}\\{unit.name}.xml"
    text = _TASK.format(
        line=unit.line(),
        directory=escape(service.directory),
        user=escape(service.user or _LOCAL_SERVICE),
        command="cmd.exe",
        arguments=escape(f'/d /s /c "{sets} && {line}"'),
    ).replace("\n", "\r\n")
    run, end = ("schtasks", "/Run", "/TN", unit.name), ("schtasks", "/End", "/TN", unit.name)
    delete = ("schtasks", "/Delete", "/TN", unit.name, "/F")
    create = ("schtasks", "/Create", "/TN", unit.name, "/XML", path, "/F")
    # What schtasks says of a state is in the language of the host.
    ask = f"(Get-ScheduledTask -TaskName '{unit.name}').State"
    return Plan(
        unit=unit,
        files=(File(path, text, encoding="utf-16"),),
        enable=(
            Command(
                create,
                f"create the task {unit.name}",
                unless=("schtasks", "/Query", "/TN", unit.name),
                when_changed=True,
                undo=delete,
            ),
        ),
        start=(
            # A task that runs is not started a second time (IgnoreNew).
            Command(end, f"stop the old task {unit.name}", when_changed=True, may_fail=True),
            Command(
                run,
                f"start the task {unit.name}",
                unless=("powershell", "-NoProfile", "-NonInteractive", "-Command", ask),
                unless_says="Running",
                when_changed=True,
                undo=end,
            ),
        ),
        stop=(
            Command(end, f"stop the task {unit.name}", may_fail=True),
            Command(delete, f"remove the task {unit.name}", undo=create),
        ),
        kept=(unit.state,),
    )


def _nssm(service: Service, unit: Unit) -> Plan:
    nssm, name = service.nssm, unit.name
    program, *words = command_of(service)
    user = service.user or "NT AUTHORITY\\LocalService"
    settings: tuple[tuple[str, ...], ...] = (
        ("Application", program),
        ("AppParameters", subprocess.list2cmdline(words)),
        (
            "AppEnvironmentExtra",
            *(f"{key}={value}" for key, value in _variables(service, unit).items()),
        ),
        ("AppDirectory", service.directory),
        ("AppStdout", f"{PLACE}\\{name}.log"),
        ("AppStderr", f"{PLACE}\\{name}.log"),
        ("AppStopMethodConsole", "45000"),
        ("AppExit", "Default", "Restart"),
        # 0: a meant end; 2, 4, 8: not cured by trying again.
        *(("AppExit", status, "Exit") for status in ("0", "2", "4", "8")),
        ("ObjectName", user, ""),
        ("Start", "SERVICE_AUTO_START"),
    )
    remove = (nssm, "remove", name, "confirm")
    install = Command(
        (nssm, "install", name, program),
        f"create the service {name}",
        unless=(nssm, "status", name),
        makes=True,
        undo=remove,
    )
    # By what it says, a change of any setting changes the note.
    told = "\n".join(subprocess.list2cmdline(one) for one in settings)
    note = _NOTE.format(line=unit.line(), name=name, settings=told)
    return Plan(
        unit=unit,
        files=(File(f"{PLACE}\\{name}.txt", note),),
        enable=(
            install,
            *(
                Command(
                    (nssm, "set", name, *one),
                    f"set {one[0]} of {name}",
                    when_changed=True,
                    lasts=True,
                )
                for one in settings
            ),
        ),
        start=(
            Command(
                (nssm, "restart", name),
                f"start {name}",
                unless=(nssm, "status", name),
                unless_says="SERVICE_RUNNING",
                when_changed=True,
                undo=(nssm, "stop", name),
            ),
        ),
        stop=(
            Command((nssm, "stop", name), f"stop {name}", may_fail=True),
            Command(remove, f"remove the service {name}"),
        ),
        kept=(unit.state,),
    )
