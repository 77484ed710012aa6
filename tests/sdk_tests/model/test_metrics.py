"""Figures of a payload: recorded always, decisive where the site file has a reference, and only when they are worse."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import sdk_tests
from dashboard_client.schema import Metric
from sdk_tests.model.metrics import NotComparable, OutOfReference, applying, compare, measured
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
    ("value", "better", "words"),
    [
        (79.9, "higher", "rate is 79.9 1/s, 20 % below the site's reference of 100 1/s with a tolerance of 20 %"),
        (60, "higher", "40 % below .* at least 80"),
        (300, "lower", "200 % above .* at most 120"),
    ],
)
def test_a_figure_that_is_worse_by_more_than_its_tolerance_fails_with_both_numbers(
    value: float, better: str, words: str
) -> None:
    with pytest.raises(OutOfReference, match=words.replace(" at ", r" \(at ")):
        compare(CASE, [figure(value, better)], [expected()])


def test_every_figure_that_misses_is_named() -> None:
    two = [figure(1), figure(500, "lower", "ms", "wait")]
    with pytest.raises(OutOfReference, match=r"rate is 1 1/s.*; wait is 500 ms"):
        compare(CASE, two, [expected(), expected(metric="wait", unit="ms")])


def test_a_figure_without_a_reference_is_judged_by_nobody() -> None:
    compare(CASE, [figure(0.001)], [expected(cases="psij/*"), expected(metric="another")])


def test_the_first_reference_that_fits_counts() -> None:
    narrow = expected(10, cases="parsl/throughput:tasks=1000")
    compare(CASE, [figure(9)], [narrow, expected()])
    assert applying(CASE, [figure(9)], [narrow, expected()]) == {"rate": narrow}
    with pytest.raises(OutOfReference):
        compare(CASE, [figure(9)], [expected(), narrow])


def test_another_unit_is_not_compared_but_said() -> None:
    with pytest.raises(NotComparable, match="rate is measured in 1/s, the site's reference is in 1/min"):
        compare(CASE, [figure(100)], [expected(unit="1/min")])


def test_a_reference_for_one_case_and_a_figure_it_does_not_give_is_said() -> None:
    with pytest.raises(NotComparable, match="reference rte is no figure of this case; it gave rate"):
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
def test_a_figure_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="metrics of the payload's answer"):
        measured({"metrics": [wrong]})


def test_an_answer_without_figures_has_none() -> None:
    assert measured({"value": 1}) == []


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


def test_a_run_records_every_figure_and_fails_where_one_misses_the_sites_reference(bench: Bench) -> None:
    bench.promises = REFERENCES
    slow = bench.case("slow", answering(rate(50)))
    quick = bench.case("quick", answering(rate(50)))
    waived = bench.case("waived", answering(rate(1)))
    wrong = bench.case("wrong", answering(rate(1)), "assert outcome.answer is None, 'judged first'")
    other = bench.case("other", answering({**rate(1), "name": "latency"}))
    broken = bench.case("broken", answering({"name": "rate", "value": 50}))
    came = bench.run()
    assert came.verdict(slow) == ("fail", "unknown", "out-of-reference")
    assert came.evidence(slow).startswith("rate is 50 1/s, 50 % below the site's reference of 100 1/s")
    assert came.verdict(quick) == ("pass",)
    assert came.verdict(waived) == ("xfail", "component", "known-failure")
    assert "rate is 1 1/s" in came.evidence(waived)
    assert came.verdict(wrong) == ("fail", "component", "assertion")
    assert came.verdict(other) == ("pass",)
    assert came.verdict(broken) == ("error", "harness", "judge-raised")
    assert [metric.value for metric in came.only(slow).metrics] == [50]
    assert [metric.name for metric in came.only(other).metrics] == ["latency"]
    assert came.only(quick).extras["references"]["rate"]["value"] == 10
    assert came.only(other).extras == {}
    assert came.code == 1
    unfitting = "the site's reference rate of 'python/othr' fits no case on this system"
    assert f"warning: {unfitting}" in came.output
    assert "warning: the site's reference latncy of 'python/other' was held against nothing" in came.output
    assert "of 'python/*'" not in came.output


def test_a_scheduler_that_was_not_looked_at_may_have_what_a_reference_is_for(bench: Bench) -> None:
    bench.promises = REFERENCES
    bench.case("slow", answering(rate(100)))
    assert "fits no case" not in bench.run("--scheduler", "local").output
    assert "'python/othr' fits no case" in bench.run().output


def test_the_page_about_performance_explains_every_figure_that_payloads_give() -> None:
    root = Path(__file__).resolve().parents[3]
    names = r'"(\w+_per_second|overhead_per_task|launch_latency_\w+|memory_\w+)"'
    given = re.findall(names, "".join(map(Path.read_text, PAYLOADS)))
    explained = re.findall(r"`(\w+)`", (root / "docs/performance.md").read_text(encoding="utf-8"))
    assert given
    assert set(given) <= set(explained)
