"""Dask: graphs on two workers, and workers in jobs of their own. It is not in the release; if it is missing, it is
skipped."""

from __future__ import annotations

from sdk_tests import EVERY, Outcome, case
from sdk_tests.integration.test_psij import NO_WALLTIME

QUEUES = ("local", "slurm", "pbs")
"""Schedulers to which the payload lets dask-jobqueue submit."""


@case(
    payload="dask/graph.py",
    component="dask",
    schedulers=EVERY,
    tier="smoke",
    walltime=120,
    params={"numbers": [1, 2, 3, 4, 5, 6]},
)
def test_two_workers_compute_a_graph_and_a_function_that_raises_fails_only_its_dependents(outcome: Outcome) -> None:
    answer, numbers = outcome.answer, outcome.params["numbers"]
    assert [each["value"] for each in answer["squares"]] == [number**2 for number in numbers]
    assert answer["total"] == sum(number**2 for number in numbers)
    assert len(set(answer["workers"])) == 2
    assert {each["pid"] for each in answer["squares"]} == set(answer["workers"]), "a worker had nothing to do"
    assert answer["submitter"] not in answer["workers"]
    assert answer["raised"].startswith("ZeroDivisionError(")
    assert answer["dependent"] == answer["raised"]
    assert outcome.ran_on(answer["node"])


def workers_worked(outcome: Outcome) -> None:
    """Assert that each worker ran in a job of its own and computed, and that the exception of a task was raised."""
    tasks, jobs, count = outcome.answer["tasks"], outcome.answer["jobs"], outcome.params["workers"]
    assert [each["square"] for each in tasks] == [number**2 for number in range(len(tasks))]
    assert len(tasks) >= count
    assert len({(each["node"], each["pid"]) for each in tasks}) == count, "the tasks did not use every worker"
    assert len(set(jobs)) == count
    assert outcome.ran_on(*{each["node"] for each in tasks})
    if outcome.scheduler != "local":
        short = {job.partition(".")[0] for job in jobs}  # dask-jobqueue 0.9.0 leaves the server out of an id of PBS
        assert {(each["job_id"] or "").partition(".")[0] for each in tasks} == short
    assert outcome.answer["raised"].startswith("ZeroDivisionError(")


@case(
    payload="dask/jobqueue.py",
    component="dask",
    schedulers=QUEUES,
    where="login",
    jobs=2,
    cores=2,
    walltime=180,
    params={"workers": 2},
)
def test_dask_jobqueue_submits_a_job_for_each_worker_and_both_compute(outcome: Outcome) -> None:
    workers_worked(outcome)


@case(
    payload="dask/workers.py",
    component="dask",
    partners=("psij",),
    schedulers=EVERY,
    where="login",
    jobs=2,
    cores=2,
    walltime=180,
    params={"workers": 2},
    broken_on=NO_WALLTIME,
)
def test_workers_in_jobs_of_psij_compute_and_their_jobs_complete(outcome: Outcome) -> None:
    workers_worked(outcome)
    assert outcome.answer["ends"] == ["COMPLETED"] * outcome.params["workers"]
