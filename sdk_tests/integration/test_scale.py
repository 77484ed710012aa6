"""The scale tier: many short tasks. The cases assert that each task ran; references of the site judge the figures."""

from __future__ import annotations

from sdk_tests import EVERY, Outcome, case

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


def tasks_measured(outcome: Outcome, *more: str) -> None:
    """Assert that every task ran and every figure was measured; only the overhead, a difference, may be negative."""
    answer = outcome.answer
    assert answer["tasks"] == outcome.params["tasks"]
    figures = {each["name"]: each["value"] for each in answer["metrics"]}
    assert set(figures) == FIGURES | set(more)
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
