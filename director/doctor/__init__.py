"""What could be wrong with a host, looked at without changing anything; each finding with its remedy.

What lives here: the checks of ``director doctor`` that need only files, processes and the clock; disks, ports and boot
units stand beside. What does not: asking the running Director (`director.control` adds what it says), printing.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from director import convention
from director.doctor import places, ports
from director.doctor.finding import Finding
from director.doctor.permissions import permissions
from director.doctor.units import units
from director.errors import DirectorError, NotValidated, SettingsError
from director.files import read_text
from director.marks import Marks
from director.pins import Pin, Pins, pinned_file
from director.settings.config import read_trust, survey_config
from director.settings.tli import parse_tli
from director.store import Store
from director.system import SystemProcesses
from director.tls.naming import COMPLETE
from director.tls.rules import moment
from director.tls.verify import Verdict
from director.tls.version import is_pep440

#: Seconds by which a file's time may lie ahead of the clock.
CLOCK_SLACK = 300.0
#: How long before a file's time is over that is told.
EXPIRES_SOON = timedelta(days=7)
#: What is no fault of a file that no load of its group means: it is old.
OF_NO_MATTER = {"downgrade", "expired"}
#: Seconds after which what an interrupted write left is called stale.
STALE_AFTER = 600.0


@dataclass(frozen=True)
class Patient:
    """What is looked at: a director directory, its state, and the environment of the caller.

    ``check``: the verdict on a .tls file, as the Source Authority would give it. ``root``: of the host.
    """

    store: Store
    environ: Mapping[str, str]
    check: Callable[[Path], Verdict]
    root: Path = Path("/")


def examine(patient: Patient) -> list[Finding]:
    """All findings, the errors first."""
    if not patient.store.directory.is_dir():
        return [
            Finding(
                "error",
                "no-directory",
                f"The director directory {patient.store.directory} does not exist.",
                "Create it, or set THESPIAN_DIRECTOR_DIR to the right one.",
            )
        ]
    unread, pins = _read_pins(patient.store)
    checks = [
        _python(),
        _keys(patient),
        permissions(patient.store),
        _marks(patient),
        _settings(patient),
        _tlis(patient),
        _sources(patient, pins),
        _pins(patient.store, pins),
        _clock(patient.store),
        _stale(patient.store),
        units(patient.store.directory, patient.root),
    ]
    found = unread + [finding for check in checks for finding in _permitted(check)]
    return sorted(found, key=lambda finding: finding.level)


def _permitted(check: Iterator[Finding]) -> Iterator[Finding]:
    """The findings of a check; that it may look no further is one, and keeps no other check from its own."""
    try:
        yield from check
    except PermissionError as problem:
        text = f"{problem.filename} may not be read by this user, so that not all was looked at."
        yield Finding("error", "not-permitted", text, "Run as the actor system's user.")


def _python() -> Iterator[Finding]:
    if tuple(sys.version_info) >= (3, 15):
        # Thespian's importer has only load_module, which 3.15 drops (sourceLoader.HashRootLoader).
        version = ".".join(map(str, sys.version_info[:3]))
        text = f"Thespian cannot load sources under Python {version}."
        yield Finding("error", "python", text, "Run 3.11 to 3.14.")
    if platform.system() != "Linux":
        text = f"On {platform.system()} left-over processes of a dead Admin are not found."
        yield Finding("warning", "platform", text, "End them by hand after a crash.")


def _keys(patient: Patient) -> Iterator[Finding]:
    store = patient.store
    try:
        bits = read_trust(store.directory, patient.environ).min_key_bits
    except SettingsError:
        good, bad = store.keys()
    else:
        good, bad = store.keys(min_bits=bits)
    for problem in bad:
        yield Finding("error", problem.code, problem.message, problem.hint or "Replace the file.")
    if not good:
        yield Finding(
            "error",
            "no-keys",
            f"No *_tls.key file of {store.directory} can validate anything.",
            "Place the public key of who signs your sources there (`director keygen` makes a pair).",
        )
    for path in sorted(store.directory.glob(".*_tls.key")):
        yield Finding(
            "warning",
            "hidden-key",
            f"{path} is hidden, and so is no key of this host.",
            "Remove it; or, where it is to validate sources, give it a name without the dot.",
        )
    for path in sorted(store.directory.glob("*.pem")):
        yield Finding(
            "warning",
            "private-key",
            f"{path} looks like a private key; hosts need public ones only.",
            "Move it to where sources are built.",
        )


def _marks(patient: Patient) -> Iterator[Finding]:
    try:
        Marks(patient.store.state).read()
    except NotValidated as problem:
        yield Finding("error", problem.code, problem.message, problem.hint)


def _settings(patient: Patient) -> Iterator[Finding]:
    config, errors = survey_config(patient.store.directory, patient.environ)
    for problem in errors:
        yield Finding("error", problem.code, problem.message, problem.hint or "Mend the file.")
    for text in config.problems:
        yield Finding("warning", "unknown-setting", text, "Rename or remove it.")
    processes = SystemProcesses.present(
        config, patient.store.state, dict(patient.environ), lambda _: None
    )
    behind = processes.left_behind(config)
    if behind:
        remedy = "That counts from the next start: `director shutdown`, then `director start`."
        yield Finding("warning", "not-followed", behind, remedy)
    running, members = processes.running(), processes.members()
    if members and not running:
        yield Finding(
            "error",
            "dead-admin",
            f"The Admin died and left {len(members)} processes of its actors.",
            "`director start` ends them and starts anew.",
        )
    state, port = patient.store.state, processes.config.admin_port
    # Which processes are its own stands in the state directory.
    known = state.is_dir() and os.access(state, os.R_OK | os.X_OK)
    if running and not members and known and platform.system() == "Linux":
        yield Finding(
            "error",
            "port",
            f"Admin port {port} is answered by something that this director did not start.",
            "Stop that, or choose another port in adminport.cfg.",
        )
    leading = convention.leaders(config.convention_leader, config.admin_port)
    for code, text, remedy in convention.doubts(leading):
        yield Finding("error", code, text, remedy)
    yield from places.state(state, running=running, port=port)
    yield from ports.port(config.admin_port, patient.root / "proc")
    yield from places.disks({"for state": state, "for logs": config.log_directory})
    place = config.log_directory
    if place.is_dir() and not os.access(place, os.W_OK):
        text = f"The log directory {place} cannot be written by this user."
        yield Finding("error", "log-directory", text, "Mend its mode, or set thesplogd.cfg.")


def _tlis(patient: Patient) -> Iterator[Finding]:
    for path in sorted(patient.store.directory.glob("[!.]*.tli")):
        try:
            parse_tli(read_text(path), name=str(path), environ=patient.environ)
        except SettingsError as problem:
            yield Finding("error", "tli", problem.message, problem.hint or "Mend the file.")
        except (OSError, UnicodeDecodeError) as problem:
            yield Finding("error", "tli", f"{path}: {problem}.", "Mend the file.")


def _sources(patient: Patient, pins: Mapping[str, Pin]) -> Iterator[Finding]:
    for problem in patient.store.misnamed():
        remedy = f"Give it the name that it was built with, or remove it. {problem.hint}"
        yield Finding("warning", problem.code, problem.message, remedy)
    for path in sorted(patient.store.directory.glob("[!.]*.tls")):
        if not path.is_file():
            text = f"{path} is no regular file, and is passed over."
            yield Finding(
                "warning", "irregular", text, "Remove it, or place the file itself there."
            )
    try:
        read_trust(patient.store.directory, patient.environ)
        Marks(patient.store.state).read()
    except (SettingsError, NotValidated):
        return  # it is a finding already, and a question now would be audited as a refusal
    for group, files in patient.store.available().items():
        for one in files:
            # What a load of the group means; others lie there to go back to, if anybody wants that.
            counts = one.path.name == pins[group].file if group in pins else one is files[0]
            try:
                verdict = patient.check(one.path)
            except DirectorError as problem:
                yield Finding(
                    "error", problem.code, problem.message, problem.hint or "Remove or replace it."
                )
                continue
            if not verdict.valid:
                if counts or verdict.code not in OF_NO_MATTER:
                    remedy = "Replace or remove it."
                    if verdict.code == "downgrade":
                        remedy = f"Without that every load of {group} fails, at a start too; else install a newer one."
                    yield Finding("warning", verdict.code, verdict.about(one.path), remedy)
            elif counts and verdict.source and verdict.source.expires:
                left = moment(verdict.source.expires, "expires") - datetime.now(UTC)
                if left < EXPIRES_SOON:
                    text = f"{one.path} expires on {verdict.source.expires}."
                    yield Finding("warning", "expires-soon", text, "Install a newer version.")
            if one.version is not None and not is_pep440(one.version):
                text = f"{one.path}: {one.version} is no PEP 440 version; see `director avail` for its place."
                yield Finding("warning", "version", text, "Give it a version that PEP 440 orders.")


def _read_pins(store: Store) -> tuple[list[Finding], dict[str, Pin]]:
    try:
        return [], Pins(store.state).read()
    except DirectorError as problem:
        return [Finding("error", problem.code, problem.message, problem.hint)], {}


def _pins(store: Store, pins: Mapping[str, Pin]) -> Iterator[Finding]:
    for pin in pins.values():
        try:
            pinned_file(store, pin)
        except DirectorError as problem:
            yield Finding("error", problem.code, problem.message, problem.hint)


def _clock(store: Store) -> Iterator[Finding]:
    now = time.time()
    if datetime.fromtimestamp(now, UTC).year < 2025:
        text = f"The clock says {datetime.fromtimestamp(now, UTC):%Y-%m-%d}."
        yield Finding("error", "clock", text, "Set it; date versions and logs depend on it.")
    for path in sorted(store.directory.iterdir()):
        if path.is_file() and path.stat().st_mtime > now + CLOCK_SLACK:
            text = f"{path} is from the future: the clock here or where it was made is wrong."
            yield Finding("warning", "clock", text, "Compare both clocks.")


def _stale(store: Store) -> Iterator[Finding]:
    before = time.time() - STALE_AFTER
    left = store.leftovers(STALE_AFTER)
    unpacked = store.state / "unpacked"
    if unpacked.is_dir():
        for path in unpacked.iterdir():
            if path.is_dir() and path.suffix != ".errors" and not (path / COMPLETE).is_file():
                left.append(path)
    for path in sorted(left):
        if path.stat().st_mtime < before:
            text = f"{path} was left by a write that was interrupted."
            yield Finding("warning", "stale", text, "Remove it.")


__all__ = ["Finding", "Patient", "examine"]
