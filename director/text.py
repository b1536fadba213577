"""Text for people, made of what DirectorControl returns. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def listing(groups: Mapping[str, Any]) -> Iterator[str]:
    """The lines of ``director list``.

    Args:
        groups: what `director.control.DirectorControl.loaded` returned.
    """
    for name, told in sorted(groups.items()):
        yield f"Group {name}::"
        for digest in told["Loaded"]:
            version = told["Versions"][digest]
            active = "  [ACTIVE]" if digest == told["ActiveHash"] else f"  [{version['State']}]"
            yield f"  Source hash {digest}{active}  {version['Version'] or 'no version'}"
            for actor in told["Running"].get(digest, []):
                role = f" ({actor['Role']})" if actor["Role"] else ""
                where = actor["ActorAddress"] or "not running"
                since = ""
                if actor["StartTime"]:
                    since = f"  (since {actor['StartTime']:%Y-%m-%d %H:%M:%S})"
                yield f"      {where} -- {actor['ActorClass']}{role}{since}"
