"""The command gensrc: the guide's own way to make a signed loadable source (2.3)."""

from __future__ import annotations

import click

from director.cli.shared import control_of, documents, json_option, show, tell


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--list", "list_only", is_flag=True, help="Show what would go in, and why; sign nothing."
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="GROUP KEY DIR … SRC…")
@json_option
@click.pass_context
def gensrc(ctx: click.Context, list_only: bool, arguments: tuple[str, ...], as_json: bool) -> None:
    """Make GROUP[-VERSION].tls and GROUP.tli in THESPIAN_DIRECTOR_DIR, signed with a private key.

    \b
    gensrc GROUP KEY DIR [version:V] [deps:F] [tli:F] [fmt:E] [native:M] [external:F] SRC…

    \b
    GROUP       the group's name: letters, digits and _
    KEY         the private key's file (PEM)
    DIR         the sources directory, which member names begin below
    version:V   the version, or `date` for the moment (UTC); without it, none
    deps:F      a file of names, one a line: distributions or import names that are
                installed here; what they need comes along
    tli:F       the TLI file; without it, DIR/GROUP.tli
    fmt:E       the format, 1 or 2; without it, the one that the key's kind signs
    native:M    compiled parts of dependencies: refuse, strip or allow, or NAME=POLICY,…
    external:F  a file of names, as for deps, that hosts have and that stay out
    SRC         a file or a quoted glob with **, below DIR or relative to it
    """
    control = control_of(ctx)
    if list_only:
        listing = control.gensrc_listing(*arguments)
        lines = [f" {size:8d}  {name}  ({why})" for size, name, why in listing]
        show(as_json, lambda: documents().gensrc([], [], listing), lines)
        return
    made = control.gensrc(*arguments)
    for warning in made.warnings:
        tell(f"director: warning: {warning}")
    lines = [f"Wrote {path}" for path in made.paths]
    show(as_json, lambda: documents().gensrc(made.paths, made.warnings), lines)
