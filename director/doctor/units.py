"""Boot units: whether those that would start this director directory still fit.

What lives here: reading the files that `director bootstart` writes, and those of Thespian's own director. What does
not: writing them (`director.boot`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from director.doctor.finding import Finding, error, warning
from director.service import PLACES, Unit, same_directory, unit_of

#: The interpreter in a unit of ours: a command line, or launchd's list of words.
_PYTHON = re.compile(r'("?)(/[^"<>\n]*?)\1(?:[ \t]+|</string>\s*<string>)-I\b')


def units(directory: Path, root: Path = Path("/")) -> Iterator[Finding]:
    """What is wrong with the boot units of a director directory.

    Args:
        directory: absolute.
        root: of the host.
    """
    ours: list[Path] = []
    for manager, (place, pattern) in PLACES.items():
        for path in sorted((root / place).glob(pattern)):
            try:
                text = path.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue  # a dangling link, or not ours to read
            unit = unit_of(text)
            if unit and same_directory(unit.directory, directory):
                ours.append(path)
                yield from _ours(path, text, unit, root)
            elif not unit and "thespian.director" in text and str(directory) in text:
                yield warning(
                    "unit-drift",
                    f"{path} starts Thespian's own director for {directory}.",
                    f"Disable it in {manager}; `director bootstart` writes ours.",
                )
    if len(ours) > 1:
        yield warning(
            "unit-twice",
            f"{', '.join(map(str, ours))} all start a system for {directory}.",
            "`director bootstop NAME` removes one.",
        )


def _ours(path: Path, text: str, unit: Unit, root: Path) -> Iterator[Finding]:
    again = f"`director bootstart {unit.name}` writes it anew."
    found = _PYTHON.search(text)
    python = found[2].replace("%%", "%").replace("$$", "$") if found else ""
    if python and not (root / python.lstrip("/")).exists():
        yield error("unit-drift", f"{path} starts {python}, which does not exist.", again)
    elif python and python != sys.executable:
        yield warning("unit-drift", f"{path} starts {python}, and this is {sys.executable}.", again)
    if "director start wait" not in text and "<string>wait</string>" not in text:
        yield warning("unit-drift", f"{path} does not run `director start wait`.", again)
    wanted = path.parent / "multi-user.target.wants" / path.name
    if unit.manager == "systemd" and not wanted.is_symlink():
        yield warning(
            "unit-disabled",
            f"{path} is not enabled: it is not started when the host boots.",
            f"systemctl enable {unit.name}.service",
        )
