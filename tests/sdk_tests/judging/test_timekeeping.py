"""The timeline of a real run: what it used, when, and what later runs and reports make of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard_client.schema import Span, Timing
from sdk_tests.judging.timekeeping import instants
from sdk_tests.model.timeline import FILE, Timeline
from sdk_tests.plan.expected import earlier_seconds
from sdk_tests.report.critical_path import critical_path
from tests.sdk_tests.bench import Bench

SLEEP = """
import json, sys, time
time.sleep({})
print(json.dumps({{}}))
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def test_a_run_keeps_when_its_cases_ran_and_the_next_one_starts_the_longest_first(bench: Bench) -> None:
    bench.site = bench.site.replace("cores: 4", "cores: 1")
    bench.case("short", SLEEP.format(0.1), walltime=300.0)
    bench.case("long", SLEEP.format(1.0), walltime=30.0)
    first = Timeline.read(bench.run().run.private)
    assert first is not None
    order = [bar.case_id for bar in first.bars if not bar.case_id.startswith("control")]
    assert order == ["python/short@local", "python/long@local"]  # by what they may take
    assert all(bar.uses == {"local cases": 1, "this machine": 1} for bar in first.bars)
    assert {limit.name for limit in first.limits} >= {"local cases", "this machine"}
    path = critical_path(first)
    assert path is not None
    assert path.chain[-2:] in (("python/long@local", "python/short@local"), ("python/short@local", "python/long@local"))
    assert 1.1 <= path.seconds <= first.seconds
    assert path.ratio is not None
    assert path.ratio >= 1

    again = bench.run()
    second = Timeline.read(again.run.private)
    assert second is not None
    order = [bar.case_id for bar in second.bars if not bar.case_id.startswith("control")]
    assert order == ["python/long@local", "python/short@local"]  # by what they took
    page = (again.run.path / "report.html").read_text()
    assert re.search(r"the command took \d+\.\d\d times that", page)
    assert "python/long@local: run 1." in page


def test_the_durations_of_another_system_and_of_a_damaged_file_do_not_count(tmp_path: Path) -> None:
    def private(name: str) -> Path:
        folder = tmp_path / name / "private"
        folder.mkdir(parents=True)
        return folder

    Timeline(system="a/other", began=0.0, closed=1.0).write(private("20260101T000002Z-b-3"))
    (private("20260101T000001Z-b-2") / FILE).write_text("{")
    assert earlier_seconds(tmp_path, "a/b") == {}
    assert earlier_seconds(tmp_path / "absent", "a/b") == {}


def timing(queue: float | None) -> Timing:
    wait = None if queue is None else Span(seconds=queue, source="scheduler")
    times = {"submitted": "2026-07-04T10:00:00.500Z", "started": "2026-07-04T10:00:04.000Z"}
    return Timing(**times, ended="2026-07-04T10:00:06.000Z", queue_wait=wait)


@pytest.mark.parametrize(("queue", "launched"), [(2.0, 2.0), (9.0, 3.5), (None, 3.5), (0.0, 0.0)])
def test_a_scheduler_that_reports_whole_seconds_does_not_launch_a_job_after_its_case(
    queue: float | None, launched: float
) -> None:
    times = instants(timing(queue))
    assert times is not None
    submitted, launch, started, ended = times
    assert launch is not None
    assert started is not None
    assert (round(launch - submitted, 6), started - submitted, ended - submitted) == (launched, 3.5, 5.5)


def test_an_attempt_that_never_ran_has_no_place_in_the_timeline() -> None:
    assert instants(Timing()) is None
