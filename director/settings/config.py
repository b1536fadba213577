"""The .cfg files of a director directory: one file a setting (guide 2.4).

What lives here: reading them into one checked object, with where each value came from. Plain words and numbers may
stand as they are or quoted; ``othercaps.cfg`` and ``thesplog.cfg`` are Python dictionaries, evaluated safely.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from director.errors import SettingsError
from director.journal import service_handler
from director.settings.expressions import evaluate

#: Every setting: what it is for, and its default for people.
SETTINGS = {
    "thespbase": ("the actor system's base", "multiprocTCPBase"),
    "oldthespbase": ("a base to shut down first, after a change of thespbase", ""),
    "adminport": ("the Admin's port", "1900"),
    "convleader": ("HOST[:PORT] of the convention leader to join", ""),
    "othercaps": ("further capabilities, a dictionary", "{}"),
    "thesplog": ("logging of the actors, a dictionary for logging.config", "built in"),
    "thesplogd": ("the directory of all logs", "LOGS_DIRECTORY, /var/log or DIR/.state/log"),
    "thesplogf": ("the file of Thespian's own log", "thespian_system.log"),
    "thesplogs": ("largest size of that file, bytes", "51200"),
    "minkeybits": ("fewest bits of an RSA key that may validate, 1024 or more", "2048"),
    "keygroups": ("groups that a key may sign, {'sha256:…': ['group', …]}", "any key any group"),
    "revoked": ("fingerprints of keys and SHA-256 of files that are not accepted", "none"),
    "requiremanifest": ("True refuses files made by Thespian's own director", "False"),
}
BASES = ("multiprocTCPBase", "multiprocUDPBase", "multiprocQueueBase", "simpleSystemBase")
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_FILTER = "director.logfilter.ActorAddressLogFilter"
#: Other names of it: Thespian's own fills in another word than the guide says where no actor is.
_OTHER_NAMES = {"thespian.director.ActorAddressLogFilter", "director.ActorAddressLogFilter"}
_FORMAT = (
    "%(asctime)s %(levelname)-7s %(actorAddress)s %(name)s  %(message)s [%(filename)s:%(lineno)s]"
)


@dataclass(frozen=True)
class Setting:
    """One setting as it was found; ``source`` is its file, or ``default``."""

    name: str
    value: Any
    source: str


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
        SettingsError: naming the file, and line and column where there are such.
    """
    found = _Files(directory, environ)
    base = found.text("thespbase") or "multiprocTCPBase"
    if base not in BASES:
        found.wrong("thespbase", f"{base!r} is no system base", f"Known are: {', '.join(BASES)}.")
    port = found.number("adminport", 1900)
    if not 1 <= port <= 65535:
        found.wrong("adminport", f"{port} is no port", "Ports are 1 to 65535.")
    capabilities = found.dictionary("othercaps", {})
    for name in capabilities:
        if not isinstance(name, str):
            found.wrong("othercaps", f"the capability {name!r} is no text")
    if capabilities.get("AllowRemoteActorSources") not in (None, "Yes", "No", "LeaderOnly"):
        # The boolean False ends the Admin of a convention's member (adminCore).
        found.wrong(
            "othercaps",
            "AllowRemoteActorSources is 'Yes', 'No' or 'LeaderOnly'",
            "Write it as text.",
        )
    logs = _log_directory(found, directory, environ)
    logging = found.dictionary("thesplog", default_logging(environ), {"logdir": str(logs)})
    size = found.number("thesplogs", 51_200)
    if size < 1024:
        found.wrong("thesplogs", f"{size} bytes are too few for a log", "Write 1024 or more.")
    return Config(
        directory=directory,
        system_base=base,
        old_system_base=found.text("oldthespbase") or None,
        admin_port=port,
        convention_leader=found.words("convleader") or None,
        capabilities=capabilities,
        logging=_placed(logging, logs),
        log_directory=logs,
        log_file=str(logs / (found.text("thesplogf") or "thespian_system.log")),
        log_size=size,
        trust=_trust(found),
        settings=tuple(found.seen),
        problems=_problems(directory),
    )


def read_convention(
    directory: Path, environ: Mapping[str, str]
) -> tuple[str | list[str] | None, int, dict[str, Any]]:
    """The leaders of the convention, the Admin's port and ``othercaps.cfg``; no other setting is looked at.

    Raises:
        SettingsError: one of them does not read.
    """
    found = _Files(directory, environ)
    leader = found.words("convleader") or None
    return leader, found.number("adminport", 1900), found.dictionary("othercaps", {})


def read_trust(directory: Path, environ: Mapping[str, str]) -> Trust:
    """Read the settings that decide about trust, as they are now; the others are not looked at.

    Raises:
        SettingsError: one of them does not read. Nothing may be accepted then.
    """
    return _trust(_Files(directory, environ))


def _trust(found: _Files) -> Trust:
    from director.tls.keys import RSA_FLOOR, RSA_LARGEST, RSA_LOWEST  # not for `director help`

    bits = found.number("minkeybits", RSA_FLOOR)
    if not RSA_LOWEST <= bits <= RSA_LARGEST:
        found.wrong("minkeybits", f"{bits} bits are not between {RSA_LOWEST} and {RSA_LARGEST}")
    key_groups = {}
    for fingerprint, groups in found.dictionary("keygroups", {}).items():
        if isinstance(groups, str):
            groups = [groups]
        plain = isinstance(groups, (list, tuple, set))
        if not plain or not all(isinstance(group, str) for group in groups):
            found.wrong("keygroups", f"the groups of {fingerprint!r} are no list of names")
        key_groups[_hash(found, "keygroups", fingerprint)] = frozenset(groups)
    word = found.text("requiremanifest") or "False"
    if word not in {"True", "False"}:
        found.wrong("requiremanifest", f"{word!r} is neither True nor False")
    return Trust(bits, key_groups, found.hashes("revoked"), word == "True")


def _hash(found: _Files, name: str, told: Any) -> str:
    """A SHA-256 as lower-case hex; a mistyped one would silently bind nothing, so it is an error."""
    plain = told.removeprefix("sha256:").lower() if isinstance(told, str) else ""
    if not _SHA256.fullmatch(plain):
        hint = "`director tlsinfo` and `director keygen` print fingerprints, `sha256sum` hashes of files."
        found.wrong(name, f"{told!r} is no SHA-256 of 64 hex digits", hint)
    return str(plain)


def default_logging(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The logging of actors where there is no ``thesplog.cfg``: a rotating file, 5 MiB × 3.

    A system that `director.foreground` started as a service or in a container logs to the journal or to its output.
    """
    handler = service_handler(environ or {})
    if handler:
        address = {"filters": ["address"], "level": "INFO"}
        return {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"address": {"()": _FILTER}},
            "handlers": {"service": {**handler, **address}},
            "root": {"level": "INFO", "handlers": ["service"]},
        }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"normal": {"format": _FORMAT}},
        "filters": {"address": {"()": _FILTER}},
        "handlers": {
            "file": {
                "class": "logging.handlers.RotatingFileHandler",
                "filename": "thespian.log",
                "maxBytes": 5 << 20,
                "backupCount": 3,
                "formatter": "normal",
                "filters": ["address"],
                "level": "INFO",
            }
        },
        "root": {"level": "INFO", "handlers": ["file"]},
    }


class _Files:
    """The .cfg files, each read when it is asked for; ``seen`` collects what was found."""

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self.directory = directory
        self.environ = environ
        self.seen: list[Setting] = []

    def text(self, name: str) -> str:
        """A plain word: as it stands, quoted, or an expression of os or sys; "" where there is no file."""
        raw = self._read(name)
        value = raw.strip() if raw else ""
        if value[:1] in {"'", '"'} or value.startswith(("os.", "sys.")):
            evaluated = self._evaluate(name, value, {})
            if not isinstance(evaluated, (str, int)) or isinstance(evaluated, bool):
                self.wrong(name, f"{evaluated!r} is no text")
            value = str(evaluated)
        if any(ord(char) < 32 for char in value):
            self.wrong(name, "it has more than one line", "Write the value alone.")
        self._note(name, value or SETTINGS[name][1], raw)
        return value

    def words(self, name: str) -> str | list[str]:
        """A plain word, or a Python list of such; "" where there is no file."""
        raw = self._read(name)
        if raw is None or raw.strip()[:1] not in {"[", "("}:
            return self.text(name)
        value = self._evaluate(name, raw, {})
        if not isinstance(value, (list, tuple)) or not all(
            isinstance(one, str) and one for one in value
        ):
            self.wrong(name, f"{value!r} is no list of texts")
        self._note(name, list(value), raw)
        return list(value)

    def number(self, name: str, default: int) -> int:
        """A whole number."""
        value = self.text(name)
        try:
            return int(value) if value else default
        except ValueError:
            self.wrong(name, f"{value!r} is no whole number")
            raise

    def dictionary(
        self, name: str, default: dict[str, Any], names: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """A Python dictionary."""
        raw = self._read(name)
        if raw is None or not raw.strip():
            self._note(name, SETTINGS[name][1], None)
            return default
        value = self._evaluate(name, raw, names or {})
        if not isinstance(value, dict):
            self.wrong(name, "it is no dictionary")
        self._note(name, value, raw)
        return dict(value)

    def hashes(self, name: str) -> dict[str, str]:
        """SHA-256 hashes with reasons: one a line with a comment behind it, or a Python list or dictionary."""
        raw = self._read(name) or ""
        told: dict[Any, Any] = {}
        if raw.lstrip()[:1] in {"[", "(", "{"}:
            value = self._evaluate(name, raw, {})
            if isinstance(value, dict):
                told = value
            elif isinstance(value, (list, tuple, set)):
                told = dict.fromkeys(value, "")
            else:
                self.wrong(name, "it is neither a list nor a dictionary")
        else:
            for line in raw.splitlines():
                hash_, _, reason = line.partition("#")
                if hash_.strip():
                    told[hash_.strip()] = reason.strip()
        found = {_hash(self, name, hash_): str(reason) for hash_, reason in told.items()}
        self._note(name, found or SETTINGS[name][1], raw or None)
        return found

    def path(self, name: str) -> Path:
        """The file of a setting."""
        return self.directory / f"{name}.cfg"

    def wrong(self, name: str, what: str, hint: str = "") -> None:
        """Raise SettingsError about the file of a setting."""
        raise SettingsError(
            what, path=str(self.path(name)), hint=hint or f"It is {SETTINGS[name][0]}."
        )

    def _read(self, name: str) -> str | None:
        try:
            return self.path(name).read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            return None
        except UnicodeDecodeError:
            self.wrong(name, "it is not UTF-8 text")
        except OSError as problem:
            self.wrong(name, problem.strerror or str(problem))
        return None

    def _evaluate(self, name: str, text: str, names: Mapping[str, Any]) -> Any:
        return evaluate(text, name=str(self.path(name)), environ=self.environ, names=names).value

    def _note(self, name: str, value: Any, raw: str | None) -> None:
        source = "default" if raw is None else str(self.path(name))
        self.seen.append(Setting(name, value, source))


def _log_directory(found: _Files, directory: Path, environ: Mapping[str, str]) -> Path:
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


def _placed(logging: dict[str, Any], logs: Path) -> dict[str, Any]:
    """The logging configuration with files in the log directory, and what the guide writes otherwise."""
    made = copy.deepcopy(logging)
    for handler in _dictionaries(made.get("handlers")):
        name = handler.get("filename")
        if isinstance(name, str) and not Path(name).is_absolute():
            handler["filename"] = str(logs / name)
    for one in _dictionaries(made.get("filters")):
        if one.get("()") in _OTHER_NAMES:
            one["()"] = _FILTER
    for formatter in _dictionaries(made.get("formatters")):
        if "fmt" in formatter and "format" not in formatter and "()" not in formatter:
            formatter["format"] = formatter.pop("fmt")  # the guide's own example writes it so (2.4)
    return made


def _dictionaries(section: Any) -> list[dict[str, Any]]:
    if not isinstance(section, dict):
        return []
    return [value for value in section.values() if isinstance(value, dict)]


def _problems(directory: Path) -> tuple[str, ...]:
    unknown = sorted(p for p in directory.glob("*.cfg") if p.stem not in SETTINGS)
    return tuple(f"{path} is no setting that is known and was not read." for path in unknown)
