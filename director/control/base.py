"""What every part of DirectorControl stands on: the directory, its settings, its state, this host's trust.

What lives here: those, and where steps and warnings are told. What does not: anything that is done with them; that is
the parts', beside this module.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from director.errors import DamagedArchive, NotValidated, SettingsError
from director.service import find_unit
from director.settings.config import (
    Config,
    director_directory,
    read_config,
    state_directory,
    survey_config,
)
from director.store import Store

# What only some methods need is imported by them: `avail` does without cryptography.
if TYPE_CHECKING:
    from director.tls.verify import Verdict
    from director.trust import HostTrust


class Base:
    """Works with one director directory and, where one runs, its actor system.

    Args:
        directory: the director directory; default THESPIAN_DIRECTOR_DIR, else the platform's.
        environ: the environment that settings and TLI expressions see; default ``os.environ``.
        say: told each step, a line at a time (the command line's ``verbose``).
        warn: told what an operator should know although the call goes on; default: the log ``director``.
    """

    def __init__(
        self,
        directory: str | Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        say: Callable[[str], None] = lambda line: None,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self.environ = dict(os.environ if environ is None else environ)
        if directory is not None:
            self.environ["THESPIAN_DIRECTOR_DIR"] = str(directory)
        self.directory = director_directory(self.environ).absolute()
        #: bootstart's unit for this directory, where there is one and this is not its own process.
        self.unit = find_unit(self.directory, self.environ)
        if self.unit:  # by the name that its system knows, where links lead there too
            self.directory = Path(self.unit.directory)
        self.state = (
            Path(self.unit.state)
            if self.unit
            else state_directory(self.directory, self.environ).absolute()
        )
        self.store = Store(self.directory, self.state)
        self.say = say
        if warn is None:
            import logging

            warn = logging.getLogger("director").warning
        self.warn = warn
        self._warned: set[str] = set()
        self._config: Config | None = None

    @property
    def config(self) -> Config:
        """The settings, read once (SettingsError, about every file that does not read)."""
        if self._config is None:
            self._config = read_config(self.directory, self.environ)
        return self._config

    def survey(self) -> tuple[Config, list[SettingsError]]:
        """The settings as they are now, with the default of each that does not read, and an error for each of those."""
        return survey_config(self.directory, self.environ)

    def trust(self, asked: str) -> HostTrust:
        """This host's word about sources; ``asked`` stands in the audit log as what asked for a decision."""
        from director.trust import HostTrust

        return HostTrust(
            self.store, asked, environ=self.environ, warn=self._warn_once, say=self.say
        )

    def check(self, path: Path, data: bytes | None = None, *, asked: str = "check") -> Verdict:
        """Verify a .tls file with keys, settings and marks of the director directory, as the authority would."""
        trust = self.trust(asked)
        verdict = trust.look(trust.read(path) if data is None else data, path.name)
        self.say(f"{path}: {verdict.code}: {verdict.message}")
        return verdict

    def _warn_once(self, line: str) -> None:
        if line not in self._warned:
            self._warned.add(line)
            self.warn(line)


def valid(path: Path, verdict: Verdict) -> Verdict:
    """The verdict, where it is good; else its reason is raised.

    Raises:
        NotValidated, DamagedArchive: with the verdict's code.
    """
    if not verdict.valid:
        family = DamagedArchive if verdict.exit_status == 6 else NotValidated
        raise family(verdict.about(path), code=verdict.code)
    return verdict
