"""Measure how fast the collector stores records, compared with a bare insert of the same rows and with an old design.

    python benchmarks/ingest.py [--records 20000] [--batch 500 --batch 5000] [--database sqlite|postgresql]
    python benchmarks/ingest.py --records 40000 --batch 5000 --clients 4 --no-standin
    python benchmarks/ingest.py --onto 2000000 --keep FOLDER [--fill-seconds 200]

Starts a real collector on the loopback interface, and sends batches over one connection, or --clients connections, with
a stored token. Prints the records per second and the ratio to a bare ``executemany`` (SQLite) or COPY (PostgreSQL) in
the same run, the server's CPU time per record, and its peak memory. The last line is for a CherryPy handler that
computes one bcrypt per record (``standin.py``; its environment is created on first use, from PyPI).

With --onto the database is first filled with the history of ``history.py``. A folder given with --keep is used again;
--fill-seconds limits the filling in one call, and the next one continues.
"""

from __future__ import annotations

import argparse
import math
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import msgspec
import requests
from sqlalchemy import func, select

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.databases import KINDS, Databases
from benchmarks.history import fill, is_complete, make_run
from benchmarks.load import Watch
from benchmarks.results import Cell, publish
from benchmarks.spells import Shape, Spell
from collector.store.database import database_url, open_store
from collector.store.tables import runs
from dashboard_client.schema import Manifest, Record, encode
from tests.collector.process import Collector, batch, tool

STANDIN = Path(__file__).with_name("standin.py")
STANDIN_RECORDS = 12
UNLIMITED = "rates: {per_second: 100000, burst: 100000}\n"
"""A configuration of the collector under which no request is refused for its rate."""


def new_runs(records: int, after: datetime) -> list[tuple[Manifest, list[Record]]]:
    """Return runs of 300 cases on 40 systems, each one second later than the one before."""
    shape, tag = Shape(), f"{time.time_ns():x}"
    count = math.ceil(records / shape.cases)
    new = []
    for number in range(count):
        began = after + timedelta(seconds=number + 1)
        no_failures: list[list[Spell]] = [[] for _ in range(shape.cases)]
        opening, arrivals, _ = make_run(
            shape, number % shape.systems, shape.nights - 1, began, no_failures, f"{tag}-{number:05}"
        )
        new.append((opening, [arrival.record for arrival in arrivals]))
    return new


def newest_start(url: str, folder: Path) -> datetime:
    """Return the start of the newest stored run, or now if that is later: older runs would cause a recomputation."""
    store = open_store(database_url(url, folder))
    with store.reading() as connection:
        started = connection.execute(select(func.max(runs.c.started))).scalar()
    store.close()
    now = datetime.now(timezone.utc).replace(microsecond=0)
    return max(now, datetime.fromtimestamp((started or 0) // 1000, timezone.utc))


def bare(records: list[Record], size: int, folder: Path) -> float:
    """Insert the same rows with ``executemany``, one transaction per batch, and return the records per second.

    The settings have the same durability as those of the collector.
    """
    file = folder / "bare.db"
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE records (record_id TEXT PRIMARY KEY, run_id TEXT, case_id TEXT, body BLOB)")
    rows = [(each.record_id, each.run_id, each.case_id, encode(each)) for each in records]
    began = time.perf_counter()
    for start in range(0, len(rows), size):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", rows[start : start + size])
        connection.execute("COMMIT")
    seconds = time.perf_counter() - began
    connection.close()
    file.unlink()
    return len(rows) / seconds


def bare_copy(records: list[Record], size: int, url: str) -> float:
    """Insert the same rows with COPY, one transaction per batch, and return the records per second."""
    import psycopg

    rows = [(each.record_id, each.run_id, each.case_id, encode(each)) for each in records]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE bare (record_id text PRIMARY KEY, run_id text, case_id text, body bytea)")
        began = time.perf_counter()
        for start in range(0, len(rows), size):
            with connection.transaction(), connection.cursor() as cursor, cursor.copy("COPY bare FROM STDIN") as copy:
                for row in rows[start : start + size]:
                    copy.write_row(row)
        seconds = time.perf_counter() - began
        connection.execute("DROP TABLE bare")
    return len(rows) / seconds


def send_all(server: Collector, token: str, records: list[Record], size: int, clients: int) -> float:
    """Send the records in batches, and return the records per second until the last acknowledgement."""
    bodies = [batch(records[start : start + size]) for start in range(0, len(records), size)]
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(lambda body: post_batch(server.session, server.url, token, body), bodies))
    return len(records) / (time.perf_counter() - began)


def post_batch(session: requests.Session, url: str, token: str, body: bytes) -> None:
    """Send a batch of records to a collector.

    Raises:
        SystemExit: not all of them were stored.
    """
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    answer = session.post(f"{url}/api/v1/records", data=body, headers=headers, timeout=300)
    if answer.status_code != 200 or msgspec.json.decode(answer.content)["rejected"]:
        raise SystemExit(f"a batch was not stored: {answer.status_code} {answer.text[:400]}")


def cpu_seconds(process: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(process: int) -> float:
    """Return the peak resident memory of a process in MB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(databases: Databases, name: str, records: int, size: int, clients: int, first: int = 0) -> list[Cell]:
    """Send new runs to a server with a database, and return a row of the table.

    first: the number of records that are sent before the others and not measured, because a database that has just been
    started reads its pages from the disk.
    """
    url = databases.url(name)
    sent_runs = new_runs(first + records, newest_start(url, databases.folder))
    every_record = [each for _, some in sent_runs for each in some]
    warming, all_records = every_record[:first], every_record[first:]
    home = databases.home(name)
    config = home / "collector.yaml"
    config.write_text(UNLIMITED, encoding="utf-8")
    server = Collector(home, "--database", url, "--config", str(config), token=None)
    try:
        token = tool(home, "token", "new", "*", "--database", url).stdout.strip()
        for opening, _ in sent_runs:
            answer = server.open(opening, token=token)
            if answer.status_code != 201:
                raise SystemExit(f"run {opening.run_id} was not stored: {answer.status_code} {answer.text[:400]}")
        send_all(server, token, warming, size, clients)
        before = cpu_seconds(server.process.pid)
        rate = send_all(server, token, all_records, size, clients)
        cpu = 1e6 * (cpu_seconds(server.process.pid) - before) / len(all_records)
        peak = memory(server.process.pid)
    finally:
        server.stop()
    sqlite = databases.kind == "sqlite"
    bare_rate = bare(all_records, size, home) if sqlite else bare_copy(all_records, size, url)
    return [databases.kind, size, rate, bare_rate, rate / bare_rate, cpu, peak]


def standin(folder: Path) -> list[Cell]:
    """Send records to the stand-in, one per request, and return a row of the table."""
    python = folder / "standin" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "cherrypy", "bcrypt"], check=True)
    records = new_runs(STANDIN_RECORDS, datetime.now(timezone.utc))[0][1][:STANDIN_RECORDS]
    with tempfile.TemporaryDirectory() as temporary:
        server = subprocess.Popen([str(python), str(STANDIN), temporary], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/result"
            session = requests.Session()
            session.trust_env = False
            before, began = cpu_seconds(server.pid), time.perf_counter()
            for record in records:
                body = {"id": "site", "key": "a key of a site", "data": msgspec.to_builtins(record)}
                session.post(url, json=body, timeout=60).raise_for_status()
            rate = len(records) / (time.perf_counter() - began)
            cpu, peak = 1e6 * (cpu_seconds(server.pid) - before) / len(records), memory(server.pid)
        finally:
            server.terminate()
            server.wait()
    return ["stand-in", 1, rate, None, None, cpu, peak]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--batch", type=int, action="append", help="records in a batch; can be repeated")
    parser.add_argument("--clients", type=int, default=1, help="number of connections that send at the same time")
    parser.add_argument("--onto", type=int, default=0, help="number of records to fill the databases with first")
    parser.add_argument("--database", choices=KINDS, action="append", help="can be repeated; default: both")
    parser.add_argument("--keep", type=Path, help="a folder for the databases; existing ones are used again")
    parser.add_argument("--fill-seconds", type=float, default=math.inf, help="time limit of filling a database")
    parser.add_argument("--no-standin", action="store_true", help="do not measure the stand-in")
    options = parser.parse_args()
    watch = Watch()
    rows: list[list[Cell]] = []
    for kind in options.database or KINDS:
        with Databases(kind, options.keep) as databases:
            if options.onto:
                shape = Shape.of(options.onto)
                store = open_store(database_url(databases.url("big"), databases.folder))
                count = fill(store, shape, options.fill_seconds)
                done = is_complete(store, shape)
                store.close()
                if not done:
                    print(f"{kind}: added {count:,} records; the history is not complete yet: run this again")
                    continue
            for size in options.batch or [500, 5000]:
                name = "big" if options.onto else f"empty{size}_{time.time_ns():x}"
                first = options.records if options.onto else 0
                rows.append(measure(databases, name, options.records, size, options.clients, first))
    if not options.no_standin:
        tools = Path(os.environ.get("EXAWORKS_HOME") or Path(__file__).resolve().parents[1] / ".exaworks", "benchmarks")
        rows.append(standin(tools))
    history = f"onto a history of {options.onto:,} records, after as many that are not measured"
    onto = history if options.onto else "into empty databases"
    note = f"{options.records:,} records {onto}, from {options.clients} client(s)."
    headers = ("database", "batch", "records/s", "bare records/s", "ratio", "CPU us a record", "peak memory MB")
    name = "-".join(["ingest", *(["onto"] if options.onto else []), *(options.database or [])])
    publish(name, headers, rows, watch.load(), times=("records/s", "bare records/s", "ratio"), notes=[note])


if __name__ == "__main__":
    main()
