"""Whether a source may say where its actors run, told by its text, so that most sources need not be asked.

What lives here: looking for Thespian's two words about capabilities (`requireCapability`, `actorSystemCapabilityCheck`)
in a source, and in the installed packages that it imports, from which a class may inherit them. What does not: asking
(`director.actors.placement`). Nothing is imported for it. A package that is only imported by a name that is made up
while the source runs is not seen.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from pathlib import Path

#: Compiled modules hold the names that they use as they are.
_WORDS = (b"requireCapability", b"apabilityCheck")
_COMPILED = (".pyc", ".so", ".pyd")
#: The word of an import statement, and what follows it; it begins with a literal, which is quick to find.
_IMPORT = re.compile(rb"import\b([\w., \t]*)")
_TOP = re.compile(rb"\s*([A-Za-z_]\w*)")
_FROM = re.compile(rb"from[ \t]+([A-Za-z_]\w*)")
#: Of these Thespian's words are known, or there are none.
_PASSED_OVER = frozenset({"thespian", "director", "setproctitle"}) | sys.stdlib_module_names
#: Bytes that are read of installed packages for one source, and of one compiled module; what is beyond may say it.
_MOST, _MOST_COMPILED = 256 << 20, 4 << 20


@dataclass
class Text:
    """What was found in modules.

    Args:
        found: whether one of them says a word about capabilities.
        imported: top-level names of what they import.
    """

    found: bool = False
    imported: set[str] = field(default_factory=set)

    def read(self, name: str, data: bytes) -> None:
        """Look at one more file; of no interest where it is no module."""
        if name.endswith((".py", *_COMPILED)):
            self.found = self.found or any(word in data for word in _WORDS)
        if name.endswith(".py"):
            self.imported |= {top.decode() for top in _imported(data)}


def _imported(data: bytes) -> set[bytes]:
    """The top-level names that a module's text imports by a statement, and some that it only speaks of."""
    found = set()
    for statement in _IMPORT.finditer(data):
        begin = statement.start()
        before = data[max(data.rfind(b"\n", 0, begin) + 1, begin - 200) : begin]
        before = re.split(b"[;:]", before)[-1].strip()
        if not before:
            found |= {one[1] for part in statement[1].split(b",") if (one := _TOP.match(part))}
        elif origin := _FROM.match(before):
            found.add(origin[1])
    return found


class Reading:
    """Passes members on, and looks at them meanwhile.

    Args:
        members: name and bytes of each.
    """

    def __init__(self, members: Iterator[tuple[str, bytes]]) -> None:
        self._members = members
        #: Whole once all were passed on.
        self.text = Text()

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """The members, once."""
        for name, data in self._members:
            self.text.read(name, data)
            yield name, data


class Installed:
    """What the packages of this host say, each read once as long as it is the same."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[object, Text]] = {}

    def say(self, imported: Iterable[str]) -> bool:
        """Whether one of these, or of what they import, says a word about capabilities.

        Args:
            imported: top-level names; what is not installed says nothing.
        """
        left, seen, size = sorted(imported), set(_PASSED_OVER), 0
        while left:
            top = left.pop()
            if top in seen:
                continue
            seen.add(top)
            files = list(_files(top))
            stamp = [(str(path), told.st_mtime_ns, told.st_size) for path, told in files]
            size += sum(told.st_size for path, told in files if path.suffix == ".py")
            if size > _MOST:
                return True
            if top not in self._read or self._read[top][0] != stamp:
                self._read[top] = stamp, _text(path for path, _ in files)
            text = self._read[top][1]
            if text.found:
                return True
            left += text.imported - seen
        return False


def _text(paths: Iterable[Path]) -> Text:
    text = Text()
    for path in paths:
        try:
            text.read(path.name, path.read_bytes())
        except OSError:
            continue  # whoever imports it sees as little of it
    return text


def _files(top: str) -> Iterator[tuple[Path, os.stat_result]]:
    """The modules of an installed top-level name."""
    try:
        spec = PathFinder.find_spec(top)
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    places = [Path(one) for one in spec.submodule_search_locations or ()]
    found = [Path(spec.origin)] if not places and spec.origin else []
    for place in places:
        found += (path for path in sorted(place.rglob("*")) if path.parent.name != "__pycache__")
    for path in found:
        if path.suffix in {".py", *_COMPILED}:
            try:
                told = path.stat()
            except OSError:
                continue
            if path.suffix == ".py" or told.st_size <= _MOST_COMPILED:
                yield path, told
