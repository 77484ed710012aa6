"""How fast the collector takes records, beside a bare insert of the same rows and beside the design it replaces.

    python benchmarks/ingest.py [--records 20000] [--batch 500 --batch 5000] [--database sqlite|postgresql]
    python benchmarks/ingest.py --records 40000 --batch 5000 --clients 4 --no-standin
    python benchmarks/ingest.py --onto 2000000 --keep FOLDER [--fill-seconds 200]

Starts a real collector on loopback, sends batches over one connection or --clients of them with a stored token, and
prints records a second with the ratio to a bare ``executemany`` (SQLite) or COPY (PostgreSQL) measured in the same run,
so that it means something on any machine; then the server's CPU microseconds a record and its peak memory. The last
line is a CherryPy handler that does a bcrypt for each record (``standin.py``; its environment is made on first use,
from PyPI).

With --onto the database is filled before, with the history of ``history.py``; a folder given with --keep is used again,
and --fill-seconds fills it piece by piece.
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
from benchmarks.history import Shape, fill, make_run, whole
from collector.database import database_url, open_store
from collector.tables import runs
from dashboard_client.schema import Manifest, Record, encode
from tests.collector.server import Collector, batch, tool

STANDIN = Path(__file__).with_name("standin.py")
STANDIN_RECORDS = 12


def fresh(records: int, after: datetime) -> list[tuple[Manifest, list[Record]]]:
    """Make runs of 300 cases over 40 systems, each a second later than the one before."""
    shape, tag = Shape(), f"{time.time_ns():x}"
    count = math.ceil(records / shape.cases)
    made = []
    for number in range(count):
        began = after + timedelta(seconds=number + 1)
        quiet: list[list[tuple[int, int, int]]] = [[] for _ in range(shape.cases)]
        opening, arrivals, _ = make_run(
            shape, number % shape.systems, shape.nights - 1, began, quiet, f"{tag}-{number:05}"
        )
        made.append((opening, [arrival.record for arrival in arrivals]))
    return made


def newest(url: str, folder: Path) -> datetime:
    """Return when the newest stored run began, or now: what comes earlier makes the collector tell history anew."""
    store = open_store(database_url(url, folder))
    with store.reading() as connection:
        found = connection.execute(select(func.max(runs.c.started))).scalar()
    store.close()
    now = datetime.now(timezone.utc).replace(microsecond=0)
    return max(now, datetime.fromtimestamp((found or 0) // 1000, timezone.utc))


def bare(records: list[Record], size: int, folder: Path) -> float:
    """Insert the same rows with ``executemany``, a transaction a batch, as safely written; return records a second."""
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
    took = time.perf_counter() - began
    connection.close()
    file.unlink()
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
        took = time.perf_counter() - began
        connection.execute("DROP TABLE bare")
    return len(rows) / took


def sent(served: Collector, token: str, records: list[Record], size: int, clients: int) -> float:
    """Send the records in batches; return records a second, from the first byte sent to the last acknowledgement."""
    bodies = [batch(records[start : start + size]) for start in range(0, len(records), size)]

    def send(body: bytes) -> None:
        answer = served.post("/api/v1/records", body, token=token)
        if answer.status_code != 200 or msgspec.json.decode(answer.content)["rejected"]:
            raise SystemExit(f"not stored: {answer.status_code} {answer.text[:400]}")

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(send, bodies))
    return len(records) / (time.perf_counter() - began)


def busy(process: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(process: int) -> float:
    """Return the peak resident memory of a process in MB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measured(made: Databases, name: str, records: int, size: int, clients: int) -> str:
    """Send fresh runs to a server on a database, and return the line that says how that went."""
    url = made.url(name)
    made_runs = fresh(records, newest(url, made.folder))
    all_ = [each for _, some in made_runs for each in some]
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        config = home / "collector.yaml"
        config.write_text("rates: {per_second: 100000, burst: 100000}\n", encoding="utf-8")
        served = Collector(home, "--database", url, "--config", str(config), token=None)
        try:
            key = home if made.kind == "postgresql" else made.folder / name
            token = tool(key, "token", "new", "*", "--database", url).stdout.strip()
            for opening, _ in made_runs:
                answer = served.open(opening, token=token)
                if answer.status_code != 201:
                    raise SystemExit(f"run {opening.run_id} was not stored: {answer.status_code} {answer.text[:400]}")
            before = busy(served.process.pid)
            ours = sent(served, token, all_, size, clients)
            cost, peak = 1e6 * (busy(served.process.pid) - before) / len(all_), memory(served.process.pid)
        finally:
            served.stop()
        theirs = bare(all_, size, home) if made.kind == "sqlite" else bare_copy(all_, size, url)
    return f"{made.kind:<12} {size:>6} {ours:>10,.0f} {theirs:>10,.0f} {ours / theirs:>6.2f} {cost:>7.0f} {peak:>8.0f}"


def standin(folder: Path) -> str:
    """Send records one a request to the stand-in, and return the line that says how that went."""
    python = folder / "standin" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "cherrypy", "bcrypt"], check=True)
    records = fresh(STANDIN_RECORDS, datetime.now(timezone.utc))[0][1][:STANDIN_RECORDS]
    with tempfile.TemporaryDirectory() as temporary:
        served = subprocess.Popen([str(python), str(STANDIN), temporary], stdout=subprocess.PIPE, text=True)
        try:
            assert served.stdout is not None
            url = f"http://127.0.0.1:{int(served.stdout.readline())}/result"
            session = requests.Session()
            session.trust_env = False
            before, began = busy(served.pid), time.perf_counter()
            for record in records:
                body = {"id": "site", "key": "a key of a site", "data": msgspec.to_builtins(record)}
                session.post(url, json=body, timeout=60).raise_for_status()
            rate = len(records) / (time.perf_counter() - began)
            cost, peak = 1e6 * (busy(served.pid) - before) / len(records), memory(served.pid)
        finally:
            served.terminate()
            served.wait()
    return f"{'stand-in':<12} {1:>6} {rate:>10,.1f} {'':>10} {'':>6} {cost:>7.0f} {peak:>8.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--batch", type=int, action="append", help="records in a batch; may be given again")
    parser.add_argument("--clients", type=int, default=1, help="connections that send at once")
    parser.add_argument("--onto", type=int, default=0, help="fill the databases with so many records before")
    parser.add_argument("--database", choices=KINDS, action="append", help="may be given again; both if not said")
    parser.add_argument("--keep", type=Path, help="a folder for the databases, used again where they are there")
    parser.add_argument("--fill-seconds", type=float, default=math.inf, help="end after filling for so long")
    parser.add_argument("--no-standin", action="store_true", help="leave the stand-in out")
    options = parser.parse_args()
    print(f"onto {options.onto:,} records, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(f"{'database':<12} {'batch':>6} {'records/s':>10} {'bare/s':>10} {'ratio':>6} {'CPU us':>7} {'peak MB':>8}")
    for kind in options.database or KINDS:
        with Databases(kind, options.keep) as made:
            if options.onto:
                shape = Shape.of(options.onto)
                store = open_store(database_url(made.url("big"), made.folder))
                count = fill(store, shape, options.fill_seconds)
                done = whole(store, shape)
                store.close()
                if not done:
                    print(f"{kind}: {count:,} records more, not all yet: run this again")
                    continue
            for size in options.batch or [500, 5000]:
                name = "big" if options.onto else f"empty{size}_{time.time_ns():x}"
                print(measured(made, name, options.records, size, options.clients), flush=True)
    if not options.no_standin:
        tools = Path(os.environ.get("EXAWORKS_HOME") or Path(__file__).resolve().parents[1] / ".exaworks", "benchmarks")
        print(standin(tools))


if __name__ == "__main__":
    main()
