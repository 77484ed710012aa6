"""Figures of payloads: always recorded; worse than a reference of the site file, they make a case fail."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import sdk_tests
from dashboard_client.schema import Metric
from sdk_tests.model.metrics import NotComparable, OutOfReference, answer_metrics, applicable_references, compare
from site_configs.schema import Reference
from tests.sdk_tests.bench import Bench

PAYLOADS = sorted((Path(sdk_tests.__file__).parent / "payloads").rglob("*.py"))
CASE = "parsl/throughput:tasks=1000@slurm"


def figure(value: float, better: str = "higher", unit: str = "1/s", name: str = "rate") -> Metric:
    return Metric(name=name, value=value, unit=unit, better=better)


def expected(value: float = 100, tolerance: float = 20, **other: Any) -> Reference:
    return Reference(**{"cases": "parsl/*", "metric": "rate", "unit": "1/s", **other}, value=value, tolerance=tolerance)


@pytest.mark.parametrize(
    ("value", "better"), [(80, "higher"), (5000, "higher"), (120, "lower"), (1, "lower"), (100, "higher")]
)
def test_a_figure_within_tolerance_or_better_is_accepted(value: float, better: str) -> None:
    compare(CASE, [figure(value, better)], [expected()])


@pytest.mark.parametrize(
    ("value", "better", "message"),
    [
        (79.9, "higher", "rate is 79.9 1/s, 20 % below the site's reference of 100 1/s with a tolerance of 20 %"),
        (60, "higher", "40 % below .* at least 80"),
        (300, "lower", "200 % above .* at most 120"),
    ],
)
def test_a_figure_that_is_worse_than_its_tolerance_allows_fails_and_the_message_has_both_numbers(
    value: float, better: str, message: str
) -> None:
    with pytest.raises(OutOfReference, match=message.replace(" at ", r" \(at ")):
        compare(CASE, [figure(value, better)], [expected()])


def test_the_message_names_every_figure_that_is_out_of_tolerance() -> None:
    two = [figure(1), figure(500, "lower", "ms", "wait")]
    with pytest.raises(OutOfReference, match=r"rate is 1 1/s.*; wait is 500 ms"):
        compare(CASE, two, [expected(), expected(metric="wait", unit="ms")])


def test_a_figure_without_a_reference_affects_no_verdict() -> None:
    compare(CASE, [figure(0.001)], [expected(cases="psij/*"), expected(metric="another")])


def test_the_first_matching_reference_is_used() -> None:
    narrow = expected(10, cases="parsl/throughput:tasks=1000")
    compare(CASE, [figure(9)], [narrow, expected()])
    assert applicable_references(CASE, [figure(9)], [narrow, expected()]) == {"rate": narrow}
    with pytest.raises(OutOfReference):
        compare(CASE, [figure(9)], [expected(), narrow])


def test_a_reference_in_another_unit_is_not_compared_but_reported() -> None:
    with pytest.raises(NotComparable, match="rate is measured in 1/s, but the site's reference for it is in 1/min"):
        compare(CASE, [figure(100)], [expected(unit="1/min")])


def test_a_reference_for_a_figure_that_its_case_does_not_report_is_reported() -> None:
    with pytest.raises(
        NotComparable, match="reference for rte, but this case did not report that figure; it reported rate"
    ):
        compare(CASE, [figure(100)], [expected(cases=CASE, metric="rte")])


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "rate", "value": 1, "unit": "1/s"},
        {"name": "rate", "value": 1, "unit": "1/s", "better": "more"},
        {"name": "rate", "value": "fast", "unit": "1/s", "better": "higher"},
        {"name": "rate", "value": 1, "unit": "1/s", "better": "higher", "p99": 2},
    ],
)
def test_a_figure_in_a_wrong_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="metrics of the payload's answer"):
        answer_metrics({"metrics": [wrong]})


def test_an_answer_may_have_no_figures() -> None:
    assert answer_metrics({"value": 1}) == []


# Through the harness ------------------------------------------------------------------------------------------------

REFERENCES = """
references:
  - {cases: "python/slow@local", metric: rate, value: 100, unit: 1/s, tolerance: 20}
  - {cases: "python/*", metric: rate, value: 10, unit: 1/s, tolerance: 20}
  - {cases: "python/othr", metric: rate, value: 10, unit: 1/s, tolerance: 20}
  - {cases: "python/other", metric: latncy, value: 10, unit: s, tolerance: 20}
waivers:
  - {cases: "python/waived@*", reason: the network is being replaced, expires: 2999-12-31}
"""


def answering(*metrics: dict[str, Any]) -> str:
    return f"print({json.dumps(json.dumps({'metrics': metrics}))})"


def rate(value: float) -> dict[str, Any]:
    return {"name": "rate", "value": value, "unit": "1/s", "better": "higher"}


def test_a_run_records_every_figure_and_fails_if_one_is_worse_than_the_sites_reference(bench: Bench) -> None:
    bench.site_additions = REFERENCES
    slow = bench.case("slow", answering(rate(50)))
    quick = bench.case("quick", answering(rate(50)))
    waived = bench.case("waived", answering(rate(1)))
    wrong = bench.case("wrong", answering(rate(1)), "assert outcome.answer is None, 'judged first'")
    other = bench.case("other", answering({**rate(1), "name": "latency"}))
    broken = bench.case("broken", answering({"name": "rate", "value": 50}))
    result = bench.run()
    assert result.verdict(slow) == ("fail", "unknown", "out-of-reference")
    assert result.evidence(slow).startswith("rate is 50 1/s, 50 % below the site's reference of 100 1/s")
    assert result.verdict(quick) == ("pass",)
    assert result.verdict(waived) == ("xfail", "component", "known-failure")
    assert "rate is 1 1/s" in result.evidence(waived)
    assert result.verdict(wrong) == ("fail", "component", "assertion")
    assert result.verdict(other) == ("pass",)
    assert result.verdict(broken) == ("error", "harness", "judge-raised")
    assert [metric.value for metric in result.only(slow).metrics] == [50]
    assert [metric.name for metric in result.only(other).metrics] == ["latency"]
    assert result.only(quick).extras["references"]["rate"]["value"] == 10
    assert result.only(other).extras == {}
    assert result.code == 1
    unmatched = "the site's reference rate of 'python/othr' matches no case on this system"
    assert f"warning: {unmatched}" in result.output
    unused = "the site's reference latncy of 'python/other' was not used: the cases that it matches reported latency"
    assert f"warning: {unused}" in result.output
    assert "of 'python/*'" not in result.output


def test_a_reference_that_matches_no_case_is_reported_only_if_all_schedulers_were_planned(bench: Bench) -> None:
    bench.site_additions = REFERENCES
    bench.case("slow", answering(rate(100)))
    assert "matches no case" not in bench.run("--scheduler", "local").output
    assert "'python/othr' matches no case" in bench.run().output


def test_the_page_about_performance_explains_every_figure_of_the_payloads() -> None:
    root = Path(__file__).resolve().parents[3]
    names = r'"(\w+_per_second|overhead_per_task|launch_latency_\w+|memory_\w+)"'
    reported = re.findall(names, "".join(map(Path.read_text, PAYLOADS)))
    explained = re.findall(r"`(\w+)`", (root / "docs/performance.md").read_text(encoding="utf-8"))
    assert reported
    assert set(reported) <= set(explained)
