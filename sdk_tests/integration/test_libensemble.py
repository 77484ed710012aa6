"""libEnsemble: ensembles steered by a generator. It is not in the release; if it is missing, it is skipped."""

from __future__ import annotations

from typing import Any

from sdk_tests import EVERY, Outcome, case
from sdk_tests.integration.test_psij import NO_WALLTIME

NUMBERS = [2, 3, 5, -7]
"""What the ensemble evaluates first; the simulation of a negative number fails."""


def evaluated(outcome: Outcome, finished: str) -> list[dict[str, Any]]:
    """Assert that every number was evaluated once, the last because of a result, and that one failed; return the rest.

    finished: the state of a simulation that worked.
    """
    answer, numbers = outcome.answer, outcome.params["numbers"]
    assert answer["flag"] == 0, "the ensemble ended with an error"
    rows = answer["rows"]
    last = max(number for number in numbers) ** 2 + 1
    assert sorted(row["number"] for row in rows) == sorted([*numbers, last])
    (failed,) = [row for row in rows if row["number"] < 0]
    worked = [row for row in rows if row is not failed]
    assert failed["state"] == "FAILED"
    assert failed["exit_code"] == 3
    assert [row["state"] for row in worked] == [finished] * len(worked)
    assert [row["value"] for row in worked] == [row["square"] for row in worked] == [r["number"] ** 2 for r in worked]
    assert len({(row["node"], row["pid"]) for row in worked}) == len(worked), "two simulations were one process"
    assert outcome.ran_on(*{row["node"] for row in worked})
    assert len({row["worker"] for row in rows}) > 1, "one worker did everything"
    return worked


@case(
    payload="libensemble/ensemble.py",
    component="libensemble",
    schedulers=EVERY,
    tier="smoke",
    walltime=120,
    params={"numbers": NUMBERS},
)
def test_a_generator_reads_results_and_a_simulation_that_fails_is_reported(outcome: Outcome) -> None:
    evaluated(outcome, "FINISHED")


@case(
    payload="libensemble/psij_jobs.py",
    component="libensemble",
    partners=("psij",),
    name="jobs",
    schedulers=EVERY,
    where="login",
    jobs=3,
    walltime=180,
    params={"numbers": NUMBERS},
    broken_on=NO_WALLTIME,
)
def test_each_simulation_is_a_job_of_psij_and_one_that_fails_is_reported(outcome: Outcome) -> None:
    worked = evaluated(outcome, "COMPLETED")
    if outcome.scheduler != "local":
        assert [row["job_id"] for row in worked] == [row["native_id"] for row in worked]
    assert len({row["native_id"] for row in outcome.answer["rows"]}) == len(outcome.answer["rows"])
