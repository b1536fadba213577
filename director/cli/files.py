"""Commands about files: keygen, avail, tlsinfo, install."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from director.cli.shared import (
    complain,
    control_of,
    documents,
    json_option,
    of_os_error,
    put,
    put_bytes,
    show,
    tell,
)
from director.errors import DirectorError, NotFound
from director.text import nearest

if TYPE_CHECKING:
    from director.tls.archive import Archive
    from director.tls.verify import Verdict


@click.command()
@click.argument("name", default="sourcekey")
@click.option(
    "--type",
    "kind",
    default="rsa",
    show_default=True,
    type=click.Choice(["rsa", "ed25519", "p256"]),
    help="rsa also serves hosts that run Thespian's own director.",
)
@click.option(
    "--bits",
    default=3072,
    show_default=True,
    type=click.IntRange(2048, 8192),
    help="Of an RSA key.",
)
@click.option("--passphrase", is_flag=True, help="Ask for a passphrase of the private key.")
@json_option
@click.pass_context
def keygen(
    ctx: click.Context, name: str, kind: str, bits: int, passphrase: bool, as_json: bool
) -> None:
    """Make a key pair: NAME.pem signs (keep it secret), NAME_tls.key goes to hosts.

    NAME is a path without ending, `sourcekey` by default. An existing file is never overwritten. With --passphrase, or
    with THESPIAN_SIGNING_KEY_PASSPHRASE set, the private key is encrypted.
    """
    secret = None
    if passphrase:
        secret = click.prompt(
            "Passphrase of the private key", hide_input=True, confirmation_prompt=True, err=True
        )
    made = control_of(ctx).keygen(name, kind=kind, bits=bits, passphrase=secret)
    lines = [
        f"{made.private}  private: signs, keep it secret",
        f"{made.public}  public: copy it into THESPIAN_DIRECTOR_DIR of each host",
        f"fingerprint {made.fingerprint}",
    ]
    show(as_json, lambda: documents().keygen(made), lines)


@click.command()
@json_option
@click.pass_context
def avail(ctx: click.Context, as_json: bool) -> None:
    """List the loadable files of each group with their hashes, newest first.

    Only the director directory is looked at. The hash is the one that `list` shows and `unload` takes.
    """
    control = control_of(ctx)
    groups = control.avail()
    lines = [f"THESPIAN_DIRECTOR_DIR={control.directory}"]
    for group, files in groups.items():
        told = [
            f"{one.path}    {digest or '(larger than any that loads)'}" for one, digest in files
        ]
        lines.append(f"{group}: " + ("\n" + " " * len(group) + "+ ").join(told))
    show(as_json, lambda: documents().avail(control.directory, groups), lines)


@click.command()
@click.argument("file")
@click.argument("member", required=False)
@json_option
@click.pass_context
def tlsinfo(ctx: click.Context, file: str, member: str | None, as_json: bool) -> None:
    """Validate FILE as the Source Authority would; `contents` lists it, MEMBER prints that one.

    FILE is a path, or a name in the director directory. `sbom` as MEMBER prints its bill of materials (CycloneDX JSON).
    """
    control = control_of(ctx)
    path = control.locate(file)
    verdict = control.inspect(path)
    archive = verdict.archive
    assert archive is not None  # noqa: S101 - it is valid
    if member is None:
        show(as_json, lambda: _info(path, verdict), _validated(path, verdict))
    elif member == "contents":
        members = [(entry.name, entry.size) for entry in archive.entries]
        lines = [f" {size:6d}  {name}" for name, size in members]
        show(as_json, lambda: _info(path, verdict, members=members), lines)
    else:
        name, data = _member(path, archive, member)
        if as_json:
            show(True, lambda: _info(path, verdict, member=(name, data)), [])
        else:
            put_bytes(data)


def _info(path: Path, verdict: Verdict, **more: Any) -> dict[str, Any]:
    from director.control.files import source_hash_of

    told: dict[str, Any] = documents().tlsinfo(path, source_hash_of(path), verdict, **more)
    return told


def _validated(path: Path, verdict: Verdict) -> Iterator[str]:
    assert verdict.key is not None  # noqa: S101 - it is valid
    yield f'Validated "{path}" loadable with key {verdict.key.name}'
    if verdict.manifest:
        yield f"group {verdict.manifest.group}, version {verdict.manifest.version}"
    else:
        yield "unmanifested: its name, group and version are not signed"
    # What keygroups.cfg and revoked.cfg are written with.
    yield f"key {verdict.key.fingerprint}"
    yield f"file sha256:{verdict.sha256}"


def _member(path: Path, archive: Archive, member: str) -> tuple[str, bytes]:
    from director.tls.manifest import SBOM_NAME  # not for `avail`

    name = SBOM_NAME if member == "sbom" else member
    if name in archive.names:
        return name, archive.read(name)
    if member == "sbom":
        raise NotFound(
            f"{path} has no bill of materials.", hint="One that bundles nothing needs none."
        )
    hint = f"{nearest(member, archive.names)} `contents` lists its members.".strip()
    raise NotFound(f"{path} has no member {member}.", hint=hint)


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--replace", is_flag=True, help="Take other bytes of a version that was accepted before."
)
@click.option(
    "--allow-downgrade", is_flag=True, help="Take a file that is older than what was accepted."
)
@json_option
@click.pass_context
def install(
    ctx: click.Context,
    files: tuple[str, ...],
    replace: bool,
    allow_downgrade: bool,
    as_json: bool,
) -> None:
    """Verify each of FILES and place it in the director directory, whole or not at all.

    A version older than the highest that this host has seen under the same key is refused. One file that is refused
    stops no other; the exit status is then the highest of all.
    """
    control = control_of(ctx)
    done: list[Path] = []
    refused: list[tuple[str, DirectorError]] = []
    for file in files:
        try:
            placed = control.install(file, replace=replace, allow_downgrade=allow_downgrade)
        except (DirectorError, OSError) as raised:
            problem = raised if isinstance(raised, DirectorError) else of_os_error(raised)
            if len(files) == 1:
                raise problem from None
            refused.append((file, problem))
            complain(problem)
        else:
            done.append(placed)
            if not as_json:
                put(f"Installed {placed}")
    if refused:
        tell(f"director: not installed: {', '.join(file for file, _ in refused)}")
    show(as_json, lambda: documents().install(done, refused), [])
    ctx.exit(max((problem.exit_status for _, problem in refused), default=0))
