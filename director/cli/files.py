"""Commands about files: keygen, avail, tlsinfo, install."""

from __future__ import annotations

import sys

import click

from director.cli.shared import control_of, documents, json_option, show
from director.errors import NotFound


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
@click.option("--bits", default=3072, show_default=True, type=click.IntRange(2048, 8192))
@click.option("--passphrase", is_flag=True, help="Ask for a passphrase of the private key.")
@click.pass_context
def keygen(ctx: click.Context, name: str, kind: str, bits: int, passphrase: bool) -> None:
    """Make a key pair: NAME.pem signs (keep it secret), NAME_tls.key goes to hosts.

    An existing file is never overwritten. With --passphrase, or with THESPIAN_SIGNING_KEY_PASSPHRASE set, the
    private key is encrypted.
    """
    secret = None
    if passphrase:
        secret = click.prompt(
            "Passphrase of the private key", hide_input=True, confirmation_prompt=True, err=True
        )
    made = control_of(ctx).keygen(name, kind=kind, bits=bits, passphrase=secret)
    click.echo(f"{made.private}  private: signs, keep it secret")
    click.echo(f"{made.public}  public: copy it into THESPIAN_DIRECTOR_DIR of each host")
    click.echo(f"fingerprint {made.fingerprint}")


@click.command()
@json_option
@click.pass_context
def avail(ctx: click.Context, as_json: bool) -> None:
    """List the loadable files of each group with their hashes, newest first."""
    control = control_of(ctx)
    groups = control.avail()
    lines = [f"THESPIAN_DIRECTOR_DIR={control.directory}"]
    for group, files in groups.items():
        told = [f"{one.path}    {digest}" for one, digest in files]
        lines.append(f"{group}: " + ("\n" + " " * len(group) + "+ ").join(told))
    show(as_json, lambda: documents().avail(control.directory, groups), lines)


@click.command()
@click.argument("file")
@click.argument("member", required=False)
@click.pass_context
def tlsinfo(ctx: click.Context, file: str, member: str | None) -> None:
    """Validate FILE as the Source Authority would; `contents` lists it, MEMBER prints that one.

    `sbom` prints its bill of materials (CycloneDX JSON).
    """
    from director.tls.manifest import SBOM_NAME  # not for `avail`

    control = control_of(ctx)
    path = control.locate(file)
    verdict = control.inspect(path)
    archive = verdict.archive
    assert archive is not None and verdict.key is not None  # noqa: S101 - it is valid
    if member is None:
        click.echo(f'Validated "{path}" loadable with key {verdict.key.name}')
        if verdict.manifest:
            click.echo(f"group {verdict.manifest.group}, version {verdict.manifest.version}")
        else:
            click.echo("unmanifested: its name, group and version are not signed")
        # What keygroups.cfg and revoked.cfg are written with.
        click.echo(f"key {verdict.key.fingerprint}")
        click.echo(f"file sha256:{verdict.sha256}")
    elif member == "contents":
        for entry in archive.entries:
            click.echo(f" {entry.size:6d}  {entry.name}")
    elif member == "sbom" and SBOM_NAME not in archive.names:
        raise NotFound(
            f"{path} has no bill of materials.", hint="One that bundles nothing needs none."
        )
    elif member == "sbom":
        sys.stdout.buffer.write(archive.read(SBOM_NAME))
    elif member in archive.names:
        sys.stdout.buffer.write(archive.read(member))
    else:
        raise NotFound(f"{path} has no member {member}.", hint="`contents` lists its members.")


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--replace", is_flag=True, help="Take other bytes of a version that was accepted before."
)
@click.option(
    "--allow-downgrade", is_flag=True, help="Take a file that is older than what was accepted."
)
@click.pass_context
def install(
    ctx: click.Context, files: tuple[str, ...], replace: bool, allow_downgrade: bool
) -> None:
    """Verify each of FILES and place it in the director directory, whole or not at all.

    A version older than the highest that this host has seen under the same key is refused.
    """
    control = control_of(ctx)
    for file in files:
        placed = control.install(file, replace=replace, allow_downgrade=allow_downgrade)
        click.echo(f"Installed {placed}")
