"""The build hook: beside the wheel it makes GROUP-VERSION.tls and GROUP.tli. A thin adapter to hatch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

from director.errors import DirectorError
from hatch_thespian.package import Package, Project, make_package
from hatch_thespian.signing import HOW, signing_key
from hatch_thespian.sources import refuse_private_keys
from hatch_thespian.table import read_table


def make(
    metadata: Any, root: str, told: dict[str, Any], directory: str, app: Any, *, must: bool
) -> Package | None:
    """Read the table and make the package, in hatch's surroundings.

    Args:
        metadata: hatchling's ProjectMetadata.
        root: the project.
        told: the hook's table.
        directory: where the build puts its results.
        app: hatchling's application, for messages.
        must: without a key the build stops; else a warning says so and None is returned.

    Raises:
        DirectorError: what is wrong.
    """
    table = read_table(told, project_name=metadata.core.raw_name)
    key = signing_key(os.environ, Path(root))
    if key is None:
        if must or table.require_key:
            text = f"{table.group}: no signing key is set, so no .tls can be made. {HOW}"
            raise DirectorError(text, code="no-key")
        refuse_private_keys(table, Path(root), output=Path(directory))
        app.display_warning(
            f"thespian: {table.group}: no signing key is set, so no .tls was made. {HOW}"
        )
        return None
    project = Project(Path(root), metadata.version, metadata.core.requires_python)
    package = make_package(
        table, project, key, os.environ, output=Path(directory), say=app.display_debug
    )
    for warning in package.warnings:
        app.display_warning(f"thespian: {table.group}: {warning}")
    return package


class ThespianBuildHook(BuildHookInterface):
    """Runs with the wheel; sdist and editable builds are left alone."""

    PLUGIN_NAME = "thespian"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._package: Package | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the source, before the wheel, so that a mistake leaves neither."""
        if self.target_name != "wheel" or version != "standard":
            return
        try:
            self._package = make(
                self.metadata, self.root, self.config, self.directory, self.app, must=False
            )
        except DirectorError as problem:
            self.app.abort(f"thespian: {problem}")
        except OSError as problem:
            self.app.abort(f"thespian: {problem.filename}: {problem.strerror}.")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Place the files, once the wheel is there."""
        if self._package is None:
            return
        try:
            for path in self._package.write(Path(self.directory)):
                self.app.display_info(str(path))
        except OSError as problem:
            self.app.abort(f"thespian: {problem.filename}: {problem.strerror}.")
        self._package = None
