"""Ten thousand systems: no page and none of its forms grows with them, and the first needs few queries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event, insert

from collector.auth.visibility import EVERYTHING
from collector.formatting import plain_link
from collector.rendering.base import RENDERERS, Question, render_html
from collector.store.bulk import insert_many
from collector.store.database import Store, database_url, open_store
from collector.store.tables import board, runs, systems
from tests.collector.crowd import HOUR, SUBJECTS, SYSTEMS, fill_crowd
from tests.collector.pages.test_dashboard import PAGES, ask

NOW = 1_800_000_000_000
MOST_BYTES = 200_000


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Ten thousand systems."""
    store = open_store(database_url(None, tmp_path_factory.mktemp("crowd")))
    with store.writing() as connection:
        fill_crowd(connection, NOW)
    yield store
    store.close()


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


LISTS = ["/", "/sites", "/sites/{site}", "/triage", "/flaky", "/releases", "/releases/{release}", "/search", "/compare"]


@pytest.mark.parametrize("path", LISTS)
def test_no_form_of_a_list_grows_with_the_number_of_systems(crowd: Store, path: str) -> None:
    names = {"/sites/{site}": {"site": "facility-020"}, "/releases/{release}": {"release": "2026.11"}}.get(path, {})
    query = {"/search": {"q": "machine"}, "/compare": {"before": "facility-020", "after": "facility-021"}}.get(path, {})
    page = PAGES[path]
    with crowd.reading() as connection:
        question = Question(connection, EVERYTHING, NOW, names, query)
        sizes = {"html": len(render_html(page, question))}
        sizes |= {suffix: len(RENDERERS[suffix](page, question)) for suffix in page.forms}
    assert sizes.pop("html") <= MOST_BYTES
    assert all(size <= 2 * MOST_BYTES for size in sizes.values()), sizes


@pytest.mark.parametrize(
    ("path", "names", "number"),
    [("/sites", {}, SYSTEMS), ("/sites/{site}", {"site": "facility-020"}, 100)],
)
def test_the_pages_of_a_list_contain_each_system_once(
    crowd: Store, path: str, names: dict[str, str], number: int
) -> None:
    first = ask(crowd, path, now=NOW, **names)
    assert first["pages"] == -(-number // len(_listed(first)))
    shown = []
    for page in range(1, first["pages"] + 1):
        shown += _listed(ask(crowd, path, now=NOW, query={"page": str(page)}, **names))
    assert len(shown) == len(set(shown)) == number


def _listed(facts: Any) -> list[tuple[str, str]]:
    if "sites" in facts:
        return [(site["site"], each["system"]) for site in facts["sites"] for each in site["systems"]]
    return [(facts["site"], each["system"]) for each in facts["systems"]]


def test_the_verdict_about_a_release_counts_all_systems_and_lists_forty_runs(crowd: Store) -> None:
    facts = ask(crowd, "/releases/{release}", now=NOW, release="2026.11")
    (verdict,) = facts["components"]
    assert (verdict["component"], verdict["systems"], verdict["works"]) == ("psij", SYSTEMS, SYSTEMS - SYSTEMS // 20)
    assert verdict["not_working"] == SYSTEMS // 20 > len(verdict["not_on"])
    assert (len(facts["runs"]), facts["pages"], facts["systems"]) == (40, 250, SYSTEMS)


@pytest.mark.parametrize("columns", [2, 9, 14, 30])
def test_a_page_has_fewer_systems_if_they_have_many_components(tmp_path: Any, columns: int) -> None:
    store = open_store(database_url(None, tmp_path))
    keys = range(1, 121)
    with store.writing() as connection:
        named = [
            {"id": key, "site": f"facility-{key % 3}", "system": f"machine-{key:05}", "tiles": columns} for key in keys
        ]
        connection.execute(insert(systems), named)
        run = {"received": NOW, "partial": False, "started": NOW - HOUR, "extra": "[]", "outcomes": "f", "records": 4}
        connection.execute(insert(runs), [run | {"id": key, "run_id": f"n-{key}", "system": key} for key in keys])
        tile = ("fppp", NOW - HOUR)
        late = ("AAAA7AAAAAA92A", NOW - HOUR, None, False)
        rows = [
            (key, f"c{number}", f"c{number}", "f", *tile, key, "1.0", 0, 0, None, *late)
            for key in keys
            for number in range(columns)
        ]
        insert_many(connection, board, rows)
    link = lambda *parts, **query: plain_link(*parts, **query, token="t" * 43)  # noqa: E731
    for view in ("full", "dense"):
        with store.reading() as connection:
            question = Question(connection, EVERYTHING, NOW, {}, {"view": view}, link)
            assert len(render_html(PAGES["/"], question)) <= MOST_BYTES
        pages = ask(store, "/", now=NOW, query={"view": view})["pages"]
        names = [_names(ask(store, "/", now=NOW, query={"view": view, "page": str(each + 1)})) for each in range(pages)]
        assert sum(map(len, names)) == len(keys) == len({name for some in names for name in some})
        assert len(names[0]) == (40 if columns < 10 else len(names[0])) >= 8
    store.close()
