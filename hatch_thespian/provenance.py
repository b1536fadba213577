"""Who built a source: this tool, and from CI's environment variables the commit and the pipeline.

Each CI system names its own; the first one that is there counts. Nothing is asked of git or of a network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

#: For each system: the commit, and the address of the run (variables in braces).
_SYSTEMS = (
    ("THESPIAN_BUILD_COMMIT", "{THESPIAN_BUILD_PIPELINE}"),
    ("GITHUB_SHA", "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}"),
    ("CI_COMMIT_SHA", "{CI_PIPELINE_URL}"),  # GitLab
    ("BUILDKITE_COMMIT", "{BUILDKITE_BUILD_URL}"),
    ("CIRCLE_SHA1", "{CIRCLE_BUILD_URL}"),
    ("GIT_COMMIT", "{BUILD_URL}"),  # Jenkins
    (
        "BUILD_SOURCEVERSION",  # Azure
        "{SYSTEM_TEAMFOUNDATIONCOLLECTIONURI}{SYSTEM_TEAMPROJECT}/_build/results?buildId={BUILD_BUILDID}",
    ),
    ("BITBUCKET_COMMIT", "{BITBUCKET_GIT_HTTP_ORIGIN}/pipelines/results/{BITBUCKET_BUILD_NUMBER}"),
    ("DRONE_COMMIT_SHA", "{DRONE_BUILD_LINK}"),
    ("TRAVIS_COMMIT", "{TRAVIS_BUILD_WEB_URL}"),
)
_COMMIT = re.compile(r"[0-9A-Za-z._/-]{4,128}", re.ASCII)
_LONGEST = 500


@dataclass(frozen=True)
class Provenance:
    """``builder`` is name and version of this tool; ``commit`` and ``pipeline`` are None outside of CI."""

    builder: str
    commit: str | None = None
    pipeline: str | None = None


def provenance(environ: Mapping[str, str]) -> Provenance:
    """What the environment tells of this build."""
    builder = f"hatch-thespian {version('hatch-thespian')}"
    for variable, address in _SYSTEMS:
        commit = environ.get(variable, "")
        if _COMMIT.fullmatch(commit):
            return Provenance(builder, commit, _address(address, environ))
    return Provenance(builder)


def _address(template: str, environ: Mapping[str, str]) -> str | None:
    try:
        address = template.format_map(environ)
    except KeyError:
        return None
    # A user name or token in an address must not be published with the source.
    address = re.sub(r"(?<=://)[^/@]*@", "", address)
    return address[:_LONGEST] if address.startswith(("https://", "http://")) else None
