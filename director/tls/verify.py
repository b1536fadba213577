"""The decision whether a .tls file may run: a pure function over bytes, keys and a policy.

The order is: size, envelope, signature, then the ZIP by a strict walk, then the manifest against every member, then
the name and the host. Nothing behind the signature is looked at before it is valid. `verify` never raises on bad input.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, parse_tag, sys_tags
from packaging.version import InvalidVersion

from director.errors import DirectorError, NotValidated
from director.tls.archive import Archive, Limits, read_archive
from director.tls.container import Envelope, open_envelope
from director.tls.keys import PublicKey
from director.tls.manifest import MANIFEST_NAME, TLI_NAME, Manifest, MemberRecord
from director.tls.naming import reserved_names, split_file_name

_LONGEST_TAGS = 500


def installed_version(name: str) -> str | None:
    """The version of a distribution that is installed beside this director, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


@dataclass(frozen=True)
class Policy:
    """What this host accepts beyond a valid signature."""

    limits: Limits = field(default_factory=Limits)
    require_manifest: bool = False
    python_version: str = field(default_factory=platform.python_version)
    #: Tags that this host supports; None: those of this very Python.
    tags: frozenset[Tag] | None = None
    #: The version of a distribution that this host has, or None.
    installed: Callable[[str], str | None] = installed_version


@dataclass(frozen=True)
class Verdict:
    """What was decided and why.

    ``code`` is stable: ``valid``, ``valid-unmanifested`` or what failed; ``message`` tells the operator
    what to do; ``exit_status`` is the command line's (0, 6 damaged, 7 not validated); ``archive`` is None unless valid.
    """

    valid: bool
    code: str
    message: str
    sha256: str
    key: PublicKey | None
    manifest: Manifest | None
    archive: Archive | None
    exit_status: int

    @property
    def tli(self) -> str | None:
        """The signed TLI, or None where the file has none (or is not valid)."""
        if self.archive is None or TLI_NAME not in self.archive.names:
            return None
        return self.archive.read(TLI_NAME).decode("utf-8", errors="replace")


def verify(
    data: bytes,
    keys: Sequence[PublicKey],
    policy: Policy,
    now: datetime,
    *,
    file_name: str | None = None,
) -> Verdict:
    """Decide about a .tls file.

    Args:
        data: the whole file.
        keys: the keys that this host trusts; any one of them may vouch (guide 2.2).
        policy: what else must hold.
        now: UTC; for policies about time.
        file_name: the base name it lies under, which has to agree with the manifest.

    Returns:
        A verdict, always.
    """
    digest = hashlib.sha256(data).hexdigest()
    key: PublicKey | None = None
    manifest: Manifest | None = None
    try:
        if len(data) > policy.limits.max_bytes:
            raise NotValidated("The file is larger than this host accepts.", code="too-large")
        envelope = open_envelope(data)
        key = _signer(envelope, keys)
        archive = read_archive(envelope.archive, policy.limits)
        manifest = _manifest(archive)
        if manifest is None:
            _check_unmanifested(archive, policy)
            code = "valid-unmanifested"
        else:
            _check_binding(manifest, key, policy, file_name)
            _check_tags(manifest, policy)
            _check_external(manifest, policy)
            code = "valid"
        _check_names(archive)
    except DirectorError as problem:
        status = 6 if problem.exit_status == 6 else 7
        return Verdict(False, problem.code, str(problem), digest, key, manifest, None, status)
    return Verdict(True, code, f"signed by {key.name}", digest, key, manifest, archive, 0)


def _signer(envelope: Envelope, keys: Sequence[PublicKey]) -> PublicKey:
    if not keys:
        raise NotValidated(
            "This host has no key that could validate it.",
            hint="Place the public key as NAME_tls.key in the director directory.",
            code="no-keys",
        )
    for key in keys:
        if envelope.is_by(key):
            return key
    raise NotValidated(
        f"None of this host's {len(keys)} keys signed it, or it was changed afterwards.",
        hint="Get it again, or place the signer's public key in the director directory.",
        code="signature",
    )


def _manifest(archive: Archive) -> Manifest | None:
    """The manifest, which must name every other member; also reads, and so checks, each of them."""
    records = []
    raw = None
    for place, (entry, data) in enumerate(archive.iter_data()):
        if entry.name == MANIFEST_NAME:
            if place:
                raise NotValidated("Its manifest is not its first member.", code="manifest-place")
            raw = data
        else:
            digest = hashlib.sha256(data).hexdigest()
            records.append(MemberRecord(entry.name, len(data), digest))
    if raw is None:
        if any(record.name.casefold().startswith("tls-inf/") for record in records):
            raise NotValidated("It has TLS-INF members but no manifest.", code="manifest-missing")
        return None
    manifest = Manifest.from_bytes(raw)
    if tuple(records) != manifest.members or archive.directories:
        raise NotValidated(
            "Its members are not the ones that its manifest names.",
            hint="Build the file again.",
            code="manifest-members",
        )
    return manifest


def _check_unmanifested(archive: Archive, policy: Policy) -> None:
    if policy.require_manifest:
        raise NotValidated(
            "It has no manifest, and this host requires one.",
            hint="Build it with the hatch plugin.",
            code="unmanifested",
        )


def _check_names(archive: Archive) -> None:
    taken = reserved_names(archive.names)
    if taken:
        raise NotValidated(
            f"It brings modules of names that are the host's own: {', '.join(taken)}.",
            hint="Rename them, or leave them out, and build it again.",
            code="reserved-name",
        )


def _check_binding(
    manifest: Manifest, key: PublicKey, policy: Policy, file_name: str | None
) -> None:
    if manifest.key_fingerprint != key.fingerprint:
        raise NotValidated(
            "Its manifest names another key than the one that signed it.", code="manifest-key"
        )
    if file_name is not None:
        try:
            told = split_file_name(file_name)
        except DirectorError:
            told = ("", None)
        if told != (manifest.group, manifest.version):
            raise NotValidated(
                f"It lies under the name {file_name}, but it is {manifest.group} "
                f"{manifest.version or 'without a version'}.",
                hint="Give it back its own name.",
                code="renamed",
            )
    try:
        wanted = SpecifierSet(manifest.requires_python)
    except InvalidSpecifier:
        raise NotValidated("Its required Python does not read.", code="manifest") from None
    if not wanted.contains(policy.python_version, prereleases=True):
        raise NotValidated(
            f"It needs Python {wanted}; this host has {policy.python_version}.",
            hint="Build it for this Python, or run the director with another.",
            code="requires-python",
        )


def _check_tags(manifest: Manifest, policy: Policy) -> None:
    """Each tag set has to hold a tag that this host supports: compiled parts run nowhere else."""
    needed = [tags for tags in manifest.tags if not tags.endswith("-none-any")]
    if not needed:
        return
    supported = policy.tags if policy.tags is not None else frozenset(sys_tags())
    for tags in needed:
        try:
            fits = len(tags) < _LONGEST_TAGS and bool(parse_tag(tags) & supported)
        except ValueError:
            raise NotValidated(f"Its tag {tags!r} does not read.", code="manifest") from None
        if not fits:
            raise NotValidated(
                f"It has compiled parts for {tags}, which this host cannot run.",
                hint="Build it on a machine like this host, or without compiled parts.",
                code="tags",
            )


def _check_external(manifest: Manifest, policy: Policy) -> None:
    """Every distribution that it expects on the host has to be there, in a version that fits."""
    lacking = []
    for text in manifest.external:
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            wanted = None
        if wanted is None or wanted.marker is not None or wanted.url is not None:
            raise NotValidated(f"Its external {text!r} does not read.", code="manifest")
        found = policy.installed(wanted.name)
        if found is None:
            lacking.append(text)
        elif not _fits(wanted, found):
            lacking.append(f"{text} (it has {found})")
    if lacking:
        raise NotValidated(
            f"It expects on this host: {', '.join(lacking)}.",
            hint="Install that beside the director, or bundle it (deps).",
            code="external",
        )


def _fits(wanted: Requirement, found: str) -> bool:
    try:
        return wanted.specifier.contains(found, prereleases=True)
    except InvalidVersion:  # a distributor's own way of counting: only "any version" fits
        return not wanted.specifier
