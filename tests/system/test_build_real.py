"""A project on ten real libraries, built from a package index and run by a director that has none of them installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from director import demo
from tests.conftest import Host
from tests.wheels import write_files

pytestmark = [pytest.mark.system, pytest.mark.slow]

LIBRARIES = (
    *("tabulate", "Jinja2", "requests", "rich", "PyYAML", "SQLAlchemy", "Flask"),
    *("python-dateutil", "attrs", "networkx"),
)
#: What the director itself needs, and so cannot be without.
OF_THE_DIRECTOR = {"rich"}

PROJECT = {
    "pyproject.toml": f"""
        [build-system]
        requires = ["hatchling", "hatch-thespian"]
        build-backend = "hatchling.build"

        [project]
        name = "everything"
        version = "1.0"

        [tool.hatch.build.hooks.thespian]
        sources = ["everything/"]
        deps = {json.dumps(LIBRARIES)}
        native = "strip"

        [tool.hatch.build.hooks.thespian.tli.Actors."everything.actor.Main".OnLoad]
        Role = "Everything"
        """,
    "everything/__init__.py": "",
    "everything/page.html": "<p>{{ cow|upper }}</p>",
    "everything/actor.py": """
        import datetime
        import io
        from importlib import metadata, resources

        import attrs
        import networkx
        import requests
        import yaml
        from dateutil import tz, zoneinfo
        from flask import Flask
        from jinja2 import Environment, PackageLoader
        from rich.console import Console
        from rich.table import Table
        from sqlalchemy import ForeignKey, create_engine, select
        from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
        from tabulate import tabulate
        from thespian.actors import ActorTypeDispatcher


        class Base(DeclarativeBase):
            pass


        class Cow(Base):
            __tablename__ = "cows"
            id: Mapped[int] = mapped_column(primary_key=True)
            name: Mapped[str]


        @attrs.define
        class Stall:
            number: int = attrs.field(validator=attrs.validators.gt(0))


        def session():
            engine = create_engine("sqlite://")
            Base.metadata.create_all(engine)
            with Session(engine) as session:
                session.add(Cow(name="Bessie"))
                session.commit()
                return session.scalars(select(Cow.name)).one()


        def client():
            app = Flask(__name__)
            app.get("/moo")(lambda: {"moo": True})
            return app.test_client().get("/moo").json


        def rich():
            console = Console(file=io.StringIO(), width=40)
            table = Table("animal")
            table.add_row("cow")
            console.print(table)
            return "cow" in console.file.getvalue()


        def certificates():
            request = requests.Request("GET", "https://example.org/", params={"a": "1"}).prepare()
            bundle = open(requests.certs.where()).read()
            return request.url, bundle.count("BEGIN CERTIFICATE") > 50


        def zone():
            berlin = zoneinfo.get_zonefile_instance().get("Europe/Berlin")
            noon = datetime.datetime(2026, 7, 1, 12, tzinfo=berlin)
            return noon.astimezone(tz.UTC).hour


        class Main(ActorTypeDispatcher):
            def receiveMsg_dict(self, message, sender):
                environment = Environment(loader=PackageLoader("everything", "."))
                modules = {m.__name__: m.__file__ for m in (attrs, networkx, requests, yaml)}
                import rich as rich_module
                modules["rich"] = rich_module.__file__
                self.send(sender, {
                    "tabulate": tabulate([["cow", 1]]).splitlines()[1].split(),
                    "jinja2": environment.get_template("page.html").render(cow="moo"),
                    "requests": certificates(),
                    "rich": rich(),
                    "yaml": yaml.safe_load("a: [1, 2]"),
                    "sqlalchemy": session(),
                    "flask": client(),
                    "dateutil": zone(),
                    "attrs": attrs.asdict(Stall(3)),
                    "networkx": networkx.shortest_path(networkx.path_graph(4), 0, 3),
                    "versions": {name: metadata.version(name) for name in message["names"]},
                    "data": resources.files("everything").joinpath("page.html").is_file(),
                    "files": modules,
                })
        """,
}


@pytest.fixture
def director(tmp_path: Path, host: Host) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command of a director in a Python of its own, which has what the director needs and nothing more."""
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv/bin"
    wheel = demo.plugin_wheel(tmp_path / "wheels")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(binaries / words[0]), *words[1:]],
            env=host.environment(),
            capture_output=True,
            text=True,
            timeout=300,
            stdin=subprocess.DEVNULL,
        )

    done = run("python", "-m", "pip", "install", "--quiet", str(wheel))
    if done.returncode:
        pytest.skip(f"no package index gives the director's own needs: {done.stderr[-300:]}")
    listed = run("python", "-m", "pip", "list", "--format", "json").stdout
    installed = {canonicalize_name(one["name"]) for one in json.loads(listed)}
    assert not {canonicalize_name(name) for name in LIBRARIES} & installed - OF_THE_DIRECTOR
    return run


def test_ten_real_libraries_are_used_by_an_actor_on_a_host_that_has_none_of_them(
    host: Host, tmp_path: Path, director: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    project = write_files(tmp_path / "project", PROJECT)
    pem = tmp_path / "sourcekey.pem"
    pem.write_bytes(host.key.private_pem(None))
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "tls"],
        cwd=project,
        env={**os.environ, "THESPIAN_SIGNING_KEY_FILE": str(pem)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    if "Could not find a version" in done.stderr or "Connection" in done.stderr:
        pytest.skip(f"no package index gives them: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stdout + done.stderr

    done = director("director", "install", str(project / "dist/everything-1.0.tls"))
    assert done.returncode == 0, done.stderr
    verdict = host.control.check(host.directory / "everything-1.0.tls")
    assert verdict.manifest is not None and verdict.archive is not None
    assert verdict.manifest.tags == ("py3-none-any",)
    assert not any(name.endswith(".so") for name in verdict.archive.names)
    bill = json.loads(verdict.archive.read("TLS-INF/sbom.cdx.json"))
    assert {canonicalize_name(name) for name in LIBRARIES} <= {
        one["purl"].split("/")[1].split("@")[0] for one in bill["components"]
    }

    done = director("director", "load", "everything")
    assert done.returncode == 0, done.stderr
    role = host.control.role("Everything")
    assert role is not None
    question = {"names": list(LIBRARIES)}
    answer = host.control.system.ask(role.address, question, timedelta(seconds=30))
    assert answer is not None
    files = answer.pop("files")
    place = str(host.control.store.unpacked(verdict.sha256))
    assert set(files) == {"attrs", "networkx", "requests", "yaml", "rich"}
    assert all(file.startswith(place) for file in files.values()), files
    bundled = {one.name: one.version for one in verdict.manifest.bundled}
    versions = answer.pop("versions")
    assert {canonicalize_name(k): v for k, v in versions.items()}.items() <= {
        canonicalize_name(k): v for k, v in bundled.items()
    }.items()
    assert answer == {
        "tabulate": ["cow", "1"],
        "jinja2": "<p>MOO</p>",
        "requests": ("https://example.org/?a=1", True),
        "rich": True,
        "yaml": {"a": [1, 2]},
        "sqlalchemy": "Bessie",
        "flask": {"moo": True},
        "dateutil": 10,
        "attrs": {"number": 3},
        "networkx": [0, 1, 2, 3],
        "data": True,
    }
