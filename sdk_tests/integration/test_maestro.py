"""Maestro: a study whose steps are jobs of the scheduler. It is not in the release; if it is missing, it is skipped."""

from __future__ import annotations

from typing import Any

from sdk_tests import Outcome, case

ADAPTERS = ("local", "slurm", "flux", "lsf")
"""Schedulers for which Maestro has an adapter."""


def finished(outcome: Outcome, name: str) -> dict[str, Any]:
    """Assert that a step has finished in a job of its own; return its result."""
    step = outcome.answer["steps"][name]
    assert step["state"] == "FINISHED", name
    assert len(step["results"]) == 1, f"{name} has not written one result"
    result = step["results"][0]
    if outcome.scheduler != "local":
        assert (result["job_id"] or "").lstrip("ƒf") == step["job_id"].lstrip("ƒf")
        assert outcome.ran_on(result["node"])
    return dict(result)


@case(
    payload="maestro/study.py",
    component="maestro",
    schedulers=ADAPTERS,
    where="login",
    jobs=3,
    walltime=120,
    params={"numbers": [2, 3, 7]},
)
def test_one_step_for_each_value_runs_in_its_own_job_and_a_last_step_waits_for_all(outcome: Outcome) -> None:
    answer, numbers = outcome.answer, outcome.params["numbers"]
    assert answer["exit_code"] == 0
    assert set(answer["steps"]) == {*(f"square_NUMBER.{number}" for number in numbers), "total"}
    squares = [finished(outcome, f"square_NUMBER.{number}") for number in numbers]
    total = finished(outcome, "total")
    assert [each["value"] for each in squares] == [number**2 for number in numbers]
    assert total["value"] == sum(number**2 for number in numbers)
    assert max(each["ended"] for each in squares) <= total["began"]
    assert len({step["job_id"] for step in answer["steps"].values()}) == len(answer["steps"])


@case(
    payload="maestro/failing.py",
    component="maestro",
    schedulers=ADAPTERS,
    where="login",
    jobs=2,
    walltime=120,
    params={"numbers": [2, 13]},
)
def test_a_failed_step_fails_its_dependents_and_no_other_step(outcome: Outcome) -> None:
    answer, stems = outcome.answer, ("square", "after")
    assert answer["exit_code"] not in (0, None), "the study is reported as successful"
    assert set(answer["steps"]) == {f"{stem}_NUMBER.{number}" for stem in stems for number in outcome.params["numbers"]}
    failed = {name for name, step in answer["steps"].items() if step["state"] == "FAILED"}
    assert failed == {"square_NUMBER.13", "after_NUMBER.13"}
    assert answer["steps"]["after_NUMBER.13"]["results"] == [], "it ran although the step it depends on had failed"
    assert finished(outcome, "square_NUMBER.2")["value"] == finished(outcome, "after_NUMBER.2")["value"] == 4
