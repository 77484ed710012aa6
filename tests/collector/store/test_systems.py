"""Systems that are renamed, retired or deleted, and the space that deleted rows leave."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import func, select

from collector.auth.visibility import EVERYTHING
from collector.clock import instant_ms, now_ms
from collector.errors import UnknownSystemError
from collector.status.queries import find_record
from collector.store.database import Store, database_url, open_store
from collector.store.recompute import recompute_rollups
from collector.store.retention import BODIES, prune
from collector.store.space import give_back
from collector.store.systems import delete_system, list_systems, rename_system, retire_system
from collector.store.tables import metadata, records, systems
from dashboard_client.schema import Outcome
from tests.collector.pages.test_dashboard import ask, drawn
from tests.collector.process import tool
from tests.collector.samples import CASES, closing, manifest, record
from tests.collector.store.test_maintenance import problems
from tests.collector.store.test_order import added, closed, opened

OLD, NEW = ("ornl", "frontier"), ("ornl", "frontier1")
AT = "2026-11-20T08:01:"


def run_of(store: Store, run: str, system: str = "frontier", started: str = "2026-11-20T08:00:00Z") -> None:
    """Store a run in which one case fails and one is missing."""
    at = started.replace("00:00Z", "01:")
    with store.writing() as connection:
        opened(manifest(run, CASES[:3], system=system, started=started))(connection)
        added(record(run, CASES[0], system=system, at=at))(connection)
        added(record(run, CASES[1], Outcome.FAIL, system=system, at=at))(connection)
        closed(run, closing(2, missing=1))(connection)


def triage(store: Store) -> set[tuple[str, str]]:
    """Return system and case of everything that triage lists."""
    groups = ask(store, "/triage")["groups"]
    return {(case["system"], case["case_id"]) for group in groups for case in group["cases"]}


def test_a_renamed_system_keeps_its_history_and_no_longer_fails_under_its_old_name(store: Store) -> None:
    run_of(store, "before")
    with store.writing() as connection:
        rename_system(connection, OLD, NEW)
    run_of(store, "after", system="frontier1", started="2026-11-21T08:00:00Z")
    assert {system for system, _ in triage(store)} == {"frontier1"}
    grid = ask(store, "/systems/{site}/{system}", site="ornl", system="frontier1")
    assert [run["run_id"] for run in grid["runs"]] == ["after", "before"]
    page = ask(store, "/runs/{site}/{system}/{run_id}", site="ornl", system="frontier1", run_id="before")
    with store.reading() as connection:
        for case in page["cases"]:  # the links of the page lead to the records
            if case["record_id"] is not None:
                assert find_record(connection, case["record_id"], EVERYTHING) is not None
    assert problems(store) == []


def test_what_is_sent_under_a_former_name_belongs_to_the_system_and_counts_once(store: Store) -> None:
    run_of(store, "before")
    with store.writing() as connection:
        rename_system(connection, OLD, NEW)
        sent_again = added(record("before", CASES[0], at=AT))(connection)
        assert sent_again == []
        assert connection.scalar(select(func.count()).select_from(records)) == 2
    run_of(store, "from-an-old-site-file")
    with store.reading() as connection:
        assert [(row["system"], row["former_names"]) for row in list_systems(connection)] == [
            ("frontier1", ["ornl/frontier"])
        ]
    page = ask(store, "/runs/{run_id}", run_id="from-an-old-site-file")
    assert page["system"] == "frontier1"
    for case in page["cases"]:
        if case["record_id"] is not None:
            assert case["case_id"] in drawn(store, "/records/{record_id}", record_id=case["record_id"])
    with store.writing() as connection:
        rename_system(connection, NEW, OLD)  # and back
    assert problems(store) == []
    assert ask(store, "/runs/{run_id}", run_id="before")["system"] == "frontier"


def test_a_former_name_of_another_site_leads_to_no_system_of_the_new_site(store: Store) -> None:
    """The senders of the old site have tokens for the old site only."""
    run_of(store, "before")
    with store.writing() as connection:
        rename_system(connection, OLD, ("olcf", "frontier"))
    run_of(store, "later")
    assert ask(store, "/runs/{run_id}", run_id="before")["site"] == "olcf"
    assert ask(store, "/runs/{run_id}", run_id="later")["site"] == "ornl"
    assert problems(store) == []


def test_a_name_of_another_system_cannot_be_taken(store: Store) -> None:
    run_of(store, "one")
    run_of(store, "two", system="frontier1")
    with store.writing() as connection:
        with pytest.raises(UnknownSystemError, match="retire ornl/frontier"):
            rename_system(connection, OLD, NEW)
        with pytest.raises(UnknownSystemError, match="no system ornl/nowhere"):
            rename_system(connection, ("ornl", "nowhere"), ("ornl", "anywhere"))


def test_a_retired_system_leaves_triage_and_the_board_until_it_runs_again(store: Store) -> None:
    run_of(store, "last")
    run_of(store, "other", system="summit")
    with store.writing() as connection:
        retire_system(connection, OLD, instant_ms("2026-11-21T00:00:00Z"))
    assert {system for system, _ in triage(store)} == {"summit"}
    assert {tile["system"] for tile in ask(store, "/")["tiles"]} == {"summit"}
    history = ask(store, "/systems/{site}/{system}", site="ornl", system="frontier")
    assert [run["run_id"] for run in history["runs"]] == ["last"]
    assert problems(store) == []
    with store.writing() as connection:
        recompute_rollups(connection)
    assert {system for system, _ in triage(store)} == {"summit"}
    run_of(store, "again", started="2026-11-22T08:00:00Z")
    assert {system for system, _ in triage(store)} == {"frontier", "summit"}
    assert problems(store) == []


def test_a_deleted_system_leaves_nothing_and_others_stay(store: Store) -> None:
    run_of(store, "kept", system="summit")
    counts = {table.name: 0 for table in metadata.sorted_tables}
    with store.reading() as connection:
        for table in metadata.sorted_tables:
            counts[table.name] = connection.scalar(select(func.count()).select_from(table)) or 0
    run_of(store, "deleted")
    with store.writing() as connection:
        rename_system(connection, OLD, NEW)
        deleted = delete_system(connection, NEW)
        assert (deleted.runs, deleted.records) == (1, 2)
        for table in metadata.sorted_tables:
            if table.name != "plans":  # a layout of cells, which no run needs any more
                assert connection.scalar(select(func.count()).select_from(table)) == counts[table.name], table.name
        assert connection.execute(select(systems.c.system)).scalars().all() == ["summit"]
    assert problems(store) == []
    run_of(store, "deleted")
    assert ask(store, "/runs/{run_id}", run_id="deleted")["system"] == "frontier"


def test_the_commands_change_systems_and_the_log_names_them(store: Store, tmp_path: Path) -> None:
    run_of(store, "run")
    where = ("--database", store.url.render_as_string(hide_password=False))
    assert tool(tmp_path, "system", "rename", "ornl/frontier", "ornl/frontier1", *where).returncode == 0
    listed = json.loads(tool(tmp_path, "system", "list", "--json", *where).stdout)
    assert [(each["system"], each["former_names"]) for each in listed] == [("frontier1", ["ornl/frontier"])]
    assert tool(tmp_path, "system", "retire", "ornl/frontier1", *where).returncode == 0
    assert "1 runs and 2 records" in tool(tmp_path, "system", "delete", "ornl/frontier1", "--yes", *where).stdout
    logged = [json.loads(line) for line in tool(tmp_path, "log", "--action", "system", *where).stdout.splitlines()]
    assert [each["action"] for each in logged] == ["system.rename", "system.retire", "system.delete"]
    for wrong in ("frontier", "a/b/c", "../x", "ornl/"):
        refused = tool(tmp_path, "system", "retire", wrong, *where)
        assert refused.returncode == 2, wrong
        assert "SITE/SYSTEM" in refused.stderr
    assert tool(tmp_path, "system", "retire", "ornl/nowhere", *where).returncode == 2


def fill(store: Store) -> None:
    with store.writing() as connection:
        for number in range(20):
            output = "x" * 100_000
            added(record(f"run-{number}", CASES[0], output=output))(connection)


def test_a_sqlite_file_becomes_shorter_when_its_records_are_pruned(tmp_path: Path) -> None:
    store = open_store(database_url(None, tmp_path))
    assert store.file is not None
    fill(store)
    give_back(store)
    before = store.file.stat().st_size
    assert prune(store, BODIES, now_ms()).records == 20
    assert give_back(store) > 1_500_000
    assert store.file.stat().st_size < before - 1_500_000
    assert problems(store) == []
    store.close()


def test_a_file_of_an_earlier_release_is_written_anew_once(tmp_path: Path) -> None:
    file = tmp_path / "collector.db"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("CREATE TABLE other (x)")
    connection.close()
    store = open_store(database_url(str(file), tmp_path))
    fill(store)
    give_back(store)
    before = file.stat().st_size
    prune(store, BODIES, now_ms())
    give_back(store)
    assert file.stat().st_size < before - 1_500_000
    with store.reading() as reading:
        assert reading.exec_driver_sql("PRAGMA auto_vacuum").scalar() == 2
    fill(store)
    store.close()
