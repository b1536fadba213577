"""The publisher ``thespian``: ``hatch publish -p thespian`` puts .tls files where hosts get them. A thin adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatch.publish.plugin.interface import PublisherInterface

from director.errors import DirectorError
from hatch_thespian.destination import publish_file


class ThespianPublisher(PublisherInterface):
    """Runs in hatch's own environment.

    The URL is ``url`` of ``-o url=…``, of [tool.hatch.publish.thespian], or of [publish.thespian] in hatch's settings.
    """

    PLUGIN_NAME = "thespian"

    def publish(self, artifacts: list[Any], options: dict[str, Any]) -> None:
        """Publish each .tls file among the artifacts; all that cannot be are told."""
        url = options.get("url") or self.project_config.get("url") or self.plugin_config.get("url")
        if not isinstance(url, str) or not url:
            self.app.abort(
                "thespian: there is no URL to publish to. Set url in [tool.hatch.publish.thespian], or give -o url=…"
            )
            return
        files = self._files([Path(str(one)) for one in artifacts] or [Path("dist")])
        if not files:
            self.app.abort("thespian: there is no .tls file to publish. `hatch build` makes it.")
        failed = False
        for path in files:
            try:
                new = publish_file(url, path.name, path.read_bytes())
            except DirectorError as problem:
                self.app.display_error(f"thespian: {problem}")
                failed = True
            else:
                self.app.display_info(f"{path.name} {'published' if new else 'was there already'}")
        if failed:
            self.app.abort("thespian: not everything was published.")

    def _files(self, artifacts: list[Path]) -> list[Path]:
        found: list[Path] = []
        for artifact in artifacts:
            path = artifact if artifact.is_absolute() else Path(str(self.root)) / artifact
            found += sorted(path.glob("*.tls")) if path.is_dir() else [path]
        return [path for path in found if path.suffix == ".tls"]
