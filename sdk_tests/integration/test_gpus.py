"""GPUs: every task is assigned one GPU, and no two tasks share one. Planned if the nodes of the system have GPUs."""

from __future__ import annotations

from sdk_tests import Outcome, case


def each_task_has_its_own_gpu(outcome: Outcome) -> None:
    """Assert that there was one task for each GPU, and that each task was assigned one GPU of its own.

    If a scheduler hides the other GPUs from a task, the variables of every task may contain the number 0. The addresses
    from the vendor's library then decide; without that library two GPUs cannot be distinguished.
    """
    tasks, gpus = outcome.answer["tasks"], outcome.answer["gpus"]
    assert gpus >= outcome.case.gpus
    assert len({(task["node"], task["pid"]) for task in tasks}) == len(tasks) == gpus
    for task in tasks:
        assert task["variables"] or task["addresses"], "no GPU is assigned to this task"
        assert all(len(value.split(",")) == 1 for value in task["variables"].values()), task["variables"]
    addresses = [task["addresses"] for task in tasks]
    if all(each is not None for each in addresses):
        assert [len(each) for each in addresses] == [1] * gpus, addresses
        assert len({each[0] for each in addresses}) == gpus, "two tasks share a GPU"
    else:
        assignments = {tuple(sorted(task["variables"].items())) for task in tasks}
        assert len(assignments) == gpus, "two tasks are assigned the same GPU"


@case(payload="parsl/gpus.py", component="parsl", gpus=1, walltime=180)
def test_each_worker_of_parsl_has_its_own_gpu(outcome: Outcome) -> None:
    each_task_has_its_own_gpu(outcome)


@case(payload="flux/gpus.py", component="flux", gpus=1, walltime=120)
def test_each_task_of_a_flux_job_has_its_own_gpu_and_a_request_for_too_many_is_refused(outcome: Outcome) -> None:
    each_task_has_its_own_gpu(outcome)
    assert outcome.answer["known"] == outcome.answer["gpus"], "Flux and the site file give different numbers of GPUs"
    assert outcome.answer["one_more"]["exit_code"] not in (0, None)
    assert "unsatisfiable" in outcome.answer["one_more"]["message"]


@case(
    payload="psij/gpus.py",
    component="psij",
    schedulers=("slurm",),
    gpus=1,
    where="login",
    jobs=1,
    walltime=120,
)
def test_each_process_of_a_psij_job_has_its_own_gpu(outcome: Outcome) -> None:
    assert (outcome.answer["state"], outcome.answer["exit_code"]) == ("COMPLETED", 0)
    each_task_has_its_own_gpu(outcome)


@case(
    payload="radical/gpus.py",
    component="radical.pilot",
    schedulers=("local", "slurm", "pbs", "lsf"),
    gpus=1,
    where="login",
    jobs=1,
    walltime=300,
)
def test_each_task_of_a_pilot_has_its_own_gpu(outcome: Outcome) -> None:
    assert set(outcome.answer["states"]) == {"DONE"}
    each_task_has_its_own_gpu(outcome)
