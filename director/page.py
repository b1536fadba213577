"""The page of ``director help``: the commands, the directory, and each setting with its default and present value.

Most of it is a text that never changes (``help.txt``, written by `make help-page`, which a test holds against the
command line's own words), so that the page is there without the libraries that commands need.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from director.settings.config import director_directory, survey_config
from director.settings.files import SETTINGS

#: The part that never changes, at 80 columns.
TEXT = Path(__file__).parent / "help.txt"


def settings(directory: Path, environ: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Each setting: ``name``, ``meaning``, ``default``, and as it is now ``value``, ``source`` and ``problem``."""
    present = {one.name: one for one in survey_config(directory, environ)[0].settings}
    for name, (meaning, default) in SETTINGS.items():
        yield {**vars(present[name]), "meaning": meaning, "default": default}


def lines(environ: Mapping[str, str]) -> Iterator[str]:
    """The whole page, a line each."""
    yield from TEXT.read_text(encoding="utf-8").splitlines()
    directory = director_directory(environ).absolute()
    yield ""
    yield f"THESPIAN_DIRECTOR_DIR is {directory}. Settings there, one file each:"
    yield ""
    for told in settings(directory, environ):
        yield f"  {told['name'] + '.cfg':20} {told['meaning']}"
        now = "not set" if told["source"] == "default" else f"now {told['value']}"
        if told["problem"]:
            now = f"does not read: {told['problem']}"
        yield f"  {'':20} default {told['default'] or 'none'}; {now}"


def show() -> int:
    """Print the page; returns the exit status."""
    sys.stdout.write("\n".join([*lines(os.environ), ""]))
    return 0
