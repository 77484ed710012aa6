"""The Gantt chart: each attempt in a slot of its own time, the same in drawing and table, with title, axis and unit."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_tests.model.timeline import Bar, Step, Timeline
from sdk_tests.report.gantt import LANES, NARROW, ROWS, gantt
from tests.sdk_tests.report.examples import passing, whole_page
from tests.sdk_tests.report.test_html import Page


def bar(name: str, start: float, launched: float, started: float, ended: float, collected: float, **rest: str) -> Bar:
    return Bar(
        case_id=name,
        attempt=1,
        requested=start,
        submitted=start,
        launched=launched,
        started=started,
        ended=ended,
        collected=collected,
        **{"scheduler": "slurm", **rest},  # type: ignore[arg-type]
    )


def timeline(*bars: Bar, closed: float = 130.0) -> Timeline:
    steps = [Step(name="plan", started=100.0, ended=101.0)]
    return Timeline(system="a/b", began=100.0, closed=closed, bars=list(bars), steps=steps)


def test_each_part_of_an_attempt_is_drawn_and_listed_with_its_seconds() -> None:
    chart = gantt(timeline(bar("a", 102, 105, 106, 116, 117)), path=["a"])
    lane = chart.lanes[1]
    assert lane.name == "slurm 1"
    assert [each.phase for each in lane.drawn] == ["queue", "launch", "run", "teardown"]
    assert [each.width / lane.drawn[0].width for each in lane.drawn] == pytest.approx(
        [1, 1 / 3, 10 / 3, 1 / 3], rel=0.01
    )
    assert all(each.marked for each in lane.drawn)
    assert lane.drawn[2].text == "a: run 10.0 s, from 6.0 s"
    (row,) = chart.rows
    assert (row.lane, row.started, row.seconds) == ("slurm 1", 2.0, (3.0, 1.0, 10.0, 1.0))
    assert chart.unit == "seconds"
    assert [text for _, text in chart.marks] == ["0", "5", "10", "15", "20", "25", "30"]


def test_only_the_first_case_of_a_shared_job_shows_the_wait_of_the_job() -> None:
    first = bar("a", 102, 105, 106, 110, 110, shares="slurm 1")
    second = bar("b", 102, 105, 110, 115, 115, shares="slurm 1")
    chart = gantt(timeline(first, second))
    assert [lane.name for lane in chart.lanes] == ["harness", "slurm 1"]  # one after the other in one slot
    assert [row.seconds for row in chart.rows] == [(3.0, 1.0, 4.0, None), (None, None, 5.0, None)]


INSTANTS = st.tuples(*(st.floats(0, 20) for _ in range(5))).map(lambda times: sorted(100 + each for each in times))


@given(times=st.lists(INSTANTS, min_size=1, max_size=25))
def test_no_two_attempts_overlap_in_a_slot_and_none_is_lost(times: list[list[float]]) -> None:
    chart = gantt(timeline(*(bar(f"c{number}", *each) for number, each in enumerate(times))))
    assert {row.case_id for row in chart.rows} == {f"c{number}" for number in range(len(times))}
    for lane in chart.lanes[1:]:
        rows = sorted((row for row in chart.rows if row.lane == lane.name), key=lambda row: row.started)
        ends = [row.started + sum(each or 0 for each in row.seconds) for row in rows]
        assert all(end <= row.started + 0.02 for end, row in zip(ends, rows[1:], strict=False))
        assert all(each.width >= 0 for each in lane.drawn)


def test_a_run_of_very_many_short_cases_stays_small_and_states_what_is_left_out() -> None:
    bars = [
        bar(f"c{n}", 100 + n * 0.01, 100 + n * 0.01, 100 + n * 0.01, 100.004 + n * 0.01, 100.005 + n * 0.01)
        for n in range(5000)
    ]
    chart = gantt(timeline(*bars, closed=151))
    assert chart.attempts == 5000
    assert len(chart.rows) == ROWS
    assert sum(len(lane.drawn) for lane in chart.lanes) < 2000 / NARROW
    wide = gantt(timeline(*(bar(f"c{n}", 101, 101, 101, 129, 129) for n in range(LANES + 20))))
    assert len(wide.lanes) == LANES
    assert wide.left_out == 21  # and the lane of the harness


def test_the_page_shows_the_chart_with_title_axis_unit_description_and_table() -> None:
    manifest, records = passing()
    case_id = records[0].case_id
    source = whole_page(manifest, records, timeline=timeline(bar(case_id, 102, 105, 106, 116, 117)))
    page = Page(source)
    text = page.section_text("time")
    assert "30.0 s" in text
    assert "14.0 s; the command took 2.14 times that" in text
    assert "seconds since the start" in text
    assert "Slots of the run over time" in text
    (svg,) = [given for tag, given in page.elements if tag == "svg" and given.get("class") == "gantt"]
    assert svg["role"] == "img"
    ids = {given.get("id") for _, given in page.elements}
    assert set((svg["aria-labelledby"] or "").split()) <= ids
    assert re.search(rf"<td>slurm 1</td><td class=\"mono id\">{case_id.split('/')[0]}", source)
    assert "bar-queue on-path" in source
    assert "<script" not in source
    assert 'style="' not in source


def test_a_run_without_a_timeline_has_no_such_section() -> None:
    source = whole_page(*passing())
    assert 'id="time"' not in source
    assert 'href="#time"' not in source


def test_the_start_of_a_fixture_is_drawn_before_its_first_case_alone() -> None:
    name = "slurm fixture pool@slurm"
    first = bar("a", 102, None, 106, 110, 110, shares=name)
    second = bar("b", 102, None, 110, 115, 115, shares=name)
    chart = gantt(timeline(first, second))
    assert [[(each.phase, each.text) for each in lane.drawn] for lane in chart.lanes[1:]] == [
        [
            ("launch", "a: launch 4.0 s, from 2.0 s"),
            ("run", "a: run 4.0 s, from 6.0 s"),
            ("run", "b: run 5.0 s, from 10.0 s"),
        ]
    ]
