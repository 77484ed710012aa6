"""The scale tier: many short tasks. The cases assert that each task ran; references of the site judge the figures."""

from __future__ import annotations

from sdk_tests import EVERY, Outcome, case
from sdk_tests.integration.test_radical import PILOTS

FIGURES = {
    "tasks_per_second",
    "submissions_per_second",
    "bare_tasks_per_second",
    "overhead_per_task",
    "launch_latency_p50",
    "launch_latency_p99",
    "memory_client",
}
"""The figures of every component of this tier; docs/performance.md explains them."""


def tasks_measured(outcome: Outcome, *more: str, without: frozenset[str] = frozenset()) -> None:
    """Assert that every task ran and every figure was measured; only the overhead, a difference, may be negative.

    without: figures that the component cannot have.
    """
    answer = outcome.answer
    assert answer["tasks"] == outcome.params["tasks"]
    figures = {each["name"]: each["value"] for each in answer["metrics"]}
    assert set(figures) == (FIGURES - without) | set(more)
    assert len(figures) == len(answer["metrics"])
    assert all(value > 0 for name, value in figures.items() if name != "overhead_per_task")
    assert figures["launch_latency_p50"] <= figures["launch_latency_p99"]


@case(
    payload="parsl/throughput.py",
    component="parsl",
    tier="scale",
    schedulers=EVERY,
    variants={"tasks=1000": {"tasks": 1000}, "tasks=10000": {"tasks": 10000}},
    cores=2,
    walltime=900,
)
def test_parsl_runs_every_one_of_many_short_tasks(outcome: Outcome) -> None:
    assert outcome.answer["failed"] == 0
    tasks_measured(outcome, "memory_interchange", "memory_pool")


@case(
    payload="psij/throughput.py",
    component="psij",
    tier="scale",
    schedulers=("local",),
    variants={"tasks=1000": {"tasks": 1000}},
    where="login",
    cores=2,
    walltime=600,
)
def test_psij_runs_every_one_of_many_short_jobs_here(outcome: Outcome) -> None:
    assert outcome.answer["states"] == ["COMPLETED"]
    tasks_measured(outcome)


@case(
    payload="psij/throughput.py",
    component="psij",
    tier="scale",
    schedulers=("slurm",),
    variants={"tasks=1000": {"tasks": 1000}},
    params={"at_once": 50, "probes": 20, "bare": 100},
    where="login",
    jobs=50,
    walltime=1800,
)
def test_psij_runs_every_one_of_many_short_jobs_through_the_scheduler(outcome: Outcome) -> None:
    assert outcome.answer["states"] == ["COMPLETED"]
    tasks_measured(outcome)


def pilot_measured(outcome: Outcome) -> None:
    """Assert that every task of a pilot is done, and that its start was measured too."""
    assert outcome.answer["states"] == ["DONE 0"]
    tasks_measured(outcome, "pilot_start")


def ensemble_measured(outcome: Outcome) -> None:
    """Assert the same for EnTK, which submits the tasks itself and reports no exit codes."""
    assert outcome.answer["states"] == ["DONE"]
    tasks_measured(outcome, "pilot_start", without=frozenset({"submissions_per_second"}))


@case(
    payload="radical/throughput.py",
    component="radical.pilot",
    tier="scale",
    schedulers=PILOTS,
    variants={"tasks=1000": {"tasks": 1000}},
    where="login",
    jobs=1,
    cores=2,
    walltime=900,
)
def test_a_pilot_runs_every_one_of_many_short_tasks(outcome: Outcome) -> None:
    pilot_measured(outcome)


@case(
    payload="radical/throughput.py",
    component="radical.pilot",
    partners=("flux",),
    tier="scale",
    schedulers=("local", "slurm"),
    variants={"tasks=1000": {"tasks": 1000}},
    params={"engine": "flux"},
    where="login",
    jobs=1,
    cores=2,
    walltime=900,
)
def test_flux_in_a_pilot_runs_every_one_of_many_short_tasks(outcome: Outcome) -> None:
    pilot_measured(outcome)


@case(
    payload="radical/throughput_entk.py",
    component="radical.entk",
    name="throughput",
    tier="scale",
    schedulers=PILOTS,
    variants={"tasks=1000": {"tasks": 1000}},
    where="login",
    jobs=1,
    cores=2,
    walltime=1500,
)
def test_an_ensemble_runs_every_one_of_many_short_tasks_of_a_stage(outcome: Outcome) -> None:
    ensemble_measured(outcome)


@case(
    payload="radical/throughput_entk.py",
    component="radical.entk",
    partners=("flux",),
    name="throughput",
    tier="scale",
    schedulers=("local", "slurm"),
    variants={"tasks=1000": {"tasks": 1000}},
    params={"engine": "flux"},
    where="login",
    jobs=1,
    cores=2,
    walltime=1500,
)
def test_flux_runs_every_one_of_many_short_tasks_of_an_ensemble(outcome: Outcome) -> None:
    ensemble_measured(outcome)
