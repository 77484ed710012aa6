"""Rates count every planned run, and words say no more than the outcomes do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.auth.visibility import EVERYTHING
from collector.clock import instant_ms
from collector.outcomes import CHAR, MISSING, ORDER, PASS
from collector.rendering.base import Question, render_html, render_json
from collector.status.reliability import reliability, since_pass, words
from collector.store.database import Store
from dashboard_client.schema import Outcome
from tests.collector.pages.test_dashboard import PAGES, put
from tests.collector.samples import CASES, manifest, record

NOW = instant_ms("2026-11-27T12:00:00Z")


@pytest.mark.parametrize(
    ("outcomes", "text"),
    [
        ("p" * 14 + "i" * 11, "pass 14 of 25, infra 11"),
        ("p" * 7 + "." * 18, "pass 7 of 25, missing 18"),
        ("p" * 25, "pass 25 of 25"),
        ("i" * 11, "pass 0 of 11, infra 11"),
        ("pfeisxX.", "pass 1 of 8, fail 1, error 1, infra 1, missing 1, xpass 1, xfail 1, skip 1"),
        ("p …p", "pass 2 of 2"),
        ("", "pass 0 of 0"),
    ],
)
def test_a_reliability_in_words(outcomes: str, text: str) -> None:
    assert words(reliability(outcomes)) == text


@given(st.text(ORDER + " …", max_size=60))
def test_every_planned_run_counts_once(outcomes: str) -> None:
    facts = reliability(outcomes)
    assert facts["planned"] == sum(char in ORDER for char in outcomes)
    assert facts["passed"] + sum(facts["others"].values()) == facts["planned"]
    assert (facts["passed"] == facts["planned"]) == (set(outcomes) <= {PASS, " ", "…"})


@given(st.text(ORDER, max_size=40))
def test_what_came_since_the_last_pass(history: str) -> None:
    counts = since_pass(history)
    if PASS not in history:
        assert counts is None
    else:
        assert counts is not None
        assert sum(counts.values()) == len(history) - 1 - history.rindex(PASS)
        assert (counts == {}) == history.endswith(PASS)


def nights(store: Store, outcomes: str) -> None:
    """Store a run a day, the newest on 27 November; a dot is a run without a record of the case."""
    names = {char: outcome for outcome, char in CHAR.items()}
    for number, char in enumerate(outcomes):
        day = 28 - len(outcomes) + number
        run_id, started = f"n-{day:02}", f"2026-11-{day:02}T08:00:00Z"
        sent = [record(run_id, CASES[0], at=f"{started[:14]}01:")]
        if char != MISSING:
            sent.append(record(run_id, CASES[2], names[char], at=f"{started[:14]}01:"))
        put(store, manifest(run_id, [CASES[0], CASES[2]], started=started), *sent, missing=2 - len(sent))


def page(store: Store, path: str, **names: str) -> tuple[Any, str]:
    with store.reading() as connection:
        question = Question(connection, EVERYTHING, NOW, names, {"show": "all"})
        return json.loads(render_json(PAGES[path], question)), render_html(PAGES[path], question).decode()


NOT_FAILED = "has not failed since its last pass"


@pytest.mark.parametrize(
    ("outcomes", "rate", "statement"),
    [
        ("p" * 14 + "i" * 11, "pass 14 of 25, infra 11", "Since its last pass, the case was not judged: 11 infra."),
        ("p" * 7 + "." * 18, "pass 7 of 25, missing 18", "Since its last pass, the case was not judged: 18 missing."),
        ("pp.ip", "pass 3 of 5, infra 1, missing 1", "The case passed in its latest run."),
        ("p" + Outcome.SKIP.value[0], "pass 1 of 2, skip 1", "Since its last pass, the case was not judged: 1 skip."),
        ("iiiii", "pass 0 of 5, infra 5", "no recorded pass on this system, and no failure"),
    ],
)
def test_pages_state_the_rate_of_planned_runs_and_what_came_since_the_last_pass(
    store: Store, outcomes: str, rate: str, statement: str
) -> None:
    nights(store, outcomes)
    facts, grid = page(store, "/systems/{site}/{system}", site="ornl", system="frontier")
    case = next(case for case in facts["cases"] if case["case_id"] == CASES[2])
    assert words(case) == rate
    assert f'title="{rate}">{case["passed"]} of {case["planned"]}' in grid
    assert "100%" not in grid
    facts, text = page(store, "/cells/{cell}", cell=str(case["cell"]))
    assert f"<p>{rate}.</p>" in text
    assert statement in text
    assert NOT_FAILED not in text
    assert (facts["passed"], facts["planned"]) == (case["passed"], case["planned"])
