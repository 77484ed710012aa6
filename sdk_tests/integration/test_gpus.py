"""GPUs: what leads a task to its GPU, and that no two tasks have the same. Planned where a system's nodes have GPUs."""

from __future__ import annotations

from sdk_tests.model.attempt import Outcome
from sdk_tests.model.case import case


def bound(outcome: Outcome) -> None:
    """Assert that there was a task for each GPU, and that each was led to one GPU and that to no other.

    Variables may number the GPUs anew for every task, where a scheduler shows it no other: then the addresses that the
    maker's library tells decide, and without such a library nothing here could tell two GPUs apart.
    """
    tasks, gpus = outcome.answer["tasks"], outcome.answer["gpus"]
    assert gpus >= outcome.case.gpus
    assert len({(task["node"], task["pid"]) for task in tasks}) == len(tasks) == gpus
    for task in tasks:
        assert task["variables"] or task["addresses"], "nothing leads this task to a GPU"
        assert all(len(value.split(",")) == 1 for value in task["variables"].values()), task["variables"]
    addresses = [task["addresses"] for task in tasks]
    if all(each is not None for each in addresses):
        assert [len(each) for each in addresses] == [1] * gpus, addresses
        assert len({each[0] for each in addresses}) == gpus, "two tasks share a GPU"
    else:
        led = {tuple(sorted(task["variables"].items())) for task in tasks}
        assert len(led) == gpus, "two tasks are led to the same GPU"


@case(payload="parsl/gpus.py", component="parsl", gpus=1, walltime=180)
def test_each_of_parsls_workers_has_a_gpu_of_its_own(outcome: Outcome) -> None:
    bound(outcome)


@case(payload="flux/gpus.py", component="flux", gpus=1, walltime=120)
def test_each_task_of_a_flux_job_has_a_gpu_of_its_own_and_one_gpu_more_is_refused(outcome: Outcome) -> None:
    bound(outcome)
    assert outcome.answer["known"] == outcome.answer["gpus"], "Flux counts other GPUs than the site file"
    assert outcome.answer["one_more"]["exit_code"] not in (0, None)
    assert "unsatisfiable" in outcome.answer["one_more"]["said"]


@case(
    payload="psij/gpus.py",
    component="psij",
    schedulers=("slurm",),
    gpus=1,
    where="login",
    jobs=1,
    walltime=120,
)
def test_each_process_of_psijs_job_has_a_gpu_of_its_own(outcome: Outcome) -> None:
    assert (outcome.answer["state"], outcome.answer["exit_code"]) == ("COMPLETED", 0)
    bound(outcome)


@case(
    payload="radical/gpus.py",
    component="radical.pilot",
    schedulers=("local", "slurm", "pbs", "lsf"),
    gpus=1,
    where="login",
    jobs=1,
    walltime=300,
)
def test_each_of_a_pilots_tasks_has_a_gpu_of_its_own(outcome: Outcome) -> None:
    assert set(outcome.answer["states"]) == {"DONE"}
    bound(outcome)
