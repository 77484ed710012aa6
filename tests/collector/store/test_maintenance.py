"""Retention deletes only what it may, a backup is the whole database, and a verification finds every damage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, func, select, update

from collector.auth.tokens import check_token, load_key, new_token
from collector.clock import instant_ms, now_ms
from collector.errors import BackupError
from collector.store.backup import backup, restore
from collector.store.database import Store, database_url, open_store
from collector.store.recompute import verify
from collector.store.retention import BODIES, TAILS, prune
from collector.store.tables import (
    board,
    bodies,
    cells,
    days,
    metadata,
    points,
    records,
    runs,
    series,
    systems,
)
from dashboard_client.schema import Metric, Outcome, Tier, digest
from tests.collector.conftest import BOTH
from tests.collector.pages.test_dashboard import ask, drawn
from tests.collector.process import TOKEN, Collector, tool
from tests.collector.samples import CASES, closing, manifest, record
from tests.collector.store.test_order import added, closed, opened, rolled_up, two_runs

if TYPE_CHECKING:
    from tests.collector.postgres import Cluster

SECOND = instant_ms("2026-11-21T00:00:00Z")


@pytest.fixture
def filled(store: Store) -> Store:
    """A store with two runs: one that started on the 20th, and one on the 21st with a figure."""
    with store.writing() as connection:
        for step in two_runs():
            step(connection)
        measured = [Metric(name="rate", value=12.5, unit="1/s", better="higher")]
        added(record("second", "flux/scale@flux", at="2026-11-21T08:02:", metrics=measured))(connection)
    return store


@pytest.fixture(params=BOTH)
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of either kind to restore into."""
    cluster: Cluster | None = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    file = shutil.copy(request.getfixturevalue("blank"), tmp_path / "other.db")
    url = cluster.ready() if cluster is not None else f"sqlite:///{file}"
    opened_store = open_store(database_url(url, tmp_path))
    yield opened_store
    opened_store.close()
    if cluster is not None:
        cluster.clear(url)


def sizes(store: Store) -> dict[str, int]:
    with store.reading() as connection:
        tables = metadata.sorted_tables
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables
        }


def problems(store: Store) -> list[str]:
    with store.exclusive() as connection:
        result = verify(connection).problems
        connection.rollback()
    return result


def test_tails_of_old_runs_are_deleted_and_verdicts_and_pages_stay(filled: Store) -> None:
    with filled.reading() as connection:
        before = rolled_up(connection)
    would = prune(filled, TAILS, SECOND, dry=True)
    assert (would.runs, would.records) == (1, len(CASES))
    assert vars(prune(filled, TAILS, SECOND)) == vars(would)
    assert vars(prune(filled, TAILS, SECOND)) == {"runs": 0, "records": 0, "bytes": 0, "partitions": 0}
    with filled.reading() as connection:
        assert rolled_up(connection) == before
        rows = connection.execute(
            select(bodies.c.body, runs.c.run_id)
            .join(records, records.c.id == bodies.c.record)
            .join(runs, runs.c.id == records.c.run)
        ).all()
    assert {b"Hello World!" in row.body for row in rows if row.run_id == "first"} == {False}
    assert {b"Hello World!" in row.body for row in rows if row.run_id == "second"} == {True}
    assert problems(filled) == []


def test_a_tier_may_be_kept_longer_than_another(filled: Store, tmp_path: Path) -> None:
    with filled.writing() as connection:
        opened(manifest("quick", tier=Tier.SMOKE))(connection)
        added(record("quick", CASES[0]))(connection)
        added(record("without-a-manifest", CASES[0]))(connection)
    assert prune(filled, TAILS, SECOND, tiers=["scale"]).runs == 0
    assert prune(filled, TAILS, SECOND, tiers=["smoke", "scale"]).records == 1
    assert prune(filled, TAILS, SECOND, tiers=["integration"]).records == len(CASES)
    arguments = ("prune", "--tails-days", "1", "--database", filled.url.render_as_string(hide_password=False), "--json")
    assert json.loads(tool(tmp_path, *arguments, "--tier", "smoke").stdout)["tails"]["records"] == 0
    assert json.loads(tool(tmp_path, *arguments).stdout)["tails"]["records"] >= 1


def test_a_pruned_record_shows_that_its_output_was_deleted_and_keeps_its_digest(filled: Store) -> None:
    sent = record("first", CASES[0])
    facts = [ask(filled, "/records/{record_id}", record_id=sent.record_id)]
    prune(filled, TAILS, SECOND)
    facts.append(ask(filled, "/records/{record_id}", record_id=sent.record_id))
    assert [(each["whole"], each["digest"]) for each in facts] == [(True, digest(sent)), (False, digest(sent))]
    assert "was removed when its retention time ended" in drawn(
        filled, "/records/{record_id}", record_id=sent.record_id
    )


def test_a_pruned_record_that_is_sent_again_is_acknowledged_as_before(filled: Store) -> None:
    prune(filled, BODIES, SECOND)
    with filled.writing() as connection:
        assert connection.execute(select(func.count()).select_from(bodies)).scalar_one() == 7
        assert added(*(record("first", case) for case in CASES))(connection) == []
        assert connection.execute(select(func.count()).select_from(records)).scalar_one() == 12
        assert added(record("first", CASES[0], Outcome.FAIL))(connection)[0][2].status == 409


def test_a_late_record_of_a_pruned_run_is_pruned_the_next_time(filled: Store) -> None:
    prune(filled, TAILS, SECOND)
    with filled.writing() as connection:
        added(record("first", "flux/late@flux"))(connection)
    assert prune(filled, TAILS, SECOND).records == 1


def test_a_backup_restores_into_either_database(filled: Store, other: Store, tmp_path: Path) -> None:
    key = load_key(tmp_path / "token.key")
    with filled.writing() as connection:
        token = new_token(connection, key, "ornl", "upload", 1, None)
    counts = backup(filled, tmp_path / "all.backup")
    assert counts["records"] == 12
    assert (tmp_path / "all.backup").stat().st_mode & 0o777 == 0o600
    assert restore(other, tmp_path / "all.backup") == counts == sizes(other) == sizes(filled)
    with filled.reading() as ours, other.reading() as theirs:
        assert rolled_up(theirs) == rolled_up(ours)
        assert check_token(theirs, key, token, now_ms())[0].site == "ornl"
    assert problems(other) == []
    with other.writing() as connection:
        opened(manifest("third", started="2026-11-22T00:00:00Z"))(connection)
        added(record("third", "swift-t/new@slurm"))(connection)
        closed("third", closing(1, missing=4))(connection)
    assert problems(other) == []


def test_a_database_that_was_only_served_is_empty_for_a_restore(filled: Store, tmp_path: Path) -> None:
    backup(filled, tmp_path / "b")
    home = tmp_path / "new"
    home.mkdir()
    served = Collector(home)
    assert served.get("/metrics", TOKEN).status_code == 200
    assert served.stop() == 0
    restored = tool(home, "restore", str(tmp_path / "b"))
    assert (restored.returncode, "2 runs and 12 records" in restored.stdout) == (0, True), restored.stderr
    assert "no problems" in tool(home, "verify").stdout


def test_a_backup_never_overwrites_and_a_restore_never_adds(filled: Store, other: Store, tmp_path: Path) -> None:
    file = tmp_path / "all.backup"
    backup(filled, file)
    with pytest.raises(BackupError, match=r"exists already\. Name another file"):
        backup(filled, file)
    whole = file.read_bytes()
    for damaged in (whole[:-30], whole[: len(whole) // 2], b"no gzip", whole[:200] + b"\0" * 50 + whole[250:]):
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(BackupError):
            restore(other, tmp_path / "damaged")
        assert sum(sizes(other).values()) == 0
    with pytest.raises(BackupError, match="not empty"):
        restore(filled, file)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        (cells, "last_outcome", "x"),
        (cells, "turns", "!!"),
        (board, "worst", "x"),
        (days, "records", 99),
        (runs, "outcomes", "ppppp"),
        (runs, "records", 4),
        (runs, "schedulers", '{"slurm":"21.08"}'),
        (series, "change", "worse"),
        (series, "count", 7),
        (points, "value", 0.5),
        (systems, "trended", 3),
        (bodies, "body", b"{}"),
    ],
)
def test_a_verification_finds_wrong_values_and_repairs_roll_ups(
    filled: Store, table: object, column: str, value: object
) -> None:
    assert problems(filled) == []
    with filled.writing() as connection:
        connection.execute(update(table).values({column: value}))  # type: ignore[arg-type]
    assert problems(filled) != []
    assert problems(filled) != [], "a verification without repair changes nothing"
    with filled.exclusive() as connection:
        verify(connection)
        connection.commit()
    assert (problems(filled) == []) is (table is not bodies)


def test_a_verification_finds_a_missing_body(filled: Store) -> None:
    with filled.writing() as connection:
        some = connection.execute(select(bodies.c.record).limit(1)).scalar_one()
        connection.execute(delete(bodies).where(bodies.c.record == some))
    assert any("records have no body" in line for line in problems(filled))


@pytest.mark.parametrize(
    ("table", "column", "problem"),
    [
        (records, "run", "records: run 99 is not in runs"),
        (records, "cell", "records: cell 99 is not in cells"),
        (bodies, "record", "bodies: record 99 is not in records"),
        (points, "series", "points: series 99 is not in series"),
    ],
)
def test_a_verification_finds_references_to_missing_rows(filled: Store, table: Any, column: str, problem: str) -> None:
    with filled.writing() as connection:
        one = connection.execute(select(*table.primary_key.columns).limit(1)).one()
        conditions = [key == value for key, value in zip(table.primary_key.columns, one, strict=True)]
        connection.execute(update(table).where(*conditions).values({column: 99}))
    assert problem in problems(filled)


def test_a_late_record_of_a_run_without_bodies_is_no_damage(filled: Store) -> None:
    prune(filled, BODIES, SECOND)
    with filled.writing() as connection:
        added(record("first", "flux/late@flux"))(connection)
    assert problems(filled) == []
    with filled.reading() as connection:
        schedulers = connection.execute(select(runs.c.schedulers).where(runs.c.run_id == "first")).scalar_one()
    assert "slurm" in schedulers
    assert prune(filled, BODIES, SECOND).records == 1


def test_the_maintenance_commands_report_what_they_did(filled: Store, database: str, tmp_path: Path) -> None:
    where = ("--database", database)
    assert "no problems" in tool(tmp_path, "verify", *where).stdout
    assert (
        "12 records in 2 runs would be deleted"
        in tool(tmp_path, "prune", "--bodies-days", "1", "--dry-run", *where).stdout
    )
    assert "2 runs, 12 records" in tool(tmp_path, "backup", str(tmp_path / "b"), *where).stdout
    assert "0 entries of the audit log were deleted" in tool(tmp_path, "prune", *where).stdout
    assert "2 runs and 12 records" in tool(tmp_path / "new", "restore", str(tmp_path / "b")).stdout
    with filled.writing() as connection:
        connection.execute(update(board).values(worst="x"))
    assert (tool(tmp_path, "verify", *where).returncode, tool(tmp_path, "verify", "--repair", *where).returncode) == (
        1,
        1,
    )
    assert tool(tmp_path, "verify", *where).returncode == 0
