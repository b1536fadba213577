"""The pipeline on small projects: what goes in, what is refused, and that the same input gives the same bytes."""

from __future__ import annotations

import hashlib
import math
import os
import sys
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from packaging.tags import sys_tags

from director.errors import BuildError
from director.settings.tli import parse_tli
from director.tls.archive import Member, write_archive
from director.tls.container import seal
from director.tls.keys import SigningKey, generate_ed25519, generate_p256, load_signing_key
from director.tls.verify import Policy, verify
from hatch_thespian.package import Package, Project, make_package
from hatch_thespian.problems import SeveralProblems
from hatch_thespian.table import Table
from tests.wheels import make_wheel, write_files

ACTOR = "from thespian.actors import Actor\n\nclass Main(Actor):\n    pass\n"
TLI = "{'Actors': {'app.main.Main': {'OnLoad': {'Role': 'Main'}}}}\n"
TREE: dict[str, str | bytes] = {"app/__init__.py": "", "app/main.py": ACTOR, "app.tli": TLI}


def table(**more: object) -> Table:
    told: dict[str, object] = {"sources": ("app/**/*.py",), "tli": "app.tli", **more}
    return Table("app", **told)  # type: ignore[arg-type]


def build(root: Path, key: SigningKey, chosen: Table | None = None, **environ: str) -> Package:
    project = Project(root, "1.2.3", ">=3.11")
    chosen = chosen or table()
    return make_package(chosen, project, key, environ, output=root / "dist")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_files(tmp_path / "project", TREE)


def test_what_was_built_is_valid_and_tells_all_of_itself(project: Path, key: SigningKey) -> None:
    package = build(project, key)
    verdict = verify(
        package.data, [key.public], Policy(), datetime.now(UTC), file_name="app-1.2.3.tls"
    )
    assert verdict.code == "valid" and verdict.manifest is not None and verdict.archive is not None
    assert verdict.archive.names == (
        "TLS-INF/manifest.json",
        "TLS-INF/group.tli",
        "app/__init__.py",
        "app/main.py",
    )
    manifest = verdict.manifest
    assert (manifest.group, manifest.version, manifest.requires_python) == (
        "app",
        "1.2.3",
        ">=3.11",
    )
    assert manifest.actors == ("app.main.Main",) and manifest.external == ("thespian",)
    assert verdict.tli == TLI


def test_both_files_are_written_and_the_tli_is_the_signed_one(
    project: Path, key: SigningKey
) -> None:
    paths = build(project, key).write(project / "dist")
    assert [path.name for path in paths] == ["app-1.2.3.tls", "app.tli"]
    assert paths[1].read_text() == TLI
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in paths)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("project", "1.2.3"),
        ("none", None),
        ("7.1rc2", "7.1rc2"),
        ("date", "202402291205"),
    ],
)
def test_the_version_is_the_projects_the_dates_a_literal_or_none(
    project: Path, key: SigningKey, version: str, expected: str | None
) -> None:
    package = build(project, key, table(version=version), SOURCE_DATE_EPOCH="1709208300")
    assert package.version == expected
    assert package.name == (f"app-{expected}.tls" if expected else "app.tls")


def test_a_date_without_source_date_epoch_is_that_of_now(project: Path, key: SigningKey) -> None:
    before = f"{datetime.now(UTC):%Y%m%d%H%M}"
    package = build(project, key, table(version="date"))
    assert before <= (package.version or "") <= f"{datetime.now(UTC):%Y%m%d%H%M}"


def test_a_version_that_pep_440_does_not_order_is_warned_of(project: Path, key: SigningKey) -> None:
    package = build(project, key, table(version="1.0-final_b"))
    assert "no PEP 440 version" in package.warnings[0]


def test_a_source_date_epoch_that_is_no_number_is_told(project: Path, key: SigningKey) -> None:
    with pytest.raises(BuildError, match="SOURCE_DATE_EPOCH"):
        build(project, key, SOURCE_DATE_EPOCH="yesterday")


def test_the_same_input_gives_the_same_bytes(
    project: Path, key: SigningKey, tmp_path: Path
) -> None:
    first = build(project, key)
    other = tmp_path / "elsewhere" / "deeper"
    write_files(other, dict(reversed(TREE.items())))
    old_mask = os.umask(0o077)
    try:
        for number, path in enumerate(sorted(other.rglob("*.py"))):
            os.utime(path, (number * 1e8, number * 1e8))
            path.chmod(0o600 if number % 2 else 0o755)
        assert build(other, key).data == first.data
    finally:
        os.umask(old_mask)
    assert build(other, key, SOURCE_DATE_EPOCH="86400").data != first.data


@pytest.mark.parametrize("generate", [generate_ed25519, generate_p256])
def test_keys_of_the_other_kinds_sign_the_same_bytes_each_time(
    project: Path, generate: Callable[[], SigningKey]
) -> None:
    key = generate()
    data = build(project, key).data
    assert build(project, key).data == data
    assert verify(data, [key.public], Policy(), datetime.now(UTC)).code == "valid"


def test_a_byte_order_mark_of_the_tli_does_not_reach_the_host(
    project: Path, key: SigningKey
) -> None:
    (project / "app.tli").write_bytes(b"\xef\xbb\xbf" + TLI.encode())
    package = build(project, key)
    verdict = verify(package.data, [key.public], Policy(), datetime.now(UTC))
    assert verdict.tli == TLI and package.tli == TLI.encode()
    parse_tli(verdict.tli, name="group.tli", environ={})


def test_a_tli_may_use_variables_that_are_not_set_here(project: Path, key: SigningKey) -> None:
    text = """{'Actors': {
        'app.main.Main': {'OnLoad': {'Role': os.environ['A_ROLE'], 'Message': os.getenv('B')}},
        'app.main.Actor': {'OnLoad': {'Role': os.environ['B_ROLE']}}}}"""
    (project / "app.tli").write_text(text)
    assert build(project, key).tli == text.encode()


def test_mistakes_in_sources_and_tli_are_told_at_once(project: Path, key: SigningKey) -> None:
    write_files(project, {"app/bad.py": "def f(:\n", "app/worse.py": b"x = '\xff'\n"})
    (project / "app.tli").write_text("{'Actors': {}, 'AutoUnlod': True}")
    with pytest.raises(SeveralProblems) as caught:
        build(project, key)
    assert caught.value.codes == ("settings", "syntax", "syntax")
    assert "app/bad.py:1:7: " in str(caught.value)
    assert "app.tli:1:16: the key 'AutoUnlod' is not known here" in str(caught.value)


def test_everything_that_is_wrong_with_the_sources_is_told_in_one_go(
    project: Path, key: SigningKey
) -> None:
    more: dict[str, str | bytes] = {
        "app/bad.py": "def f(:\n",
        "app/MAIN.py": "",
        "app/main/__init__.py": "",
        "json.py": "",
        "app/oops.py": key.private_pem(None),
        "app.tli": "{'Actors': {'app.main.Gone': {}, 'app.bad.Main': {}}}",
    }
    write_files(project, more)
    with pytest.raises(SeveralProblems) as caught:
        build(project, key, table(sources=("app/**/*.py", "json.py", "none/*.py")))
    assert sorted(caught.value.codes) == [
        *("actors", "case", "collision", "private-key", "reserved-name", "sources", "syntax")
    ]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("app.main.Gone", "defines no Gone"),
        ("app.gone.Main", "no member app/gone.py"),
        ("app.Main", "app/__init__.py defines no Main"),
    ],
)
def test_a_class_that_the_tli_names_must_be_there(
    project: Path, key: SigningKey, path: str, words: str
) -> None:
    (project / "app.tli").write_text(f"{{'Actors': {{{path!r}: {{}}}}}}")
    with pytest.raises(BuildError, match=words):
        build(project, key)


@pytest.mark.parametrize(
    ("file", "name"),
    [("calendar.py", "calendar"), ("thespian/x.py", "thespian"), ("director/x.py", "director")],
)
def test_a_member_that_takes_a_name_of_the_hosts_is_refused(
    project: Path, key: SigningKey, file: str, name: str
) -> None:
    write_files(project, {file: ""})
    with pytest.raises(BuildError, match=f"top-level name {name}"):
        build(project, key, table(sources=("**/*.py",)))


def test_a_missing_tli_is_told_and_in_an_unpacked_sdist_with_the_remedy(
    project: Path, key: SigningKey
) -> None:
    (project / "app.tli").unlink()
    with pytest.raises(BuildError, match=r"tli: .*No such file"):
        build(project, key)
    (project / "PKG-INFO").write_text("")
    with pytest.raises(BuildError, match=r"unpacked sdist: see that \[tool\.hatch"):
        build(project, key)
    with pytest.raises(BuildError, match=r"unpacked sdist: see that MANIFEST\.in"):
        build(project, key, table(path="tool.setuptools-thespian"))


def test_a_tli_that_the_table_does_not_name_is_warned_of(project: Path, key: SigningKey) -> None:
    package = build(project, key, table(tli=None))
    assert package.tli is None and "starts no actor" in package.warnings[0]
    assert [path.name for path in package.write(project / "dist")] == ["app-1.2.3.tls"]


def test_a_source_of_another_python_is_built_with_a_warning(project: Path, key: SigningKey) -> None:
    package = make_package(table(), Project(project, "1", ">=4"), key, {}, output=project / "dist")
    assert "resolved for this Python" in package.warnings[0]


def test_pythons_that_would_lack_a_dependency_are_refused_by_the_file(
    project: Path, key: SigningKey
) -> None:
    later = f"3.{sys.version_info.minor + 1}"
    make_wheel(project / "libs", "late")
    make_wheel(project / "libs", "lib", requires=[f"late; python_version >= '{later}'"])
    environ = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(project / "libs")}
    package = build(project, key, table(deps=("lib",)), **environ)
    manifest = verify(package.data, [key.public], Policy(), datetime.now(UTC)).manifest
    assert manifest is not None and manifest.requires_python == f">=3.11,<{later}"
    (told,) = package.warnings
    assert f"On Python {later} and later lib needs late, which is not bundled" in told
    whole = build(project, key, table(deps=("lib", "late")), **environ)
    manifest = verify(whole.data, [key.public], Policy(), datetime.now(UTC)).manifest
    assert manifest is not None and manifest.requires_python == ">=3.11" and not whole.warnings


def test_exclude_settles_which_files_of_dependencies_clash_and_reaches_no_others(
    project: Path, key: SigningKey
) -> None:
    for name in ("one", "two"):
        files: dict[str, str | bytes] = {f"{name}.py": "", "LICENSE": name, f"{name}.txt": ""}
        make_wheel(project / "libs", name, files=files)
    environ = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(project / "libs")}
    with pytest.raises(BuildError, match=r'add "/LICENSE" to tool\.hatch.*\.exclude'):
        build(project, key, table(deps=("one", "two")), **environ)
    chosen = table(deps=("one", "two"), exclude=("/LICENSE", "*.txt"))
    package = build(project, key, chosen, **environ)
    archive = verify(package.data, [key.public], Policy(), datetime.now(UTC)).archive
    assert archive is not None and {"one.txt", "two.txt"} < set(archive.names)
    assert "LICENSE" not in archive.names
    (told,) = package.warnings
    assert "exclude[1]: '*.txt' matches no file" in told


#: Of a key for this file alone.
PRIMES = (
    int(
        "da293135c74758f3cec7b7c052c89eb86795e4e7b41abbd5e416c1d5d934c60f84c92210d0e78c492f210de37a"
        "46b5c24463459f8b6a37aa1acb19ef177a5b843d9027c4c69de2e5cfbd7c65eaa84987ea97ad429b2a8bca8bd0"
        "cf3a35b83ffabf7e2e17fdb298cc3dd62f7f031e6e6d473b7c9c000a5dee1dc6464f7088739b",
        16,
    ),
    int(
        "c466ea5698ae29b9a2dc16fe8ca444115b565074a942dd612f0d177ecc798fb1157f16ad92556663f1475613fc"
        "e558baae214afd47c03a7d60d40743632ef92bf19f2e27fbbcc1324c64b7a10fda814c7b96e574eb577e1049c1"
        "e3da9a4176f2e5eb456ab0cfccf72f794c634a1c33197c81e74cb99ecb44da0ae72326f6c8bb",
        16,
    ),
)
MEMBERS_DIGEST = "2be90d6f7def32ec0f088abe0f555674bcac02c8e9ea10cfdcbf1392823c615a"
SEALED_DIGEST = "82fe26eaff7ac413d45cb128abedf0278c4c5879e64043963c67d38ffa5cd669"


def fixed_key() -> SigningKey:
    """A key that is the same for ever, made of two known primes, so that bytes can be compared with recorded ones."""
    p, q = PRIMES
    d = pow(65537, -1, math.lcm(p - 1, q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), public
    )
    pem = numbers.private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return load_signing_key(pem, name="fixed")


def test_every_python_gives_the_bytes_that_were_recorded(tmp_path: Path) -> None:
    """Run by each Python of CI. Change the digest only where the format is meant to change."""
    sources = {f"app/m{n}.py": f"import sys\n\nVALUE = {n}\n" * 20 for n in range(30)}
    root = write_files(tmp_path, {**TREE, **sources, "app/caf\u00e9.txt": "au lait\n"})
    # A wheel of this very Python: what is left of it without its compiled part has to be the same.
    compiled: dict[str, str | bytes] = {"fast/__init__.py": "", "fast/_c.so": sys.version.encode()}
    wheel = make_wheel(root / "libs", "fast", files=compiled, tag=str(next(sys_tags())))
    chosen = table(
        sources=("app/",), version="7.0", deps=(f"libs/{wheel.name}",), native={"*": "strip"}
    )
    environ = {"SOURCE_DATE_EPOCH": "1709208300", "PIP_NO_INDEX": "1"}
    package = build(root, fixed_key(), chosen, **environ)
    verdict = verify(package.data, [fixed_key().public], Policy(), datetime.now(UTC))
    assert verdict.archive is not None
    parts = [
        f"{n} {hashlib.sha256(verdict.archive.read(n)).hexdigest()}" for n in verdict.archive.names
    ]
    # The bill of materials and the builder's version differ with their libraries, not with Python.
    steady = [one for one in parts if not one.startswith("TLS-INF/") or "group.tli" in one]
    assert hashlib.sha256("\n".join(steady).encode()).hexdigest() == MEMBERS_DIGEST
    if "ng" in zlib.ZLIB_RUNTIME_VERSION:
        pytest.skip("zlib-ng packs otherwise than zlib: equal builds need the same library")
    zipped = write_archive(
        [Member(n, verdict.archive.read(n)) for n in verdict.archive.names if n.startswith("app/")]
    )
    assert hashlib.sha256(seal(zipped, fixed_key())).hexdigest() == SEALED_DIGEST


def test_an_end_is_signed_and_hosts_refuse_the_file_from_then_on(
    project: Path, key: SigningKey
) -> None:
    package = build(project, key, table(expires="2100-01-01T00:00:00Z"))

    def on(year: int) -> str:
        now = datetime(year, 1, 1, tzinfo=UTC)
        return verify(package.data, [key.public], Policy(), now, file_name=package.name).code

    assert (on(2099), on(2100)) == ("valid", "expired")
    with pytest.raises(BuildError, match="expired"):
        build(project, key, table(expires="2020-01-01T00:00:00Z"))


def test_settings_that_do_nothing_are_warned_of(project: Path, key: SigningKey) -> None:
    write_files(project, {"app/test_main.py": ""})
    exclude = ("**/test_*.py", "*.pyc", "__pycache__/", "tset_*")
    chosen = table(exclude=exclude, native={"*": "strip", "markupsafe": "strip"})
    assert build(project, key, chosen).warnings == (
        "tool.hatch.build.hooks.thespian.exclude[3]: 'tset_*' matches no file.",
        "tool.hatch.build.hooks.thespian.native.markupsafe: no distribution of this name is bundled.",
    )


@pytest.mark.parametrize(
    ("version", "epoch"),
    [
        ("202611241159123", None),
        ("202613241159", None),
        ("999999999999.1", None),
        ("1!202613241159", None),
        ("date", "315532800"),
    ],
)
def test_a_version_that_every_host_refuses_is_not_built(
    project: Path, key: SigningKey, version: str, epoch: str | None
) -> None:
    environ = {"SOURCE_DATE_EPOCH": epoch} if epoch else {}
    with pytest.raises(SeveralProblems) as caught:
        build(project, key, table(version=version), **environ)
    assert caught.value.codes == ("version",)
    assert ".version: hosts refuse" in str(caught.value)
