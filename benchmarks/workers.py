"""Measure how ingest on PostgreSQL scales with the number of collector processes, in both layouts of the database.

    python -m benchmarks.workers [--records 40000] [--batch 500] [--workers 1 4] [--clients 4]

Each client sends runs of systems of its own, in batches, to one of the workers. The number of clients is the same for
any number of workers. Clients, workers and PostgreSQL share the cores of the machine, so four workers can be four times
as fast only on more than four cores. The runs are opened before the time is measured.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path

import requests

from benchmarks.databases import Databases
from benchmarks.ingest import UNLIMITED, cpu_seconds, new_runs, post_batch
from benchmarks.load import Watch
from benchmarks.results import publish
from collector.store.database import database_url, open_store
from collector.store.partitioning import partition_bodies
from tests.collector.process import Collector, batch, tool

LAYOUTS = ("one table", "by month")


def measure(
    databases: Databases, layout: str, workers: int, clients: int, records: int, size: int
) -> tuple[float, float]:
    """Return the records per second, and the processor time of the workers for each record in microseconds."""
    url = databases.url(f"workers{workers}_{time.time_ns():x}")
    store = open_store(database_url(url, databases.folder))
    if layout == LAYOUTS[1]:
        partition_bodies(store, lambda line: None)
    store.close()
    sent = new_runs(records, datetime.now(timezone.utc).replace(microsecond=0))
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = home / "collector.yaml"
        config.write_text(UNLIMITED, encoding="utf-8")
        token = tool(home, "token", "new", "*", "--database", url).stdout.strip()
        servers = []
        for number in range(workers):
            arguments = ("--database", url, "--config", str(config), "--token-file", str(home / f"token{number}"))
            servers.append(Collector(home, *arguments, token=None))
            stack.callback(servers[-1].stop)
        for opening, _ in sent:
            servers[0].open(opening, token=token).raise_for_status()
        shares = []
        for client in range(clients):
            mine = [each for number, (_, some) in enumerate(sent) if number % clients == client for each in some]
            shares.append([batch(mine[start : start + size]) for start in range(0, len(mine), size)])

        def send(client: int) -> None:
            session = requests.Session()
            session.trust_env = False
            for body in shares[client]:
                post_batch(session, servers[client % workers].url, token, body)

        before = sum(cpu_seconds(server.process.pid) for server in servers)
        began = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(send, range(clients)))
        seconds = time.perf_counter() - began
        used = sum(cpu_seconds(server.process.pid) for server in servers) - before
    count = sum(len(some) for _, some in sent)
    return count / seconds, 1e6 * used / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=40_000)
    parser.add_argument("--batch", type=int, default=500, help="records in a batch")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--clients", type=int, default=4, help="connections that send at the same time")
    options = parser.parse_args()
    watch = Watch()
    rows: list[list[str | int | float | None]] = []
    with Databases("postgresql") as databases:
        for layout in LAYOUTS:
            first = None
            for workers in options.workers:
                rate, cpu = measure(databases, layout, workers, options.clients, options.records, options.batch)
                rows.append([layout, workers, rate, rate / first if first else None, cpu])
                first = first or rate
    cores = len(os.sched_getaffinity(0))
    publish(
        "workers",
        ("layout", "workers", "records/s", "ratio to the first line", "CPU of the workers, us a record"),
        rows,
        watch.load(),
        times=("records/s", "ratio to the first line"),
        notes=(
            f"{options.records:,} records in batches of {options.batch:,} from {options.clients} clients, into an "
            f"empty PostgreSQL with fsync; clients, workers and database share {cores} cores.",
        ),
    )


if __name__ == "__main__":
    main()
