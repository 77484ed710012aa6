"""Measure what a record needs on disk in each kind of database, and how retention gives it back.

    python -m benchmarks.space [--records 100000] [--cases 100]

A history of ``history.py`` is stored in SQLite and in both layouts of PostgreSQL. Then the whole records of its older
half are deleted, as ``exaworks collector prune`` does, and the sizes are measured again.
"""

from __future__ import annotations

import argparse
import time

from sqlalchemy import func, select, text

from benchmarks.databases import KINDS, Databases
from benchmarks.history import fill
from benchmarks.load import Watch
from benchmarks.results import Cell, publish
from benchmarks.spells import Shape
from collector.store.database import Store, database_url, open_store
from collector.store.months import partitions
from collector.store.partitioning import partition_bodies
from collector.store.retention import BODIES, prune
from collector.store.space import give_back
from collector.store.tables import records, runs

LAYOUTS = (("sqlite", "SQLite"), ("postgresql", "PostgreSQL, one table"), ("postgresql", "PostgreSQL, by month"))


def sizes(store: Store) -> tuple[int, int, int]:
    """Return the bytes of the whole records, of the verdicts with their indexes, and of the whole database."""
    if store.file is not None:
        with store.outside_transaction() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            named = dict(connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name").fetchall())
        verdicts = sum(size for name, size in named.items() if name == "records" or name.endswith("_records_1"))
        return named["bodies"], verdicts + named["ix_records_lookup"], store.file.stat().st_size
    with store.reading() as connection:
        tables = [each.table for each in partitions(connection)] or ["bodies"]
        size = text("SELECT pg_total_relation_size(to_regclass(:name))")
        whole = sum(connection.execute(size, {"name": name}).scalar_one() for name in tables)
        verdicts = connection.execute(size, {"name": "records"}).scalar_one()
        return whole, verdicts, connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()


def measure(databases: Databases, layout: str, shape: Shape) -> list[Cell]:
    """Fill a database, delete the whole records of the older half of its runs, and return a row of the table."""
    store = open_store(database_url(databases.url("by_month" if "month" in layout else "one"), databases.folder))
    if "month" in layout:
        partition_bodies(store, lambda line: None)
    empty = sizes(store)[2]
    began = time.perf_counter()
    count = fill(store, shape)
    rate = count / (time.perf_counter() - began)
    whole, verdicts, everything = sizes(store)
    with store.reading() as connection:
        middle = connection.execute(select(func.avg(runs.c.started))).scalar_one()
        assert connection.execute(select(func.count()).select_from(records)).scalar_one() == count
    began = time.perf_counter()
    deleted = prune(store, BODIES, int(middle))
    give_back(store)
    seconds = time.perf_counter() - began
    after = sizes(store)[2]
    store.close()
    shares = [round(each / count) for each in (whole, verdicts, everything - empty)]
    return [layout, count, *shares, rate, deleted.records, (everything - after) // 2**20, seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--cases", type=int, default=100, help="cases of each of five systems")
    options = parser.parse_args()
    watch = Watch()
    shape = Shape.of(options.records, 5, options.cases)
    rows = []
    for kind in KINDS:
        with Databases(kind) as databases:
            rows += [measure(databases, layout, shape) for each, layout in LAYOUTS if each == kind]
    headers = (
        *("database", "records", "whole record, bytes", "its verdict, bytes", "everything, bytes a record"),
        *("stored records/s", "whole records deleted", "given back, MB", "deletion s"),
    )
    note = f"Five systems with {options.cases} cases, {shape.nights} nights; stored by one process without HTTP."
    publish("space", headers, rows, watch.load(), times=("stored records/s", "deletion s"), notes=[note])


if __name__ == "__main__":
    main()
