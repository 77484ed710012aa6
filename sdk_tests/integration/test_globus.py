"""The Globus Compute endpoint without its web service. It is not in the release; if it is missing, it is skipped."""

from __future__ import annotations

from sdk_tests import EVERY, Outcome, case
from sdk_tests.integration.test_parsl import BLOCKS

NUMBERS = [2, 3, 5, 7, -1]
"""What the functions compute; that of a negative number raises."""


def functions_ran(outcome: Outcome) -> None:
    """Assert that workers computed the functions, and that the exception of one is its result."""
    answer, numbers = outcome.answer, outcome.params["numbers"]
    answers, negative = answer["answers"], [str(number) for number in numbers if number < 0]
    assert [(each["number"], each["square"]) for each in answers] == [(n, n**2) for n in numbers if n >= 0]
    assert list(answer["errors"]) == negative
    for error in answer["errors"].values():
        assert "ArithmeticError" in error["message"]
        assert error["code"]
    pids = {(each["node"], each["pid"]) for each in answers}
    assert len(pids) <= 2, "there are more workers than were started"
    assert answer["submitter"] not in {each["pid"] for each in answers}
    assert outcome.ran_on(*{each["node"] for each in answers})


@case(
    payload="globus/endpoint.py",
    component="globus-compute",
    schedulers=EVERY,
    tier="smoke",
    walltime=180,
    params={"numbers": NUMBERS},
)
def test_a_configured_endpoint_runs_functions_and_an_exception_is_the_result_of_its_own(outcome: Outcome) -> None:
    functions_ran(outcome)
    assert (outcome.answer["engine"], outcome.answer["workers"]) == ("GlobusComputeEngine", 2)


@case(
    payload="globus/block.py",
    component="globus-compute",
    partners=("parsl",),
    schedulers=BLOCKS,
    where="login",
    jobs=1,
    walltime=180,
    params={"numbers": NUMBERS},
)
def test_functions_run_in_a_block_that_parsl_requests_for_the_engine(outcome: Outcome) -> None:
    functions_ran(outcome)
    (job,) = outcome.answer["jobs"]
    if outcome.scheduler != "local":
        assert {each["job_id"] for each in outcome.answer["answers"]} == {job}
