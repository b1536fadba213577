"""The publisher ``thespian``: ``hatch publish -p thespian`` puts .tls files where hosts get them. A thin adapter."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from hatch.publish.plugin.interface import PublisherInterface

from director.errors import DirectorError
from hatch_thespian.destination import check_whole, publish_file

#: Options that hatch itself gives every publisher.
_HATCHS = frozenset({"no_prompt", "initialize_auth"})


class ThespianPublisher(PublisherInterface):
    """Runs in hatch's own environment.

    The URL is ``url`` of ``-o url=…``, of [tool.hatch.publish.thespian], or of [publish.thespian] in hatch's settings.
    """

    PLUGIN_NAME = "thespian"

    def publish(self, artifacts: list[Any], options: dict[str, Any]) -> None:
        """Publish each .tls file among the artifacts; all that cannot be are told."""
        for name in sorted(set(options) - _HATCHS - {"url"}):
            near = difflib.get_close_matches(name, ["url"], n=1, cutoff=0.5)
            self.app.abort(
                f"thespian: there is no option {name}; "
                + (f"did you mean {near[0]}?" if near else "the only one is url.")
            )
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
                data = path.read_bytes()
                check_whole(path.name, data)
                new = publish_file(url, path.name, data)
            except OSError as problem:
                self.app.display_error(f"thespian: {path}: {problem.strerror}.")
                failed = True
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
