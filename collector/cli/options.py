"""What the commands share: their common options, the database, and the file with the key of the tokens."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collector.store.database import Store

database_option = click.option(
    "--database",
    metavar="URL",
    envvar="EXAWORKS_COLLECTOR_DATABASE",
    show_envvar=True,
    help="SQLite path or database URL. [default: collector.db in the collector's folder]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def open_database(places: Any, database: str | None) -> AbstractContextManager[Store]:
    """Open the database that ``--database`` names, or the one in the collector's folder."""
    from contextlib import closing

    from collector.store.database import database_url, open_store

    return closing(open_store(database_url(database, places.collector)))


def key_file(places: Any, url: Any) -> Path:
    """Return the file with the key of the tokens: beside a SQLite file, else in the collector's folder."""
    folder: Path = Path(url.database).parent if url.get_backend_name() == "sqlite" else places.collector
    return folder / "token.key"


def examples(*lines: str) -> str:
    """Return the examples that a command's help ends with."""
    return "\b\nExamples:\n" + "\n".join(f"  exaworks collector {line}" for line in lines)


def print_table(columns: list[str], rows: list[dict[str, Any]], empty: str) -> None:
    """Print columns of rows as a table, with a dash for None; print ``empty`` if there are no rows."""
    from tabulate import tabulate

    table = [["-" if row[column] is None else row[column] for column in columns] for row in rows]
    click.echo(tabulate(table, headers=[column.replace("_", " ") for column in columns]) if rows else empty)
