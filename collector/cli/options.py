"""What the commands share: which database they mean, and where the key of its tokens lies."""

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


def opened(places: Any, database: str | None) -> AbstractContextManager[Store]:
    """Open the database that ``--database`` names, or the one in the collector's folder."""
    from contextlib import closing

    from collector.store.database import database_url, open_store

    return closing(open_store(database_url(database, places.collector)))


def key_file(places: Any, url: Any) -> Path:
    """Return where the key of the tokens lies: beside a SQLite file, else in the collector's folder."""
    folder: Path = Path(url.database).parent if url.get_backend_name() == "sqlite" else places.collector
    return folder / "token.key"


def examples(*lines: str) -> str:
    """Return the examples under a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  exaworks collector {line}" for line in lines)
