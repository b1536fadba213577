"""The same for setuptools: ``[tool.setuptools-thespian]``, with the same keys as hatch's table. A thin adapter.

setuptools asks `finalize` of every project that is built where this package is installed. One without the table is
left alone and pays nothing: what makes sources is imported when one is made. The wheel's command makes the sources
before the wheel and places them when it is there. The sdist's takes along what the table names: frontends make the
wheel from the sdist, and setuptools itself takes no TLI.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import tomllib
from collections.abc import Sequence
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
    from setuptools.command.sdist import sdist

    for name, plain, command in (("bdist_wheel", bdist_wheel, _wheel), ("sdist", sdist, _sdist)):
        base = dist.cmdclass.get(name, plain)
        if not getattr(base, "makes_tls", False):
            dist.cmdclass[name] = command(base, told)


def _table(root: Path) -> dict[str, Any] | None:
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # setuptools itself tells what is wrong with it
    told = project.get("tool", {}).get("setuptools-thespian")
    return told if isinstance(told, dict) else None


def _wheel(base: Any, told: dict[str, Any]) -> Any:
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
                own = _own(self, root)
                project = Project(root, dist.get_version(), str(dist.python_requires or ""), own)
                tables = tables_of(told, project, name=dist.get_name(), output=output, path=TABLE)
                packages = make(tables, project, os.environ, voice, output=output, must=False)
            except DirectorError as problem:
                raise SystemExit(f"thespian: {problem}") from None
            super().run()
            for package in packages:
                for path in package.write(output):
                    _tell(f"thespian: wrote {path}")

    return TlsWheel


def _own(command: Any, root: Path) -> Any:
    """The project's own distribution, with the texts that setuptools' bdist_wheel would put into the wheel."""
    from setuptools.command.egg_info import write_entries

    from hatch_thespian.own import own_dist

    dist = command.distribution
    metadata = io.StringIO()
    dist.metadata.write_pkg_file(metadata)
    with tempfile.TemporaryDirectory(prefix="hatch-thespian-") as folder:
        path = Path(folder) / "entry_points.txt"
        write_entries(dist.get_command_obj("egg_info"), path.name, str(path))
        entries = path.read_text(encoding="utf-8") if path.is_file() else ""
    licences = {Path(name).as_posix(): (root / name).read_bytes() for name in command.license_paths}
    identity = "-".join(command.wheel_dist_name.split("-")[:2])  # without a build number
    return own_dist(identity, metadata.getvalue(), entries, licences)


def _sdist(base: Any, told: dict[str, Any]) -> Any:
    class TlsSdist(base):
        """sdist, with the files that the table names."""

        makes_tls = True

        def make_distribution(self) -> None:
            """Add the files to those that setuptools found."""
            dist = self.distribution
            root = Path(dist.src_root or os.curdir).absolute()
            found = needed(told, dist.get_name(), root, Path(self.dist_dir))
            self.filelist.extend(found)
            self.filelist.sort()
            self.filelist.remove_duplicates()
            super().make_distribution()

    return TlsSdist


def needed(told: dict[str, Any], name: str, root: Path, output: Path) -> list[str]:
    """The files of the project that its table names: selected sources and TLIs, relative to the project.

    What is wrong with them is told where the wheel is built.

    Args:
        told: the table as TOML gives it.
        name: the project's name.
        root: the project.
        output: where the build puts its results.
    """
    from hatch_thespian.problems import Problems
    from hatch_thespian.sources import select, sources_directory
    from hatch_thespian.table import Table, TableError, read_tables

    tables: Sequence[Table]
    try:
        tables = read_tables(told, project_name=name, path=TABLE)
    except TableError as wrong:
        tables = wrong.tables
    found = set()
    for table in tables:
        directory = sources_directory(table, root)
        for member in select(table, root, Problems(), skip=[output]).members:
            found.add(str((directory / member.name).relative_to(root)))
        if table.tli is not None and (root / table.tli).is_file():
            found.add(table.tli)
    return sorted(found)


def _output(directory: Path) -> Path:
    """The directory that the wheel ends in: setuptools' backend makes it in a temporary one there."""
    directory = directory.absolute()
    return directory.parent if directory.name.startswith(".tmp-") else directory


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
