"""The bill of materials, and what is told of who built a source."""

from __future__ import annotations

import json
from typing import Any

import pytest
from packaging.requirements import Requirement

from hatch_thespian.distributions import Dist, bundle
from hatch_thespian.provenance import provenance
from hatch_thespian.sbom import sbom


def made() -> dict[str, Any]:
    jinja = Dist(
        *("Jinja2", "3.1.6", "BSD-3-Clause", "jinja2-3.1.6.dist-info"),
        requires=(Requirement("MarkupSafe>=2"),),
        members=(),
        homepage="https://jinja.example/",
        summary="Templates.",
    )
    safe = Dist("MarkupSafe", "3.0", "Some licence of 1999", "markupsafe-3.0.dist-info", (), ())
    found = bundle([jinja, safe], {"jinja2": ("deps",), "markupsafe": ("deps", "Jinja2")})
    data = sbom("farm", "1.0", found, None)
    assert data == sbom("farm", "1.0", found, None), "it differs from run to run"
    told: dict[str, Any] = json.loads(data)
    return told


def test_it_is_cyclonedx_and_names_every_bundled_distribution() -> None:
    told = made()
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.6")
    assert told["metadata"]["component"]["name"] == "farm"
    parts = {one["purl"]: one for one in told["components"]}
    assert set(parts) == {"pkg:pypi/jinja2@3.1.6", "pkg:pypi/markupsafe@3.0"}
    assert parts["pkg:pypi/jinja2@3.1.6"]["licenses"] == [{"expression": "BSD-3-Clause"}]
    assert parts["pkg:pypi/markupsafe@3.0"]["licenses"] == [
        {"license": {"name": "Some licence of 1999"}}
    ]


def test_it_tells_who_needs_whom() -> None:
    needs = {one["ref"]: one.get("dependsOn", []) for one in made()["dependencies"]}
    assert needs["farm@1.0"] == ["jinja2@3.1.6"]
    assert needs["jinja2@3.1.6"] == ["markupsafe@3.0"]


def test_its_time_is_that_of_source_date_epoch_or_none_of_its_own() -> None:
    assert made()["metadata"]["timestamp"].startswith("2020-02-02")
    told = json.loads(sbom("farm", None, bundle([], {}), 86400))
    assert told["metadata"]["timestamp"].startswith("1970-01-02")


@pytest.mark.parametrize(
    ("environ", "commit", "pipeline"),
    [
        ({}, None, None),
        ({"GITHUB_SHA": "  "}, None, None),
        ({"GIT_COMMIT": "abc def; rm"}, None, None),
        (
            {
                "GITHUB_SHA": "0a1b2c3d",
                "GITHUB_SERVER_URL": "https://github.example",
                "GITHUB_REPOSITORY": "me/barn",
                "GITHUB_RUN_ID": "7",
            },
            "0a1b2c3d",
            "https://github.example/me/barn/actions/runs/7",
        ),
        (
            {"CI_COMMIT_SHA": "deadbeef", "CI_PIPELINE_URL": "https://user:token@ci.example/7"},
            "deadbeef",
            "https://ci.example/7",
        ),
        ({"CIRCLE_SHA1": "deadbeef"}, "deadbeef", None),
        ({"GIT_COMMIT": "deadbeef", "BUILD_URL": "javascript:x"}, "deadbeef", None),
    ],
)
def test_commit_and_pipeline_come_from_the_variables_of_ci(
    environ: dict[str, str], commit: str | None, pipeline: str | None
) -> None:
    told = provenance(environ)
    assert (told.commit, told.pipeline) == (commit, pipeline)
    assert told.builder.startswith("hatch-thespian ")
