"""The same for setuptools: ``[tool.setuptools-thespian]``, with the same keys as hatch's table. A thin adapter.

setuptools asks `finalize` of every project that is built where this package is installed. One without the table is
left alone and pays nothing: what makes sources is imported when one is made. The wheel's command makes the sources
before the wheel and places them when it is there.
"""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path
from typing import Any

#: Where the table stands.
TABLE = "tool.setuptools-thespian"


def finalize(dist: Any) -> None:
    """The entry point ``setuptools.finalize_distribution_options``.

    Args:
        dist: setuptools' Distribution.
    """
    told = _table(Path(dist.src_root or os.curdir))
    if told is None:
        return
    from setuptools.command.bdist_wheel import bdist_wheel

    base = dist.cmdclass.get("bdist_wheel", bdist_wheel)
    if not getattr(base, "makes_tls", False):
        dist.cmdclass["bdist_wheel"] = _command(base, told)


def _table(root: Path) -> dict[str, Any] | None:
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # setuptools itself tells what is wrong with it
    told = project.get("tool", {}).get("setuptools-thespian")
    return told if isinstance(told, dict) else None


def _command(base: Any, told: dict[str, Any]) -> Any:
    class TlsWheel(base):
        """bdist_wheel, and the sources beside the wheel."""

        makes_tls = True

        def run(self) -> None:
            """Make the sources, the wheel, and place the sources, in this order."""
            from director.errors import DirectorError
            from hatch_thespian.hook import Voice, make, tables_of
            from hatch_thespian.package import Project

            dist = self.distribution
            root = Path(dist.src_root or os.curdir).absolute()
            output = _output(Path(self.dist_dir))
            voice = Voice(lambda line: None, _tell, _tell)
            try:
                project = Project(root, dist.get_version(), str(dist.python_requires or ""))
                tables = tables_of(told, project, name=dist.get_name(), output=output, path=TABLE)
                packages = make(tables, project, os.environ, voice, output=output, must=False)
            except DirectorError as problem:
                raise SystemExit(f"thespian: {problem}") from None
            super().run()
            for package in packages:
                for path in package.write(output):
                    _tell(f"thespian: wrote {path}")

    return TlsWheel


def _output(directory: Path) -> Path:
    """The directory that the wheel ends in: setuptools' backend makes it in a temporary one there."""
    directory = directory.absolute()
    return directory.parent if directory.name.startswith(".tmp-") else directory


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
