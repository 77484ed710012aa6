"""Results are ordered by the clock of the server, whatever the clocks of the clients show."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from collector.auth.visibility import EVERYTHING
from collector.clock import TOLERANCE_MS, instant_ms, iso
from collector.errors import Problem
from collector.formatting import clock_off
from collector.rendering.base import Question, render_html, render_json
from collector.store.client_clock import HEADER, ClientClock, measured_skew
from collector.store.database import Store
from collector.store.decoding import DecodedRecord, read_batch, read_closing, read_manifest
from collector.store.records import store_records
from collector.store.runs import store_closing, store_manifest
from collector.store.tables import cells, records, systems
from dashboard_client.schema import Outcome, Span, Timing, encode
from tests.collector.pages.test_dashboard import PAGES
from tests.collector.process import TOKEN, Collector, batch
from tests.collector.samples import CASES, closing, manifest, record

NOW = instant_ms("2026-11-20T12:00:00Z")
SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
DAY = 24 * HOUR


def at(ms: int) -> str:
    return iso(ms, "milliseconds")


TABLE = [  # the measured skew, the stated instant and its instant by the clock of the server, both relative to receipt
    (None, -HOUR, -HOUR),
    (None, 4 * MINUTE, 0),
    (None, 20 * HOUR, 0),
    (0, -HOUR, -HOUR),
    (0, 20 * HOUR, 0),
    (4 * MINUTE, -HOUR, -HOUR),
    (-4 * MINUTE, -HOUR, -HOUR),
    (20 * HOUR, 20 * HOUR, 0),
    (20 * HOUR, 19 * HOUR, -HOUR),
    (-20 * HOUR, -21 * HOUR, -HOUR),
    (20 * HOUR, 22 * HOUR, 0),
    (400 * DAY, 400 * DAY - HOUR, -HOUR),
    (-20_000 * DAY, -20_000 * DAY - HOUR, -HOUR),
]


@pytest.mark.parametrize(("skew", "stated", "expected"), TABLE)
def test_an_instant_counts_by_the_clock_of_the_server(skew: int | None, stated: int, expected: int) -> None:
    assert ClientClock(NOW, skew).instant(at(NOW + stated)) - NOW == expected


@pytest.mark.parametrize(
    ("skew", "stated"), [(None, 25 * HOUR), (0, 25 * HOUR), (20 * HOUR, 45 * HOUR), (-3 * HOUR, 22 * HOUR)]
)
def test_an_instant_more_than_a_day_after_its_receipt_is_refused(skew: int | None, stated: int) -> None:
    with pytest.raises(ValueError, match="more than a day in the future"):
        ClientClock(NOW, skew).instant(at(NOW + stated))


@given(
    st.lists(st.tuples(st.integers(-DAY, 0), st.integers(-400 * DAY, 400 * DAY)), min_size=2, max_size=6),
    st.integers(0, 2 * SECOND),
)
def test_runs_of_clients_that_send_their_time_are_ordered_as_they_began(
    sent: list[tuple[int, int]], latency: int
) -> None:
    """Each run: when it really began, relative to receipt, and how far the clock of its client is ahead."""
    began, counted = [], []
    for true, skew in sent:
        clock = ClientClock(NOW, skew - latency)  # the request needs this time to arrive
        counted.append(clock.instant(at(NOW + true + skew)) - NOW)
        began.append(true)
    for true, count in zip(began, counted, strict=True):
        assert abs(true - count) <= TOLERANCE_MS
    for first, one in zip(began, counted, strict=True):
        for second, other in zip(began, counted, strict=True):
            assert one < other or second - first <= 2 * TOLERANCE_MS


@pytest.mark.parametrize(("text", "skew"), [(None, None), ("", None), (at(NOW), 0), (at(NOW + 20 * HOUR), 20 * HOUR)])
def test_the_skew_is_what_the_header_states_minus_the_arrival(text: str | None, skew: int | None) -> None:
    assert measured_skew(text, NOW) == skew


@pytest.mark.parametrize("text", ["today", "2026-11-20T12:00:00", "1764590400", "2026-11-20T12:00:00+01:00"])
def test_a_header_that_is_no_instant_in_utc_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="X-ExaWorks-Now"):
        measured_skew(text, NOW)


@pytest.mark.parametrize(
    ("skew", "text"),
    [
        (None, None),
        (0, None),
        (TOLERANCE_MS, None),
        (20 * HOUR, "clock 20 h ahead"),
        (-7 * MINUTE, "clock 7 min behind"),
        (-20_000 * DAY, "clock 20000 d behind"),
    ],
)
def test_a_clock_that_is_off_is_described(skew: int | None, text: str | None) -> None:
    assert clock_off(skew) == text


def send(
    store: Store,
    run_id: str,
    outcome: Outcome,
    began: int,
    received: int,
    ahead: int = 0,
    measured: bool = True,
    **changes: Any,
) -> None:
    """Store a run of one case whose client has a clock that is ``ahead``; it sends its time if ``measured``."""
    skew = ahead if measured else None
    stated = at(began + ahead)
    timing = Timing(submitted=stated, started=stated, ended=at(began + ahead + 5 * SECOND))
    sent = record(run_id, CASES[2], outcome, timing=timing, **changes)
    with store.writing() as connection:
        opening = manifest(run_id, [CASES[2]], started=stated, stale_after="72:00:00", **changes)
        store_manifest(connection, read_manifest(encode(opening), received, skew), received)
        decoded = [each for each in read_batch(batch([sent]), received, skew) if isinstance(each, DecodedRecord)]
        assert store_records(connection, decoded, received) == []
        ended = closing(1, ended=at(began + ahead + 9 * SECOND))
        store_closing(connection, run_id, read_closing(encode(ended), received, skew), "*", received)


def facts(store: Store, path: str, now: int, **names: str) -> Any:
    with store.reading() as connection:
        return json.loads(render_json(PAGES[path], Question(connection, EVERYTHING, now, names)))


@pytest.mark.parametrize("measured", [True, False], ids=["sends its time", "old client"])
@pytest.mark.parametrize("ahead", [20 * HOUR, 23 * HOUR, 6 * MINUTE])
def test_a_pass_of_a_clock_that_is_ahead_does_not_hide_a_later_failure(
    store: Store, ahead: int, measured: bool
) -> None:
    send(store, "ahead", Outcome.PASS, NOW, NOW + MINUTE, ahead, measured)
    clock = facts(store, "/systems/{site}/{system}", NOW + HOUR, site="ornl", system="frontier")["clock"]
    assert (clock is not None) == (measured or ahead > TOLERANCE_MS + MINUTE)
    send(store, "right", Outcome.FAIL, NOW + 4 * MINUTE, NOW + 5 * MINUTE)
    (tile,) = facts(store, "/", NOW + HOUR)["tiles"]
    assert (tile["outcome"], tile["run_id"]) == ("fail", "right")
    assert [each["run_id"] for each in facts(store, "/", NOW + HOUR)["runs"]] == ["right", "ahead"]
    assert facts(store, "/systems/{site}/{system}", NOW + HOUR, site="ornl", system="frontier")["clock"] is None


def test_a_failure_of_a_clock_that_is_behind_is_not_hidden_by_an_earlier_pass(store: Store) -> None:
    send(store, "right", Outcome.PASS, NOW, NOW + MINUTE)
    send(store, "behind", Outcome.FAIL, NOW + 2 * HOUR, NOW + 2 * HOUR + MINUTE, -20 * HOUR)
    (tile,) = facts(store, "/", NOW + 3 * HOUR)["tiles"]
    assert (tile["outcome"], tile["run_id"], tile["stale"]) == ("fail", "behind", False)


def test_the_pages_show_how_far_the_clock_of_a_system_is_off(store: Store) -> None:
    send(store, "ahead", Outcome.PASS, NOW, NOW + MINUTE, 20 * HOUR)
    later = NOW + HOUR
    place = {"site": "ornl", "system": "frontier"}
    for path, names in (
        ("/systems/{site}/{system}", place),
        ("/sites/{site}", {"site": "ornl"}),
        ("/sites", {}),
        ("/", {}),
    ):
        with store.reading() as connection:
            page = render_html(PAGES[path], Question(connection, EVERYTHING, later, names)).decode()
        assert ">clock 20 h ahead<" in page, path
    run = facts(store, "/runs/{run_id}", later, run_id="ahead")
    assert any("clock 20 h ahead" in notice for notice in run["notices"])
    assert (run["started"], run["seconds"]) == (iso(NOW), 9.0)


def test_the_times_of_records_count_by_the_clock_of_the_server_too(store: Store) -> None:
    send(store, "ahead", Outcome.PASS, NOW, NOW + MINUTE, 20 * HOUR)
    with store.reading() as connection:
        (row,) = connection.execute(select(records.c.started, records.c.ended))
        assert tuple(row) == (NOW, NOW + 5 * SECOND)
        assert connection.execute(select(cells.c.last_started)).scalar() == NOW
        assert connection.execute(select(systems.c.skew)).scalar() == 20 * HOUR


@pytest.mark.parametrize("seconds", [-0.001, -5.0, -1e9])
def test_a_negative_duration_is_unknown(store: Store, seconds: float) -> None:
    span = Span(seconds=seconds, source="harness")
    timing = Timing(started=at(NOW), ended=at(NOW), queue_wait=span, run=span, launch=span)
    sent = record("negative", CASES[2], timing=timing)
    with store.writing() as connection:
        decoded = [each for each in read_batch(batch([sent]), NOW) if isinstance(each, DecodedRecord)]
        store_records(connection, decoded, NOW)
        (row,) = connection.execute(select(records.c.queue_wait, records.c.seconds))
    assert tuple(row) == (None, None)
    with store.reading() as connection:
        names = {"record_id": sent.record_id}
        page = render_html(PAGES["/records/{record_id}"], Question(connection, EVERYTHING, NOW, names)).decode()
    visible = re.sub(r"<[^>]*>", " ", page.partition("<pre")[0])
    assert visible.count("unknown") >= 3
    assert not re.search(r"-\s*\d+(\.\d+)? s", visible)


def test_a_run_that_ends_before_it_starts_has_no_duration(store: Store) -> None:
    with store.writing() as connection:
        store_manifest(connection, read_manifest(encode(manifest("back", started=at(NOW))), NOW), NOW)
        ended = closing(0, missing=5, ended=at(NOW - HOUR))
        store_closing(connection, "back", read_closing(encode(ended), NOW), "*", NOW)
    assert facts(store, "/runs/{run_id}", NOW + HOUR, run_id="back")["seconds"] is None


def ago(**amount: float) -> str:
    return (datetime.now(timezone.utc) - timedelta(**amount)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_a_server_measures_the_clock_of_each_upload(collector: Collector) -> None:
    def run(name: str, outcome: Outcome, hours_ahead: float) -> None:
        now, change = ago(hours=-hours_ahead), {"system": "clocked"}
        headers = {"X_ExaWorks_Now": now}
        opening = manifest(name, [CASES[2]], started=ago(hours=-hours_ahead, seconds=1), stale_after="24h", **change)
        assert collector.open(opening, **headers).status_code == 201
        timing = Timing(started=now, ended=now)
        assert (
            collector.add(record(name, CASES[2], outcome, timing=timing, **change), **headers).json()["rejected"] == []
        )
        assert collector.close(name, closing(1, ended=now), **headers).status_code == 200

    run("clock-ahead", Outcome.PASS, 20)
    assert "clock 20 h ahead" in collector.get("/systems/ornl/clocked").text
    run("clock-right", Outcome.FAIL, 0)
    (cell,) = collector.get("/api/v1/cells?system=clocked").json()["cells"]
    assert (cell["outcome"], cell["run_id"], cell["states"]) == ("fail", "clock-right", ["failing"])
    refused = collector.post("/api/v1/runs", encode(manifest("clock-bad")), TOKEN, X_ExaWorks_Now="noon")
    assert (refused.status_code, refused.json()["field"]) == (400, HEADER)
