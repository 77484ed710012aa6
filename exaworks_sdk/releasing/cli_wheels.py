"""``exaworks release wheels``: compile what a release needs, for machines without a C compiler."""

from __future__ import annotations

import click


@click.command(
    epilog="""\b
Examples:
  exaworks release wheels WHEELHOUSE                 on a machine with a compiler, of the same kind and Python
  ./exaworks --wheelhouse WHEELHOUSE validate        on one without
"""
)
@click.argument("folder", type=click.Path(file_okay=False, resolve_path=True))
@click.option("--release", "name", metavar="RELEASE", help="The release. [default: the newest]")
def wheels(folder: str, name: str | None) -> None:
    """Compile the packages of a release that have no wheel, into FOLDER, for machines without a C compiler.

    Beside the wheels, compiled.lock has their hashes. A wheelhouse with both takes the place of the compiler; without
    either, RADICAL is left out of the deployment.
    """
    from pathlib import Path

    from exaworks_sdk.release import load
    from exaworks_sdk.releasing.wheels import build_wheels

    click.echo(build_wheels(load(name), Path(folder), lambda line: click.echo(line, err=True)))
