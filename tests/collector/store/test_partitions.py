"""The layout of PostgreSQL that is partitioned by month: the same answers, and whole months are dropped."""

from __future__ import annotations

import itertools
import json
import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Barrier, Event, Thread
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import func, select, text, update

from collector.auth.visibility import EVERYTHING
from collector.clock import now_ms
from collector.errors import StoreError
from collector.status import queries
from collector.store.backup import backup, restore
from collector.store.database import Store, database_url, open_store
from collector.store.months import MONTH_BITS, month_name, month_of, partitions
from collector.store.partitioning import EARLIER, partition_bodies
from collector.store.recompute import verify
from collector.store.retention import BODIES, TAILS, prune
from collector.store.tables import bodies, records, runs
from dashboard_client.schema import Record
from tests.collector.process import Collector, command, environment, tool, wait_until
from tests.collector.samples import CASES, closing, manifest, record
from tests.collector.store.test_order import added, closed, opened, rolled_up, two_runs

if TYPE_CHECKING:
    from tests.collector.postgres import Cluster

pytestmark = pytest.mark.needs("postgres")

NOW = now_ms()
DAY_MS = 86_400_000


@pytest.fixture
def url(postgres: Cluster) -> str:
    """A PostgreSQL database of the test's own, because its layout differs from that of the other tests."""
    return postgres.fresh()


@pytest.fixture
def store(url: str, tmp_path: Path) -> Iterator[Store]:
    opened_store = open_store(database_url(url, tmp_path))
    yield opened_store
    opened_store.close()


@pytest.fixture
def partitioned(store: Store) -> Store:
    partition_bodies(store, lambda line: None)
    return store


def ago(months: int) -> datetime:
    """Return the start of a month before this one."""
    now = datetime.now(timezone.utc)
    count = 12 * now.year + now.month - 1 - months
    return datetime(count // 12, count % 12 + 1, 1, tzinfo=timezone.utc)


def name_of(months: int) -> str:
    return f"bodies_{ago(months):%Y_%m}"


def send(store: Store, months: int, cases: list[str] = CASES, run_id: str | None = None) -> list[Record]:
    """Store a run that started some months ago, and return its records."""
    began, name = ago(months), run_id or f"{months}-months-ago"
    sent = [record(name, case, at=f"{began:%Y-%m-%dT%H}:01:") for case in cases]
    with store.writing() as connection:
        opened(manifest(name, cases, started=f"{began:%Y-%m-%dT%H:%M:%SZ}"))(connection)
        added(*sent)(connection)
        closed(name, closing(len(cases), ended=f"{began:%Y-%m-%dT%H}:20:00Z"))(connection)
    return sent


def tables(store: Store) -> dict[str, int]:
    """Return the number of bodies in each partition."""
    with store.reading() as connection:
        return {
            each.table: connection.execute(text(f"SELECT count(*) FROM {each.table}")).scalar_one()
            for each in partitions(connection)
        }


def problems(store: Store) -> list[str]:
    with store.exclusive() as connection:
        found = verify(connection).problems
        connection.rollback()
    return found


def all_bodies(store: Store) -> list[tuple[Any, ...]]:
    with store.reading() as connection:
        return [tuple(row) for row in connection.execute(select(bodies).order_by(bodies.c.record))]


def arrived(store: Store, months: range) -> None:
    """Store runs in the old layout, as if each had arrived in its month."""
    for number in reversed(months):
        send(store, number)
        with store.writing() as connection:
            of_run = update(runs).where(runs.c.run_id == f"{number}-months-ago")
            connection.execute(of_run.values(received=runs.c.started))


def test_the_roll_ups_and_answers_are_those_of_the_other_layout(
    store: Store, postgres: Cluster, tmp_path: Path
) -> None:
    other = open_store(database_url(postgres.fresh(), tmp_path))
    partition_bodies(other, lambda line: None)
    shown = []
    for each in (store, other):
        with each.writing() as connection:
            for step in two_runs():
                step(connection)
        with each.reading() as connection:
            shown.append(rolled_up(connection))
    assert shown[0] == shown[1]
    assert problems(other) == []
    other.close()


def test_this_month_and_the_next_one_have_partitions_before_anything_is_sent(partitioned: Store) -> None:
    assert set(tables(partitioned)) == {EARLIER, name_of(0), name_of(-1)}


def test_a_server_that_starts_creates_the_partition_of_the_next_month(partitioned: Store, url: str) -> None:
    with partitioned.writing() as connection:
        connection.execute(text(f"DROP TABLE {name_of(-1)}"))
    open_store(database_url(url, Path())).close()
    assert name_of(-1) in tables(partitioned)


def test_an_old_spool_gets_the_partition_of_its_month(partitioned: Store) -> None:
    send(partitioned, 0)
    send(partitioned, 7)
    assert {table: count for table, count in tables(partitioned).items() if count} == {
        name_of(0): len(CASES),
        name_of(7): len(CASES),
    }
    assert problems(partitioned) == []


def test_records_without_a_manifest_get_the_month_of_their_first_instant(partitioned: Store) -> None:
    with partitioned.writing() as connection:
        added(record("bare", CASES[0], at=f"{ago(5):%Y-%m-%dT%H}:01:"))(connection)
    assert tables(partitioned)[name_of(5)] == 1


def test_runs_older_than_ten_years_share_one_partition(partitioned: Store) -> None:
    for months in (121, 150, 400):
        send(partitioned, months)
    assert tables(partitioned)[name_of(120)] == 3 * len(CASES)
    assert len(tables(partitioned)) == 4
    assert problems(partitioned) == []


def test_records_are_found_by_their_id_and_counted_once_when_sent_again(partitioned: Store) -> None:
    sent = [each for months in (0, 3, 40) for each in send(partitioned, months)]
    for months in (0, 3, 40):
        send(partitioned, months)
    with partitioned.reading() as connection:
        assert connection.execute(select(func.count()).select_from(records)).scalar_one() == len(sent)
        assert connection.execute(select(func.count()).select_from(bodies)).scalar_one() == len(sent)
        found = [queries.find_record(connection, each.record_id, EVERYTHING) for each in sent]
    assert [row.run_id for row in found if row is not None] == [each.run_id for each in sent]


def test_a_month_is_dropped_when_all_its_runs_are_old_and_its_verdicts_stay(partitioned: Store) -> None:
    sent = send(partitioned, 8)
    send(partitioned, 0)
    with partitioned.reading() as connection:
        before = rolled_up(connection)
    cutoff = NOW - 90 * DAY_MS
    would = prune(partitioned, BODIES, cutoff, dry=True)
    assert (would.runs, would.records, would.partitions) == (1, len(CASES), 1)
    assert name_of(8) in tables(partitioned)
    assert vars(prune(partitioned, BODIES, cutoff)) == vars(would)
    assert name_of(8) not in tables(partitioned)
    assert vars(prune(partitioned, BODIES, cutoff)) == {"runs": 0, "records": 0, "bytes": 0, "partitions": 0}
    with partitioned.reading() as connection:
        assert rolled_up(connection) == before
        row = queries.find_record(connection, sent[0].record_id, EVERYTHING)
    assert row is not None
    assert row.body is None
    assert problems(partitioned) == []


def test_a_month_waits_for_its_newest_run_and_a_wrong_start_does_not_hold_it_for_ever(partitioned: Store) -> None:
    send(partitioned, 8, run_id="old")
    send(partitioned, 8, run_id="newer")
    newest = int(ago(8).timestamp() * 1000) + 10 * DAY_MS
    with partitioned.writing() as connection:
        connection.execute(update(runs).where(runs.c.run_id == "newer").values(started=newest))
    assert prune(partitioned, BODIES, newest - DAY_MS).runs == 0
    assert tables(partitioned)[name_of(8)] == 2 * len(CASES)
    with partitioned.writing() as connection:
        connection.execute(update(runs).where(runs.c.run_id == "newer").values(started=newest + 60 * DAY_MS))
    assert vars(prune(partitioned, BODIES, newest - DAY_MS))["runs"] == 1
    assert tables(partitioned)[name_of(8)] == len(CASES)
    assert prune(partitioned, BODIES, newest + 61 * DAY_MS).partitions == 1
    assert name_of(8) not in tables(partitioned)


def test_tails_and_tiers_are_deleted_row_by_row(partitioned: Store) -> None:
    send(partitioned, 8)
    assert vars(prune(partitioned, TAILS, NOW))["partitions"] == 0
    assert prune(partitioned, BODIES, NOW, tiers=["integration"]).records == len(CASES)
    assert tables(partitioned)[name_of(8)] == 0
    assert problems(partitioned) == []


def test_a_late_record_of_a_dropped_month_is_stored_and_dropped_the_next_time(partitioned: Store) -> None:
    send(partitioned, 8)
    prune(partitioned, BODIES, NOW - 90 * DAY_MS)
    with partitioned.writing() as connection:
        late = record("8-months-ago", "flux/late@flux", at=f"{ago(8):%Y-%m-%dT%H}:01:")
        assert added(late)(connection) == []
    assert tables(partitioned)[name_of(8)] == 1
    assert problems(partitioned) == []
    assert prune(partitioned, BODIES, NOW - 90 * DAY_MS).partitions == 1
    assert name_of(8) not in tables(partitioned)
    send(partitioned, 8, run_id="another")
    assert problems(partitioned) == []


def test_a_reader_that_holds_a_month_delays_no_retention(partitioned: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.store.retention.LOCK_TIMEOUT", "200ms")
    send(partitioned, 8)
    with partitioned.reading() as reader:
        assert reader.execute(select(func.count()).select_from(bodies)).scalar_one() == len(CASES)
        pruned = prune(partitioned, BODIES, NOW - 90 * DAY_MS)
        assert (pruned.records, pruned.partitions) == (len(CASES), 0)
    assert tables(partitioned)[name_of(8)] == 0
    assert problems(partitioned) == []


@pytest.mark.parametrize("level", ["the bodies of a run", "the whole record of a verdict"])
def test_a_read_touches_only_the_partition_of_its_month(partitioned: Store, level: str) -> None:
    for months in (0, 3, 8):
        send(partitioned, months)
    with partitioned.reading() as connection:
        run = connection.execute(select(runs.c.id).where(runs.c.run_id == "3-months-ago")).scalar_one()
        query = f"SELECT body FROM bodies WHERE record BETWEEN {run << 20} AND {((run + 1) << 20) - 1}"
        if level == "the whole record of a verdict":
            connection.execute(text("SET LOCAL enable_hashjoin = off"))  # with so few rows, it would read all of them
            connection.execute(text("SET LOCAL enable_mergejoin = off"))
            query = f"SELECT body FROM records LEFT JOIN bodies ON record = id WHERE run = {run} AND attempt = 1"
        plan = connection.execute(text(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {query}")).scalars().all()
    read = {name for line in plan for name in re.findall(r"on (bodies_\w+)", line) if "never executed" not in line}
    assert {name.removesuffix("_pkey") for name in read} == {name_of(3)}


def test_a_run_that_arrives_while_its_month_is_dropped_is_neither_lost_nor_half_deleted(partitioned: Store) -> None:
    send(partitioned, 8)
    pruned = []
    pruning = Thread(target=lambda: pruned.append(prune(partitioned, BODIES, NOW - 90 * DAY_MS)))
    with partitioned.writing() as connection:
        began = f"{ago(8):%Y-%m-%dT%H}"
        opened(manifest("arriving", CASES, started=f"{began}:00:00Z"))(connection)
        added(*(record("arriving", case, at=f"{began}:01:") for case in CASES))(connection)
        pruning.start()
        wait_for_lock(partitioned, "LOCK TABLE ONLY bodies IN ACCESS EXCLUSIVE MODE")
    pruning.join(60)
    assert [(each.runs, each.records, each.partitions) for each in pruned] == [(2, 2 * len(CASES), 0)]
    assert problems(partitioned) == []
    assert prune(partitioned, BODIES, NOW - 90 * DAY_MS).partitions == 1


def test_an_existing_database_is_divided_by_the_months_of_arrival(store: Store, url: str, tmp_path: Path) -> None:
    arrived(store, range(5))
    with store.reading() as connection:
        before = rolled_up(connection)
    stored = all_bodies(store)
    done = tool(tmp_path, "partition", "--database", url)
    assert done.returncode == 0, done.stderr
    assert "bodies moved in 0 s (4 of 4)" in done.stderr
    assert all_bodies(store) == stored
    with store.reading() as connection:
        assert rolled_up(connection) == before
    assert [count for count in tables(store).values() if count] == [len(CASES)] * 5
    assert problems(store) == []
    send(store, 0, run_id="later")
    assert problems(store) == []
    listed = json.loads(tool(tmp_path, "partition", "--list", "--json", "--database", url).stdout)
    assert [row["runs"] for row in listed] == [1] * 5 + [1, 0]
    assert '"partition"' in tool(tmp_path, "log", "--database", url).stdout
    again = tool(tmp_path, "partition", "--database", url)
    assert "moved" not in again.stderr
    cutoff = int(ago(2).timestamp() * 1000) - DAY_MS
    assert prune(store, BODIES, cutoff).partitions == 2
    with store.writing() as connection:
        late = record("4-months-ago", "flux/late@flux", at=f"{ago(4):%Y-%m-%dT%H}:01:")
        assert added(late)(connection) == []
    assert problems(store) == []


def test_a_server_stores_old_and_new_runs_while_the_database_is_divided(store: Store, url: str, tmp_path: Path) -> None:
    arrived(store, range(8))
    served = Collector(tmp_path, "--database", url)
    done, started = Event(), Event()
    sent: list[str] = []

    def push() -> None:
        for number in itertools.count():
            months = number % 8
            late = record(f"{months}-months-ago", f"flux/late{number}@flux", at=f"{ago(months):%Y-%m-%dT%H}:01:")
            new = record(f"new-{number}", CASES[0], at=f"{ago(months):%Y-%m-%dT%H}:01:")
            answer = served.add(late, new)
            assert answer.json()["rejected"] == [], answer.text
            sent.extend(each["record_id"] for each in answer.json()["acknowledged"])
            started.set()
            if done.is_set():
                return

    with ThreadPoolExecutor(1) as pool:
        pushing = pool.submit(push)
        assert started.wait(60)
        try:
            moved = partition_bodies(store, lambda line: None)
        finally:
            done.set()
        pushing.result(60)
    assert served.stop() == 0
    assert moved.partitions == 7
    with store.reading() as connection:
        stored = connection.execute(select(func.count()).select_from(bodies)).scalar_one()
        assert None not in [queries.find_record(connection, each, EVERYTHING) for each in sent]
    assert stored == 8 * len(CASES) + len(sent)
    assert problems(store) == []


@pytest.mark.parametrize("moment", ["between two months", "while a month is moved"])
def test_a_migration_that_is_killed_loses_nothing_and_continues(
    store: Store, url: str, postgres: Cluster, tmp_path: Path, moment: str
) -> None:
    arrived(store, range(6))
    stored = all_bodies(store)
    if moment == "while a month is moved":
        partition_bodies_until_created(store)
    with psycopg.connect(postgres.dsn(store.url.database or "")) as reader:
        if moment == "while a month is moved":  # the copy is complete, and the change of the bounds waits for a reader
            reader.execute("SELECT count(*) FROM bodies")
        process = subprocess.Popen(
            command(tmp_path, "partition", "--database", url), env=environment(), stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        if moment == "between two months":
            while "moved" not in process.stderr.readline():
                pass
        else:
            wait_for_lock(store, "ALTER TABLE bodies DETACH")
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
    wait_for_no_client(store)
    assert all_bodies(store) == stored
    assert problems(store) == []
    send(store, 0, run_id="between")
    assert tool(tmp_path, "partition", "--database", url).returncode == 0
    assert [count for count in tables(store).values() if count] == [len(CASES)] * 7
    assert [row for row in all_bodies(store) if row in stored] == stored
    assert problems(store) == []


def partition_bodies_until_created(store: Store) -> None:
    """Carry out only the first step of a migration."""

    def stop(line: str) -> None:
        if line.startswith("bodies is partitioned"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        partition_bodies(store, stop)


def wait_for_lock(store: Store, statement: str) -> None:
    """Wait until another session waits for a lock in a statement that begins so."""
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE :start")
    with store.writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        assert wait_until(lambda: connection.execute(waiting, {"start": f"{statement}%"}).scalar_one() > 0, 30)


def wait_for_no_client(store: Store) -> None:
    """Wait until PostgreSQL has noticed that the killed process is gone."""
    active = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE :state")
    with store.writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        others = lambda: connection.execute(active, {"state": "%active%"}).scalar_one() - 1  # noqa: E731
        assert wait_until(lambda: not others(), 30)


def test_a_migration_that_cannot_get_the_table_names_the_reason_and_changes_nothing(
    store: Store, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.store.partitioning.LOCK_TIMEOUT", "200ms")
    arrived(store, range(2))
    stored = all_bodies(store)
    with store.reading() as reader:
        reader.execute(select(func.count()).select_from(bodies)).scalar_one()
        with pytest.raises(StoreError, match=r"others have used the table bodies for 200ms.*Run the command again"):
            partition_bodies(store, lambda line: None)
    assert tables(store) == {}
    assert all_bodies(store) == stored
    assert partition_bodies(store, lambda line: None).partitions == 1


def test_sqlite_has_no_partitions_and_the_message_names_the_way(tmp_path: Path) -> None:
    done = tool(tmp_path, "partition")
    assert done.returncode == 2
    assert "is a SQLite database, which has no partitions" in done.stderr
    assert "exaworks collector backup" in done.stderr


def test_a_backup_of_partitions_restores_into_every_kind_of_database(
    partitioned: Store, postgres: Cluster, tmp_path: Path
) -> None:
    sent = [each for months in (0, 3, 14) for each in send(partitioned, months)]
    backup(partitioned, tmp_path / "b")
    for kind in ("sqlite", "plain", "partitioned"):
        url = f"sqlite:///{tmp_path / 'restored.db'}" if kind == "sqlite" else postgres.fresh()
        target = open_store(database_url(url, tmp_path))
        if kind == "partitioned":
            partition_bodies(target, lambda line: None)
        restore(target, tmp_path / "b")
        assert all_bodies(target) == all_bodies(partitioned)
        for months in (0, 3, 20):
            sent += send(target, months, run_id=f"later-{months}")
        with target.reading() as connection:
            found = [queries.find_record(connection, each.record_id, EVERYTHING) for each in sent[:15] + sent[-15:]]
        assert None not in found
        assert problems(target) == []
        if kind == "plain":  # a database that had months before is divided by them
            assert partition_bodies(target, lambda line: None).partitions == 3
            send(target, 3, run_id="after")
            assert tables(target)[name_of(3)] == 2 * len(CASES)
            assert problems(target) == []
        target.close()


def test_the_keys_of_a_month_follow_from_its_start() -> None:
    november = int(datetime(2026, 11, 29, tzinfo=timezone.utc).timestamp() * 1000)
    assert month_name(month_of(november, november)) == "2026_11"
    assert month_of(november + 2 * DAY_MS, november) == month_of(november, november) + 1
    assert month_name(month_of(0, november)) == "2016_11"
    assert month_name(month_of(-5, november)) == "2016_11"
    assert month_of(0, 0) == 1
    assert month_of(november, november) << MONTH_BITS << 20 < 2**63


def test_two_servers_create_the_partition_of_the_same_month_at_the_same_time(url: str, tmp_path: Path) -> None:
    assert tool(tmp_path, "partition", "--database", url).returncode == 0
    servers = [Collector(tmp_path / name, "--database", url) for name in ("a", "b")]
    barrier, answers = Barrier(2), []

    def push(number: int) -> None:
        for months in range(2, 8):
            at = ago(months) + timedelta(minutes=number)
            sent = [
                record(f"run-{number}-{months}", case, system=f"machine{number}", at=f"{at:%Y-%m-%dT%H}:01:")
                for case in CASES
            ]
            barrier.wait(60)
            answers.append(servers[number].add(*sent).json()["rejected"])

    pushers = [Thread(target=push, args=(number,)) for number in (0, 1)]
    for pusher in pushers:
        pusher.start()
    for pusher in pushers:
        pusher.join(120)
    assert answers == [[]] * 12
    assert [served.stop() for served in servers] == [0, 0]
    store = open_store(database_url(url, tmp_path))
    assert [tables(store)[name_of(months)] for months in range(2, 8)] == [2 * len(CASES)] * 6
    assert problems(store) == []
    store.close()
