"""A planned case that did not report is missing from the moment its run should have ended, on every page and list."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from collector.auth.visibility import EVERYTHING
from collector.clock import instant_ms, iso
from collector.errors import Problem
from collector.notify.digest import as_text, digest
from collector.notify.hooks import new_hook, queue_changes, queue_silences
from collector.pages import all_pages
from collector.rendering.badges import draw_badge
from collector.rendering.base import Question, render_html, render_json
from collector.status.metrics import board_lines
from collector.status.states import cell_states
from collector.store.database import Store
from collector.store.overdue import mark_overdue, viewing
from collector.store.recompute import verify
from collector.store.systems import retire_system
from collector.store.tables import deliveries, runs, systems
from dashboard_client.schema import Manifest, Outcome
from tests.collector.pages.test_dashboard import put
from tests.collector.samples import CASES, closing, manifest, record
from tests.collector.store.test_order import added, closed, opened, rolled_up

PAGES = {page.path: page for page in all_pages()}
MARK = '<em class="badge old">silent</em>'
START = "2026-11-20T08:00:00Z"
BEGAN = instant_ms(START)
HOUR = 3_600_000
DAY = 24 * HOUR


def facts(store: Store, path: str, now: int, **names: str) -> Any:
    """Return the facts of a page at a time, as a server that nobody wrote to would show them."""
    with viewing(store, now) as connection:
        return json.loads(render_json(PAGES[path], Question(connection, EVERYTHING, now, names)))


def drawn(store: Store, path: str, now: int, **names: str) -> str:
    with viewing(store, now) as connection:
        return render_html(PAGES[path], Question(connection, EVERYTHING, now, names)).decode()


def tiles(store: Store, now: int) -> dict[str, str]:
    return {tile["subject"]: tile["outcome"] for tile in facts(store, "/", now)["tiles"]}


def all_states(store: Store, now: int) -> dict[str, str]:
    """Return the outcome of psij, of which the run reported one case of two, wherever it is shown."""
    place = {"site": "ornl", "system": "frontier"}
    run = facts(store, "/runs/{run_id}", now, run_id="dies")
    grid = facts(store, "/systems/{site}/{system}", now, **place)
    unreported = next(case for case in grid["cases"] if case["case_id"] == CASES[3])
    column = [each["run_id"] for each in grid["runs"]].index("dies")
    cell = facts(store, "/cells/{cell}", now, cell=str(unreported["cell"]))
    release = facts(store, "/releases/{release}", now, release="2026.11")["runs"][0]
    compared = facts(store, "/compare/{before}/{after}", now, before="whole", after="dies")["cases"]
    with viewing(store, now) as connection:
        states = {each["case_id"]: each for each in cell_states(connection, EVERYTHING, now)[0]}
        badge = draw_badge(connection, EVERYTHING, "ornl", "frontier", "psij", now).decode()
        figures = [(labels, value) for name, labels, value in board_lines(connection, EVERYTHING, now)]
        entries = digest(connection, EVERYTHING, now)["missing"]
    return {
        "now": tiles(store, now)["psij"],
        "badge": re.sub(r".*psij on frontier: (\w+).*", r"\1", badge.partition("<title>")[0]),
        "metrics": "missing" if any('outcome="missing"' in text and value for text, value in figures) else "pass",
        "sites": facts(store, "/sites", now)["sites"][0]["systems"][0]["outcome"],
        "site": facts(store, "/sites/{site}", now, site="ornl")["systems"][0]["outcome"],
        "triage": "missing" if facts(store, "/triage", now)["counts"]["missing"] else "pass",
        "digest": "missing" if CASES[3] in {each["case_id"] for each in entries} else "pass",
        "cell": cell["outcome"],
        "history": cell["history"][0]["outcome"],
        "grid": {".": "missing", "…": "pending"}[unreported["outcomes"][column]],
        "run": next(case["outcome"] for case in run["cases"] if case["case_id"] == CASES[3]),
        "line": next(line["outcome"] for line in facts(store, "/", now)["runs"] if line["run_id"] == "dies"),
        "release": release["components"]["psij"]["outcome"] if release["run_id"] == "dies" else release["run_id"],
        "compare": next(case["after"] for case in compared if case["case_id"] == CASES[3]),
        "api": states[CASES[3]]["outcome"],
    }


def dying(run_id: str = "dies", reported: int = 3, **changes: Any) -> list[Callable[..., Any]]:
    """Return the steps of a run that was killed after its first cases."""
    at = changes.pop("started", START)
    records = [record(run_id, case, at=f"{at[:14]}01:") for case in CASES[:reported]]
    return [opened(manifest(run_id, started=at, **changes)), added(*records)]


def send(store: Store, *steps: Callable[..., Any]) -> None:
    with store.writing() as connection:
        for step in steps:
            step(connection)


def whole(store: Store, started: str = "2026-11-19T08:00:00Z") -> None:
    put(store, manifest("whole", started=started), *(record("whole", case, at=f"{started[:14]}01:") for case in CASES))


LIMITS = [
    ({"time_limit": "06:00:00", "stale_after": "168:00:00"}, 6 * HOUR),
    ({"time_limit": "240:00:00", "stale_after": "24:00:00"}, 10 * DAY),
    ({"time_limit": None, "stale_after": "36:00:00"}, 36 * HOUR),
    ({"stale_after": "24:00:00"}, DAY),
    ({"time_limit": "soon", "stale_after": "24:00:00"}, DAY),
    ({}, 7 * DAY),
]


@pytest.mark.parametrize(("declared", "limit"), LIMITS)
def test_a_run_that_died_goes_missing_when_its_limit_has_passed_and_not_before(
    store: Store, declared: dict[str, Any], limit: int
) -> None:
    whole(store)
    send(store, *dying(**declared))
    assert tiles(store, BEGAN + limit - 1) == {"control": "pass", "psij": "pass", "parsl": "pass"}
    assert tiles(store, BEGAN + limit) == {"control": "pass", "psij": "missing", "parsl": "missing"}
    with store.writing() as connection:
        assert verify(connection).problems == []


def test_every_page_badge_metric_and_list_changes_at_the_same_moment(store: Store) -> None:
    whole(store)
    send(store, *dying(time_limit="06:00:00"))
    before, after = all_states(store, BEGAN + 6 * HOUR - 1), all_states(store, BEGAN + 6 * HOUR)
    pending = {"history", "grid", "run", "line", "compare"}
    shown = {name: "pending" if name in pending else "pass" for name in before} | {"release": "whole"}
    assert before == shown
    assert set(after.values()) == {"missing"}, after
    page = drawn(store, "/runs/{run_id}", BEGAN + 6 * HOUR, run_id="dies")
    assert "should have ended and was not closed" in page
    assert facts(store, "/runs/{run_id}", BEGAN + 6 * HOUR, run_id="dies")["state"] == "overdue"


@pytest.mark.parametrize("reported", range(6))
def test_a_first_run_that_was_killed_shows_a_tile_for_each_planned_component(store: Store, reported: int) -> None:
    send(store, *dying(reported=reported, time_limit="01:00:00"))
    of = {"control": CASES[:2], "psij": CASES[2:4], "parsl": CASES[4:]}
    wanted = {name: "pass" if set(cases) <= set(CASES[:reported]) else "missing" for name, cases in of.items()}
    assert tiles(store, BEGAN + HOUR) == wanted


def test_six_nights_on_which_the_harness_died_after_the_control_are_six_misses(store: Store) -> None:
    whole(store, "2026-11-13T08:00:00Z")
    nights = [f"2026-11-{day}T08:00:00Z" for day in range(14, 20)]
    for number, started in enumerate(nights):
        send(store, *dying(f"night-{number}", 2, started=started, time_limit="06:00:00"))
    assert tiles(store, BEGAN) == {"control": "pass", "psij": "missing", "parsl": "missing"}
    grid = facts(store, "/systems/{site}/{system}", BEGAN, site="ornl", system="frontier")
    case = next(case for case in grid["cases"] if case["case_id"] == CASES[4])
    assert (case["outcomes"], case["passed"], case["planned"]) == ("......p", 1, 7)
    assert case["others"] == {"missing": 6}


def test_what_arrives_late_replaces_missing_and_a_closing_ends_the_matter(store: Store) -> None:
    send(store, *dying(time_limit="01:00:00"))
    later = BEGAN + 2 * HOUR
    assert tiles(store, later)["psij"] == "missing"
    send(store, added(record("dies", CASES[3])))
    assert tiles(store, later) == {"control": "pass", "psij": "pass", "parsl": "missing"}
    send(store, added(record("dies", CASES[4], Outcome.FAIL)), closed("dies", closing(5)))
    assert tiles(store, later) == {"control": "pass", "psij": "pass", "parsl": "fail"}
    assert facts(store, "/runs/{run_id}", later, run_id="dies")["state"] == "complete"
    with store.writing() as connection:
        assert mark_overdue(connection, later + DAY) == 0
        assert verify(connection).problems == []


@pytest.mark.parametrize("later", [False, True], ids=["newest", "older than another"])
def test_the_cases_that_a_restricted_run_planned_are_missing_while_it_is_overdue(store: Store, later: bool) -> None:
    """What it did not plan is not missing, and neither is anything once it is closed, as its user stopped it."""
    whole(store)
    with store.writing() as connection:
        before = rolled_up(connection)["cells"]
    opening = manifest("dies", CASES[:4], started=START, time_limit="01:00:00", partial=True)
    send(store, opened(opening), added(*(record("dies", case) for case in CASES[:3])))
    assert tiles(store, BEGAN + HOUR) == {"control": "pass", "psij": "missing", "parsl": "pass"}
    run = facts(store, "/runs/{run_id}", BEGAN + HOUR, run_id="dies")
    assert (run["state"], run["outcome"], run["counts"]["missing"]) == ("overdue", "missing", 1)
    if later:
        put(store, manifest("newer", CASES[3:4], started=iso(BEGAN + 60_000), partial=True), record("newer", CASES[3]))
        assert tiles(store, BEGAN + HOUR)["psij"] == "pass"
    send(store, closed("dies", closing(3, missing=1, state="interrupted")))
    assert tiles(store, BEGAN + HOUR) == {"control": "pass", "psij": "pass", "parsl": "pass"}
    with store.writing() as connection:
        if not later:
            assert rolled_up(connection)["cells"]["frontier", CASES[3]] == before["frontier", CASES[3]]
        assert verify(connection).problems == []


def test_an_old_run_that_is_being_uploaded_is_not_overdue_before_its_closing_can_have_arrived(store: Store) -> None:
    from collector.store.decoding import read_manifest
    from collector.store.runs import store_manifest
    from dashboard_client.schema import encode

    now = BEGAN + 30 * DAY
    sent = manifest("archived", time_limit="01:00:00")
    with store.writing() as connection:
        store_manifest(connection, read_manifest(encode(sent), now), now, ended=True)
    assert tiles(store, now + 59 * 60_000) == dict.fromkeys(("control", "psij", "parsl"), "pending")
    assert set(tiles(store, now + HOUR).values()) == {"missing"}


def test_the_result_does_not_depend_on_when_the_runs_were_found_overdue(store: Store) -> None:
    """Marking between any steps, or only at the end, gives the same roll-ups."""
    steps = []
    for day, reported in ((10, 5), (11, 2), (12, 0), (13, 4)):
        run_id = f"day-{day}"
        steps += [(day, step) for step in dying(run_id, reported, started=f"2026-11-{day}T08:00:00Z")]
        if reported in (5, 4):
            steps.append((day, closed(run_id, closing(reported, missing=5 - reported))))
    end = instant_ms("2026-11-30T00:00:00Z")
    chooser, results = random.Random(3), []
    for number in range(6 if store.file else 3):
        order = steps if number == 0 else sorted(steps, key=lambda step: step[0] + chooser.random() * 3 * number)
        with store.writer.connect() as connection:
            late = []
            for _, step in order:
                try:
                    step(connection)
                except Problem:  # a closing that came before its run; it is sent again
                    late.append(step)
                if number and chooser.random() < 0.5:
                    mark_overdue(connection, end)
            for step in late:
                step(connection)
            mark_overdue(connection, end)
            results.append(rolled_up(connection))
            assert verify(connection).problems == []
            connection.rollback()
    assert all(result == results[0] for result in results)


def test_hooks_report_the_cases_that_went_missing_once(store: Store) -> None:
    whole(store)
    with store.writing() as connection:
        new_hook(connection, "https://hook.example.org", "change", None, None, BEGAN)
    send(store, *dying(time_limit="06:00:00"))

    def queued(now: int) -> int:
        with viewing(store, now):
            pass
        with store.writing() as connection:
            return queue_changes(connection, now)

    assert queued(BEGAN + 6 * HOUR - 1) == 0
    assert queued(BEGAN + 6 * HOUR) == 1
    assert queued(BEGAN + 7 * HOUR) == 0
    with store.reading() as connection:
        (body,) = (json.loads(bytes(row.body)) for row in connection.execute(select(deliveries)))
    assert {each["case_id"]: each["outcome"] for each in body["failed"]} == dict.fromkeys(CASES[3:], "missing")
    assert body["recovered"] == []


CADENCES = [  # runs: day of November, whether partial, and the cadence that the run states
    ([(10, False, "24:00:00")], "2026-11-11T20:00:00Z"),
    ([(10, False, "24:00:00"), (12, False, "168:00:00")], "2026-11-22T20:00:00Z"),
    ([(12, False, "24:00:00"), (10, False, "24:00:00")], "2026-11-13T20:00:00Z"),
    ([(10, False, "24:00:00"), (12, True, "24:00:00")], "2026-11-11T20:00:00Z"),
    ([(10, True, "24:00:00"), (12, True, "24:00:00")], "2026-11-13T20:00:00Z"),
    ([(10, False, None)], None),
]


@pytest.mark.parametrize(("sent", "silent_from"), CADENCES)
def test_a_system_is_silent_when_no_run_started_within_its_cadence(
    store: Store, sent: list[tuple[int, bool, str | None]], silent_from: str | None
) -> None:
    for day, partial, cadence in sent:
        opening = manifest(f"run-{day}", started=f"2026-11-{day}T08:00:00Z", partial=partial, cadence=cadence)
        put(store, opening, *(record(f"run-{day}", case) for case in CASES))
    with store.writing() as connection:
        stored = connection.execute(select(systems.c.silent_from)).scalar()
        assert (None if stored is None else iso(stored)) == silent_from
        assert verify(connection).problems == []
    if stored is None:
        assert not facts(store, "/sites", BEGAN + 900 * DAY)["sites"][0]["systems"][0]["silent"]
        return
    for now, silent in ((stored - 1, False), (stored, True)):
        assert facts(store, "/sites", now)["sites"][0]["systems"][0]["silent"] is silent
        assert facts(store, "/sites/{site}", now, site="ornl")["systems"][0]["silent"] is silent
        assert facts(store, "/systems/{site}/{system}", now, site="ornl", system="frontier")["silent"] is silent
        assert (MARK in drawn(store, "/", now)) is silent
        with viewing(store, now) as connection:
            values = {name: value for name, _, value in board_lines(connection, EVERYTHING, now)}
            report = digest(connection, EVERYTHING, now)
        assert values["exaworks_silent"] == silent
        assert len(report["silent"]) == silent
        assert ("ornl/frontier  silent since" in as_text(report)) is silent


def test_silence_and_its_end_are_each_reported_once_to_each_hook_of_the_site(store: Store) -> None:
    def night(day: int) -> None:
        put(
            store,
            manifest(f"n-{day}", started=f"2026-11-{day}T08:00:00Z", cadence="24:00:00"),
            record(f"n-{day}", CASES[0]),
        )

    def queue(now: int) -> int:
        with store.writing() as connection:
            return queue_silences(connection, now)

    def subscribe(site: str | None) -> None:
        with store.writing() as connection:
            new_hook(connection, "https://hook.example.org", "change", site, None, BEGAN)

    night(10)
    for site in (None, "ornl", "llnl"):
        subscribe(site)
    silent = instant_ms("2026-11-11T20:00:00Z")
    assert [queue(now) for now in (silent - 1, silent, silent + DAY)] == [0, 2, 0]
    subscribe(None)
    assert queue(silent + DAY) == 1  # a new hook learns what is silent now
    night(13)
    assert [queue(silent + 2 * DAY) for _ in range(2)] == [3, 0]
    assert queue(instant_ms("2026-11-14T20:00:00Z")) == 3
    with store.reading() as connection:
        bodies = [
            json.loads(bytes(row.body)) for row in connection.execute(select(deliveries).order_by(deliveries.c.id))
        ]
    assert [body["event"] for body in bodies] == ["silent"] * 3 + ["reporting"] * 3 + ["silent"] * 3
    assert {(body["site"], body["system"]) for body in bodies} == {("ornl", "frontier")}


def test_a_system_that_was_retired_is_silent_again_only_after_a_further_run(store: Store) -> None:
    place = ("ornl", "frontier")
    for day, silent in ((10, False), (20, True)):
        opening = manifest(f"n-{day}", started=f"2026-11-{day}T08:00:00Z", cadence="24:00:00")
        put(store, opening, record(f"n-{day}", CASES[0]))
        if day == 10:
            with store.writing() as connection:
                retire_system(connection, place, instant_ms("2026-11-15T08:00:00Z"))
        with viewing(store, BEGAN + 30 * DAY) as connection:
            assert bool(digest(connection, EVERYTHING, BEGAN + 30 * DAY)["silent"]) is silent
        with store.writing() as connection:
            assert verify(connection).problems == []


def test_a_run_without_a_plan_is_never_overdue(store: Store) -> None:
    """Old clients send no plan and some never close their runs."""
    empty: Manifest = manifest("planless", [], time_limit="01:00:00")
    send(store, opened(empty), added(record("only-records", CASES[0])))
    with store.writing() as connection:
        assert mark_overdue(connection, BEGAN + 900 * DAY) == 0
        assert set(connection.execute(select(runs.c.due)).scalars()) == {None}
