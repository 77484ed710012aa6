"""``exaworks collector partition``: the partitioned layout of PostgreSQL."""

from __future__ import annotations

from typing import Any

import click

from collector.cli.options import database_option, examples, json_option, log_change, open_database, print_table


@click.command(
    epilog=examples(
        "partition --database postgresql://collector@db/collector",
        "partition --list",
    )
)
@click.option("--list", "listing", is_flag=True, help="List the partitions, and change nothing.")
@json_option
@database_option
@click.pass_obj
def partition(places: Any, listing: bool, as_json: bool, database: str | None) -> None:
    """Divide the stored records of a PostgreSQL database by month, so that `prune` can drop whole months.

    Ids, verdicts and pages stay the same. The server may run meanwhile; uploads wait while one month is moved. If it is
    interrupted, completed months stay, and the next call continues. It needs free space for a copy of the biggest
    month. On a database that is partitioned already, nothing changes.
    """
    import json

    from collector.clock import iso
    from collector.store.partitioning import list_partitions, partition_bodies

    with open_database(places, database) as store:
        if not listing:
            moved = partition_bodies(store, lambda line: click.echo(line, err=True))
            if moved.created or moved.partitions:
                with store.writing() as connection:
                    detail = f"{moved.bodies} bodies moved to {moved.partitions} partitions"
                    log_change(connection, "partition", detail=detail)
        with store.reading() as connection:
            rows = list_partitions(connection)
    for row in rows:
        for name in ("oldest", "newest"):
            row[name] = None if row[name] is None else iso(row[name])
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    print_table(["table", "runs", "oldest", "newest", "bytes"], rows, "The database is not partitioned.")
