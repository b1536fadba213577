"""What a host holds against a source, by its settings and marks: its rules, and what an auditor would ask about. Pure.

What lives here: those. What does not: the rules themselves (`director.tls.rules`, `director.marks`), asking them
(`director.trust`).
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from director.errors import NotValidated
from director.marks import Arrivals, MarkBook
from director.settings.config import Trust
from director.tls.rules import InTime, KeyGroups, ManifestRequired, Revoked, Rule, Source
from director.tls.verify import Verdict


def rules_of(trust: Trust, book: MarkBook, allowed: Set[str]) -> tuple[Rule, ...]:
    """The rules of a host with these settings and marks, in the order in which they speak."""
    required: tuple[Rule, ...] = (ManifestRequired(),) if trust.require_manifest else ()
    return (
        Revoked(trust.revoked),
        *required,
        KeyGroups(trust.key_groups),
        InTime(known=book.accepted.keys()),
        Arrivals(book, trust.revoked.keys(), allowed),
    )


def note_of(verdict: Verdict, book: MarkBook, allowed: Iterable[str] = ()) -> str:
    """What of a decision an auditor would ask about: a flag that was needed, or bytes that went back; else ""."""
    source = verdict.source
    if source is None or source.version is None:
        return ""
    if verdict.sha256 not in book.accepted:
        try:
            Arrivals(book).source(source)
        except NotValidated as problem:
            return f"allowed: {', '.join(allowed)} ({problem.code})" if verdict.valid else ""
    elif _below(book, source):
        return "accepted before, older than the mark"
    return ""


def _below(book: MarkBook, source: Source) -> bool:
    bare_book = MarkBook({}, book.highest)
    try:
        Arrivals(bare_book).source(source)
    except NotValidated:
        return True
    return False
