"""Derived states: flaky, failing, missing, stale; and the metrics for monitoring, which agree with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from collector.store.database import Store
from dashboard_client.schema import Outcome
from tests.collector.conftest import BOTH, serving
from tests.collector.pages.test_dashboard import ask
from tests.collector.process import Collector, tool
from tests.collector.samples import CASES, closing, manifest, record
from tests.collector.store.test_order import added, closed, opened


def ago(days: float) -> str:
    return (datetime.now(timezone.utc) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def run(served: Collector, name: str, days: float, outcomes: list[Outcome | None], system: str, **changes: Any) -> None:
    """Send a closed run of the first cases that started ``days`` ago; an outcome of None sends no record."""
    cases = CASES[: len(outcomes)]
    opening = manifest(name, cases, system=system, started=ago(days), stale_after="168:00:00", **changes)
    assert served.open(opening).status_code == 201
    sent = [
        record(name, case, outcome, system=system, at=ago(days)[:17])
        for case, outcome in zip(cases, outcomes, strict=True)
        if outcome is not None
    ]
    assert served.add(*sent).json()["rejected"] == []
    missing = outcomes.count(None)
    served.close(name, closing(len(sent), missing=missing, ended=ago(days)))


@pytest.fixture(scope="module", params=BOTH)
def collector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A collector for this module only, so that its pages show nothing of other tests."""
    yield from serving(request, tmp_path_factory)


@pytest.fixture(scope="module")
def filled(collector: Collector) -> Collector:
    """A collector with a system that has one cell in each state, and a system that stopped reporting."""
    good, bad = Outcome.PASS, Outcome.FAIL
    rows = [[good, good, good, good], [bad, bad, good, good], [good, bad, good, good], [bad, bad, None, good]]
    for number, outcomes in enumerate(rows):
        run(collector, f"live-{number}", 4 - number, outcomes, "live")
    run(collector, "silent-0", 8, [good], "silent")
    return collector


def cells(served: Collector, query: str = "", **more: Any) -> dict[str, Any]:
    answer = served.get(f"/api/v1/cells{query}", **more)
    assert answer.status_code == 200, answer.text
    return {f"{cell['system']}:{cell['case_id']}": cell for cell in answer.json()["cells"]}


def test_each_state_is_derived_and_a_healthy_cell_has_none(filled: Collector) -> None:
    states = {name: cell["states"] for name, cell in cells(filled).items()}
    assert states == {
        f"live:{CASES[0]}": ["flaky", "failing"],
        f"live:{CASES[1]}": ["failing"],
        f"live:{CASES[2]}": ["missing"],
        f"live:{CASES[3]}": [],
        f"silent:{CASES[0]}": ["stale"],
    }


@pytest.mark.parametrize("state", ["flaky", "failing", "missing", "stale"])
def test_filtering_by_state_gives_the_same_cells_as_filtering_the_full_list(filled: Collector, state: str) -> None:
    wanted = {name: cell for name, cell in cells(filled).items() if state in cell["states"]}
    assert wanted
    assert cells(filled, f"?state={state}") == wanted


def test_a_cell_names_its_last_pass_and_the_first_failure_after_it(filled: Collector) -> None:
    cell = cells(filled, "?system=live")[f"live:{CASES[1]}"]
    assert (cell["first_fail_run"], cell["run_id"]) == ("live-1", "live-3")
    assert cell["history"] == ["pass", "fail", "fail", "fail"]
    assert cell["last_pass"] < cell["first_fail"] == cell["since"] < cell["started"]
    assert cells(filled, "?system=live")[f"live:{CASES[0]}"]["flake_score"] == 1.0


def test_an_invalid_query_is_answered_with_status_400(filled: Collector) -> None:
    for query in ("?state=odd", "?after=x", "?after=-1"):
        assert filled.get(f"/api/v1/cells{query}").status_code == 400


def test_metrics_report_the_board_and_the_counters_of_the_process(filled: Collector) -> None:
    text = filled.get("/metrics").text
    values = dict(re.findall(r"^([a-z_]+(?:\{.*\})?) ([0-9.e+]+)$", text, re.MULTILINE))
    assert values['exaworks_cells{site="ornl",system="live",outcome="fail"}'] == "2"
    assert values['exaworks_cells{site="ornl",system="live",outcome="missing"}'] == "1"
    assert values['exaworks_flaky_cells{site="ornl",system="live"}'] == "1"
    assert values["exaworks_collector_records_total"] == "16"
    assert int(values['exaworks_collector_requests_total{status="2xx"}']) >= 15
    memory = [float(value) for name, value in values.items() if name.startswith("exaworks_collector_memory_bytes{")]
    assert len(memory) == 1
    assert memory[0] > 1e6
    assert float(values['exaworks_last_run_seconds{site="ornl",system="live"}']) > 0
    for line in text.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) \S+ .+|[a-z_]+(\{[^{}]*\})? [0-9.e+-]+", line), line


def test_metrics_and_cells_do_not_show_a_hidden_site_without_a_token(filled: Collector) -> None:
    assert tool(filled.home, "site", "hide", "ornl", *filled.arguments).returncode == 0
    try:
        assert "ornl" not in filled.get("/metrics").text
        assert cells(filled) == {}
        assert "ornl" in filled.get("/metrics", token=filled.token).text
    finally:
        assert tool(filled.home, "site", "show", "ornl", *filled.arguments).returncode == 0


@pytest.mark.parametrize(
    ("cases", "outcomes", "notice"),
    [
        (["control/hello@flux", "psij/hello@flux"], [Outcome.PASS, Outcome.SKIP], "Only control cases passed"),
        (["control/hello@flux", "psij/hello@flux"], [Outcome.SKIP, Outcome.SKIP], "Nothing passed"),
        (["control/hello@flux", "psij/hello@flux"], [Outcome.SKIP, Outcome.XPASS], None),
        (["control/hello@flux"], [Outcome.PASS], None),
    ],
)
def test_the_page_of_a_run_states_if_nothing_of_the_sdk_passed(
    store: Store, cases: list[str], outcomes: list[Outcome], notice: str | None
) -> None:
    with store.writing() as connection:
        opened(manifest("thin", cases))(connection)
        added(*(record("thin", case, outcome) for case, outcome in zip(cases, outcomes, strict=True)))(connection)
        closed("thin", closing(len(cases)))(connection)
    notices = ask(store, "/runs/{run_id}", run_id="thin")["notices"]
    assert notices == ([f"{notice} in this run."] if notice else [])
