"""The page shows the figures of a case, each with the site's reference and whether the figure meets it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dashboard_client.schema import Metric, Record
from sdk_tests.report.figures import Figure, figures, quantity
from sdk_tests.report.view import view
from tests.sdk_tests.report.examples import HOSTILE, manifest, passing, record, whole_page
from tests.sdk_tests.report.test_html import page

CASE = "parsl/throughput:tasks=1000@slurm"
RATE = Metric(name="tasks_per_second", value=332.1, unit="1/s", better="higher")
WAIT = Metric(name="launch_latency_p99", value=1300.0, unit="ms", better="lower")


def expected(value: float, unit: str, tolerance: float = 20) -> dict[str, Any]:
    return {"cases": "parsl/*", "metric": "any", "value": value, "unit": unit, "tolerance": tolerance}


def measuring(*metrics: Metric, against: dict[str, Any] | None = None, case_id: str = CASE) -> Record:
    """Return a record with figures and the references that they were compared with."""
    extras = {"references": against} if against else {}
    return msgspec.structs.replace(record(case_id), metrics=list(metrics), extras=extras)


def shown(source: Record) -> list[Figure]:
    ((line, measured),) = figures(view(manifest([source.case_id], [source]), [source]))
    assert line.case_id == source.case_id
    return measured


@pytest.mark.parametrize(
    ("metric", "reference", "kept", "verdict", "text"),
    [
        (RATE, expected(400, "1/s"), True, "meets the reference", "400 1/s - 20 %: at least 320 1/s"),
        (RATE, expected(500, "1/s"), False, "does not meet it: 34 % below", "500 1/s - 20 %: at least 400 1/s"),
        (RATE, expected(10, "1/s"), True, "meets the reference", "10 1/s - 20 %: at least 8 1/s"),
        (WAIT, expected(1200, "ms", 10), True, "meets the reference", "1,200 ms + 10 %: at most 1,320 ms"),
        (WAIT, expected(1200, "ms", 5), False, "does not meet it: 8 % above", "1,200 ms + 5 %: at most 1,260 ms"),
        (WAIT, expected(2, "s"), None, "not compared: another unit", "2 s + 20 %: at most 2.4 s"),
    ],
)
def test_a_figure_is_shown_with_its_reference_and_the_comparison(
    metric: Metric, reference: dict[str, Any], kept: bool | None, verdict: str, text: str
) -> None:
    (figure,) = shown(measuring(metric, against={metric.name: reference}))
    assert (figure.kept, figure.verdict, figure.reference) == (kept, verdict, text)


def test_a_figure_without_a_reference_is_shown_and_not_judged() -> None:
    assert shown(measuring(RATE, WAIT, against={"launch_latency_p99": expected(2000, "ms")}))[0] == Figure(
        "tasks_per_second", "332.1 1/s", "higher"
    )


@pytest.mark.parametrize("odd", ["many", [1], {"tasks_per_second": 5}, {"tasks_per_second": {"value": -1}}])
def test_an_invalid_reference_is_ignored(odd: Any) -> None:
    (figure,) = shown(msgspec.structs.replace(measuring(RATE), extras={"references": odd}))
    assert figure.kept is None
    assert not figure.verdict


@pytest.mark.parametrize(
    ("value", "expected"), [(0.012345, "0.01235 s"), (7, "7 s"), (999.94, "999.9 s"), (1234567.8, "1,234,568 s")]
)
def test_values_are_written_without_an_exponent(value: float, expected: str) -> None:
    assert quantity(value, "s") == expected


def test_the_page_has_a_table_of_figures_by_case() -> None:
    records = [
        measuring(RATE, WAIT, against={RATE.name: expected(500, "1/s")}),
        measuring(RATE, against={RATE.name: expected(300, "1/s")}, case_id="parsl/throughput:tasks=1000@lsf"),
        record("psij/hello@slurm"),
    ]
    parsed = page(manifest([each.case_id for each in records], records), records)
    text = parsed.section_text("figures")
    assert (
        "parsl/throughput:tasks=1000@slurm ✓ pass tasks_per_second 332.1 1/s ↑ higher "
        "500 1/s - 20 %: at least 400 1/s ✗ does not meet it: 34 % below launch_latency_p99 1,300 ms ↓ lower — —"
    ) in text
    assert "✓ meets the reference" in text
    assert "psij/hello" not in text
    assert "removed the references" not in text
    links = [attributes.get("href") for tag, attributes in parsed.elements if tag == "a"]
    assert "#figures" in links
    classes = [attributes.get("class") for tag, attributes in parsed.elements if tag == "span"]
    assert classes.count("state is-emulated") >= 2, "a figure that an emulated scheduler meets is not green"

    plain = page(*passing())
    assert plain.section_text("figures") == ""
    assert "#figures" not in [attributes.get("href") for tag, attributes in plain.elements if tag == "a"]


def test_the_page_states_that_redaction_removed_the_references() -> None:
    measured = measuring(RATE)
    whole = msgspec.structs.replace(manifest([CASE], [measured]), redaction="minimal")
    assert "The redaction of this run removed the references" in page(whole, [measured]).section_text("figures")


def test_a_figure_with_a_hostile_name_creates_no_element() -> None:
    against = {HOSTILE: expected(1, HOSTILE)}
    measured = measuring(Metric(name=HOSTILE, value=1, unit=HOSTILE, better=HOSTILE), against=against)
    source = whole_page(manifest([CASE], [measured]), [measured])
    assert "<script" not in source
    assert "\x1b" not in source
