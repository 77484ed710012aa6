"""How fast the collector takes records, beside a bare ``executemany`` of the same rows into SQLite.

    python benchmarks/ingest.py [--records 20000] [--batch 500 --batch 5000] [--onto 0]

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
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dashboard_client.schema import Manifest, Record, encode
from tests.collector.samples import manifest, record
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
    options = parser.parse_args()
    print(f"{'batch':>6} {'collector/s':>12} {'bare/s':>10} {'ratio':>7} {'CPU us':>7} {'peak MB':>8}")
    for size in options.batch or [500, 5000]:
        with tempfile.TemporaryDirectory() as folder:
            served = Collector(Path(folder))
            try:
                for first in range(0, options.onto, 30_000):
                    for opening, records in history(min(30_000, options.onto - first), first // CASES_A_RUN):
                        served.open(opening)
                        sent(served, records, 300)
                runs = history(options.records, options.onto // CASES_A_RUN)
                for opening, _ in runs:
                    if served.open(opening).status_code != 201:
                        raise SystemExit(f"run {opening.run_id} was not stored")
                records = [each for _, some in runs for each in some]
                before = busy(served)
                ours, theirs = sent(served, records, size), bare(records, size, Path(folder))
                cost = 1e6 * (busy(served) - before) / len(records)
                peak = memory(served)
            finally:
                served.stop()
        print(f"{size:>6} {ours:>12,.0f} {theirs:>10,.0f} {ours / theirs:>7.2f} {cost:>7.0f} {peak:>8.0f}")
    print(f"records of {len(encode(records[0]))} bytes, {len(records)} of them onto {options.onto}")


if __name__ == "__main__":
    main()
