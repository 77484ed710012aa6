"""The databases that earlier releases wrote are migrated with all they contain, one file for each schema version.

``releases/write.py`` wrote the files with the server and the command line of each release.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg
import pytest
from sqlalchemy import func, insert, select

from collector.auth.tokens import check_key, check_sender, check_token
from collector.auth.visibility import EVERYTHING
from collector.clock import now_ms
from collector.status.queries import find_record
from collector.store.database import Store, database_url, open_store
from collector.store.decoding import DecodedRecord, read_batch
from collector.store.records import store_records
from collector.store.tables import (
    HEAD,
    LOOKUP_BITS,
    attention,
    board,
    cells,
    days,
    hidden_sites,
    hooks,
    metadata,
    plans,
    records,
    runs,
    series,
    systems,
    waivers,
)
from tests.collector.pages.test_dashboard import drawn
from tests.collector.store.releases.write import CASES, record
from tests.collector.store.test_maintenance import problems

if TYPE_CHECKING:
    from tests.collector.postgres import Cluster

RELEASES = Path(__file__).with_name("releases")
VERSIONS = sorted({file.name[:4] for file in RELEASES.glob("*.gz")})

FILES = [
    *(pytest.param(f"{version}.db", id=f"{version}-sqlite") for version in VERSIONS),
    *(
        pytest.param(f"{version}.sql", id=f"{version}-postgresql", marks=pytest.mark.needs("postgres"))
        for version in VERSIONS
    ),
]


@pytest.fixture(params=FILES)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, dict[str, str]]:
    """The URL of a database as a release wrote it, and a token and the key of that database."""
    name = request.param
    content = gzip.decompress((RELEASES / f"{name}.gz").read_bytes())
    secrets = json.loads((RELEASES / f"{name}.json").read_text())
    if name.endswith(".db"):
        (tmp_path / "collector.db").write_bytes(content)
        return database_url(str(tmp_path / "collector.db"), tmp_path), secrets
    cluster: Cluster = request.getfixturevalue("postgres")
    url = cluster.fresh()
    with psycopg.connect(cluster.dsn(url.rpartition("?")[0].rpartition("/")[2]), autocommit=True) as connection:
        connection.execute(content)  # type: ignore[arg-type]  # statements of pg_dump
    return database_url(url, tmp_path), secrets


@pytest.fixture
def migrated(written: tuple[Any, dict[str, str]]) -> Iterator[Store]:
    store = open_store(written[0])
    yield store
    store.close()


def test_every_schema_version_that_a_release_had_is_tested() -> None:
    assert VERSIONS[0] == "0003"
    missing = {f"{number:04d}" for number in range(3, int(HEAD) + 1)} - set(VERSIONS)
    assert missing <= {HEAD}, "write the file of the release that had this schema"


def test_a_database_of_an_earlier_release_is_migrated_with_all_it_contains(
    migrated: Store, written: tuple[Any, dict[str, str]], tmp_path: Path
) -> None:
    assert problems(migrated) == []
    secrets = written[1]
    key = bytes.fromhex(secrets["key"])
    with migrated.writing() as connection:
        counted = {table.name: connection.scalar(select(func.count()).select_from(table)) for table in (runs, records)}
        assert counted == {"runs": 15, "records": 12 * 3 - 1 + 3}
        of_frontier = select(systems.c.id).where(systems.c.system == "frontier").scalar_subquery()
        known = select(cells.c.case_id, cells.c.last_outcome).where(cells.c.system == of_frontier)
        assert dict(connection.execute(known.where(cells.c.case_id.in_(CASES[1:]))).all()) == {
            CASES[1]: "f",
            CASES[2]: "p",
        }
        for table in (hooks, hidden_sites, waivers, series, board, plans):
            assert connection.scalar(select(func.count()).select_from(table)), table.name
        check_key(connection, key, tmp_path / "token.key")
        assert check_token(connection, key, secrets["token"], now_ms())[0].site == "ornl"
        assert check_sender(connection, key, "login1.example.org", "secret-of-login1", now_ms())[:2] == (
            "ornl",
            "login1",
        )
        row = find_record(connection, record("night-12", CASES[1], 12, "pass")["record_id"], EVERYTHING)
        assert row is not None
        assert row.run_id == "night-12"
    assert "parsl" in drawn(migrated, "/")
    assert "night-20" in drawn(migrated, "/systems/{site}/{system}", site="ornl", system="frontier")


@pytest.mark.filterwarnings("ignore:.*expression-based index")
def test_a_migrated_database_has_the_tables_of_a_new_one(migrated: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with migrated.writing() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        if migrated.file is not None:
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []


def test_what_was_sent_to_an_earlier_release_is_acknowledged_and_not_stored_again(migrated: Store) -> None:
    sent = msgspec.json.encode({"records": [record("night-12", case, 12, "pass") for case in CASES]})
    again = [each for each in read_batch(sent, now_ms()) if isinstance(each, DecodedRecord)]
    with migrated.writing() as connection:
        before = connection.scalar(select(func.count()).select_from(records))
        assert store_records(connection, again, now_ms()) == []
        assert connection.scalar(select(func.count()).select_from(records)) == before
        run = connection.execute(select(runs.c.run_id, runs.c.system).order_by(runs.c.id)).first()
        assert run is not None
        values = {"run_id": run.run_id, "received": 1, "started": 1, "partial": True, "records": 0}
        other = connection.scalar(select(func.max(runs.c.system)))
        assert other != run.system
        connection.execute(insert(runs).values(**values, extra="[]", outcomes="", system=other))  # the id is free there


@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= "0004"])
def test_a_migration_that_changes_only_the_board_does_not_recompute_the_other_roll_ups(
    version: str, tmp_path: Path
) -> None:
    """Roll-ups that are wrong on purpose stay wrong: recomputing them takes minutes for millions of records."""
    import sqlite3

    file = tmp_path / "collector.db"
    file.write_bytes(gzip.decompress((RELEASES / f"{version}.db.gz").read_bytes()))
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE days SET records = 999999")
    connection.close()
    store = open_store(database_url(str(file), tmp_path))
    with store.reading() as connection_:
        assert set(connection_.execute(select(days.c.records)).scalars()) == {999999}
        assert connection_.scalar(select(func.count()).select_from(attention))  # it follows from the cells
    store.close()


def test_records_of_many_runs_are_found_by_their_ids(store: Store) -> None:
    sent = [record(f"one-of-{number}", CASES[0], 12, "pass") for number in range(2 << LOOKUP_BITS)]
    decoded = [
        each for each in read_batch(msgspec.json.encode({"records": sent}), now_ms()) if isinstance(each, DecodedRecord)
    ]
    with store.writing() as connection:
        assert store_records(connection, decoded, now_ms()) == []
    with store.reading() as connection:
        for each in sent:
            row = find_record(connection, each["record_id"], EVERYTHING)
            assert row is not None
            assert row.run_id == each["run_id"]
        assert find_record(connection, record("of-nobody", CASES[0], 12, "pass")["record_id"], EVERYTHING) is None
