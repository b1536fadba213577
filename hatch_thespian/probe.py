"""Runs alone, as ``python -I -S -B probe.py JOB``: imports the actor classes of an unpacked source, and tells.

Only the standard library, the source and what the job allows can be imported here: nothing of the build environment
helps by accident. This file imports nothing but the standard library, and no module of this project.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any


class Allowed(MetaPathFinder):
    """Finds the modules and the metadata of what hosts have, in the places where they lie here.

    Args:
        tops: top-level module names. names: distributions, as their metadata compares them.
        places: directories of ``sys.path`` of the build.
    """

    def __init__(self, tops: Iterable[str], names: Iterable[str], places: Sequence[str]) -> None:
        self.tops = frozenset(tops)
        self.names = frozenset(names)
        self.places = list(places)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A top-level module; its submodules are found by its ``__path__``."""
        if path is None and fullname in self.tops:
            return PathFinder.find_spec(fullname, self.places)
        return None

    def find_distributions(self, context: Any = None) -> Iterable[importlib.metadata.Distribution]:
        """For `importlib.metadata`."""
        wanted = getattr(context, "name", None)
        # Not `importlib.metadata.distributions`, which would ask this finder again.
        everything = importlib.metadata.DistributionFinder.Context(path=self.places)
        for one in importlib.metadata.MetadataPathFinder.find_distributions(everything):
            key = _canonical(one.name)
            if key in self.names and (wanted is None or _canonical(wanted) == key):
                yield one


def _canonical(name: str | None) -> str:
    return re.sub(r"[-_.]+", "-", name or "").lower()


def look(actor: str) -> tuple[str, str, str]:
    """Import an actor's class; its kind of failure ("" for none), text, and the name of what is missing."""
    module, _, name = actor.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
        base = importlib.import_module("thespian.actors").Actor
    except BaseException as problem:  # noqa: BLE001 - SystemExit and its like are told, too
        missing = problem.name if isinstance(problem, ModuleNotFoundError) else None
        kind = "import" if isinstance(problem, ImportError) else "raise"
        if isinstance(problem, importlib.metadata.PackageNotFoundError):
            kind = "metadata"  # of a distribution; its `name` is no module's
        return kind, _own_traceback(problem), missing or ""
    if not (isinstance(found, type) and issubclass(found, base)):
        return "no-actor", f"{actor} is {found!r}, and no subclass of thespian.actors.Actor.", ""
    return "", "", ""


def _own_traceback(problem: BaseException) -> str:
    """The traceback as the author would see it: from the first line that is not the import machinery's."""
    told = traceback.TracebackException.from_exception(problem, compact=True)
    ours = {__file__, importlib.__file__}
    frames = [
        frame
        for frame in told.stack
        if frame.filename not in ours and not frame.filename.startswith("<frozen importlib")
    ]
    told.stack = traceback.StackSummary.from_list(frames)
    return "".join(told.format())


def main(job_file: str) -> None:
    """Do the job, a line of JSON a result, and end whatever the sources started."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    sys.path.insert(0, job["source"])
    sys.meta_path.append(Allowed(job["tops"], job["names"], job["places"]))
    with Path(job["result"]).open("w", encoding="utf-8") as result:
        for actor in job["actors"]:
            result.write(json.dumps({"begun": actor}) + "\n")
            result.flush()
            kind, text, missing = look(actor)
            told = {"actor": actor, "kind": kind, "text": text, "missing": missing}
            result.write(json.dumps(told) + "\n")
            result.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
