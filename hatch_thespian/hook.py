"""The build hook: beside the wheel it makes GROUP-VERSION.tls and GROUP.tli. A thin adapter to hatch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.builders.wheel import WheelBuilder

from director.errors import DirectorError
from director.tls.naming import file_name
from hatch_thespian.distributions import Dist
from hatch_thespian.own import own_dist
from hatch_thespian.package import Package, Project, look, make_package, version_of
from hatch_thespian.problems import Problems, SeveralProblems
from hatch_thespian.progress import Steps
from hatch_thespian.signing import HOW, signing_key
from hatch_thespian.sources import is_key_file, refuse_private_keys
from hatch_thespian.table import TABLE, Table, TableError, read_tables


@dataclass(frozen=True)
class Voice:
    """Where a build tool's messages go: a line a file, a line a step, and what should be known."""

    detail: Callable[[str], None]
    info: Callable[[str], None]
    warning: Callable[[str], None]


def tables_of(
    told: Mapping[str, Any], project: Project, *, name: str, output: Path, path: str = TABLE
) -> tuple[Table, ...]:
    """The checked tables; where one does not read, its files are looked at all the same.

    Args:
        told: the table as TOML gives it.
        project: whose it is. name: the project's name.
        output: where the build puts its results.
        path: where the table stands, for messages.

    Raises:
        SeveralProblems: what is wrong with the tables, and with the files of those that read far enough.
    """
    try:
        return read_tables(told, project_name=name, path=path)
    except TableError as wrong:
        problems = Problems()
        problems.found.append(wrong)
        for table in wrong.tables:
            look(table, project, problems, output=output)
        raise SeveralProblems(problems.found) from None


def make(
    tables: Sequence[Table],
    project: Project,
    environ: Mapping[str, str],
    voice: Voice,
    *,
    output: Path,
    must: bool,
) -> list[Package]:
    """Make the package of each group.

    Args:
        tables: the checked tables.
        project: whose they are.
        environ: the key, SOURCE_DATE_EPOCH, CI's variables, and what pip needs.
        voice: where words go.
        output: where the build puts its results.
        must: without a key the build stops; else a warning says so and nothing is made.

    Raises:
        DirectorError: what is wrong, in all groups.
    """
    try:
        packages = _make(tables, project, environ, voice, output=output, must=must)
    except DirectorError:
        _tell_of_old(tables, project, voice, output)
        raise
    if not packages:
        _tell_of_old(tables, project, voice, output)
    return packages


def _tell_of_old(tables: Sequence[Table], project: Project, voice: Voice, output: Path) -> None:
    """Where nothing was made, a file of the same name is not what was built now; it stays."""
    for table in tables:
        if table.version == "date":
            continue  # another name each time
        path = output / file_name(table.group, version_of(table.version, project.version, None))
        if path.is_file():
            voice.warning(f"thespian: {path} is of an earlier build, and was left as it is.")


def _make(
    tables: Sequence[Table],
    project: Project,
    environ: Mapping[str, str],
    voice: Voice,
    *,
    output: Path,
    must: bool,
) -> list[Package]:
    key = signing_key(environ, project.root, warn=lambda line: voice.warning(f"thespian: {line}"))
    names = ", ".join(table.group for table in tables)
    if key is None:
        if must or any(table.require_key for table in tables):
            text = f"{names}: no signing key is set, so no .tls can be made. {HOW}"
            raise DirectorError(text, code="no-key")
        for table in tables:
            refuse_private_keys(table, project.root, output=output)
        voice.warning(f"thespian: {names}: no signing key is set, so no .tls was made. {HOW}")
        return []
    packages = []
    problems = Problems()
    for table in tables:
        steps = Steps(voice.detail, voice.info, f"thespian: {table.group}: ")
        with problems.kept():
            packages.append(make_package(table, project, key, environ, output=output, steps=steps))
    problems.check()
    for package in packages:
        for warning in package.warnings:
            voice.warning(f"thespian: {package.group}: {warning}")
    return packages


def dist_of(metadata: Any, root: str, extra: Sequence[str] = ()) -> Dist:
    """The project's own distribution, with the texts that hatchling would put into the wheel.

    Args:
        metadata: hatchling's ProjectMetadata.
        root: the project.
        extra: requirements that build hooks add.
    """
    wheel = WheelBuilder(root, metadata=metadata)
    text = wheel.config.core_metadata_constructor(metadata, extra_dependencies=tuple(extra))
    names = metadata.core.license_files
    licences = {name: Path(root, name).read_bytes() for name in names}
    return own_dist(wheel.artifact_project_id, text, wheel.construct_entry_points_file(), licences)


def make_with_hatch(
    metadata: Any,
    root: str,
    told: Mapping[str, Any],
    directory: str,
    app: Any,
    *,
    must: bool,
    extra: Sequence[str] = (),
) -> list[Package]:
    """Read hatch's table and make the packages.

    Args:
        metadata: hatchling's ProjectMetadata.
        root: the project.
        told: the hook's table.
        directory: where the build puts its results.
        app: hatchling's application, for messages.
        must: as for `make`.
        extra: requirements that build hooks add.

    Raises:
        DirectorError: what is wrong.
    """
    dist = dist_of(metadata, root, extra)
    project = Project(Path(root), metadata.version, metadata.core.requires_python, dist)
    name = metadata.core.raw_name
    tables = tables_of(told, project, name=name, output=Path(directory))
    voice = Voice(app.display_debug, app.display_info, app.display_warning)
    return make(tables, project, os.environ, voice, output=Path(directory), must=must)


def hooks_only(environ: Mapping[str, str], arguments: Sequence[str]) -> bool:
    """Whether hatchling was told to run hooks alone, in which case it finalizes nothing."""
    return environ.get("HATCH_BUILD_HOOKS_ONLY") in {"1", "true"} or "--hooks-only" in arguments


class ThespianBuildHook(BuildHookInterface):
    """Runs with the wheel; an editable build is left alone, and an sdist but for a warning of private keys."""

    PLUGIN_NAME = "thespian"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._packages: list[Package] = []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the sources, before the wheel, so that a mistake leaves neither."""
        if self.target_name == "sdist":
            self._warn_of_keys()
        if self.target_name != "wheel" or version != "standard":
            return
        try:
            self._packages = make_with_hatch(
                *(self.metadata, self.root, self.config, self.directory, self.app),
                must=False,
                extra=build_data.get("dependencies", ()),
            )
        except DirectorError as problem:
            self.app.abort(f"thespian: {problem}")
        except OSError as problem:
            self.app.abort(f"thespian: {problem.filename}: {problem.strerror}.")
        if hooks_only(os.environ, sys.argv):
            self.finalize(version, build_data, "")

    def _warn_of_keys(self) -> None:
        """Tell each private key file that the sdist will hold: who publishes it gives the key away."""
        builder = self.build_config.builder
        for file in builder.recurse_included_files():
            if is_key_file(Path(file.path)):
                self.app.display_warning(
                    f"thespian: the sdist will hold the private key {file.distribution_path}. "
                    "Move it out of the project, or exclude it in [tool.hatch.build.targets.sdist]."
                )

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Place the files, once the wheel is there."""
        try:
            for package in self._packages:
                for path in package.write(Path(self.directory)):
                    self.app.display_info(str(path))
        except OSError as problem:
            self.app.abort(f"thespian: {problem.filename}: {problem.strerror}.")
        self._packages = []
