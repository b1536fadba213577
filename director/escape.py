"""Texts that somebody else wrote, for lines of ours: a source's traceback, the name of a file. Pure, and light."""

from __future__ import annotations


def shown(text: str) -> str:
    """A text of somebody else's as it may stand in a line: what does not show is written as an escape.

    Else one could make up lines, and hide others by a terminal's own control sequences.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one == "\t" else one.encode("unicode_escape").decode()
        for one in text
    )
