from __future__ import annotations

import pytest

from dashboard_client.schema import Manifest, Outcome, Record
from dashboard_client.verdict import closing, count, verdict_code
from tests.dashboard_client.samples import CASES, manifest, record
from tests.dashboard_client.samples import closing as some_closing

P, F, E, S = Outcome.PASS, Outcome.FAIL, Outcome.ERROR, Outcome.SKIP
XF, XP, INFRA = Outcome.XFAIL, Outcome.XPASS, Outcome.INFRA


def effective(*outcomes: Outcome | None) -> dict[str, Record]:
    """Return the effective records of the three planned cases; None leaves a case without a record."""
    return {case: record(case, outcome) for case, outcome in zip(CASES, outcomes, strict=True) if outcome is not None}


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ((P, P, P), 0),
        ((P, P, S), 0),
        ((S, P, S), 0),
        ((P, S, S), 1),  # the first is a control
        ((P, XF, P), 0),
        ((P, XP, P), 0),
        ((XP, XP, XP), 0),
        ((P, P, F), 1),
        ((P, P, E), 1),
        ((P, P, None), 1),
        ((None, None, None), 1),
        ((S, S, S), 1),
        ((XF, XF, XF), 1),
        ((XF, S, S), 1),
        ((P, P, INFRA), 3),
        ((INFRA, INFRA, INFRA), 3),
        ((INFRA, S, S), 3),
        ((INFRA, XF, P), 3),
        ((P, INFRA, F), 1),
        ((P, INFRA, E), 1),
        ((P, INFRA, None), 1),
    ],
)
def test_the_exit_code_follows_the_table(outcomes: tuple[Outcome | None, ...], code: int) -> None:
    assert verdict_code(manifest(), effective(*outcomes)) == code


@pytest.mark.parametrize(
    ("outcome", "code"), [(P, 0), (XP, 0), (S, 1), (XF, 1), (INFRA, 3), (F, 1)], ids=lambda value: str(value)
)
def test_a_passing_control_case_does_not_make_the_other_planned_cases_pass(outcome: Outcome, code: int) -> None:
    both = ("control/hello@slurm", "psij/hello@slurm")
    plan = manifest(both)
    assert verdict_code(plan, {both[0]: record(both[0], of=plan), both[1]: record(both[1], outcome, of=plan)}) == code


def test_a_plan_of_control_cases_alone_can_pass() -> None:
    plan = manifest(("control/hello@slurm",))
    assert verdict_code(plan, {"control/hello@slurm": record("control/hello@slurm", of=plan)}) == 0


def test_an_empty_plan_is_a_usage_error() -> None:
    assert verdict_code(manifest(()), {}) == 2


def test_an_interrupted_run_exits_130_whatever_its_records_until_it_is_resumed() -> None:
    interrupted: Manifest = manifest(closed=some_closing(state="interrupted", exit_code=130))
    assert verdict_code(manifest(), effective(P, E, E), interrupted=True) == 130
    assert verdict_code(interrupted, effective(P, P, E)) == 130
    assert verdict_code(interrupted, effective(P, P, P), interrupted=False) == 0


def test_a_skip_that_the_site_does_not_allow_fails_the_run() -> None:
    skipped = effective(P, P, S)
    assert verdict_code(manifest(), skipped, allowed_skips=["parsl/*"]) == 0
    assert verdict_code(manifest(), skipped, allowed_skips=["psij/*"]) == 1
    assert verdict_code(manifest(), skipped, allowed_skips=[]) == 1
    assert verdict_code(manifest(), skipped, allowed_skips=lambda skip: skip.case.component == "parsl") == 0
    assert verdict_code(manifest(), skipped, allowed_skips=lambda skip: False) == 1
    assert verdict_code(manifest(), effective(P, INFRA, S), allowed_skips=[]) == 1


@pytest.mark.parametrize("outcome", [P, INFRA])
def test_a_run_with_an_unfinished_case_fails(outcome: Outcome) -> None:
    unfinished = effective(P, P, P) | {CASES[2]: record(CASES[2], outcome, final=False)}
    assert verdict_code(manifest(), unfinished) == 1


def test_counts_name_every_outcome_and_add_up_to_the_plan() -> None:
    counted = count(manifest(), effective(P, F, None))
    assert (counted["planned"], counted["recorded"], counted["missing"]) == (3, 2, 1)
    assert counted["counts"] == {"pass": 1, "fail": 1, "error": 0, "skip": 0, "xfail": 0, "xpass": 0, "infra": 0}


def test_a_closing_has_the_counts_and_a_higher_sequence_number_after_every_resume() -> None:
    first = closing(manifest(), effective(P, None, None), ended="2026-11-22T12:06:00Z", interrupted=True)
    assert (first.sequence, first.state, first.missing, first.exit_code) == (1, "interrupted", 2, 130)
    resumed = closing(manifest(closed=first), effective(P, P, P), ended="2026-11-22T13:06:00Z")
    assert (resumed.sequence, resumed.state, resumed.missing, resumed.exit_code) == (2, "complete", 0, 0)
