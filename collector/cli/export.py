"""``exaworks collector export``: write the dashboard as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from collector.cli.options import database_option, examples, open_database


@click.command(epilog=examples("export --to public", "export --to public --runs 30"))
@click.option(
    "--to",
    "folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="A new folder, or an earlier export.",
)
@click.option(
    "--runs", type=click.IntRange(min=1), default=10, show_default=True, help="Number of newest runs of each system."
)
@click.option("--hidden", is_flag=True, help="Include hidden sites.")
@database_option
@click.pass_obj
def export(places: Any, folder: Path, runs: int, hidden: bool, database: str | None) -> None:
    """Write the dashboard as files that need no server, for example for GitLab Pages.

    Older runs, records that passed, and filters are left out. An earlier export in the folder is replaced.
    """
    from collector.auth.visibility import Visibility
    from collector.clock import now_ms
    from collector.server.export import export
    from collector.store.overdue import viewing

    now = now_ms()
    with open_database(places, database) as store, viewing(store, now) as connection:
        count = export(connection, Visibility(hidden=hidden), folder, now, runs)
    click.echo(f"{count} files in {folder}")
