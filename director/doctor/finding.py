"""What the doctor says: findings, each with its remedy. No I/O."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (``error``), or might be (``warning``), and what to do about it."""

    level: str
    code: str
    text: str
    remedy: str


def error(code: str, text: str, remedy: str) -> Finding:
    """Something that is wrong."""
    return Finding("error", code, text, remedy)


def warning(code: str, text: str, remedy: str) -> Finding:
    """Something that might be wrong, or will be."""
    return Finding("warning", code, text, remedy)
