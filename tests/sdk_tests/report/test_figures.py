"""What a case measured is on the page, beside what the site expects of it and whether that holds."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dashboard_client.schema import Metric, Record
from sdk_tests.report.figures import Figure, figures, quantity
from sdk_tests.report.html import report_html
from sdk_tests.report.view import view
from tests.sdk_tests.report.examples import HOSTILE, manifest, passing, record
from tests.sdk_tests.report.test_html import page

CASE = "parsl/throughput:tasks=1000@slurm"
RATE = Metric(name="tasks_per_second", value=332.1, unit="1/s", better="higher")
WAIT = Metric(name="launch_latency_p99", value=1300.0, unit="ms", better="lower")


def expected(value: float, unit: str, tolerance: float = 20) -> dict[str, Any]:
    return {"cases": "parsl/*", "metric": "any", "value": value, "unit": unit, "tolerance": tolerance}


def measuring(*metrics: Metric, against: dict[str, Any] | None = None, case_id: str = CASE) -> Record:
    """A record with figures and the references they were held against."""
    extras = {"references": against} if against else {}
    return msgspec.structs.replace(record(case_id), metrics=list(metrics), extras=extras)


def shown(found: Record) -> list[Figure]:
    ((line, drawn),) = figures(view(manifest([found.case_id], [found]), [found]))
    assert line.case_id == found.case_id
    return drawn


@pytest.mark.parametrize(
    ("metric", "reference", "kept", "verdict", "held"),
    [
        (RATE, expected(400, "1/s"), True, "holds", "400 1/s - 20 %: at least 320 1/s"),
        (RATE, expected(500, "1/s"), False, "misses, 34 % below", "500 1/s - 20 %: at least 400 1/s"),
        (RATE, expected(10, "1/s"), True, "holds", "10 1/s - 20 %: at least 8 1/s"),
        (WAIT, expected(1200, "ms", 10), True, "holds", "1,200 ms + 10 %: at most 1,320 ms"),
        (WAIT, expected(1200, "ms", 5), False, "misses, 8 % above", "1,200 ms + 5 %: at most 1,260 ms"),
        (WAIT, expected(2, "s"), None, "another unit: not compared", "2 s + 20 %: at most 2.4 s"),
    ],
)
def test_a_figure_stands_beside_its_reference_and_says_whether_that_holds(
    metric: Metric, reference: dict[str, Any], kept: bool | None, verdict: str, held: str
) -> None:
    (drawn,) = shown(measuring(metric, against={metric.name: reference}))
    assert (drawn.kept, drawn.verdict, drawn.reference) == (kept, verdict, held)


def test_a_figure_without_a_reference_is_on_the_page_and_judged_by_nobody() -> None:
    assert shown(measuring(RATE, WAIT, against={"launch_latency_p99": expected(2000, "ms")}))[0] == Figure(
        "tasks_per_second", "332.1 1/s", "higher"
    )


@pytest.mark.parametrize("odd", ["many", [1], {"tasks_per_second": 5}, {"tasks_per_second": {"value": -1}}])
def test_an_extra_that_only_looks_like_references_is_none(odd: Any) -> None:
    (drawn,) = shown(msgspec.structs.replace(measuring(RATE), extras={"references": odd}))
    assert drawn.kept is None
    assert not drawn.verdict


@pytest.mark.parametrize(
    ("value", "said"), [(0.012345, "0.01235 s"), (7, "7 s"), (999.94, "999.9 s"), (1234567.8, "1,234,568 s")]
)
def test_values_are_said_without_an_exponent(value: float, said: str) -> None:
    assert quantity(value, "s") == said


def test_the_page_has_a_table_of_figures_by_case_where_there_are_any() -> None:
    records = [
        measuring(RATE, WAIT, against={RATE.name: expected(500, "1/s")}),
        measuring(RATE, against={RATE.name: expected(300, "1/s")}, case_id="parsl/throughput:tasks=1000@lsf"),
        record("psij/hello@slurm"),
    ]
    found = page(manifest([each.case_id for each in records], records), records)
    said = found.said("figures")
    assert (
        "parsl/throughput:tasks=1000@slurm ✓ pass tasks_per_second 332.1 1/s ↑ higher "
        "500 1/s - 20 %: at least 400 1/s ✗ misses, 34 % below launch_latency_p99 1,300 ms ↓ lower — —"
    ) in said
    assert "✓ holds" in said
    assert "psij/hello" not in said
    assert "redaction leaves references out" not in said
    links = [attributes.get("href") for tag, attributes in found.elements if tag == "a"]
    assert "#figures" in links
    drawn = [attributes.get("class") for tag, attributes in found.elements if tag == "span"]
    assert drawn.count("state is-emulated") >= 2, "what holds on an emulated scheduler is not green"

    plain = page(*passing())
    assert plain.said("figures") == ""
    assert "#figures" not in [attributes.get("href") for tag, attributes in plain.elements if tag == "a"]


def test_references_that_were_redacted_away_are_not_passed_over_in_silence() -> None:
    found = measuring(RATE)
    whole = msgspec.structs.replace(manifest([CASE], [found]), redaction="minimal")
    assert "This run's redaction leaves references out" in page(whole, [found]).said("figures")


def test_a_figure_with_a_hostile_name_makes_no_element() -> None:
    against = {HOSTILE: expected(1, HOSTILE)}
    found = measuring(Metric(name=HOSTILE, value=1, unit=HOSTILE, better=HOSTILE), against=against)
    source = report_html(manifest([CASE], [found]), [found])
    assert "<script" not in source
    assert "\x1b" not in source
