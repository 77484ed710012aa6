"""The history of a system, the page of a case, and the comparison of any two runs, systems or sites."""

from __future__ import annotations

import re

import pytest

from collector.auth.visibility import EVERYTHING, Visibility
from collector.errors import Problem
from collector.rendering.base import Question, render_html
from collector.store.database import Store
from dashboard_client.schema import Outcome
from tests.collector.pages.test_dashboard import NOW, PAGES, ask, drawn, put
from tests.collector.samples import manifest, record

CASES = ["psij/a@slurm", "psij/b@slurm", "flux/a@slurm", "parsl/a@slurm"]
GRID = "/systems/{site}/{system}"


def _nights(
    store: Store, outcomes: list[tuple[Outcome | None, ...]], system: str = "frontier", site: str = "ornl"
) -> None:
    """Store one run a night, the oldest first; the release changes before the last night."""
    for night, row in enumerate(outcomes):
        run, day = f"{system}-{night}", f"2026-11-{15 + night}T08:"
        release = "2026.11" if night == len(outcomes) - 1 else "2026.08"
        records = [
            record(run, case, outcome, system=system, site=site, at=f"{day}01:")
            for case, outcome in zip(CASES, row, strict=True)
            if outcome is not None
        ]
        put(store, manifest(run, CASES, system=system, site=site, release=release, started=f"{day}00:00Z"), *records)


P, F, S = Outcome.PASS, Outcome.FAIL, Outcome.SKIP


def test_the_history_shows_what_failed_and_folds_skips_and_passes(store: Store) -> None:
    _nights(store, [(P, P, S, P), (P, F, S, P), (P, P, S, None)])
    page = drawn(store, GRID, site="ornl", system="frontier")
    rows = re.findall(r"<tr><th scope=row><a [^>]*>([^<]*)", page)
    assert rows == ["parsl/a@slurm", "psij/b@slurm"]
    assert "1 case was skipped in all of these runs" in page
    assert "1 case that did not fail is left out" in page
    with store.reading() as connection:
        names = {"site": "ornl", "system": "frontier"}
        question = Question(connection, EVERYTHING, NOW, names, {"show": "all"})
        everything = render_html(PAGES[GRID], question).decode()
    assert len(re.findall("<tr><th scope=row>", everything)) == 4
    assert len(ask(store, GRID, site="ornl", system="frontier")["cases"]) == 4


def test_a_line_marks_the_run_before_which_the_release_changed_and_names_the_difference(store: Store) -> None:
    _nights(store, [(P, F, S, P)] * 3)
    page = drawn(store, GRID, site="ornl", system="frontier")
    assert re.findall('data-change="([^"]*)"', page) == ["release 2026.08 → 2026.11"]
    row = re.search(r"psij/b@slurm</a>.*", page)
    assert row is not None
    assert re.findall('<td class="([^"]*)"', row[0]) == ["f edge", "f", "f"]


@pytest.mark.parametrize(
    "query", [{"before": "unknown"}, {"before": "frontier-0"}, {"runs": "1"}, {"runs": "x", "show": "x"}]
)
def test_a_history_with_few_runs_or_none_is_a_page(store: Store, query: dict[str, str]) -> None:
    _nights(store, [(P, F, S, P)])
    with store.reading() as connection:
        question = Question(connection, EVERYTHING, NOW, {"site": "ornl", "system": "frontier"}, query)
        page = render_html(PAGES[GRID], question).decode()
    assert ("No runs before this one." in page) is ("before" in query)


def test_the_page_of_a_case_shows_both_records_beside_each_other(store: Store) -> None:
    _nights(store, [(P, P, S, P), (P, F, S, P)])
    cell = str(
        next(each for each in ask(store, GRID, site="ornl", system="frontier")["cases"] if each["case_id"] == CASES[1])[
            "cell"
        ]
    )
    facts = ask(store, "/cells/{cell}", cell=cell)
    assert facts["first_failure"]["details"]["job"] == "4711"
    page = drawn(store, "/cells/{cell}", cell=cell)
    table = page.partition("The two records beside each other")[2].partition("</table>")[0]
    assert re.findall('<th scope="row">([^<]*)', table)[:3] == ["queue", "nodes", "job"]
    assert table.count("n1, n2") == 2


def test_any_two_systems_and_sites_can_be_compared(store: Store) -> None:
    _nights(store, [(P, P, S, P)])
    _nights(store, [(P, F, S, P)], system="dane", site="llnl")
    compared = ask(store, "/compare", query={"before": "ornl/frontier", "after": "llnl/dane"})["runs"]
    assert {case["case_id"]: case["kind"] for case in compared["cases"]} == {CASES[1]: "newly failing"}
    named = ask(store, "/compare", query={"before": "ornl/frontier/frontier-0", "after": "dane-0"})["runs"]
    assert named["cases"] == compared["cases"]
    sites = ask(store, "/compare", query={"before": "ornl", "after": "llnl"})["sites"]
    psij = next(each for each in sites if each["subject"] == "psij")
    assert (psij["before"]["outcome"], psij["after"]["outcome"]) == ("pass", "fail")
    assert ask(store, "/compare")["runs"] is None


@pytest.mark.parametrize("name", ["nowhere", "ornl/nothing", "ornl/frontier/x", "a/b/c/d"])
def test_what_does_not_exist_or_is_hidden_cannot_be_compared(store: Store, name: str) -> None:
    _nights(store, [(P, P, S, P)])
    with pytest.raises(Problem) as refused:
        ask(store, "/compare", query={"before": name, "after": "ornl/frontier"})
    assert refused.value.status == 404
    with pytest.raises(Problem):
        ask(store, "/compare", Visibility(only="llnl"), query={"before": "ornl", "after": "ornl"})
