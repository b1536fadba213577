"""gensrc, the guide's own way to a .tls file (2.3): arguments → parts → the same pipeline as the hook's.

    GROUP KEY DIR [version:V] [deps:F] [tli:F] [fmt:E] [native:M] [external:F] SRC…

What lives here: the grammar, and which files the source arguments mean. Installed dependencies are collected by
`hatch_thespian.installed`. Nothing is imported.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name

from director.errors import BuildError, NotFound, UsageError
from director.settings.tli import Tli
from director.tls.archive import Member
from director.tls.container import FMT1, FMT2
from director.tls.keys import RSA
from director.tls.naming import check_new_group
from director.tls.version import check_version
from hatch_thespian.distributions import Bundle, idle_policies
from hatch_thespian.installed import collect, read_names
from hatch_thespian.package import Package, check, finish, read_tli, source_date_epoch, version_of
from hatch_thespian.parts import Parts
from hatch_thespian.problems import Problems
from hatch_thespian.progress import Steps
from hatch_thespian.signing import read_key
from hatch_thespian.sources import read_source
from hatch_thespian.table import POLICIES

OPTIONS = ("version", "deps", "tli", "fmt", "native", "external")
#: Names of the envelope's formats; the key's kind decides which of the two it can be.
FORMATS = {"1": 1, FMT1.partition("-")[0]: 1, FMT1: 1, "2": 2, FMT2: 2}
GRAMMAR = "GROUP KEY DIR [version:V] [deps:F] [tli:F] [fmt:E] [native:M] [external:F] SRC…"

_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([^}]*)\})", re.ASCII)


@dataclass(frozen=True)
class Request:
    """The arguments, taken apart: ``sources`` as they were given, ``options`` without their prefix."""

    group: str
    key: str
    directory: str
    sources: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)


def read_arguments(words: Sequence[str]) -> Request:
    """Take the arguments apart.

    Raises:
        UsageError: something is missing, there twice, or is no value of its option.
        DirectorError: what cannot be a group or a version.
    """
    if len(words) < 4:
        raise UsageError(f"gensrc takes {GRAMMAR}", hint="`director help gensrc` explains it.")
    options: dict[str, str] = {}
    sources = []
    for word in words[3:]:
        option, colon, value = word.partition(":")
        if not colon or option not in OPTIONS:
            sources.append(word)
        elif option in options:
            raise UsageError(f"{option}: is there twice.", hint="Give it once.")
        else:
            options[option] = value
    if not sources:
        raise UsageError("gensrc names no source file.", hint=f"It takes {GRAMMAR}")
    check_new_group(words[0])
    if options.get("version"):
        check_version(options["version"])
    if options.get("fmt", "1") not in FORMATS:
        raise UsageError(
            f"fmt:{options['fmt']} is no format that gensrc writes.",
            hint=f"Known are {', '.join(FORMATS)}.",
        )
    read_policies(options.get("native", "refuse"))
    return Request(words[0], words[1], words[2], tuple(sources), options)


def read_policies(text: str) -> dict[str, str]:
    """``native:``: a policy for all, or ``NAME=POLICY,…`` (``*`` for all others).

    Raises:
        UsageError: there is no such policy.
    """
    policies = {}
    for part in text.split(","):
        name, equals, policy = part.rpartition("=")
        if policy not in POLICIES:
            raise UsageError(
                f"native:{text}: {policy!r} is no policy.", hint=f"Known are {', '.join(POLICIES)}."
            )
        policies[canonicalize_name(name) if equals and name != "*" else "*"] = policy
    return policies


def gather(request: Request, cwd: Path, environ: Mapping[str, str], steps: Steps) -> Parts:
    """Find, read and check everything that goes in.

    Args:
        request: the arguments.
        cwd: where relative paths begin that are not below the sources directory.
        environ: variables for paths, and SOURCE_DATE_EPOCH.
        steps: where words go.

    Raises:
        SeveralProblems: everything that is wrong.
    """
    root = cwd / _expanded(request.directory, environ)
    if not root.is_dir():
        raise NotFound(f"There is no sources directory {root}.", hint=f"gensrc takes {GRAMMAR}")
    problems = Problems()
    why: dict[str, str] = {}
    for word in request.sources:
        with problems.kept():
            for name in expand(word, request.directory, root, cwd, environ):
                why.setdefault(name, word)
    members = []
    matched = len(problems.found)
    for name in sorted(why):
        with problems.kept():
            members.append(Member(name, read_source(root, name)))
    whole = len(problems.found) == matched
    tli, tli_data, tli_name = Tli(), None, ""
    with problems.kept():
        tli, tli_data, tli_name = _tli(request, root, cwd, environ)
    bundle = Bundle()
    found = len(problems.found)
    with problems.kept():
        bundle = _bundle(request, root, cwd, environ, steps, problems)
    whole = whole and len(problems.found) == found
    policies = read_policies(request.options.get("native", "refuse"))
    version = request.options.get("version") or "none"
    parts = Parts(
        group=request.group,
        version=version_of(version, "", source_date_epoch(environ)),
        requires_python=">=3.11",
        sources=tuple(members),
        why=why,
        tli=tli,
        tli_data=tli_data,
        tli_name=tli_name,
        bundle=bundle,
        native=policies.get("*", "refuse"),
        place="gensrc",
    )
    check(parts, problems, steps, complete=whole)
    return parts


def generate(
    request: Request, parts: Parts, cwd: Path, environ: Mapping[str, str], steps: Steps
) -> Package:
    """Sign what was gathered.

    Raises:
        KeyProblem: the key is unusable. BuildError: an actor does not import from the archive.
    """
    root = cwd / _expanded(request.directory, environ)
    warnings: list[str] = []
    key = read_key(_file(request.key, root, cwd, environ), environ, warn=warnings.append)
    wanted = FORMATS.get(request.options.get("fmt", ""))
    if wanted not in {None, 1 if key.public.algorithm == RSA else 2}:
        raise UsageError(
            f"fmt:{request.options['fmt']} cannot be signed with {request.key}, a {key.public.algorithm} key.",
            hint="RSA keys sign format 1, Ed25519 and ECDSA P-256 keys format 2.",
        )
    policies = read_policies(request.options.get("native", "refuse"))
    warnings += idle_policies(policies, parts.bundle, "native:")
    if parts.tli_data is None:
        warnings.append(
            f"There is no {root / request.group}.tli and no tli: was given; the group starts no actor."
        )
    return finish(parts, key, environ, steps=steps, warnings=warnings)


def expand(
    word: str, directory: str, root: Path, cwd: Path, environ: Mapping[str, str]
) -> list[str]:
    """The files that a source argument means, as names below the sources directory.

    It may be relative to that directory, begin with its own text, or be absolute; it is expanded as
    ``glob.glob(…, recursive=True)`` does there. What is found nowhere there is looked for from the working directory.

    Args:
        word: the argument.
        directory: the sources directory, as it was given.
        root, cwd: the sources directory and the working directory.
        environ: for ``$NAME`` and ``~``.

    Raises:
        BuildError: it matches no file, or one outside of the sources directory.
    """
    text = word
    given = directory.rstrip("/") or "/"
    if word.startswith(f"{given}/"):
        text = word[len(given) :].lstrip("/")
    text = _expanded(text, environ)
    for base in (root, cwd):
        found = [
            name
            for name in glob.glob(text, root_dir=base, recursive=True)  # noqa: PTH207 - as promised
            if (base / name).is_file() and not name.endswith((".pyc", ".pyo"))
        ]
        if found:
            return [_name(base / name, root, word) for name in sorted(found)]
    raise BuildError(f"{word}: it matches no file in {root}.", code="sources")


def _name(path: Path, root: Path, word: str) -> str:
    absolute, top = os.path.abspath(path), os.path.abspath(root)  # noqa: PTH100 - links stay links
    if not absolute.startswith(f"{top.rstrip('/')}/"):
        raise BuildError(
            f"{word}: {absolute} lies outside of the sources directory {top}.", code="sources"
        )
    return absolute[len(top.rstrip("/")) + 1 :].replace(os.sep, "/")


def _expanded(text: str, environ: Mapping[str, str]) -> str:
    """``$NAME``, ``${NAME}`` and ``~`` as a shell would; an unknown variable stays as it is."""
    if text.startswith("~/") or text == "~":
        text = environ.get("HOME", "~") + text[1:]
    return _VARIABLE.sub(lambda found: environ.get(found[1] or found[2], found[0]), text)


def _file(word: str, root: Path, cwd: Path, environ: Mapping[str, str]) -> Path:
    """A file argument: from the working directory, else from the sources directory."""
    path = Path(_expanded(word, environ))
    return root / path if not (cwd / path).exists() and (root / path).exists() else cwd / path


def _tli(
    request: Request, root: Path, cwd: Path, environ: Mapping[str, str]
) -> tuple[Tli, bytes | None, str]:
    given = request.options.get("tli")
    path = _file(given, root, cwd, environ) if given else root / f"{request.group}.tli"
    if not given and not path.exists():
        return Tli(), None, ""
    tli, data = read_tli(path, name=str(given or path.name), place="tli:")
    return tli, data, str(given or path.name)


def _bundle(
    request: Request,
    root: Path,
    cwd: Path,
    environ: Mapping[str, str],
    steps: Steps,
    problems: Problems,
) -> Bundle:
    names = {}
    for option in ("deps", "external"):
        if request.options.get(option):
            path = _file(request.options[option], root, cwd, environ)
            with problems.kept():
                names[option] = read_names(path, f"{option}:", problems)
    if not names:
        return Bundle()
    policies = read_policies(request.options.get("native", "refuse"))
    with steps.step("collecting") as step:
        found = collect(names.get("deps", []), names.get("external", []), policies, steps.detail)
        step.told = f"collected {len(found.distributions)} distributions"
    return found
