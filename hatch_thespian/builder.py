"""The target ``tls``: ``hatch build -t tls`` makes GROUP-VERSION.tls and GROUP.tli alone, from the hook's table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hatchling.builders.plugin.interface import BuilderInterface

from director.errors import DirectorError
from hatch_thespian.hook import make
from hatch_thespian.table import TABLE


class TlsBuilder(BuilderInterface):
    """Builds the signed source; without a signing key it stops."""

    PLUGIN_NAME = "tls"

    def get_version_api(self) -> dict[str, Callable[..., str]]:
        """The one version of this target."""
        return {"standard": self.build_standard}

    def build_standard(self, directory: str, **build_data: Any) -> str:
        """Make and place the files; the path of the .tls."""
        try:
            package = make(self.metadata, self.root, self._table(), directory, self.app, must=True)
            assert package is not None  # noqa: S101 - it must be, or an error was raised
            return str(package.write(Path(directory))[0])
        except DirectorError as problem:
            self.app.abort(f"thespian: {problem}")
        except OSError as problem:
            self.app.abort(f"thespian: {problem.filename}: {problem.strerror}.")
        return ""

    def _table(self) -> dict[str, Any]:
        build = self.config.build_config
        for place in (
            self.config.target_config,
            build,
            build.get("targets", {}).get("wheel", {}),
        ):
            table = place.get("hooks", {}).get("thespian")
            if isinstance(table, dict):
                return table
        raise DirectorError(f"There is no table [{TABLE}].", code="table")
