"""The logging filter that a ``thesplog.cfg`` may name (guide 2.4.1).

It stands apart so that the process that sets logging up imports nothing else for it.
"""

from __future__ import annotations

import logging


class ActorAddressLogFilter(logging.Filter):
    """Sees that every record has ``actorAddress``; empty where it came from no actor."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        if not hasattr(record, "actorAddress"):
            record.actorAddress = ""
        return True
