"""``exaworks export``: write parts of a release in the formats of other projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from exaworks_sdk.paths import Places


@click.group()
def export() -> None:
    """Write the tests of a release in the formats of other projects."""


@export.command(
    epilog="""\b
Examples:
  exaworks export e4s --to testsuite      write into a checkout of the E4S test suite; then run there:
    ./test-all.sh --test-only 'exaworks-flux-core exaworks-py-parsl'
  exaworks export e4s --stack             print the entry of the bundle for a stack file
"""
)
@click.option("--release", "name", metavar="RELEASE", help="The release. [default: the newest]")
@click.option(
    "--to", type=click.Path(file_okay=False, resolve_path=True), metavar="DIR", help="The folder to write to."
)
@click.option("--stack", is_flag=True, help="Print the entry of an E4S stack file and write nothing.")
@click.pass_obj
def e4s(places: Places, name: str | None, to: str | None, stack: bool) -> None:
    """Write validation tests of the release's packages in the layout of the E4S test suite."""
    from pathlib import Path

    from exaworks_sdk.export_e4s import ExportError, stack_entry
    from exaworks_sdk.export_e4s import export as write
    from exaworks_sdk.release import load

    release = load(name)
    if stack:
        click.echo(stack_entry(release), nl=False)
        return
    if to is None:
        raise click.UsageError("Give the folder to write to: --to DIR.")
    if places.checkout is None:
        raise ExportError("the Spack recipes are part of a checkout only: run the command from a checkout.")
    for folder in write(release, places.checkout / "spack_repo" / "exaworks", Path(to)):
        click.echo(folder)
