"""The target ``tls``: ``hatch build -t tls`` makes GROUP-VERSION.tls and GROUP.tli alone, from the hook's table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hatchling.builders.plugin.interface import BuilderInterface

from director.errors import DirectorError
from hatch_thespian.hook import make_with_hatch
from hatch_thespian.table import TABLE, TableError, read_tables


class TlsBuilder(BuilderInterface):
    """Builds the signed sources; without a signing key it stops."""

    PLUGIN_NAME = "tls"

    def get_version_api(self) -> dict[str, Callable[..., str]]:
        """The one version of this target."""
        return {"standard": self.build_standard}

    def build_standard(self, directory: str, **build_data: Any) -> str:
        """Make and place the files; the path of the (last) .tls."""
        last = ""
        try:
            packages = make_with_hatch(
                *(self.metadata, self.root, self._table(), directory, self.app),
                must=True,
                extra=build_data.get("dependencies", ()),
            )
            for package in packages:
                if last:
                    self.app.display_info(last)
                last = str(package.write(Path(directory))[0])
        except DirectorError as problem:
            self.app.abort(f"thespian: {problem}")
        except OSError as problem:
            self.app.abort(f"thespian: {problem.filename}: {problem.strerror}.")
        return last

    def clean(self, directory: str, versions: list[str]) -> None:
        """``hatch build -c -t tls``: remove what earlier builds of these groups left."""
        try:
            tables = read_tables(self._table(), project_name=self.metadata.core.raw_name)
        except TableError:
            return  # the build tells it
        for table in tables:
            names = (f"{table.group}.tls", f"{table.group}-*.tls", f"{table.group}.tli")
            for name in names:
                for path in Path(directory).glob(name):
                    path.unlink()

    def _table(self) -> dict[str, Any]:
        build = self.config.build_config
        for place in (
            self.config.target_config,
            build.get("targets", {}).get("wheel", {}),
            build,
        ):
            table = place.get("hooks", {}).get("thespian")
            if isinstance(table, dict):
                return table
        raise DirectorError(f"There is no table [{TABLE}].", code="table")
