"""An operator's own GROUP.tli is told by `status`: what was loaded with one, and what the next load would do."""

from __future__ import annotations

import hashlib
import json
import textwrap
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from director.documents import schema
from director.tls.archive import Member, write_archive
from director.tls.container import seal
from director.trust import HostTrust
from tests.conftest import Host
from tests.system.test_faults import director, eventually, kill
from tests.system.test_operating import TLI, sources

pytestmark = pytest.mark.system

OWN = TLI.replace("'hello'", "'good morning'")


@pytest.fixture
def loaded(host: Host) -> Host:
    host.put("app", "1.0", TLI, sources("1.0"))
    assert director(host, "load", "app").returncode == 0
    return host


def put(host: Host, text: str) -> Path:
    path = host.directory / "app.tli"
    path.write_text(text)
    return path


def told(host: Host) -> tuple[Any, list[str | None], list[str]]:
    """What lies there, what each version was loaded with, and the warnings; a group with an override is well."""
    document = director(host, "status", "--json")
    lines = director(host, "status", "app")
    assert document.returncode == lines.returncode == 0, (document, lines)
    found = json.loads(document.stdout)
    jsonschema.validate(found, schema("status"))
    (group,) = found["groups"]
    warned = [line.strip() for line in lines.stdout.splitlines() if "WARNING" in line]
    return group["override"], [one["override"] for one in group["versions"]], warned


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_an_own_tli_is_told_from_when_it_lies_there_until_what_was_loaded_with_it_has_gone(
    loaded: Host,
) -> None:
    assert told(loaded) == (None, [None], [])
    put(loaded, TLI)
    assert told(loaded) == (None, [None], []), "a copy of the signed one is nobody's own"
    path = put(loaded, OWN)
    there = {"file": str(path), "sha256": sha256(OWN), "problem": ""}
    line = f"WARNING: {path} replaces the signed TLI at the next load; what runs was loaded with"
    assert told(loaded) == (there, [None], [f"{line} the signed one"])
    loaded.put("app", "2.0", TLI, sources("2.0"))
    done = director(loaded, "load", "app")
    assert f"warning: {path} replaces the signed TLI" in done.stderr
    before = "WARNING: the operator's own app.tli replaced the signed TLI when 2.0 was loaded"
    assert told(loaded) == (there, [sha256(OWN), None], [before])

    other = put(loaded, OWN + "\n").read_text()
    there = {**there, "sha256": sha256(other)}
    assert told(loaded) == (there, [sha256(OWN), None], [f"{line} another", before])
    path.unlink()
    gone = "WARNING: the next load takes the signed TLI: the own one that what runs was loaded with is gone"
    assert told(loaded) == (None, [sha256(OWN), None], [gone, before])
    assert director(loaded, "undo", "app").returncode == 0
    own, versions, warned = told(loaded)
    assert (own, sorted(map(str, versions)), warned) == (
        None,
        sorted(["None", sha256(OWN)]),
        [before],
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{'Actors': {},\n 'Autounload': True}", "app.tli:2:2: the key 'Autounload' is not known"),
        ("{'Actors': {", "app.tli:1:"),
        (None, "app.tli: No such file or directory"),
    ],
)
def test_an_own_tli_that_does_not_read_by_now_is_named_before_a_load_fails_over_it(
    loaded: Host, text: str | None, says: str
) -> None:
    path = loaded.directory / "app.tli"
    if text is None:
        path.symlink_to("/nowhere/app.tli")
    else:
        path.write_text(text)
    own, versions, (line,) = told(loaded)
    assert says in own["problem"] and versions == [None]
    assert line.startswith("WARNING: a load of it fails now: ") and says in line
    assert director(loaded, "load", "app").returncode == 8, "and so it does"


def test_a_successor_of_the_director_and_loads_by_message_tell_it_too(loaded: Host) -> None:
    put(loaded, OWN)
    path = loaded.put("app", "2.0", TLI, sources("2.0"))
    request = {"DirectorOp": "LoadSource", "Source": str(path), "Wait": True}
    assert loaded.control.ask(request, "LoadResult", 60)["Success"]
    assert told(loaded)[1] == [sha256(OWN), None]
    kill(loaded.control.status().director_pid)
    loaded.control.close()
    eventually(lambda: told(loaded)[1] == [sha256(OWN), None], 20)


def test_no_tls_file_is_read_for_an_own_tli_that_is_in_force(
    loaded: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(loaded, OWN)
    loaded.put("app", "2.0", TLI, sources("2.0"))
    loaded.control.load("app")
    monkeypatch.delattr(HostTrust, "has_signed")
    (group,) = loaded.control.status().groups
    assert group.override is not None and group.override.sha256 == group.overridden == sha256(OWN)


def test_an_own_tli_of_a_group_that_has_no_signed_one_replaces_nothing(host: Host) -> None:
    members = [
        Member(name, textwrap.dedent(text).encode()) for name, text in sources("1.0").items()
    ]
    (host.directory / "app-1.0.tls").write_bytes(seal(write_archive(members), host.key))
    put(host, TLI)
    done = director(host, "load", "app")
    assert done.returncode == 0 and "replaces" not in done.stderr, done
    assert told(host) == (None, [None], [])
