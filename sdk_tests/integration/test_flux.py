"""Flux: an instance inside the allocation of a case, its jobs, its Python API, and components that use it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from sdk_tests import Outcome, case

BROKERS = {"brokers": 2}
"""On ``local`` an instance has two brokers, to test more than one; in an allocation it has one on each node."""

LOG = ["submit", "depend", "priority", "alloc", "start", "finish", "release", "free", "clean"]
"""The events of a job that runs and ends, in order; see Flux RFC 21."""

FIGURES = {
    *("tasks_per_second", "submissions_per_second", "bare_tasks_per_second", "overhead_per_task"),
    *("launch_latency_p50", "launch_latency_p99", "memory_broker"),
}
"""The figures of many short jobs; docs/performance.md explains them."""


def instance_runs(outcome: Outcome, size: int) -> dict[str, Any]:
    """Assert that one instance with ``size`` brokers ran a task on each of them; return the answer."""
    answer = outcome.answer
    assert answer["size"] == size, "the brokers do not form one instance"
    assert [broker["rank"] for broker in answer["brokers"]] == list(range(size))
    assert len({(broker["node"], broker["pid"]) for broker in answer["brokers"]}) == size
    assert answer["tasks"] == [f"{rank} of {size}" for rank in range(size)]
    assert outcome.ran_on(*(broker["node"] for broker in answer["brokers"]))
    return answer


@case(payload="flux/instance.py", component="flux", tier="smoke", cores=2, params=BROKERS, walltime=180)
def test_an_instance_starts_and_runs_a_task_on_every_broker(outcome: Outcome) -> None:
    instance_runs(outcome, outcome.params["brokers"] if outcome.scheduler == "local" else outcome.case.nodes)


@case(
    payload="flux/instance.py",
    component="flux",
    name="nodes",
    schedulers=("slurm", "flux"),
    cores=2,
    nodes=2,
    walltime=180,
)
def test_an_instance_over_an_allocation_has_a_broker_on_each_node(outcome: Outcome) -> None:
    brokers = instance_runs(outcome, outcome.case.nodes)["brokers"]
    # All nodes of a Flux on one machine have the same name; the nodes of Slurm have different names.
    if len(set(outcome.nodes)) > 1:
        assert len({broker["node"] for broker in brokers}) == outcome.case.nodes


@case(payload="flux/run.py", component="flux", walltime=180)
def test_flux_run_sets_the_environment_and_the_folder_of_a_program(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["exit_code"] == 0
    assert answer["output"] == "of two words; 'quoted' hidden"
    assert answer["in_folder"]
    assert "on stderr" in answer["stderr"]


@case(
    payload="flux/run.py",
    component="flux",
    name="run_fails",
    variants={"exit=7": {"ending": "exit 7", "code": 7}, "signal=9": {"ending": "kill -9 $$", "code": 137}},
    walltime=180,
)
def test_flux_run_returns_the_exit_code_of_its_program(outcome: Outcome) -> None:
    assert outcome.answer["output"], "the program did not run"
    assert outcome.answer["exit_code"] == outcome.params["code"]


@case(
    payload="flux/bulk.py",
    component="flux",
    variants={"jobs=100": {"jobs": 100}},
    cores=2,
    walltime=180,
    params={**BROKERS, "failing_every": 10},
)
def test_a_hundred_jobs_of_one_submission_each_have_their_result(outcome: Outcome) -> None:
    answer, count, failing = outcome.answer, outcome.params["jobs"], outcome.params["failing_every"]
    assert answer["squares"] == [number * number for number in range(count)]
    assert len({job for job, _, _ in answer["ends"]}) == count
    bad = [number for number in range(count) if (number + 1) % failing == 0]
    ends = [["FAILED", 3] if number in bad else ["COMPLETED", 0] for number in range(count)]
    assert [list(end) for _, *end in answer["ends"]] == ends
    assert answer["exit_code"] == 3, "flux submit --wait does not return the largest exit code of its jobs"


@case(
    payload="flux/throughput.py",
    component="flux",
    variants={"tasks=1000": {"tasks": 1000}, "tasks=10000": {"tasks": 10000}},
    tier="scale",
    cores=2,
    walltime=900,
    params=BROKERS,
)
def test_flux_runs_every_one_of_many_short_jobs(outcome: Outcome) -> None:
    assert outcome.answer["tasks"] == outcome.params["tasks"]
    assert outcome.answer["states"] == ["COMPLETED"]
    figures = {each["name"]: each["value"] for each in outcome.answer["metrics"]}
    assert set(figures) == FIGURES
    assert all(value > 0 for name, value in figures.items() if name != "overhead_per_task")
    assert figures["launch_latency_p50"] <= figures["launch_latency_p99"]


@case(payload="flux/dependencies.py", component="flux", walltime=180)
def test_a_job_waits_for_the_one_it_depends_on(outcome: Outcome) -> None:
    answer = outcome.answer
    for name, code in {"first": 0, "after_first": 0, "fails": 3, "only_after_failure": 0, "after_any": 0}.items():
        assert (answer[name]["returncode"], answer[name]["ran"]) == (str(code), True), name
    assert answer["first"]["ended"] <= answer["after_first"]["began"]
    assert answer["after_first"]["ended"] <= answer["fails"]["began"]
    for name in ("only_after_failure", "after_any"):
        assert answer["fails"]["ended"] <= answer[name]["began"], name


@case(payload="flux/dependencies.py", component="flux", name="dependency_fails", walltime=180)
def test_a_job_whose_dependency_failed_never_runs(outcome: Outcome) -> None:
    job = outcome.answer["after_failure"]
    assert outcome.answer["fails"]["status"] == "FAILED"
    assert (job["status"], job["ran"], job["began"]) == ("FAILED", False, 0)
    assert "never be satisfied" in job["note"]


@case(payload="flux/cancel.py", component="flux", walltime=180)
def test_a_cancelled_job_stops_working_and_a_held_one_never_starts(outcome: Outcome) -> None:
    answer = outcome.answer
    assert (answer["running"]["before"], answer["running"]["status"]) == ("RUN", "CANCELED")
    assert answer["steps"] > 0
    assert answer["stopped"], "the job is reported as cancelled and still writes"
    assert (answer["held"]["before"], answer["held"]["status"]) == ("SCHED", "CANCELED")
    assert not answer["ran"], "the held job ran"


@case(payload="flux/too_big.py", component="flux", cores=2, params=BROKERS, walltime=180)
def test_a_job_larger_than_the_instance_is_refused_and_one_as_large_runs(outcome: Outcome) -> None:
    answer = outcome.answer
    assert (answer["all"]["exit_code"], answer["all"]["ran"]) == (0, True), answer["all"]["message"]
    for name in ("a node more", "a core more"):
        refused = answer[name]
        assert refused["exit_code"] != 0
        assert not refused["ran"]
        assert "unsatisfiable" in refused["message"]


@case(payload="flux/nested.py", component="flux", partners=("flux",), params={"deeper": 2}, walltime=180)
def test_nested_instances_each_have_their_own_jobs_and_resources(outcome: Outcome) -> None:
    instances = outcome.answer["instances"]
    first = int(instances[0]["instance-level"])
    assert [int(each["instance-level"]) for each in instances] == [first + deep for deep in range(3)]
    assert len({each["local-uri"] for each in instances}) == 3
    for outer, inner in pairwise(instances):
        assert inner["jobid-path"].startswith(outer["jobid-path"].rstrip("/") + "/")
        assert (inner["size"], inner["cores"]) == ("1", 1), "the instance has more than the resources of its job"
    for each in instances:
        assert each["ran"] == each["local-uri"], "a job ran in another instance than the one it was submitted to"


def in_order(events: list[str]) -> bool:
    """Return whether the events include, in order, all events of a job that runs and ends."""
    remaining = iter(events)
    return all(event in remaining for event in LOG)


@case(payload="flux/python_api.py", component="flux", params={**BROKERS, "jobs": 10}, cores=2, walltime=180)
def test_futures_of_the_python_api_return_exit_codes_and_events_in_order(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["codes"] == list(range(outcome.params["jobs"]))
    assert len(set(answer["ids"])) == outcome.params["jobs"]
    assert in_order(answer["log"]), answer["log"]
    assert answer["log_in_time_order"], "the times of the event log do not increase"
    assert answer["events"] == [event for event in answer["log"] if event in answer["events"]]
    assert {"submit", "alloc", "start", "finish", "clean"} <= set(answer["events"])


@case(payload="flux/python_api.py", component="flux", name="python_api_fails", params=BROKERS, cores=2, walltime=180)
def test_futures_of_the_python_api_raise_the_exception_of_their_job(outcome: Outcome) -> None:
    absent, too_big, cancelled = outcome.answer["raised"]
    for raised, kind in ((absent, "type=exec"), (too_big, "type=alloc"), (cancelled, "type=cancel")):
        assert raised.startswith("JobException"), raised
        assert kind in raised
    assert "not needed any more" in cancelled


@case(payload="flux/fluxion.py", component="flux", walltime=180)
def test_fluxion_schedules_where_it_is_installed(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["job"] == "COMPLETED"
    if not answer["fluxion_modules"]:
        pytest.skip(f"flux-sched is not installed: no sched-fluxion-*.so in {', '.join(answer['folders'])}")
    if outcome.scheduler == "cobalt" and not answer["module_path_set"]:
        pytest.skip("Cobalt does not pass the environment to a job, so FLUX_MODPROBE_PATH_APPEND is not set")
    assert answer["loaded_schedulers"], "no scheduler module is loaded"
    assert all(module.startswith("sched-fluxion") for module in answer["loaded_schedulers"]), (
        "another scheduler is loaded"
    )


@case(
    payload="flux/psij_jobs.py",
    component="psij",
    partners=("flux",),
    name="jobs",
    params={**BROKERS, "jobs": 8},
    cores=2,
    walltime=180,
)
def test_psij_runs_jobs_in_a_flux_instance(outcome: Outcome) -> None:
    answer, count = outcome.answer, outcome.params["jobs"]
    assert answer["squares"] == [number * number for number in range(count)]
    assert len(set(answer["ids"])) == count
    assert {(each["state"], each["flux_status"]) for each in answer["ends"]} == {("COMPLETED", "COMPLETED")}


@case(
    payload="flux/psij_jobs.py",
    component="psij",
    partners=("flux",),
    name="jobs_fail",
    params={**BROKERS, "jobs": 1},
    cores=2,
    walltime=180,
)
def test_psij_reports_failed_and_cancelled_jobs_of_flux(outcome: Outcome) -> None:
    failing, cancelled = outcome.answer["failing"], outcome.answer["cancelled"]
    assert (failing["state"], failing["exit_code"], failing["flux_status"]) == ("FAILED", 7, "FAILED")
    assert outcome.answer["before"] == "ACTIVE"
    assert (cancelled["state"], cancelled["flux_status"]) == ("CANCELED", "CANCELED")


@case(
    payload="flux/parsl_apps.py",
    component="parsl",
    partners=("flux",),
    name="apps",
    params={**BROKERS, "apps": 8},
    cores=2,
    walltime=240,
)
def test_parsl_apps_are_jobs_of_a_flux_instance(outcome: Outcome) -> None:
    *values, wider = outcome.answer["values"]
    assert [each["square"] for each in values] == [number * number for number in range(outcome.params["apps"])]
    assert wider["square"] == 10_000
    everyone = [*values, wider]
    assert len({each["job"] for each in everyone}) == len({each["pid"] for each in everyone}) == len(everyone)
    assert outcome.answer["pid"] not in {each["pid"] for each in everyone}


@case(
    payload="flux/parsl_apps.py",
    component="parsl",
    partners=("flux",),
    name="apps_fail",
    params={**BROKERS, "apps": 1},
    cores=2,
    walltime=240,
)
def test_the_exception_and_the_death_of_a_parsl_app_are_reported_through_flux(outcome: Outcome) -> None:
    raised, died = outcome.answer["raised"]
    assert raised == "ArithmeticError: -1 is less than nothing"
    assert died.startswith("AppException")
    assert died.endswith("returned 9")
