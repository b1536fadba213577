"""The decision whether a .tls file may run: a pure function over bytes, keys and a policy.

The order is: size, envelope, signature, signer, then the ZIP by a strict walk, then the manifest, the name, the host
and the policy's rules, and last the bytes of every member. Nothing behind the signature is looked at before it is
valid. `verify` never raises on bad input.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, sys_tags

from director.errors import DirectorError, NotValidated
from director.tls.archive import Archive, read_parts
from director.tls.container import Envelope, open_envelope
from director.tls.fits import check_external, check_tags
from director.tls.keys import PublicKey
from director.tls.limits import Limits
from director.tls.manifest import MANIFEST_NAME, TLI_NAME, Manifest, check_size
from director.tls.naming import file_name as file_name_of
from director.tls.naming import reserved_names, split_file_name
from director.tls.rules import InTime, Rule, Source

#: Members of a source, each with its bytes, which are checked as they come; reading on may raise.
Members = Iterator[tuple[str, bytes]]


def installed_version(name: str) -> str | None:
    """The version of a distribution that is installed beside this director, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


@dataclass(frozen=True)
class Policy:
    """What this host accepts beyond a valid signature: what a file may cost, and the rules of `director.tls.rules`."""

    limits: Limits = field(default_factory=Limits)
    rules: tuple[Rule, ...] = (InTime(),)
    python_version: str = field(default_factory=platform.python_version)
    #: Tags that this host supports; None: those of this very Python.
    tags: frozenset[Tag] | None = None
    #: The version of a distribution that this host has, or None.
    installed: Callable[[str], str | None] = installed_version

    @property
    def supported(self) -> frozenset[Tag]:
        """The tags that this host supports."""
        return self.tags if self.tags is not None else frozenset(sys_tags())


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
    #: What the rules were asked about; None where it did not come so far.
    source: Source | None = None

    def about(self, path: Path) -> str:
        """The message with the file's path before it, and in the commands that it names, where it has ``FILE``."""
        return f"{path}: {self.message.replace(' FILE ', f' {shlex.quote(str(path))} ')}"

    @property
    def tli(self) -> str | None:
        """The signed TLI, or None where the file has none (or is not valid)."""
        if self.archive is None or TLI_NAME not in self.archive.names:
            return None
        return self.archive.read(TLI_NAME).decode("utf-8", errors="replace")


def signed_tli(data: bytes, keys: Sequence[PublicKey], limits: Limits) -> str | None:
    """The TLI in a file that one of these keys signed, whatever else speaks against the file; None where there is none.

    Args:
        data: the whole file.
        keys: that count.
        limits: of what is read.
    """
    try:
        envelope = open_envelope(data)
        _signer(envelope, keys)
        archive = read_parts(envelope.body, envelope.end_record, limits)
        found = archive.read(TLI_NAME) if TLI_NAME in archive.names else None
    except DirectorError:
        return None
    return None if found is None else found.decode("utf-8", errors="replace")


def refusal(data: bytes, code: str, message: str, exit_status: int) -> Verdict:
    """The verdict on a file that could not be decided about."""
    digest = hashlib.sha256(data).hexdigest()
    return Verdict(False, code, message, digest, None, None, None, exit_status)


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
        now: UTC; for rules about time.
        file_name: the base name it lies under, which has to agree with the manifest.

    Returns:
        A verdict, always.
    """

    def nothing(sha256: str, members: Members) -> None:
        """Each member is checked when it is read, which `verify_into` does."""

    return verify_into(data, keys, policy, now, nothing, file_name=file_name)


def verify_into(
    data: bytes,
    keys: Sequence[PublicKey],
    policy: Policy,
    now: datetime,
    receive: Callable[[str, Members], None],
    *,
    file_name: str | None = None,
) -> Verdict:
    """Decide about a .tls file, and hand its members on in the same pass that checks them.

    Args:
        data, keys, policy, now, file_name: as for `verify`.
        receive: called with the file's SHA-256 and its members when all but their bytes is right. The verdict is
            valid only if no member raises; what was received before one did must not be used.

    Returns:
        A verdict, always; only what ``receive`` itself raises, other than DirectorError, comes through.
    """
    digest = hashlib.sha256(data).hexdigest()
    key: PublicKey | None = None
    manifest: Manifest | None = None
    source: Source | None = None
    try:
        if len(data) > policy.limits.max_bytes:
            raise NotValidated("The file is larger than this host accepts.", code="too-large")
        envelope = open_envelope(data)
        key = _signer(envelope, keys)
        for rule in policy.rules:
            rule.signer(key, digest)
        archive = read_parts(envelope.body, envelope.end_record, policy.limits)
        manifest = _manifest(archive)
        if manifest is not None:
            _check_binding(manifest, key, policy, file_name)
            check_tags(manifest.tags, lambda: policy.supported)
            check_external(manifest.external, policy.installed)
        _check_names(archive)
        group, version = _identity(manifest, file_name)
        times = (manifest.created, manifest.expires) if manifest else (None, None)
        source = Source(digest, key, group, version, manifest is not None, now, *times)
        for rule in policy.rules:
            rule.source(source)
        members = _checked(archive, manifest)
        receive(digest, members)
        for _ in members:
            pass
    except DirectorError as problem:
        status = 6 if problem.exit_status == 6 else 7
        return Verdict(
            False, problem.code, str(problem), digest, key, manifest, None, status, source
        )
    code = "valid" if manifest is not None else "valid-unmanifested"
    return Verdict(True, code, f"signed by {key.name}", digest, key, manifest, archive, 0, source)


def verify_again(source: Source, rules: Sequence[Rule]) -> None:
    """Decide about a file once more whose signature and structure were found right: what a host may change its mind on.

    Raises:
        NotValidated: with the reason.
    """
    for rule in rules:
        rule.signer(source.key, source.sha256)
    for rule in rules:
        rule.source(source)


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
    """The manifest, which must name every other member of the archive, in its order and with its size."""
    names = archive.names
    if MANIFEST_NAME not in names:
        if any(name.casefold().startswith("tls-inf/") for name in names):
            raise NotValidated("It has TLS-INF members but no manifest.", code="manifest-missing")
        return None
    if names[0] != MANIFEST_NAME:
        raise NotValidated("Its manifest is not its first member.", code="manifest-place")
    check_size(archive.entries[0].size, names)
    manifest = Manifest.from_bytes(archive.read(MANIFEST_NAME))
    held = [(entry.name, entry.size) for entry in archive.entries[1:]]
    if archive.directories or held != [(told.name, told.size) for told in manifest.members]:
        raise _other_members()
    return manifest


def _checked(archive: Archive, manifest: Manifest | None) -> Members:
    """Each member with its bytes, once, checked against size, CRC-32 and, where there is one, the manifest."""
    digests = {told.name: told.sha256 for told in manifest.members} if manifest else {}
    for entry, data in archive.iter_data():
        told = digests.get(entry.name)
        if told is not None and told != hashlib.sha256(data).hexdigest():
            raise _other_members()
        yield entry.name, data


def _other_members() -> NotValidated:
    return NotValidated(
        "Its members are not the ones that its manifest names.",
        hint="Build the file again.",
        code="manifest-members",
    )


def _identity(manifest: Manifest | None, file_name: str | None) -> tuple[str, str | None]:
    """Group and version; those of a file without a manifest are only what its name says."""
    if manifest is not None:
        return manifest.group, manifest.version
    try:
        return split_file_name(file_name or "")
    except DirectorError:
        return "", None


def _check_names(archive: Archive) -> None:
    taken = reserved_names(archive.names)
    # Read when a Python starts, from wherever they lie on its path (module site).
    taken += tuple(n for n in archive.names if "/" not in n and n.casefold().endswith(".pth"))
    if taken:
        raise NotValidated(
            f"It brings names that are the host's own: {', '.join(taken)}.",
            hint="Rename them, or leave them out, and build it again.",
            code="reserved-name",
        )


def _check_binding(
    manifest: Manifest, key: PublicKey, policy: Policy, file_name: str | None
) -> None:
    try:
        file_name_of(manifest.group, manifest.version)
    except DirectorError as problem:
        raise NotValidated(
            f"Its manifest does not read: {problem.message}", code="manifest"
        ) from None
    if manifest.key_fingerprint != key.fingerprint:
        raise NotValidated(
            "Its manifest names another key than the one that signed it.", code="manifest-key"
        )
    if manifest.key_algorithm != key.algorithm:
        raise NotValidated(
            f"Its manifest names the algorithm {manifest.key_algorithm!r}; its key's is {key.algorithm}.",
            hint="Build the file again.",
            code="manifest-key",
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
