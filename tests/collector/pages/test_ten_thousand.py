"""Ten thousand systems: the first page stays small and needs no more queries than for two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event, insert

from collector.auth.visibility import EVERYTHING
from collector.rendering.base import Question, render_html
from collector.store.bulk import insert_many
from collector.store.database import Store, database_url, open_store
from collector.store.tables import attention, board, cells, runs, systems
from tests.collector.pages.test_dashboard import PAGES, ask

NOW = 1_800_000_000_000
SYSTEMS = 10_000
SUBJECTS = ("control", "psij", "parsl", "flux", "swift-t", "radical.pilot", "radical.entk", "parsl+psij", "parsl+flux")
HOUR = 3_600_000
MOST_BYTES = 200_000


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Ten thousand systems of a hundred sites; one in twenty fails in one component, one in a hundred is silent."""
    store = open_store(database_url(None, tmp_path_factory.mktemp("crowd")))
    with store.writing() as connection:
        _fill(connection)
    yield store
    store.close()


def _fill(connection: Any) -> None:
    start = lambda key: NOW - 12 * HOUR - 1000 * key  # noqa: E731
    keys = range(1, SYSTEMS + 1)
    connection.execute(
        insert(systems),
        [
            {
                "id": key,
                "site": f"facility-{key % 100:03}",
                "system": f"machine-{key:05}",
                "owner": f"group {key % 7}",
                "tiles": len(SUBJECTS),
                "silent_from": NOW - HOUR if key % 100 == 0 else NOW + HOUR,
            }
            for key in keys
        ],
    )
    run = {"received": NOW, "partial": False, "stale_after": 86_400, "release": "2026.11"}
    run |= {"extra": "[]", "outcomes": "pppf", "records": 4, "state": "complete"}
    connection.execute(
        insert(runs), [run | {"id": key, "run_id": f"n-{key}", "system": key, "started": start(key)} for key in keys]
    )
    tiles, failing, all_cells = [], [], []
    for key in keys:
        started = start(key)
        for place, subject in enumerate(SUBJECTS):
            bad = key % 20 == 0 and place == key // 20 % len(SUBJECTS)
            outcomes, cell = ("fppp" if bad else "pppp"), 9 * key + place
            known = (key, subject, subject.split("+")[0], outcomes[0], outcomes, started, key, "2026.10.26", 0, 0, None)
            shares = "AAAAAAAAAAAAA7" if bad else "A" * 14
            tiles.append((*known, shares, started, started if bad else None, False))
            if bad:
                all_cells.append(
                    {"id": cell, "system": key, "case_id": f"{subject}/a@slurm", "component": subject}
                    | {"subject": subject, "scheduler": "slurm", "tier": "smoke", "last_run": key}
                    | {"last_started": started, "last_outcome": "f"}
                )
                failing.append(
                    (cell, key, subject, subject, "slurm", "f", started, key, "2026.10.26", False, False, "site", "k")
                )
    insert_many(connection, board, tiles)
    connection.execute(insert(cells), all_cells)
    insert_many(connection, attention, failing)


@pytest.mark.parametrize(
    "query", [{}, {"page": "250"}, {"sort": "site"}, {"view": "dense"}, {"site": "facility-020"}, {"class": "site"}]
)
def test_the_first_page_is_small_and_needs_few_queries(crowd: Store, query: dict[str, str]) -> None:
    statements: list[str] = []
    listen = lambda conn, cursor, statement, *rest: statements.append(statement)  # noqa: E731
    event.listen(crowd.reader, "before_cursor_execute", listen)
    try:
        with crowd.reading() as connection:
            page = render_html(PAGES["/"], Question(connection, EVERYTHING, NOW, {}, query))
    finally:
        event.remove(crowd.reader, "before_cursor_execute", listen)
    assert len(page) <= MOST_BYTES
    assert sum(not statement.startswith("BEGIN") for statement in statements) <= 8
    assert page.count(b'class="heat ') == 40 * (1 if "class" in query else len(SUBJECTS))


def test_every_system_is_on_exactly_one_page_the_failing_ones_first(crowd: Store) -> None:
    first = ask(crowd, "/", now=NOW)
    assert (first["systems"], first["pages"]) == (SYSTEMS, 250)
    assert first["failing"]["by_class"] == {"site": SYSTEMS // 20}
    assert first["silent"]["systems"] == SYSTEMS // 100
    assert all(
        any(tile["outcome"] == "fail" for tile in first["tiles"] if tile["system"] == name) for name in _names(first)
    )
    shown = [
        name
        for page in ("1", "2", "13", "14", "250")
        for name in _names(ask(crowd, "/", now=NOW, query={"page": page}))
    ]
    assert len(shown) == len(set(shown)) == 200
    assert _names(ask(crowd, "/", now=NOW, query={"page": "251"})) == []


def _names(facts: Any) -> list[str]:
    return list(dict.fromkeys(tile["system"] for tile in facts["tiles"]))


def test_triage_lists_groups_and_not_each_of_their_systems(crowd: Store) -> None:
    with crowd.reading() as connection:
        page = render_html(PAGES["/triage"], Question(connection, EVERYTHING, NOW, {}, {}))
    assert len(page) <= MOST_BYTES
    assert b"500 cases on 500 systems" in page
