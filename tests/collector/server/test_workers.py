"""Four collector processes on one PostgreSQL that store records at the same time, in both layouts of the database."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from collector.store.database import database_url, open_store
from collector.store.partitioning import partition_bodies
from collector.store.recompute import verify
from collector.store.tables import bodies, records, runs
from dashboard_client.schema import Manifest, Outcome, Record, digest
from tests.collector.process import Collector
from tests.collector.samples import closing, manifest, record
from tests.collector.store.test_order import added, closed, opened, rolled_up

if TYPE_CHECKING:
    from tests.collector.postgres import Cluster

pytestmark = pytest.mark.needs("postgres")

WORKERS = 4
SYSTEMS = 6
RUNS = 4
BATCH = 15
CASES = [f"psij/bulk:n={number}@slurm" for number in range(40)]
OUTCOMES = (Outcome.PASS, Outcome.PASS, Outcome.FAIL, Outcome.INFRA, Outcome.SKIP)


def run_of(system: int, number: int) -> tuple[Manifest, list[Record]]:
    """Return one run of a system; each is a month older than the one before, and its results differ."""
    began = datetime.now(timezone.utc) - timedelta(days=31 * number, hours=system + 1)
    chance = random.Random(100 * system + number)
    run_id, name = f"run-{system}-{number}", f"machine{system}"
    opening = manifest(run_id, CASES, system=name, started=f"{began:%Y-%m-%dT%H:%M:%SZ}")
    at = f"{began:%Y-%m-%dT%H:%M:}"
    sent = [record(run_id, case, chance.choice(OUTCOMES), system=name, at=at) for case in CASES]
    return opening, sent


@pytest.mark.parametrize("layout", ["plain", "partitioned"])
def test_four_workers_lose_and_double_no_record_and_their_roll_ups_are_right(
    layout: str, postgres: Cluster, tmp_path: Path
) -> None:
    """Every batch is sent to two of the workers at about the same time, in an order of its own for each client."""
    url = postgres.fresh()
    store = open_store(database_url(url, tmp_path))
    if layout == "partitioned":
        partition_bodies(store, lambda line: None)
    all_runs = [run_of(system, number) for system in range(SYSTEMS) for number in range(RUNS)]
    sent = {each.record_id: each for _, some in all_runs for each in some}
    workers = [Collector(tmp_path / str(number), "--database", url) for number in range(WORKERS)]
    refused: list[str] = []
    answers: Counter[int] = Counter()

    def push(number: int) -> None:
        chance = random.Random(number)
        mine = [run for index, run in enumerate(all_runs) if index % WORKERS in (number, (number + 1) % WORKERS)]
        chance.shuffle(mine)
        for opening, _ in mine:
            answers[workers[number].open(opening).status_code] += 1
        batches = [some[start : start + BATCH] for _, some in mine for start in range(0, len(some), BATCH)]
        chance.shuffle(batches)
        for part in batches:
            answer = workers[number].add(*part)
            answers[answer.status_code] += 1
            refused.extend(str(each) for each in answer.json()["rejected"])
        for opening, some in mine:
            ended = closing(len(some), ended=opening.started)
            answers[workers[number].close(opening.run_id, ended).status_code] += 1

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(push, range(WORKERS)))
    assert [worker.stop() for worker in workers] == [0] * WORKERS
    assert refused == []
    assert set(answers) == {200, 201}
    assert answers[201] == len(all_runs), "the answer to a manifest is 201 only for the one that opened the run"
    with store.reading() as connection:
        stored = connection.execute(
            select(records.c.digest, bodies.c.body).join(bodies, bodies.c.record == records.c.id)
        ).all()
        counts = connection.execute(select(runs.c.records)).scalars().all()
        shown = rolled_up(connection)
    assert sorted(bytes(row.digest).hex() for row in stored) == sorted(digest(each) for each in sent.values())
    assert counts == [len(CASES)] * len(all_runs)
    with store.exclusive() as connection:
        assert verify(connection).problems == []
        connection.rollback()
    store.close()
    assert shown == one_after_the_other(all_runs, tmp_path)


def one_after_the_other(all_runs: list[tuple[Manifest, list[Record]]], tmp_path: Path) -> dict[str, object]:
    """Return the roll-ups after the same runs were stored in one process, from the oldest to the newest."""
    store = open_store(database_url(str(tmp_path / "alone.db"), tmp_path))
    with store.writing() as connection:
        for opening, some in sorted(all_runs, key=lambda run: run[0].started):
            opened(opening)(connection)
            added(*some)(connection)
            closed(opening.run_id, closing(len(some), ended=opening.started))(connection)
    with store.reading() as connection:
        shown = rolled_up(connection)
    store.close()
    return shown
