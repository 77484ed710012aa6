"""Parsl: apps and their futures inside an allocation, and blocks that Parsl asks the scheduler for by itself."""

from __future__ import annotations

from sdk_tests.case import EVERY, case
from sdk_tests.landing import Outcome

BLOCKS = ("local", "slurm", "lsf", "pbs")
"""Schedulers the payload has a Parsl provider for."""


@case(
    payload="parsl/python_app.py",
    component="parsl",
    schedulers=EVERY,
    tier="smoke",
    walltime=120,
    params={"base": 7, "exponent": 40},
)
def test_a_python_app_returns_a_computed_value_from_a_worker(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["value"] == outcome.params["base"] ** outcome.params["exponent"]
    assert answer["worker"] != answer["submitter"]
    assert not outcome.nodes or answer["node"] in outcome.nodes


@case(
    payload="parsl/bash_app.py",
    component="parsl",
    walltime=120,
    params={"numbers": [100, 20, 3, 3000, 7], "code": 3},
)
def test_a_bash_app_reads_and_writes_files_and_tells_its_exit_code(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["exit_code"] == 0
    assert answer["sorted"] == sorted(outcome.params["numbers"])
    assert answer["count"] == len(outcome.params["numbers"])
    assert answer["failed_with"] == outcome.params["code"]


@case(payload="parsl/diamond.py", component="parsl", walltime=120, params={"number": 6})
def test_a_diamond_of_futures_runs_in_order_and_carries_values(outcome: Outcome) -> None:
    answer, top = outcome.answer, outcome.params["number"] + 1
    values = {name: each["value"] for name, each in answer.items()}
    assert values == {"top": top, "left": top * 10, "right": top * top, "bottom": top * 10 - top * top}
    for side in ("left", "right"):
        assert answer["top"]["ended"] <= answer[side]["began"]
        assert answer[side]["ended"] <= answer["bottom"]["began"]


@case(payload="parsl/exception.py", component="parsl", walltime=120, params={"number": 84})
def test_an_apps_exception_arrives_at_its_future_and_stops_what_depends_on_it(outcome: Outcome) -> None:
    answer, number = outcome.answer, outcome.params["number"]
    assert (answer["type"], answer["message"]) == ("ArithmeticError", f"{number} by nothing")
    assert (answer["dependent"], answer["dependent_because_of"]) == ("DependencyError", answer["message"])
    assert answer["other"] == number / 2, "an app that has nothing to do with the failure was stopped"


def worked(outcome: Outcome, blocks: int) -> None:
    """Assert that every block did work at the same time, each with its own manager and batch job."""
    tasks, jobs = outcome.answer["tasks"], outcome.answer["jobs"]
    assert [each["square"] for each in tasks] == [number * number for number in range(len(tasks))]
    assert {each["block"] for each in tasks} == set(jobs)
    assert len(jobs) == len(set(jobs.values())) == len({each["manager"] for each in tasks}) == blocks
    assert len({(each["node"], each["pid"]) for each in tasks}) == len(tasks), "two tasks shared a worker"
    assert not outcome.nodes or {each["node"] for each in tasks} <= set(outcome.nodes)
    if outcome.scheduler != "local":
        assert {each["block"]: each["job_id"] for each in tasks} == jobs


@case(
    payload="parsl/htex.py",
    component="parsl",
    variants={"blocks=1": {"blocks": 1}},
    schedulers=BLOCKS,
    where="login",
    jobs=1,
    tier="smoke",
    walltime=120,
)
def test_the_workers_of_one_block_run_at_the_same_time(outcome: Outcome) -> None:
    worked(outcome, 1)


@case(
    payload="parsl/htex.py",
    component="parsl",
    variants={"blocks=2": {"blocks": 2}},
    schedulers=BLOCKS,
    where="login",
    jobs=2,
    cores=2,
    walltime=120,
)
def test_two_blocks_each_their_own_job_run_at_the_same_time(outcome: Outcome) -> None:
    worked(outcome, 2)
