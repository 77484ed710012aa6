"""Absurd numbers that an earlier version stored break neither a page nor the export."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from sqlalchemy import update

from collector import limits
from collector.auth.visibility import EVERYTHING
from collector.clock import now_ms
from collector.rendering.plots import Series, figure, plot
from collector.server.export import export
from collector.store import points
from collector.store.database import Store
from collector.store.decoding import DecodedRecord, read_batch, read_manifest
from collector.store.records import store_records
from collector.store.runs import store_manifest
from collector.store.tables import records, series
from dashboard_client.schema import Metric, Span, Timing, encode
from tests.collector.process import batch
from tests.collector.samples import CASES, manifest, record


@pytest.mark.parametrize("value", [1e308, -1e308, 1e-320, -1.0, 1e18])
def test_pages_of_absurd_numbers_can_be_drawn_and_exported(
    store: Store, value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_SECONDS", math.inf)
    monkeypatch.setattr(limits, "MAX_VALUE", math.inf)
    monkeypatch.setattr(points, "MAX_VALUE", math.inf)
    now = now_ms()
    for number in range(12):
        run_id, started = f"absurd-{number}", f"2026-11-{10 + number}T08:00:00Z"
        span = Span(seconds=value, source="harness")
        timing = Timing(started=started, ended=started, queue_wait=span, run=span, setup=span)
        metrics = [Metric(name="m", value=value, unit="s", better="lower")]
        decoded = list(read_batch(batch([record(run_id, CASES[1], timing=timing, metrics=metrics)]), now))
        with store.writing() as connection:
            store_manifest(connection, read_manifest(encode(manifest(run_id, started=started)), now), now)
            assert store_records(connection, [each for each in decoded if isinstance(each, DecodedRecord)], now) == []
    folder = tmp_path / "exported"
    with store.reading() as connection:
        assert export(connection, EVERYTHING, folder, now) > 10
    assert (folder / "trends/ornl/frontier.html").exists()
    texts = "".join(file.read_text() for file in folder.rglob("*.html"))
    assert not {"nan", "inf"} & set(texts.lower().replace('"', " ").replace("<", " ").replace(">", " ").split())


def test_values_that_overflowed_in_the_database_are_shown_as_unknown(store: Store, tmp_path: Path) -> None:
    now = now_ms()
    metrics = [Metric(name="m", value=1.0, unit="s", better="lower")]
    decoded = list(read_batch(batch([record("overflow", CASES[1], metrics=metrics)]), now))
    with store.writing() as connection:
        store_records(connection, [each for each in decoded if isinstance(each, DecodedRecord)], now)
        connection.execute(update(series).values(level=math.inf, spread=math.inf, recent=-math.inf))
        connection.execute(update(records).values(seconds=math.inf, queue_wait=math.inf))
    with store.reading() as connection:
        assert export(connection, EVERYTHING, tmp_path / "exported", now) > 5


def test_a_plot_leaves_out_what_is_not_a_number() -> None:
    drawn = plot("m", "s", [Series("a", [(1, math.inf), (2, math.nan), (3, 1e308), (4, 2.0)])], 0, 10)
    assert "inf" not in drawn.lower()
    assert "nan" not in drawn.lower()
    assert "Nothing was measured" in plot("m", "s", [Series("a", [(1, math.nan)])], 0, 10)
    assert [figure(value) for value in (None, math.inf, math.nan, 1e300, 12345.0)] == [
        "—",
        "—",
        "—",
        "1e+300",
        "12,345",
    ]
