"""Kill two collectors and their database again and again while they store records, and count what is lost or doubled.

    python benchmarks/crashes.py [--records 100000] [--every 6] [--batch 500]

Two collectors serve one PostgreSQL with its default durability. Two clients send the same runs, each to one collector,
in batches. Every few seconds SIGKILL ends one collector, the other, both, or the database, which then start again. A
client that gets no answer sends the batch again, as ``exaworks results push`` does. At the end every record must be
stored once, with the digest that was acknowledged, and all roll-ups must be right.
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import requests
from sqlalchemy import func, select

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from collector.store.database import database_url, open_store
from collector.store.recompute import verify
from collector.store.tables import bodies, records, runs
from dashboard_client.schema import Record
from tests.collector.postgres import Cluster
from tests.collector.process import Collector, batch
from tests.collector.samples import manifest, record

CASES = 500
RETRY_SECONDS = 0.2


def send(
    served: Collector, run: str, sent: list[Record], size: int, acknowledged: dict[str, str], repeated: Counter[str]
) -> None:
    """Send a run and its records until all of them are acknowledged."""
    cases = [each.case_id for each in sent]
    until_accepted(lambda: served.open(manifest(run, cases)), repeated)
    for start in range(0, len(sent), size):
        answer = until_accepted(
            lambda start=start: served.post("/api/v1/records", batch(sent[start : start + size])), repeated
        )
        document = answer.json()
        assert not document["rejected"], document["rejected"][:1]
        acknowledged.update((each["record_id"], each["digest"]) for each in document["acknowledged"])


def until_accepted(request: object, repeated: Counter[str]) -> requests.Response:
    """Repeat a request until the collector accepts it."""
    while True:
        try:
            answer: requests.Response = request()  # type: ignore[operator]
        except requests.RequestException:
            repeated["no answer"] += 1
        else:
            if answer.status_code in (200, 201):
                return answer
            repeated[str(answer.status_code)] += 1
            assert answer.status_code == 503, answer.text
        time.sleep(RETRY_SECONDS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--every", type=float, default=6.0, help="seconds between two kills")
    parser.add_argument("--batch", type=int, default=500)
    options = parser.parse_args()
    cluster = Cluster(safe=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            return measure(cluster, Path(folder), options)
        finally:
            cluster.remove()


def measure(cluster: Cluster, folder: Path, options: argparse.Namespace) -> int:
    url = cluster.fresh()
    homes = [folder / name for name in "ab"]
    for home in homes:
        (home / "collector").mkdir(parents=True, mode=0o700)
        (home / "collector" / "token.key").write_bytes(os.urandom(32) if home == homes[0] else key_of(homes[0]))
        (home / "collector" / "token.key").chmod(0o600)
    config = folder / "collector.yaml"
    config.write_text("rates: {per_second: 100000, burst: 100000}\n")
    served = [Collector(home, "--database", url, "--config", str(config)) for home in homes]
    for each in served:
        each.arguments = (*each.arguments, "--port", each.url.rpartition(":")[2])  # it keeps its address
    repeated: list[Counter[str]] = [Counter(), Counter()]
    acknowledged: list[dict[str, str]] = [{}, {}]
    names = [f"run-{number:04}" for number in range(options.records // CASES)]

    def client(place: int) -> None:
        order = names if place == 0 else names[::-1]
        for run in order:
            sent = [record(run, f"psij/bulk:n={number}@slurm") for number in range(CASES)]
            send(served[place], run, sent, options.batch, acknowledged[place], repeated[place])

    clients = [threading.Thread(target=client, args=(place,)) for place in (0, 1)]
    began = time.monotonic()
    for each in clients:
        each.start()
    kills: Counter[str] = Counter()
    for victim in itertools.cycle(("a collector", "the database", "the other collector", "both collectors")):
        deadline = time.monotonic() + options.every
        while any(each.is_alive() for each in clients) and time.monotonic() < deadline:
            time.sleep(0.1)
        if not any(each.is_alive() for each in clients):
            break
        kills[victim] += 1
        if victim == "the database":
            cluster.kill()
            cluster.start()
            continue
        chosen = {"a collector": served[:1], "the other collector": served[1:]}.get(victim, served)
        for each in chosen:
            each.stop(signal.SIGKILL)
        for each in chosen:
            each.start()
    seconds = time.monotonic() - began
    codes = [each.stop() for each in served]
    print(
        f"{options.records} records sent to both of two collectors in {seconds:.0f} s; SIGKILL: "
        + (", ".join(f"{count} x {victim}" for victim, count in kills.items()) or "none")
    )
    print(f"clients repeated requests: {dict(repeated[0] + repeated[1])}")
    return compare(url, folder, acknowledged, options.records, codes)


def key_of(home: Path) -> bytes:
    return (home / "collector" / "token.key").read_bytes()


def compare(url: str, folder: Path, acknowledged: list[dict[str, str]], expected: int, codes: list[int]) -> int:
    """Compare the database with what was acknowledged; return the exit code."""
    store = open_store(database_url(url, folder))
    with store.exclusive() as connection:
        counted = [connection.scalar(select(func.count()).select_from(table)) or 0 for table in (records, bodies)]
        distinct = select(records.c.run, records.c.cell, records.c.attempt).distinct().subquery()
        unique = connection.scalar(select(func.count()).select_from(distinct)) or 0
        stored = {bytes(row).hex() for row in connection.execute(select(records.c.digest)).scalars()}
        number_of_runs = connection.scalar(select(func.count()).select_from(runs))
        report = verify(connection)
        connection.rollback()
    store.close()
    known = acknowledged[0] | acknowledged[1]
    lost = sum(digest not in stored for digest in known.values())
    print(
        f"acknowledged {len(known)}, stored {counted[0]} records and {counted[1]} bodies in {number_of_runs} runs: "
        f"{lost} lost, {counted[0] - unique} doubled; verify: {report.wrong} problems"
    )
    for problem in report.problems:
        print(f"  {problem}")
    right = counted == [expected, expected] and unique == expected and len(known) == expected
    return int(not right or bool(lost) or bool(report.wrong) or any(codes))


if __name__ == "__main__":
    sys.exit(main())
