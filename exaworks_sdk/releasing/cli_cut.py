"""``exaworks release cut``: the commit, the tag, the notes and the archive of a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from exaworks_sdk.paths import Places


@click.command(
    epilog="""\b
Examples:
  exaworks release cut --dry-run        check everything, and print what would be done and the notes
  exaworks release cut                  the version that exaworks_sdk/__init__.py has
  exaworks release cut 2026.11.1        another version; it is written into the files that contain it

\b
Nothing leaves this machine: docs/releasing.md lists what comes before and after.
Exit codes: 0 done; 2 something is missing, and nothing was changed.
"""
)
@click.argument("version", required=False)
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, resolve_path=True),
    help="The folder for archive and notes. [default: releases in EXAWORKS_HOME]",
)
@click.option("--dry-run", is_flag=True, help="Change nothing; check, and print what would be done.")
@click.pass_obj
def cut(places: Places, version: str | None, folder: str | None, dry_run: bool) -> None:
    """Make VERSION of the newest release in this checkout: commit, annotated tag, notes and archive.

    The archive is made of the tag and is reproducible. If the tag exists, archive and notes are made again.
    """
    import datetime
    from pathlib import Path

    from exaworks_sdk import __version__
    from exaworks_sdk.errors import ReleaseError
    from exaworks_sdk.release import load
    from exaworks_sdk.releasing.cli_lock import all_differences
    from exaworks_sdk.releasing.cut import carry_out, describe, plan

    if places.checkout is None:
        raise ReleaseError("a version is cut in a checkout: run the command there.")
    release = load()
    target = Path(folder) if folder else places.home / "releases"
    today = datetime.datetime.now(datetime.timezone.utc).date()
    planned = plan(places.checkout, release, version or __version__, today, all_differences(places.checkout, release))
    if dry_run:
        click.echo(describe(planned, target))
        return
    for path in carry_out(planned, target):
        click.echo(path)
    click.echo(f"Next: git push --atomic origin HEAD {planned.tag}, and the rest of docs/releasing.md", err=True)
