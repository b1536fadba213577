"""The stub archive that the Source Authority gives to Thespian instead of the real source.

What lives here: making the stub. What the stub does when it is imported: `director.actors.runtime`.
The real source is unpacked once (`director.store`) and imported only by its own actors' processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from director.tls.archive import Member, write_archive


def stub_archive(directory: Path, tops: Sequence[str]) -> bytes:
    """The archive that makes actors of a source import it from ``directory``.

    One tiny package for each top-level name: Thespian's importer looks a class up by importing
    ``{{hash}}NAME`` (sourceLoader.loadModuleFromHashSource).
    """
    body = (
        "import director.actors.runtime as _runtime\n"
        f"_runtime.enter(globals(), {str(directory)!r}, {tuple(tops)!r})\n"
    )
    return _packages(tops, body)


def refusal_archive(reason: str, tops: Sequence[str] = ("refused",)) -> bytes:
    """The archive of a source that was refused: importing any of its names raises the reason.

    Thespian's own way to refuse, an empty answer, ends the Admin when it comes twice, late, or for
    a source it no longer waits for; a valid archive never does.
    """
    body = f"import director.actors.runtime as _runtime\n_runtime.refuse({reason!r})\n"
    return _packages(tops, body)


def _packages(tops: Sequence[str], body: str) -> bytes:
    return write_archive([Member(f"{top}/__init__.py", body.encode()) for top in tops])
