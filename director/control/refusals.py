"""Which error of ours it is that the Director did not do what it was asked for."""

from __future__ import annotations

from typing import Any

from director.errors import DirectorError, LoadFailed, NotFound, NotValidated, SettingsError

#: Codes of a load that failed for another reason than the Source Authority's refusal.
NOT_STARTED = {
    "actor-died", "blocked", "busy", "cache", "group", "load-failed", "locked", "malformed",
    "message-failed", "name-taken", "no-authority", "no-host", "not-ended", "not-ready", "nothing-to-undo",
    "operation-failed", "os-error", "pins", "state", "superseded", "tli-changed", "unloaded", "unpack",
    "unreadable", "unsettled", "went-back",
}  # fmt: skip


def refused(answer: dict[str, Any]) -> DirectorError:
    """What the Director answered instead of doing it: the authority's refusal, or a version that did not start."""
    code = str(answer.get("Code", "load-failed"))
    family = (
        LoadFailed
        if code in NOT_STARTED
        else SettingsError
        if code == "settings"
        else NotFound
        if code == "not-found"
        else NotValidated
    )
    return family(str(answer.get("Message", "the load failed")), code=code)
