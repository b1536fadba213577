"""One .cfg file a setting (guide 2.4): what there is, and reading one value of any kind.

What lives here: the table of settings, plain words, numbers, lists, dictionaries and hashes as files hold them, and
the collecting of what does not read. What does not: what the values mean (`director.settings.config`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from director.errors import SettingsError
from director.files import read_text

_Value = TypeVar("_Value")

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
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class Setting:
    """One setting as it was found; ``source`` is its file, or ``default``; ``problem`` says why it does not read."""

    name: str
    value: Any
    source: str
    problem: str | None = None


class SettingFiles:
    """The .cfg files of a directory, each read when it is asked for.

    ``seen`` collects what was found, ``errors`` what `attempt` could not read.

    Args:
        directory: need not exist.
        environ: what expressions see.
    """

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self.directory = directory
        self.environ = environ
        self.seen: list[Setting] = []
        self.errors: list[SettingsError] = []
        self._texts: dict[str, str] = {}

    def attempt(self, name: str, read: Callable[[], _Value], default: _Value) -> _Value:
        """What ``read`` makes of a setting; its default, and the error in ``errors``, where it does not read."""
        try:
            return read()
        except SettingsError as problem:
            self.refuse(name, problem)
            return default

    def refuse(self, name: str, problem: SettingsError) -> None:
        """Collect an error of a setting, which has no value then."""
        self.errors.append(problem)
        told = Setting(name, None, str(self.path(name)), str(problem))
        self.seen = [one for one in self.seen if one.name != name] + [told]

    def settings(self) -> tuple[Setting, ...]:
        """What was found, in the order of `SETTINGS`."""
        order = list(SETTINGS)
        return tuple(sorted(self.seen, key=lambda one: order.index(one.name)))

    def require(self) -> None:
        """Raise what was collected, all of it in one SettingsError."""
        if self.errors:
            raise SettingsError.of(self.errors)

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
            self.wrong(name, f"{value!r} is no whole number", at=value)

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
        found = {self.sha256(name, hash_): str(reason) for hash_, reason in told.items()}
        self._note(name, found or SETTINGS[name][1], raw or None)
        return found

    def sha256(self, name: str, told: Any) -> str:
        """A SHA-256 as lower-case hex; a mistyped one would silently bind nothing, so it is an error."""
        plain = told.removeprefix("sha256:").lower() if isinstance(told, str) else ""
        if not _SHA256.fullmatch(plain):
            hint = "`director tlsinfo` and `director keygen` print fingerprints, `sha256sum` hashes of files."
            self.wrong(name, f"{told!r} is no SHA-256 of 64 hex digits", hint, at=str(told))
        return str(plain)

    def path(self, name: str) -> Path:
        """The file of a setting."""
        return self.directory / f"{name}.cfg"

    def wrong(self, name: str, what: str, hint: str = "", *, at: str = "") -> NoReturn:
        """Raise SettingsError about the file of a setting; its place is that of the text ``at``, where it stands."""
        raise self.error(name, what, hint, at=at)

    def error(self, name: str, what: str, hint: str = "", *, at: str = "") -> SettingsError:
        """The error that `wrong` raises."""
        line, column = _position(self._texts.get(name, ""), at)
        return SettingsError(
            what,
            path=str(self.path(name)),
            line=line,
            column=column,
            hint=hint or f"What belongs there: {SETTINGS[name][0]}.",
        )

    def _read(self, name: str) -> str | None:
        try:
            text = read_text(self.path(name))
        except (FileNotFoundError, NotADirectoryError):
            if os.path.lexists(self.path(name)):
                self.wrong(name, "it is a link to nothing")
            return None
        except UnicodeDecodeError:
            self.wrong(name, "it is not UTF-8 text")
        except OSError as problem:
            self.wrong(name, problem.strerror or str(problem))
        self._texts[name] = text
        return text

    def _evaluate(self, name: str, text: str, names: Mapping[str, Any]) -> Any:
        from director.settings.expressions import evaluate  # plain words do without

        return evaluate(text, name=str(self.path(name)), environ=self.environ, names=names).value

    def _note(self, name: str, value: Any, raw: str | None) -> None:
        source = "default" if raw is None else str(self.path(name))
        self.seen.append(Setting(name, value, source))


def _position(text: str, at: str) -> tuple[int, int]:
    """Line and column, both from 1, at which a text stands in another; zeros where it does not.

    What is quoted may stand in the other quotes, and where it is a key of a dictionary rather than there.
    """
    begin = text.find(at) if at else -1
    if at[:1] in {"'", '"'}:
        either = f"(['\"]){re.escape(at[1:-1])}\\1"
        found = re.search(either + r"\s*:", text) or re.search(either, text)
        begin = found.start() if found else begin
    if begin < 0:
        return 0, 0
    line = text.count("\n", 0, begin) + 1
    return line, begin - text.rfind("\n", 0, begin)
