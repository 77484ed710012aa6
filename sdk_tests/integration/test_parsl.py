"""Parsl: apps and their futures inside an allocation, and blocks that Parsl itself requests from the scheduler."""

from __future__ import annotations

import pytest

from sdk_tests import EVERY, Fixture, Outcome, case

POOL = Fixture("parsl", payload="parsl/_pool.py", params={"workers": 2}, start=110, walltime=600)
"""A pool of workers for the cases that do not test its start; the case of the first tier does."""

BLOCKS = ("local", "slurm", "lsf", "pbs")
"""Schedulers for which the payload has a Parsl provider."""


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
    assert outcome.ran_on(answer["node"])


@case(
    payload="parsl/bash_app.py",
    component="parsl",
    walltime=120,
    fixture=POOL,
    params={"numbers": [100, 20, 3, 3000, 7], "code": 3},
)
def test_a_bash_app_reads_and_writes_files_and_its_exit_code_is_reported(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["exit_code"] == 0
    assert answer["sorted"] == sorted(outcome.params["numbers"])
    assert answer["count"] == len(outcome.params["numbers"])
    assert answer["failed_with"] == outcome.params["code"]


@case(payload="parsl/diamond.py", component="parsl", walltime=120, fixture=POOL, params={"number": 6})
def test_a_diamond_of_futures_runs_in_order_and_passes_values_on(outcome: Outcome) -> None:
    answer, top = outcome.answer, outcome.params["number"] + 1
    values = {name: each["value"] for name, each in answer.items()}
    assert values == {"top": top, "left": top * 10, "right": top * top, "bottom": top * 10 - top * top}
    for side in ("left", "right"):
        assert answer["top"]["ended"] <= answer[side]["began"]
        assert answer[side]["ended"] <= answer["bottom"]["began"]


@case(payload="parsl/exception.py", component="parsl", walltime=120, fixture=POOL, params={"number": 84})
def test_the_exception_of_an_app_is_raised_by_its_future_and_stops_dependent_apps(outcome: Outcome) -> None:
    answer, number = outcome.answer, outcome.params["number"]
    assert (answer["type"], answer["message"]) == ("ArithmeticError", f"{number} by nothing")
    assert (answer["dependent"], answer["dependent_because_of"]) == ("DependencyError", answer["message"])
    assert answer["other"] == number / 2, "an app that does not depend on the failed app was stopped"


def blocks_worked(outcome: Outcome, blocks: int) -> None:
    """Assert that all blocks worked at the same time, each with its own manager and batch job."""
    tasks, jobs = outcome.answer["tasks"], outcome.answer["jobs"]
    assert [each["square"] for each in tasks] == [number * number for number in range(len(tasks))]
    assert {each["block"] for each in tasks} == set(jobs)
    assert len(jobs) == len(set(jobs.values())) == len({each["manager"] for each in tasks}) == blocks
    assert len({(each["node"], each["pid"]) for each in tasks}) == len(tasks), "two tasks shared a worker"
    assert outcome.ran_on(*{each["node"] for each in tasks})
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
    blocks_worked(outcome, 1)


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
def test_two_blocks_in_jobs_of_their_own_run_at_the_same_time(outcome: Outcome) -> None:
    blocks_worked(outcome, 2)


@case(payload="parsl/join.py", component="parsl", walltime=120, fixture=POOL, params={"depth": 6})
def test_a_recursive_join_app_returns_the_values_of_its_futures_or_their_failure(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["value"] == 13  # fibonacci(6) has 13 leaves, and each counts as one
    assert answer["tasks"] == 25  # the 13 leaves and the 12 sums, each of which ran once
    assert answer["wide"] == [1, 2, 3]
    assert (answer["error"], answer["reasons"]) == ("JoinError", ["no such leaf"])


@case(payload="parsl/checkpoint.py", component="parsl", walltime=180, params={"numbers": 4})
def test_a_second_load_reuses_checkpointed_results_and_reruns_only_failed_apps(outcome: Outcome) -> None:
    first, second = outcome.answer["first"], outcome.answer["second"]
    count = outcome.params["numbers"]
    assert first["values"] == [number * number for number in range(count)]
    assert first["ran"] == sorted([*map(str, range(count)), "second_time"])
    assert "not yet" in first["error"]
    assert second["values"] == [number * number for number in range(count + 1)]
    assert second["ran"] == sorted([str(count), "second_time"]), "the second load ran checkpointed apps again"
    assert second["error"] is None


@case(payload="parsl/killed_worker.py", component="parsl", walltime=180, params={"retries": 1})
def test_the_task_of_a_killed_worker_is_retried_as_often_as_retries_allow(outcome: Outcome) -> None:
    answer, retries = outcome.answer, outcome.params["retries"]
    assert answer["tries"]["spared"] == [answer["pids"]["spared"]]
    assert len(answer["tries"]["once"]) == 1 + retries, "the number of workers that tried the task is not 1 + retries"
    assert answer["pids"]["once"] in answer["tries"]["once"]
    assert len(answer["tries"]["again"]) == 1 + retries, "the task was not tried as often as retries allow"
    assert (answer["error"], "loss of worker" in answer["message"]) == ("WorkerLost", True)


@case(payload="parsl/monitoring.py", component="parsl", walltime=180, params={"numbers": [2, 3, 4]})
def test_monitoring_records_the_states_of_every_task_in_order(outcome: Outcome) -> None:
    answer, numbers = outcome.answer, outcome.params["numbers"]
    if "absent" in answer:
        pytest.skip(answer["absent"])
    odd = [number for number in numbers if number % 2]
    assert answer["failed"] == odd
    (workflow,) = answer["workflow"]
    assert (workflow["name"], workflow["completed"], workflow["failed"]) == (
        "exaworks",
        len(numbers) - len(odd),
        len(odd),
    )
    assert workflow["ended"]
    assert answer["functions"] == ["half"] * len(numbers)
    assert len(answer["states"]) == len(numbers)
    for number, states in zip(numbers, answer["states"], strict=True):
        # the worker itself reports its two states, so they may be recorded before or after their neighbours
        recorded = [state for state in states if not state.startswith("running")]
        assert recorded == ["pending", "launched", "failed" if number in odd else "exec_done"], f"half({number})"
        assert {"running", "running_ended"} <= set(states), f"half({number})"
    assert len(answer["hosts"]) == 1


def mpi_ranks_ran(outcome: Outcome) -> None:
    """Assert that two ranks of one job ran, distributed over the nodes, and that failures were reported."""
    answer = outcome.answer
    if "absent" in answer:
        pytest.skip(answer["absent"])
    assert [(each["rank"], each["size"]) for each in answer["ranks"]] == [(0, 2), (1, 2)]
    assert len({(each["node"], each["pid"]) for each in answer["ranks"]}) == 2
    nodes = {each["node"] for each in answer["ranks"]}
    assert len(nodes) == outcome.case.nodes
    assert outcome.ran_on(*nodes)
    assert answer["failed_with"] == 3
    assert answer["unsized"] == "InvalidResourceSpecification", "Parsl accepted an app that requests no ranks"


@case(
    payload="parsl/mpi.py",
    component="parsl",
    variants={"launcher=mpiexec": {"launcher": "mpiexec"}},
    schedulers=("slurm", "pbs"),
    cores=2,
    walltime=120,
    needs=("mpiexec",),
)
def test_an_mpi_app_has_its_two_ranks_through_mpiexec(outcome: Outcome) -> None:
    mpi_ranks_ran(outcome)


@case(
    payload="parsl/mpi.py",
    component="parsl",
    variants={"launcher=srun": {"launcher": "srun"}},
    schedulers=("slurm",),
    cores=2,
    walltime=120,
    needs=("srun",),
)
def test_an_mpi_app_has_its_two_ranks_through_srun(outcome: Outcome) -> None:
    mpi_ranks_ran(outcome)


@case(
    payload="parsl/mpi.py",
    component="parsl",
    variants={"launcher=srun": {"launcher": "srun"}},
    schedulers=("slurm",),
    nodes=2,
    walltime=120,
    needs=("srun",),
)
def test_an_mpi_app_has_a_rank_on_each_of_two_nodes(outcome: Outcome) -> None:
    mpi_ranks_ran(outcome)
