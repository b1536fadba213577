"""The archive that the Source Authority gives to Thespian instead of the real source.

What lives here: making it. Thespian wants a ZIP that reads, and keeps it; classes are looked up past it
(`director.actors.runtime`), and the real source lies unpacked on the disk (`director.store`).
"""

from __future__ import annotations

from collections.abc import Sequence

from director.tls.archive import Member, write_archive

_UNPREPARED = (
    "this actor system was not started by the director, which alone runs sources of this kind"
)


def stub_archive(tops: Sequence[str]) -> bytes:
    """The archive of a validated source: a few bytes for each top-level name, which say why they are not the source."""
    return refusal_archive(_UNPREPARED, tops)


def refusal_archive(reason: str, tops: Sequence[str] = ("refused",)) -> bytes:
    """The archive of a source that was refused: importing any of its names raises the reason.

    Thespian's own way to refuse, an empty answer, ends the Admin when it comes twice, late, or for
    a source it no longer waits for; a valid archive never does.
    """
    body = f"raise ImportError({reason!r})\n".encode()
    return write_archive([Member(f"{top}/__init__.py", body) for top in tops])
