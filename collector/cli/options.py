"""What the commands share: their common options, the database, and the file with the key of the tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from collector.store.database import Store

database_option = click.option(
    "--database",
    metavar="URL",
    envvar="EXAWORKS_COLLECTOR_DATABASE",
    show_envvar=True,
    help="SQLite path or database URL. [default: collector.db in the collector's folder]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@contextmanager
def open_database(places: Any, database: str | None) -> Iterator[Store]:
    """Yield the database that ``--database`` names, or the one in the collector's folder.

    Raises:
        StoreError: it cannot be opened, or reports an error meanwhile, such as a full disk.
    """
    import sqlite3

    from sqlalchemy.exc import DBAPIError

    from collector.errors import StoreError
    from collector.store.condition import ADVICE, reason_of
    from collector.store.database import database_url, open_store

    store = open_store(database_url(database, places.collector))
    try:
        yield store
    except (DBAPIError, sqlite3.Error) as error:
        kind, words = reason_of(error) or ("", str(getattr(error, "orig", None) or error).strip())
        name = store.url.render_as_string()
        raise StoreError(f"{name}: {words}. What was not finished is undone. {ADVICE.get(kind, '')}".strip()) from error
    finally:
        store.close()


def key_file(places: Any, url: Any) -> Path:
    """Return the file with the key of the tokens: beside a SQLite file, else in the collector's folder."""
    folder: Path = Path(url.database).parent if url.get_backend_name() == "sqlite" else places.collector
    return folder / "token.key"


def log_change(connection: Connection, action: str, **fields: Any) -> None:
    """Add a change to the audit log, with the user who runs the command; ``fields`` are those of ``Entry``."""
    from collector.clock import now_ms
    from collector.store.log import Entry, add_entry

    add_entry(connection, now_ms(), Entry(action, writer=command_writer(), **fields))


def command_writer() -> str:
    """Return the user who runs the command, as the audit log names people."""
    import getpass
    import os

    try:
        return f"user:{getpass.getuser()}"
    except (KeyError, OSError):  # the user has no name
        return f"user:{os.getuid()}"


def token_key(connection: Connection, places: Any, store: Store) -> bytes:
    """Return the key of the tokens.

    Raises:
        StoreError: it cannot be read, or is not the key of this database.
    """
    from collector.auth.tokens import check_key, load_key

    file = key_file(places, store.url)
    key = load_key(file)
    check_key(connection, key, file)
    return key


def examples(*lines: str) -> str:
    """Return the examples that a command's help ends with."""
    return "\b\nExamples:\n" + "\n".join(f"  exaworks collector {line}" for line in lines)


def print_table(columns: list[str], rows: list[dict[str, Any]], empty: str) -> None:
    """Print columns of rows as a table, with a dash for None; print ``empty`` if there are no rows."""
    from tabulate import tabulate

    table = [["-" if row[column] is None else row[column] for column in columns] for row in rows]
    click.echo(tabulate(table, headers=[column.replace("_", " ") for column in columns]) if rows else empty)
