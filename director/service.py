"""The boot unit of a director directory: how its file tells what it is for, and how it is found and started by hand.

What lives here: the one line that `director.boot` writes into each file and that every command reads, so that start,
load and refresh by hand use the unit's state and start the unit, never a second system of another user. What does
not: writing units (`director.boot`).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from director.errors import DirectorError

#: The environment variable that a unit sets for its own process: its name.
SERVICE_VARIABLE = "DIRECTOR_SERVICE"
#: Stands before the description of the unit, in a comment of each file that bootstart writes.
MARK = "director-bootstart:"
_NEEDED = ("manager", "name", "directory", "state")
#: Where units of a manager lie. Windows's scheduler has no place that other users may read.
PLACES = {
    "systemd": ("etc/systemd/system", "*.service"),
    "upstart": ("etc/init", "*.conf"),
    "launchd": ("Library/LaunchDaemons", "*.plist"),
}
#: What systemd writes to the journal when a unit was started too often (StartLimitBurst); the unit's properties still
#: tell why it failed the last time.
TOO_OFTEN = "Start request repeated too quickly"
#: Seconds that a manager may take to start a unit; it loads every group before it says that it is up.
START_LIMIT = 900
#: Seconds that a unit may take to notice that its system has ended.
END_LIMIT = 15.0


@dataclass(frozen=True)
class Unit:
    """What bootstart's file says of itself.

    Args:
        manager: systemd, upstart, launchd or windows.
        name: the unit's name there, without ending.
        directory: its director directory.
        state: its state directory.
        user: who it runs as; "" where the manager chooses.
        created: "yes" where bootstart made that user.
        asked: the name that bootstart was given, where it is not the unit's.
        made: directories and files that were not there before, outermost first; bootstop removes them where empty.
    """

    manager: str
    name: str
    directory: str
    state: str
    user: str = ""
    created: str = ""
    asked: str = ""
    made: tuple[str, ...] = ()

    def line(self) -> str:
        """The line that tells it, fit for a comment of any file: printable ASCII without hyphens in values."""
        told = {name: value for name, value in asdict(self).items() if value or name in _NEEDED}
        # XML forbids "--" in comments.
        values = json.dumps(told).replace("-", "\\u002d")
        return f"{MARK} {values}"

    @property
    def logs(self) -> str:
        """Its log directory, where a ``thesplog.cfg`` of its has files made; "" where that is not known."""
        return {
            "systemd": f"/var/log/{self.name}",
            "upstart": f"/var/log/{self.name}",
            "launchd": f"/usr/local/var/log/{self.name}",
        }.get(self.manager, "")

    def start_command(self) -> tuple[str, ...]:
        """What starts it, as root."""
        return {
            "systemd": ("systemctl", "start", f"{self.name}.service"),
            "upstart": ("initctl", "start", self.name),
            "launchd": ("launchctl", "kickstart", f"system/{self.name}"),
            "windows": ("schtasks", "/Run", "/TN", self.name),
        }[self.manager]


def unit_of(text: str) -> Unit | None:
    """The unit that a file's text tells of, None where bootstart did not write it."""
    for line in text.splitlines()[:40]:
        before, mark, after = line.partition(MARK)
        if mark and len(before) <= len("<!-- "):
            try:
                told = json.JSONDecoder().raw_decode(after.strip())[0]
                made = tuple(str(one) for one in told.pop("made", ()))
                return Unit(**{name: str(value) for name, value in told.items()}, made=made)
            except (ValueError, TypeError, AttributeError):
                return None
    return None


def same_directory(one: str | Path, other: str | Path) -> bool:
    """Whether two names lead to one directory, whatever links lie on the way; it need not be there."""
    return os.path.realpath(one) == os.path.realpath(other)


def find_unit(directory: Path, environ: Mapping[str, str], root: Path = Path("/")) -> Unit | None:
    """The unit that runs a director directory's system on this host.

    Args:
        directory: the director directory, absolute.
        environ: inside the unit itself, or where the state directory is told, there is nothing to look for.
        root: the host's root.
    """
    # Not STATE_DIRECTORY: a unit of another purpose, which runs `director refresh`, has one of its own.
    if any(environ.get(name) for name in (SERVICE_VARIABLE, "THESPIAN_DIRECTOR_STATE")):
        return None
    for place, pattern in PLACES.values():
        for path in sorted((root / place).glob(pattern)):
            try:
                if not path.is_file():
                    continue  # a dangling link, or a pipe that nobody writes into
                unit = unit_of(path.read_text(encoding="utf-8", errors="replace"))
            except OSError:
                continue  # not ours to read
            if unit and same_directory(unit.directory, directory):
                return unit
    return None


def journal_of(name: str) -> tuple[str, ...]:
    """The command that prints the last lines about a unit of systemd's: its own words, and the manager's."""
    unit = f"--unit={name}.service"
    return ("journalctl", unit, "--lines=8", "--output=cat", "--no-pager", "--quiet")


def reset_hint(name: str) -> str:
    """What helps a unit of systemd's that was started too often."""
    return f"It failed too often in too short a time: mend the cause, then `systemctl reset-failed {name}`."


def _was_started_too_often(name: str) -> bool:
    import subprocess  # not for commands that only read

    try:
        subprocess.run(("journalctl", "--sync"), capture_output=True, check=False, timeout=30)
        told = subprocess.run(journal_of(name), capture_output=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return TOO_OFTEN.encode() in told.stdout


def _wait_for_end(unit: Unit) -> None:
    """A system that was shut down a moment ago: its unit has to notice, or starting it would do nothing."""
    if unit.manager != "systemd":
        return
    ask = ("systemctl", "is-active", f"{unit.name}.service")
    import subprocess  # not for commands that only read

    deadline = time.monotonic() + END_LIMIT
    while time.monotonic() < deadline:
        try:
            told = subprocess.run(
                ask, capture_output=True, text=True, check=False, timeout=END_LIMIT
            )
        except (OSError, subprocess.TimeoutExpired):
            return
        if told.stdout.strip() not in ("active", "deactivating"):
            return
        time.sleep(0.1)


def start_unit(unit: Unit) -> None:
    """Have the service manager start a unit whose system does not run; it is up when this returns.

    Raises:
        DirectorError: with the manager's own words.
    """
    command = unit.start_command()
    by_hand = " ".join(command)
    _wait_for_end(unit)
    import subprocess

    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=START_LIMIT,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise DirectorError(
            f"`{by_hand}` failed: {problem}.",
            hint="Try it by hand, and look into the service manager's log.",
            code="unit-start",
        ) from None
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split())
        hint = "Its log says more."
        if unit.manager == "systemd":
            hint = f"`journalctl -u {unit.name}` says more."
            if _was_started_too_often(unit.name):
                hint = f"{reset_hint(unit.name)} {hint}"
        if hasattr(os, "geteuid") and os.geteuid() != 0:
            hint = f"Its unit starts it, which only root may do: `sudo {by_hand}`."
        raise DirectorError(f"`{by_hand}` failed: {words}", hint=hint, code="unit-start")
