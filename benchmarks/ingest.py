"""How fast the collector takes records, beside a bare ``executemany`` (SQLite) or COPY (PostgreSQL) of the same rows.

    python benchmarks/ingest.py [--records 20000] [--batch 500 --batch 5000] [--onto 0] [--database sqlite|postgresql]

Starts a real collector on loopback, sends gzip-less batches over one connection, and prints records a second with the
ratio to the bare insert measured in the same run, so that the figure means something on any machine, and the server's
CPU microseconds a record.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dashboard_client.schema import Manifest, Record, encode
from tests.collector.samples import closing, manifest, record
from tests.collector.server import Collector, batch

CASES_A_RUN = 300
SYSTEMS = 40


def history(records: int, first: int = 0) -> list[tuple[Manifest, list[Record]]]:
    """Make runs of 300 cases each over 40 systems, one after the other in time."""
    cases = [
        f"{name}/case{number}@slurm" for number in range(60) for name in ("psij", "parsl", "flux", "swift-t", "rp")
    ]
    made = []
    for number in range(first, first + -(-records // CASES_A_RUN)):
        system, day = f"system{number % SYSTEMS}", number // SYSTEMS
        date = f"2026-{1 + day // 28 % 12:02}-{1 + day % 28:02}T{number % 24:02}:"
        run_id, place = f"run-{number:06}", {"site": f"site{number % 8}", "system": system}
        opening = manifest(run_id, cases, started=f"{date}00:00Z", **place)
        one = record(run_id, cases[0], at=f"{date}01:", **place)
        shared = {"context": one.context, "stack": one.stack, "timing": one.timing, "scheduler": one.scheduler}
        made.append((opening, [record(run_id, case, **place, **shared) for case in cases]))
    return made


def bare(records: list[Record], size: int, folder: Path) -> float:
    """Insert the same rows with ``executemany``, a transaction a batch, as safely written; return records a second."""
    connection = sqlite3.connect(folder / f"bare{size}.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE records (record_id TEXT PRIMARY KEY, run_id TEXT, case_id TEXT, body BLOB)")
    rows = [(each.record_id, each.run_id, each.case_id, encode(each)) for each in records]
    began = time.perf_counter()
    for start in range(0, len(rows), size):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", rows[start : start + size])
        connection.execute("COMMIT")
    took = time.perf_counter() - began
    connection.close()
    return len(rows) / took


def bare_copy(records: list[Record], size: int, url: str) -> float:
    """Insert the same rows with COPY, a transaction a batch; return records a second."""
    import psycopg

    rows = [(each.record_id, each.run_id, each.case_id, encode(each)) for each in records]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE bare (record_id text PRIMARY KEY, run_id text, case_id text, body bytea)")
        began = time.perf_counter()
        for start in range(0, len(rows), size):
            with connection.transaction(), connection.cursor() as cursor, cursor.copy("COPY bare FROM STDIN") as copy:
                for row in rows[start : start + size]:
                    copy.write_row(row)
        return len(rows) / (time.perf_counter() - began)


def fill(url: str, records: int) -> float:
    """Fill a database by the collector's own functions, roll-ups included; return records a second."""
    from collector.clock import now_ms
    from collector.database import database_url, open_store
    from collector.intake import Arrival, read_batch, read_closing, read_manifest
    from collector.store_records import store_records
    from collector.store_runs import store_closing, store_manifest

    store, now, began = open_store(database_url(url, Path())), now_ms(), time.perf_counter()
    for first in range(0, records, 6000):
        made = history(min(6000, records - first), first // CASES_A_RUN)
        with store.writing() as connection:
            for opening, some in made:
                store_manifest(connection, read_manifest(encode(opening), now), now)
                arrivals = [item for item in read_batch(batch(some), now) if isinstance(item, Arrival)]
                store_records(connection, arrivals, now)
                close = read_closing(encode(closing(len(some), ended=opening.started)), now)
                store_closing(connection, opening.run_id, close, "*", now)
    store.close()
    return records / (time.perf_counter() - began)


def sent(served: Collector, records: list[Record], size: int) -> float:
    """Send the records in batches; return records a second, from the first byte sent to the last acknowledgement."""
    bodies = [batch(records[start : start + size]) for start in range(0, len(records), size)]
    began = time.perf_counter()
    for body in bodies:
        answer = served.post("/api/v1/records", body)
        if answer.status_code != 200 or msgspec.json.decode(answer.content)["rejected"]:
            raise SystemExit(f"not stored: {answer.status_code} {answer.text[:400]}")
    return len(records) / (time.perf_counter() - began)


def busy(served: Collector) -> float:
    """Return the CPU seconds that the server has used."""
    fields = Path(f"/proc/{served.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(served: Collector) -> float:
    """Return the server's peak resident memory in MB."""
    status = Path(f"/proc/{served.process.pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--batch", type=int, action="append", help="records in a batch; may be given again")
    parser.add_argument("--onto", type=int, default=0, help="fill the database with so many records before")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    options = parser.parse_args()
    print(f"{options.database}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(f"{'batch':>6} {'collector/s':>12} {'bare/s':>10} {'ratio':>7} {'CPU us':>7} {'peak MB':>8} {'filled/s':>9}")
    runs = history(options.records, options.onto // CASES_A_RUN)
    records = [each for _, some in runs for each in some]
    for size in options.batch or [500, 5000]:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            url = f"sqlite:///{folder / 'collector' / 'collector.db'}"
            if options.database == "postgresql":
                from tests.collector.postgres import Cluster

                cluster = Cluster(safe=True)
                stack.callback(cluster.remove)
                url = cluster.fresh()
            filled = fill(url, options.onto) if options.onto else 0.0
            config = folder / "collector.yaml"
            config.write_text("rates: {per_second: 100000, burst: 100000}\n", encoding="utf-8")
            served = Collector(folder, "--database", url, "--config", str(config))
            stack.callback(served.stop)
            for opening, _ in runs:
                if served.open(opening).status_code != 201:
                    raise SystemExit(f"run {opening.run_id} was not stored")
            before = busy(served)
            ours = sent(served, records, size)
            cost, peak = 1e6 * (busy(served) - before) / len(records), memory(served)
            theirs = bare(records, size, folder) if options.database == "sqlite" else bare_copy(records, size, url)
        figures = f"{ours:>12,.0f} {theirs:>10,.0f} {ours / theirs:>7.2f} {cost:>7.0f} {peak:>8.0f} {filled:>9,.0f}"
        print(f"{size:>6} {figures}", flush=True)
    print(f"records of {len(encode(records[0]))} bytes, {len(records)} of them onto {options.onto}")


if __name__ == "__main__":
    main()
