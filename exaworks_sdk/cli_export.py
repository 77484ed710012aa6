"""``exaworks export``: what other projects take from a release, in their own formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from exaworks_sdk.paths import Places


@click.group()
def export() -> None:
    """Write a release's tests in the formats of other projects."""


@export.command(
    epilog="""\b
Examples:
  exaworks export e4s --to testsuite      into a checkout of the E4S test suite; then, there:
    ./test-all.sh --test-only 'exaworks-flux-core exaworks-py-parsl'
  exaworks export e4s --stack             the bundle's lines for a stack file
"""
)
@click.option("--release", "name", metavar="RELEASE", help="The release, instead of the newest.")
@click.option("--to", type=click.Path(file_okay=False, resolve_path=True), metavar="DIR", help="Where to write to.")
@click.option("--stack", is_flag=True, help="Print the entry of an E4S stack file and write nothing.")
@click.pass_obj
def e4s(places: Places, name: str | None, to: str | None, stack: bool) -> None:
    """Write validation tests of our components, laid out for the E4S test suite."""
    from pathlib import Path

    from exaworks_sdk.export_e4s import ExportError, stack_entry
    from exaworks_sdk.export_e4s import export as write
    from exaworks_sdk.release import load

    release = load(name)
    if stack:
        click.echo(stack_entry(release), nl=False)
        return
    if to is None:
        raise click.UsageError("Say where to write to: --to DIR.")
    if places.checkout is None:
        raise ExportError("the recipes are not installed with the command: run it from a checkout.")
    for folder in write(release, places.checkout / "spack_repo" / "exaworks", Path(to)):
        click.echo(folder)
