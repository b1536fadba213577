"""The .cfg files of a director directory: one file a setting (guide 2.4).

What lives here: reading them into one checked object, with where each value came from. Plain words and numbers may
stand as they are or quoted; ``othercaps.cfg`` and ``thesplog.cfg`` are Python dictionaries, evaluated safely.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from director.errors import SettingsError
from director.settings.files import SETTINGS, Setting, SettingFiles
from director.settings.logdefs import default_logging, placed, refused
from director.tls.limits import RSA_FLOOR, RSA_LARGEST, RSA_LOWEST

#: Defaults: the Admin's port (Thespian's), and the largest size of Thespian's own log, bytes.
ADMIN_PORT, LOG_SIZE = 1900, 51_200
BASES = ("multiprocTCPBase", "multiprocUDPBase", "multiprocQueueBase", "simpleSystemBase")
#: What no key has: where ``minkeybits.cfg`` does not read, none is good enough.
_MORE_BITS_THAN_ANY = 1 << 30
#: How `logging.config` begins, where it tells what it could not make: a name as Python writes it, or none for the root.
_UNABLE = re.compile(r"Unable to configure (?:root logger|\w+ (?P<name>'[^']*'|\"[^\"]*\"|\d+))")


@dataclass(frozen=True)
class Trust:
    """What this host demands of sources beyond a valid signature (docs/trust.md).

    ``key_groups`` maps a key's fingerprint to the groups that it may sign; ``revoked`` the SHA-256 of keys and files to
    the reason, which may be "". All hashes are lower-case hex, without ``sha256:``.
    """

    min_key_bits: int
    key_groups: dict[str, frozenset[str]]
    revoked: dict[str, str]
    require_manifest: bool


@dataclass(frozen=True)
class Config:
    """All settings of a director directory.

    ``log_file`` is the path of Thespian's own log, ``log_size`` its largest size in bytes; ``problems`` are
    lines for the operator about files that are none of our settings.
    """

    directory: Path
    system_base: str
    old_system_base: str | None
    admin_port: int
    convention_leader: str | list[str] | None
    capabilities: dict[str, Any]
    logging: dict[str, Any]
    log_directory: Path
    log_file: str
    log_size: int
    trust: Trust
    settings: tuple[Setting, ...]
    problems: tuple[str, ...]


def director_directory(environ: Mapping[str, str]) -> Path:
    """THESPIAN_DIRECTOR_DIR, or the platform's default."""
    default = "C:\\thespian\\director" if os.name == "nt" else "/opt/thespian/director"
    return Path(environ.get("THESPIAN_DIRECTOR_DIR") or default)


def state_directory(directory: Path, environ: Mapping[str, str]) -> Path:
    """THESPIAN_DIRECTOR_STATE, else systemd's STATE_DIRECTORY, else ``DIR/.state``."""
    told = (
        environ.get("THESPIAN_DIRECTOR_STATE") or environ.get("STATE_DIRECTORY", "").split(":")[0]
    )
    return Path(told) if told else directory / ".state"


def read_config(directory: Path, environ: Mapping[str, str]) -> Config:
    """Read every .cfg file of a director directory.

    Args:
        directory: need not exist; all defaults then.
        environ: what expressions see, and LOGS_DIRECTORY.

    Raises:
        SettingsError: naming each file that does not read, and line and column where there are such.
    """
    files = SettingFiles(directory, environ)
    found = _config(files)
    files.require()
    return found


def survey_config(
    directory: Path, environ: Mapping[str, str]
) -> tuple[Config, list[SettingsError]]:
    """Read every .cfg file, and all that is wrong with them, as far as that is seen without running what they name.

    Returns:
        the settings, with the default of each that does not read; and an error for each of those.
    """
    files = SettingFiles(directory, environ)
    found = _config(files)
    if files.path("thesplog").is_file() and (wrong := refused(found.logging)):
        what, name = wrong
        problem = files.error("thesplog", what, at=repr(name))
        files.refuse("thesplog", problem)
        found = replace(found, settings=files.settings())
    return found, files.errors


def logging_refused(directory: Path, environ: Mapping[str, str], why: str) -> SettingsError:
    """The error that Python's `logging` did not take ``thesplog.cfg``: with its place, as `survey_config` tells it.

    Args:
        why: what `logging` said; told where only setting it up shows that, such as a path that cannot be opened.
    """
    _, errors = survey_config(directory, environ)
    if errors:
        return SettingsError.of(errors)
    files = SettingFiles(directory, environ)
    _config(files)
    at = _UNABLE.match(why)
    return files.error(
        "thesplog",
        f"logging refuses it: {why}",
        "See logging.config in Python's documentation.",
        at=(at["name"] or "'root'") if at else "",
    )


def _config(files: SettingFiles) -> Config:
    directory, environ = files.directory, files.environ
    default = "multiprocTCPBase"
    base = files.attempt("thespbase", lambda: _base(files, "thespbase") or default, default)
    old = files.attempt("oldthespbase", lambda: _base(files, "oldthespbase"), "")
    port = files.attempt("adminport", lambda: _port(files), ADMIN_PORT)
    leader = files.attempt("convleader", lambda: _leader(files, port), None)
    nothing: dict[str, Any] = {}
    capabilities = files.attempt("othercaps", lambda: _capabilities(files), nothing)
    logs = files.attempt("thesplogd", lambda: _log_directory(files), directory)
    built_in = default_logging(environ)
    logging = files.attempt(
        "thesplog", lambda: files.dictionary("thesplog", built_in, {"logdir": str(logs)}), built_in
    )
    size = files.attempt("thesplogs", lambda: _log_size(files), LOG_SIZE)
    name = files.attempt("thesplogf", lambda: files.text("thesplogf"), "")
    trust = _trust(files)
    return Config(
        directory=directory,
        system_base=base,
        old_system_base=old or None,
        admin_port=port,
        convention_leader=leader,
        capabilities=capabilities,
        logging=placed(logging, logs),
        log_directory=logs,
        log_file=str(logs / (name or "thespian_system.log")),
        log_size=size,
        trust=trust,
        settings=files.settings(),
        problems=_problems(directory),
    )


def read_convention(
    directory: Path, environ: Mapping[str, str]
) -> tuple[str | list[str] | None, int, dict[str, Any]]:
    """The leaders of the convention, the Admin's port and ``othercaps.cfg``; no other setting is looked at.

    Raises:
        SettingsError: one of them does not read.
    """
    found = SettingFiles(directory, environ)
    port = _port(found)
    return _leader(found, port), port, _capabilities(found)


def read_trust(directory: Path, environ: Mapping[str, str]) -> Trust:
    """Read the settings that decide about trust, as they are now; the others are not looked at.

    Raises:
        SettingsError: one of them does not read. Nothing may be accepted then.
    """
    files = SettingFiles(directory, environ)
    found = _trust(files)
    files.require()
    return found


def _base(found: SettingFiles, name: str) -> str:
    base = found.text(name)
    if base and base not in BASES:
        hint = f"Known are: {', '.join(BASES)}."
        found.wrong(name, f"{base!r} is no system base", hint, at=base)
    return base


def _port(found: SettingFiles) -> int:
    port = found.number("adminport", ADMIN_PORT)
    if not 1 <= port <= 65535:
        found.wrong("adminport", f"{port} is no port", "Ports are 1 to 65535.", at=str(port))
    return port


def _leader(found: SettingFiles, port: int) -> str | list[str] | None:
    told = found.words("convleader") or None
    for one in told.split(",") if isinstance(told, str) else told or []:
        from director import convention  # for members only

        try:
            convention.leaders(one, port)
        except SettingsError as problem:
            raise found.error("convleader", problem.what, problem.hint, at=one.strip()) from None
    return told


def _capabilities(found: SettingFiles) -> dict[str, Any]:
    capabilities = found.dictionary("othercaps", {})
    for name in capabilities:
        if not isinstance(name, str):
            what = f"the capability {name!r} is no text"
            found.wrong("othercaps", what, at=repr(name))
    if capabilities.get("AllowRemoteActorSources") not in (None, "Yes", "No", "LeaderOnly"):
        # The boolean False ends the Admin of a convention's member (adminCore).
        found.wrong(
            "othercaps",
            "AllowRemoteActorSources is 'Yes', 'No' or 'LeaderOnly'",
            "Write it as text.",
            at="AllowRemoteActorSources",
        )
    return capabilities


def _log_size(found: SettingFiles) -> int:
    size = found.number("thesplogs", LOG_SIZE)
    if size < 1024:
        hint = "Write 1024 or more."
        found.wrong("thesplogs", f"{size} bytes are too few for a log", hint, at=str(size))
    return size


def _trust(found: SettingFiles) -> Trust:
    return Trust(
        found.attempt("minkeybits", lambda: _key_bits(found), _MORE_BITS_THAN_ANY),
        found.attempt("keygroups", lambda: _key_groups(found), {}),
        found.attempt("revoked", lambda: found.hashes("revoked"), {}),
        found.attempt("requiremanifest", lambda: _manifest_required(found), True),
    )


def _key_bits(found: SettingFiles) -> int:
    bits = found.number("minkeybits", RSA_FLOOR)
    if not RSA_LOWEST <= bits <= RSA_LARGEST:
        what = f"{bits} bits are not between {RSA_LOWEST} and {RSA_LARGEST}"
        found.wrong("minkeybits", what, at=str(bits))
    return bits


def _key_groups(found: SettingFiles) -> dict[str, frozenset[str]]:
    key_groups = {}
    for fingerprint, groups in found.dictionary("keygroups", {}).items():
        if isinstance(groups, str):
            groups = [groups]
        plain = isinstance(groups, (list, tuple, set))
        if not plain or not all(isinstance(group, str) for group in groups):
            what = f"the groups of {fingerprint!r} are no list of names"
            found.wrong("keygroups", what, at=repr(fingerprint))
        key_groups[found.sha256("keygroups", fingerprint)] = frozenset(groups)
    return key_groups


def _manifest_required(found: SettingFiles) -> bool:
    word = found.text("requiremanifest") or "False"
    if word not in {"True", "False"}:
        found.wrong("requiremanifest", f"{word!r} is neither True nor False", at=word)
    return word == "True"


def _log_directory(found: SettingFiles) -> Path:
    directory, environ = found.directory, found.environ
    told = found.text("thesplogd")
    if told:
        return directory / told  # a relative one is meant from the director directory
    from_systemd = environ.get("LOGS_DIRECTORY", "").split(":")[0]
    if from_systemd:
        return Path(from_systemd)
    common = Path("/var/log")
    if common.is_dir() and os.access(common, os.W_OK):
        return common
    return state_directory(directory, environ) / "log"


def _problems(directory: Path) -> tuple[str, ...]:
    unknown = sorted(p for p in directory.glob("*.cfg") if p.stem not in SETTINGS)
    return tuple(
        f"{path} is no known setting and was not read.{_meant(path.stem)}" for path in unknown
    )


def _meant(name: str) -> str:
    from difflib import get_close_matches  # only mistakes need it

    near = get_close_matches(name, SETTINGS, n=1)
    return f" Did you mean {near[0]}.cfg?" if near else ""
