"""Figures over time: what counts as a change, and that pages, digest and roll-ups report the same changes."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from sqlalchemy import Connection, delete, select

from collector.auth.visibility import EVERYTHING, Visibility
from collector.clock import instant_ms
from collector.notify.digest import as_text, digest
from collector.store.database import Store
from collector.store.recompute import recompute_rollups, verify
from collector.store.tables import cells, metadata, points, series, systems
from collector.store.trends import KEPT, judge
from dashboard_client.schema import Metric, Outcome, Record
from tests.collector.pages.test_dashboard import ask, drawn
from tests.collector.samples import CASES, record
from tests.collector.store.test_order import added

NOW = instant_ms("2026-10-20T12:00:00Z")
CASE = CASES[4]
COUNTS = (systems.c.trended, systems.c.worse)
OF_SYSTEM = series.join(cells).join(systems)


def scattered(number: int, around: float, seed: int = 3) -> list[float]:
    chance = random.Random(seed)
    return [chance.gauss(around, around / 20) for _ in range(number)]


def change(values: Sequence[float], better: str = "higher") -> tuple[str | None, int | None]:
    trend = judge(values, better)
    return (trend.change, trend.place) if trend is not None else (None, None)


def test_a_step_that_stays_is_a_change_from_its_first_value_on() -> None:
    values = scattered(20, 100) + scattered(5, 60)
    assert change(values) == ("worse", 20)
    assert change(values, "lower") == ("better", 20)


@pytest.mark.parametrize("odd", [0.0, 10.0, 1e6])
def test_one_odd_value_is_no_change_wherever_it_stands(odd: float) -> None:
    for place in range(25):
        values = scattered(25, 100)
        values[place] = odd
        assert change(values) == (None, None), place


def test_a_change_that_disappears_is_no_longer_reported() -> None:
    assert change(scattered(15, 100) + scattered(6, 60) + scattered(4, 100)) == (None, None)


def test_the_latest_of_two_changes_is_reported() -> None:
    assert change(scattered(12, 10) + scattered(14, 100) + scattered(5, 70)) == ("worse", 26)


def test_too_few_values_are_no_change_and_a_level_that_lasts_becomes_usual() -> None:
    assert judge([], "higher") is None
    assert change([100.0] * 7 + [1.0] * 3) == (None, None)
    assert change([100.0] * 8 + [1.0] * 3) == ("worse", 8)
    assert change([100.0] * 20 + [1.0] * KEPT) == (None, None)


def test_a_small_move_of_a_steady_figure_is_no_change() -> None:
    assert change([100.0] * 20 + [96.0] * 5) == (None, None)
    assert change([100.0] * 20 + [94.0] * 5) == ("worse", 20)


def test_scatter_alone_is_hardly_ever_reported_as_a_change() -> None:
    alarms = sum(change(scattered(KEPT, 100, seed))[0] is not None for seed in range(400))
    assert alarms <= 4


def measured(night: int, value: float, outcome: Outcome = Outcome.PASS, better: str = "higher") -> Record:
    at = f"2026-{9 + (night - 1) // 30:02}-{1 + (night - 1) % 30:02}T08:01:"
    figure = Metric(name="tasks per second", value=value, unit="1/s", better=better)
    return record(f"run-{night:02}", CASE, outcome, at=at, metrics=[figure])


def nights() -> list[Record]:
    return [measured(number + 1, value) for number, value in enumerate(scattered(20, 100) + scattered(6, 50))]


def rolled_up(store: Store) -> list[tuple[object, ...]]:
    named = (series.c.name, series.c.count, series.c.level, series.c.recent, series.c.change, series.c.change_started)
    with store.reading() as connection:
        return [tuple(row) for row in connection.execute(select(*named, *COUNTS).select_from(OF_SYSTEM))]


def test_every_order_of_arrival_gives_the_same_trends(store: Store) -> None:
    sent = nights()
    results = []
    for order in (sent, sent[::-1], random.Random(5).sample(sent, len(sent))):
        with store.writing() as connection:
            for one in order:
                added(one)(connection)
            assert verify(connection).problems == []
        results.append(rolled_up(store))
        with store.writing() as connection:
            wipe(connection)
    assert results[0] == results[1] == results[2]
    ((name, count, level, recent, changed, since, trended, worse),) = results[0]
    assert (name, count, changed, trended, worse) == ("tasks per second", 26, "worse", 1, 1)
    assert 90 < level < 110  # type: ignore[operator]
    assert 45 < recent < 55  # type: ignore[operator]
    assert since == instant_ms("2026-09-21T08:01:04Z")


def wipe(connection: Connection) -> None:
    for table in reversed(metadata.sorted_tables):
        connection.execute(delete(table))


def test_a_figure_counts_where_its_record_passed_and_its_direction_is_known(store: Store) -> None:
    with store.writing() as connection:
        added(measured(1, 5.0), measured(2, 6.0, Outcome.FAIL), measured(3, 7.0, better="middling"))(connection)
        added(measured(1, 5.0))(connection)
        assert connection.execute(select(points.c.value)).scalars().all() == [5.0]


def test_a_recomputation_restores_the_figures_of_stored_records(store: Store) -> None:
    with store.writing() as connection:
        added(*nights())(connection)
        shown = select(series.c.change, series.c.count, *COUNTS).select_from(OF_SYSTEM)
        before = connection.execute(shown).all()
        connection.execute(delete(points))
        connection.execute(delete(series))
        recompute_rollups(connection)
        assert connection.execute(shown).all() == before


def test_pages_json_and_digest_report_what_got_worse(store: Store) -> None:
    with store.writing() as connection:
        added(*nights())(connection)
    place = {"site": "ornl", "system": "frontier"}
    figures = ask(store, "/trends/{site}/{system}", now=NOW, **place)["figures"]
    assert [(each["case_id"], each["change"], len(each["values"])) for each in figures] == [(CASE, "worse", 26)]
    page = drawn(store, "/trends/{site}/{system}", now=NOW, **place)
    assert "worse since 21 Sep" in page
    assert page.count('<svg class="plot"') == 1
    assert ask(store, "/systems/{site}/{system}", **place)["worse"] == 1
    assert "/trends/ornl/frontier" in drawn(store, "/systems/{site}/{system}", **place)
    assert ask(store, "/sites/{site}", site="ornl")["systems"][0]["worse"] == 1
    cell = str(figures[0]["cell"])
    assert [each["change"] for each in ask(store, "/cells/{cell}", cell=cell)["figures"]] == ["worse"]
    assert "tasks per second" in drawn(store, "/cells/{cell}", cell=cell)
    with store.reading() as connection:
        facts = digest(connection, EVERYTHING, NOW)
        assert [(each["case_id"], each["since"]) for each in facts["worse"]] == [(CASE, "2026-09-21T08:01:04Z")]
        assert "tasks per second" in as_text(facts)
        assert digest(connection, Visibility("elsewhere", hidden=True), NOW)["worse"] == []
        assert digest(connection, EVERYTHING, NOW + 60 * 86_400_000)["worse"] == [], "not measured any more"
