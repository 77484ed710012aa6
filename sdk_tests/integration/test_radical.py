"""RADICAL: a pilot that asks the scheduler for its own job and runs tasks in it, and an ensemble of pipelines."""

from __future__ import annotations

import hashlib
from typing import Any

from sdk_tests.case import case
from sdk_tests.landing import Outcome

PILOTS = ("local", "slurm")
"""Schedulers the payloads can describe a RADICAL-Pilot resource for."""


def overlapping(tasks: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the pairs of tasks that held a core in common while both ran."""
    pairs = []
    for number, one in enumerate(tasks):
        for other in tasks[number + 1 :]:
            together = one["own"]["began"] < other["own"]["ended"] and other["own"]["began"] < one["own"]["ended"]
            if together and set(one["cores_given"][0]) & set(other["cores_given"][0]):
                pairs.append((one["uid"], other["uid"]))
    return pairs


@case(
    payload="radical/pilot.py",
    component="radical.pilot",
    schedulers=PILOTS,
    where="login",
    jobs=1,
    cores=2,
    tier="smoke",
    walltime=300,
    params={"tasks": 16, "rounds": 100_000},
)
def test_a_pilot_runs_tasks_of_one_and_two_cores_in_its_own_job(outcome: Outcome) -> None:
    answer, params = outcome.answer, outcome.params
    tasks, pilot = answer["tasks"], answer["pilot"]
    assert len({task["uid"] for task in tasks}) == params["tasks"]
    assert {task["cores_asked"] for task in tasks} == {1, 2}
    for task in tasks:
        assert (task["state"], task["exit_code"]) == ("DONE", 0), task["stderr"]
        salted = task["uid"].encode(), task["argument"].encode()
        value = hashlib.pbkdf2_hmac("sha256", *salted, params["rounds"]).hex()
        assert task["own"]["uid"] == task["uid"]
        assert task["own"]["value"] == task["written"] == value
        (given,) = task["cores_given"]
        assert len(set(given)) == task["cores_asked"]
        assert set(given) <= set(range(pilot["cores"]))
    assert not overlapping(tasks), "one core was given to two tasks at the same time"
    assert pilot["state"] == "PMGR_ACTIVE"
    if outcome.scheduler == "local":
        assert {task["own"]["host"] for task in tasks} == {answer["host"]}
        return
    (job,) = pilot["jobs"]
    assert job["state"] == "RUNNING", "the scheduler did not know the pilot's job as running"
    assert {task["own"]["job_id"] for task in tasks} == {job["id"]}
    assert {task["own"]["node"] for task in tasks} == {job["nodes"]}
    assert not outcome.nodes or job["nodes"] in outcome.nodes
    assert all(task["own"]["step_cpus"] in (None, str(task["cores_asked"])) for task in tasks)


@case(
    payload="radical/failing_task.py",
    component="radical.pilot",
    schedulers=PILOTS,
    where="login",
    jobs=1,
    cores=2,
    walltime=300,
    params={"exit_code": 3},
)
def test_a_task_that_exits_with_3_has_failed_with_3_and_its_sibling_passes(outcome: Outcome) -> None:
    failing, passing = outcome.answer["failing"], outcome.answer["passing"]
    assert (failing["state"], failing["exit_code"]) == ("FAILED", outcome.params["exit_code"])
    assert failing["stdout"] == ""
    assert "wrong" in failing["stderr"].splitlines(), "its own stderr is lost (a launcher may add to it)"
    assert (passing["state"], passing["exit_code"], passing["stdout"]) == ("DONE", 0, "42")


def joined(outcome: Outcome) -> None:
    """Assert that every second stage read what both tasks of its own first stage wrote, and after they did."""
    pipelines = outcome.answer["pipelines"]
    assert len(pipelines) == outcome.params["members"]
    for member, pipeline in enumerate(pipelines):
        states = {task["state"] for stage in pipeline["stages"] for task in stage["tasks"]}
        assert [(stage["name"], stage["state"], len(stage["tasks"])) for stage in pipeline["stages"]] == [
            ("first", "DONE", 2),
            ("second", "DONE", 1),
        ]
        assert (pipeline["state"], states) == ("DONE", {"DONE"})
        halves = [hashlib.sha256(f"member-{member}-{half}".encode()).hexdigest() for half in ("left", "right")]
        digest, written, *read = pipeline["joined"]
        assert digest == hashlib.sha256("".join(halves).encode()).hexdigest()
        assert len(read) == len(halves)
        assert max(map(float, read)) < float(written)
    if outcome.scheduler != "local":
        (job,) = outcome.answer["jobs"]
        assert job["state"] == "RUNNING", "the scheduler did not know the ensemble's job as running"


@case(
    payload="radical/ensemble.py",
    component="radical.entk",
    schedulers=PILOTS,
    where="login",
    jobs=1,
    cores=2,
    walltime=420,
    params={"members": 4, "staging": "copy"},
)
def test_the_second_stage_of_each_pipeline_reads_the_files_of_its_first(outcome: Outcome) -> None:
    joined(outcome)


@case(
    payload="radical/ensemble.py",
    component="radical.entk",
    variants={"staging=link": {"staging": "link"}},
    schedulers=("local",),
    where="login",
    cores=2,
    walltime=420,
    params={"members": 1},
    xfail="radical.pilot 1.103 links and moves no file where radical.saga is installed: those methods are empty there",
)
def test_the_second_stage_reads_files_that_are_linked_to_it(outcome: Outcome) -> None:
    joined(outcome)
