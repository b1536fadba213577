"""The command line: words in, one method of DirectorControl each, lines out. No logic of its own.

Results go to stdout, everything else to stderr; exit codes are those of `director.errors`.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import click

from director import __version__
from director.control import DirectorControl, Loaded, source_hash
from director.errors import DirectorError, NotFound, SettingsError
from director.text import listing


def _tell(line: str) -> None:
    click.echo(line, err=True)


class Grammar(click.Group):
    """The guide's grammar: ``verbose`` and ``help`` count as the first word (guide 2.1)."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command; errors made on purpose become a sentence and their exit status."""
        try:
            return super().main(*args, **kwargs)
        except DirectorError as problem:
            _tell(f"director: {problem.message}")
            if problem.hint:
                _tell(f"  {problem.hint}")
            sys.exit(problem.exit_status)
        except OSError as problem:
            if isinstance(problem, BrokenPipeError):
                # The reader of our output went away; nothing more can be told.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                sys.exit(1)
            name = f"{problem.filename}: " if problem.filename else ""
            _tell(f"director: {name}{problem.strerror or problem}.")
            sys.exit(1)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order they are written here, which is the order in which they are used."""
        return list(self.commands)


@click.group(
    cls=Grammar,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="director")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Ship, sign and hot-load Thespian actor applications.

    `director verbose COMMAND …` tells each step on stderr; `director help COMMAND` explains one command.
    """
    if ctx.invoked_subcommand is None:
        _help(None, ctx)


def _control(ctx: click.Context) -> DirectorControl:
    verbose = (ctx.obj or {}).get("verbose", False)
    control = DirectorControl(say=_tell) if verbose else DirectorControl()
    return ctx.with_resource(control)


def _help(command: str | None, ctx: click.Context) -> None:
    root = ctx.find_root()
    if command is None:
        click.echo(root.get_help())
        control = DirectorControl()
        click.echo(f"\nTHESPIAN_DIRECTOR_DIR is {control.directory}.")
        try:
            for setting in control.config.settings:
                click.echo(f"  {setting.name:18} {setting.value!r}  ({setting.source})")
        except SettingsError as problem:
            click.echo(f"  settings do not read: {problem}")
        return
    found = cli.get_command(root, command)
    if found is None:
        raise NotFound(f"There is no command {command!r}.", hint="`director help` lists them all.")
    click.echo(found.get_help(click.Context(found, info_name=command, parent=root)))


@cli.command("help")
@click.argument("command", required=False)
@click.pass_context
def help_command(ctx: click.Context, command: str | None) -> None:
    """Explain the director, or one COMMAND."""
    _help(command, ctx)


@cli.command()
@click.pass_context
def config(ctx: click.Context) -> None:
    """Show each setting, its value and where it came from."""
    control = _control(ctx)
    settings = control.config
    click.echo(f"   Sources location: {control.directory}")
    click.echo(f"     State location: {control.state}")
    click.echo(f"        System Base: {settings.system_base}")
    if settings.old_system_base:
        click.echo(f"    OLD System Base: {settings.old_system_base}")
    click.echo(f"         Admin Port: {settings.admin_port}")
    click.echo(f"  Logging directory: {settings.log_directory}")
    if settings.convention_leader:
        click.echo(f"  Convention Leader: {settings.convention_leader}")
    click.echo(f" Other Capabilities: {settings.capabilities}")
    for setting in settings.settings:
        click.echo(f"   {setting.name:18} from {setting.source}")
    for problem in settings.problems:
        _tell(f"director: {problem}")


@cli.command()
@click.argument("name", default="sourcekey")
@click.option("--bits", default=3072, show_default=True, type=click.IntRange(2048, 8192))
@click.pass_context
def keygen(ctx: click.Context, name: str, bits: int) -> None:
    """Make a key pair: NAME.pem signs (keep it secret), NAME_tls.key goes to hosts.

    An existing file is never overwritten. With THESPIAN_SIGNING_KEY_PASSPHRASE set, the private key is
    encrypted with it.
    """
    from director.tls.keys import generate_key

    private, public = Path(f"{name}.pem"), Path(f"{name}_tls.key")
    for path in (private, public):
        if path.exists():
            raise DirectorError(
                f"{path} exists; it was left as it is.",
                hint="Choose another name, or move it away.",
            )
    key = generate_key(bits)
    passphrase = os.environ.get("THESPIAN_SIGNING_KEY_PASSPHRASE", "").encode() or None
    # 0600 from the first moment; O_EXCL, so that nothing is overwritten even in a race.
    for path, data, mode in (
        (private, key.private_pem(passphrase), 0o600),
        (public, key.public_pem, 0o644),
    ):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    click.echo(f"{private}  private: signs, keep it secret")
    click.echo(f"{public}  public: copy it into THESPIAN_DIRECTOR_DIR of each host")
    click.echo(f"fingerprint {key.public.fingerprint}")


@cli.command()
@click.argument("wait", required=False, type=click.Choice(["wait"]))
@click.pass_context
def start(ctx: click.Context, wait: str | None) -> None:
    """Start the actor system and load every group's newest version; `wait` stays until it ends."""
    control = _control(ctx)
    started = control.start()
    _tell("started" if started else "already running")
    failed = _refresh(control)
    if wait and not failed:
        while control.running():
            time.sleep(1)
    ctx.exit(1 if failed else 0)


@cli.command()
@click.pass_context
def shutdown(ctx: click.Context) -> None:
    """Stop the actor system; every actor is asked to exit first."""
    killed = _control(ctx).shutdown()
    for pid in killed:
        _tell(f"director: process {pid} did not end by itself and was killed")
    click.echo("Shutdown completed")


@cli.command()
@click.pass_context
def avail(ctx: click.Context) -> None:
    """List the loadable files of each group with their hashes, newest first."""
    control = _control(ctx)
    control.store.require()
    click.echo(f"THESPIAN_DIRECTOR_DIR={control.directory}")
    for group, files in control.store.available().items():
        lines = [f"{one.path.name}    {source_hash(one.path.read_bytes())}" for one in files]
        click.echo(f"{group}: " + ("\n" + " " * len(group) + "+ ").join(lines))


@cli.command()
@click.argument("file")
@click.argument("member", required=False)
@click.pass_context
def tlsinfo(ctx: click.Context, file: str, member: str | None) -> None:
    """Validate FILE as the Source Authority would; `contents` lists it, MEMBER prints that one."""
    control = _control(ctx)
    path = next((p for p in (Path(file), control.directory / file) if p.is_file()), None)
    if path is None:
        raise NotFound(f"The tls file {file} does not exist, here or in {control.directory}.")
    verdict = control.require_valid(path, path.read_bytes())
    archive = verdict.archive
    assert archive is not None and verdict.key is not None  # noqa: S101 - it is valid
    if member is None:
        click.echo(f'Validated "{path}" loadable with key {verdict.key.name}')
        if verdict.manifest:
            click.echo(f"group {verdict.manifest.group}, version {verdict.manifest.version}")
        else:
            click.echo("unmanifested: its name, group and version are not signed")
    elif member == "contents":
        for entry in archive.entries:
            click.echo(f" {entry.size:6d}  {entry.name}")
    elif member in archive.names:
        sys.stdout.buffer.write(archive.read(member))
    else:
        raise NotFound(f"{path} has no member {member}.", hint="`contents` lists its members.")


@cli.command()
@click.argument("files", nargs=-1, required=True)
@click.pass_context
def install(ctx: click.Context, files: tuple[str, ...]) -> None:
    """Verify each of FILES and place it in the director directory, whole or not at all."""
    control = _control(ctx)
    for file in files:
        click.echo(f"Installed {control.install(file)}")


def _report(loaded: Loaded) -> None:
    if loaded.changed:
        click.echo(f'Loaded "{loaded.group}" {loaded.path}: {loaded.source_hash}')
    else:
        click.echo(f'"{loaded.group}" is up to date: {loaded.path}')
    for warning in loaded.warnings:
        _tell(f"director: warning: {warning}")


@cli.command()
@click.argument("group_or_file")
@click.pass_context
def load(ctx: click.Context, group_or_file: str) -> None:
    """Load GROUP, GROUP.tli, GROUP-VERSION.tls or a path; done when that version is active.

    The actor system is started where none runs. A named file, even an older one, is the one loaded.
    """
    _report(_control(ctx).load(group_or_file))


def _refresh(control: DirectorControl) -> bool:
    failed = False
    for result in control.refresh():
        if result.loaded:
            _report(result.loaded)
        elif result.error:
            failed = True
            _tell(f'director: "{result.group}": {result.error}')
    return failed


@cli.command()
@click.pass_context
def refresh(ctx: click.Context) -> None:
    """Load the newest version of every group; what is up to date stays as it is."""
    ctx.exit(1 if _refresh(_control(ctx)) else 0)


@cli.command("list")
@click.argument("group", required=False)
@click.pass_context
def list_command(ctx: click.Context, group: str | None) -> None:
    """List the loaded sources and their actors, of all groups or of GROUP."""
    groups = _control(ctx).loaded(group)
    if group and group not in groups:
        raise NotFound(f"No source of a group {group!r} is loaded.")
    for line in listing(groups):
        click.echo(line)


@cli.command()
@click.argument("source_hash")
@click.pass_context
def unload(ctx: click.Context, source_hash: str) -> None:
    """Unload the source with this hash; its actors end, an older loaded version takes over."""
    _control(ctx).unload(source_hash)
    click.echo(f"Unloaded {source_hash}")


@cli.command()
def demo() -> None:
    """Run the main job on the example: keys, build, load, a live upgrade without a lost message."""
    from director.demo import run

    run(click.echo)


def main() -> NoReturn:
    """The console script."""
    words = sys.argv[1:]
    verbose = words[:1] == ["verbose"]
    cli.main(args=words[1:] if verbose else words, prog_name="director", obj={"verbose": verbose})
    sys.exit(0)
