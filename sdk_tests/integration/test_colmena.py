"""Colmena: searches steered by their results. It is not in the release; if it is missing, it is skipped."""

from __future__ import annotations

from typing import Any

from sdk_tests import EVERY, Outcome, case
from sdk_tests.integration.test_parsl import BLOCKS

SEARCH = {"target": 6, "numbers": [0, 1, -1]}
"""What is searched, and the first tasks, of which the one with a negative number fails."""


def steered(outcome: Outcome) -> list[dict[str, Any]]:
    """Assert that every result was right and that the best ones alone were followed; return the results that worked."""
    results, target = outcome.answer["results"], outcome.params["target"]
    failed = [each for each in results if not each["success"]]
    worked = [each for each in results if each["success"]]
    assert [each["number"] for each in failed] == [number for number in outcome.params["numbers"] if number < 0]
    assert all("is less than nothing" in each["failure"] for each in failed)
    assert [each["distance"] for each in worked] == [(each["number"] - target) ** 2 for each in worked]
    best, followers = None, []
    for each in worked:  # in the order in which the thinker received them
        if best is None or each["distance"] < best:
            best = each["distance"]
            followers.append((each["number"], each["number"] + 2))
    assert sorted((each["after"], each["number"]) for each in results if each["after"] is not None) == sorted(followers)
    assert best in (0, 1), "the search did not arrive"
    assert outcome.answer["thinker"] not in {each["pid"] for each in worked}
    assert len({(each["node"], each["pid"]) for each in worked}) <= 2, "there are more workers than were started"
    assert outcome.ran_on(*{each["node"] for each in worked})
    return worked


@case(payload="colmena/tasks.py", component="colmena", schedulers=EVERY, tier="smoke", walltime=120, params=SEARCH)
def test_results_decide_what_is_computed_next_and_a_task_that_raises_is_a_result(outcome: Outcome) -> None:
    steered(outcome)


@case(
    payload="colmena/steering.py",
    component="colmena",
    partners=("parsl",),
    schedulers=EVERY,
    walltime=180,
    params=SEARCH,
)
def test_tasks_in_workers_of_parsl_are_steered_by_their_results(outcome: Outcome) -> None:
    steered(outcome)


@case(
    payload="colmena/steering.py",
    component="colmena",
    partners=("parsl",),
    name="block",
    schedulers=BLOCKS,
    where="login",
    jobs=1,
    walltime=180,
    params=SEARCH,
)
def test_tasks_in_a_block_of_parsl_run_in_its_job_and_are_steered_by_their_results(outcome: Outcome) -> None:
    worked = steered(outcome)
    if outcome.scheduler != "local":
        (job,) = {each["job_id"] for each in worked}
        assert job is not None
