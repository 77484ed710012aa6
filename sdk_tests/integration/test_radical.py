"""RADICAL: a pilot that submits its own job to the scheduler and runs tasks in it, and an ensemble of pipelines."""

from __future__ import annotations

import hashlib
from typing import Any

from sdk_tests import Fixture, Outcome, case

PILOTS = ("local", "slurm", "pbs")
"""Schedulers to which the job of a pilot is submitted.

Flux is not among them: radical.pilot 1.103 could submit to it only with the executor of psij-python 0.9.11, which
passes on neither the environment nor the folder of the bootstrap. A pilot inside a Flux job is a pair with Flux.
"""


PILOT = Fixture(
    "radical.pilot", payload="radical/_pilot.py", params={"pilot_cores": 4}, start=270, walltime=600, jobs=1, cores=2
)
"""A pilot for the cases that do not test its start; the case of the first tier does."""

ENSEMBLE = Fixture("radical.entk", payload="radical/_ensemble.py", start=360, walltime=900, jobs=1, cores=2)
"""The same for EnTK; the case with the ensemble of pipelines tests its start."""

UPSTREAM = "https://github.com/radical-cybertools/radical.pilot/blob/v1.103.2/src/radical/pilot"
"""The source of radical.pilot, to which the known failures refer."""


def overlapping(tasks: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the pairs of tasks that used the same core while both ran."""
    pairs = []
    for number, one in enumerate(tasks):
        for other in tasks[number + 1 :]:
            together = (
                one["output"]["began"] < other["output"]["ended"] and other["output"]["began"] < one["output"]["ended"]
            )
            if together and set(one["cores_assigned"][0]) & set(other["cores_assigned"][0]):
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
    assert {task["cores_requested"] for task in tasks} == {1, 2}
    for task in tasks:
        assert (task["state"], task["exit_code"]) == ("DONE", 0), task["stderr"]
        salted = task["uid"].encode(), task["argument"].encode()
        value = hashlib.pbkdf2_hmac("sha256", *salted, params["rounds"]).hex()
        assert task["output"]["uid"] == task["uid"]
        assert task["output"]["value"] == task["written"] == value
        (assigned,) = task["cores_assigned"]
        assert len(set(assigned)) == task["cores_requested"]
        assert set(assigned) <= set(range(pilot["cores"]))
    assert not overlapping(tasks), "one core was assigned to two tasks at the same time"
    assert pilot["state"] == "PMGR_ACTIVE"
    if outcome.scheduler == "local":
        assert {task["output"]["host"] for task in tasks} == {answer["host"]}
        return
    (job,) = pilot["jobs"]
    assert job["state"] == "RUNNING", "the scheduler did not report the pilot's job as running"
    assert {task["output"]["job_id"] for task in tasks} == {job["id"]}
    assert {task["output"]["node"] for task in tasks} == {job["nodes"]}
    assert outcome.ran_on(job["nodes"])
    assert all(task["output"]["step_cpus"] in (None, str(task["cores_requested"])) for task in tasks)


@case(
    payload="radical/failing_task.py",
    component="radical.pilot",
    schedulers=PILOTS,
    where="login",
    jobs=1,
    cores=2,
    walltime=300,
    fixture=PILOT,
    params={"exit_code": 3},
)
def test_a_task_that_exits_with_3_fails_with_exit_code_3_and_another_task_passes(outcome: Outcome) -> None:
    one_failed_and_one_passed(outcome)


def one_failed_and_one_passed(outcome: Outcome) -> None:
    """Assert that one task failed with its exit code and its stderr, and that the other task passed."""
    failing, passing = outcome.answer["failing"], outcome.answer["passing"]
    assert (failing["state"], failing["exit_code"]) == ("FAILED", outcome.params["exit_code"])
    assert failing["stdout"] == ""
    assert "wrong" in failing["stderr"].splitlines(), "the task's stderr is lost (a launcher may add lines to it)"
    assert (passing["state"], passing["exit_code"], passing["stdout"]) == ("DONE", 0, "42")


@case(
    payload="radical/service.py",
    component="radical.pilot",
    schedulers=PILOTS,
    where="login",
    jobs=1,
    cores=2,
    walltime=300,
    fixture=PILOT,
    params={"ranks": 2, "salt": "of-this-service", "pilot_cores": 4},
    needs=("mpi-launcher",),  # RADICAL itself starts only tasks of one rank
)
def test_two_ranks_read_a_staged_file_query_a_service_and_their_answers_are_staged_out(outcome: Outcome) -> None:
    answer, params = outcome.answer, outcome.params
    assert (answer["task"]["state"], answer["task"]["exit_code"]) == ("DONE", 0), answer["task"]["stderr"]
    ranks = answer["ranks"]
    assert [(each["rank"], each["ranks"]) for each in ranks] == [(rank, params["ranks"]) for rank in range(len(ranks))]
    assert len({each["pid"] for each in ranks}) == params["ranks"]
    for each in ranks:
        assert each["line"] == f"line {each['rank']}"
        assert each["digest"] == hashlib.sha256((params["salt"] + each["line"]).encode()).hexdigest()
    assert answer["service"]["during"] == "AGENT_EXECUTING"
    assert answer["service"]["after"] == "CANCELED"


@case(
    payload="radical/raptor.py",
    component="radical.pilot",
    schedulers=PILOTS,
    where="login",
    jobs=1,
    cores=2,
    walltime=300,
    fixture=PILOT,
    params={"calls": 20, "pilot_cores": 4},
)
def test_raptor_calls_functions_in_its_worker_and_an_exception_fails_only_its_own_call(outcome: Outcome) -> None:
    *calls, failing = outcome.answer["calls"]
    assert [(call["state"], call["value"]["square"]) for call in calls] == [
        ("DONE", number**2) for number in range(outcome.params["calls"])
    ]
    pids = {call["value"]["pid"] for call in calls}
    assert len(pids) == len(calls), "two calls shared a process"
    assert outcome.answer["submitter"] not in pids | {call["value"]["parent"] for call in calls}
    assert failing["state"] == "FAILED"
    assert "ArithmeticError" in failing["exception"]
    assert "84 by nothing" in failing["exception"]


@case(
    payload="radical/walltime.py",
    component="radical.pilot",
    schedulers=PILOTS,
    where="login",
    jobs=1,
    cores=2,
    tier="scale",  # takes three minutes
    walltime=420,
    params={"pilot_minutes": 2},  # the start of the agent takes up to one of them
    broken_on={
        "local": "radical.pilot 1.103.2 ends its agent but, without a batch job, its task continues to run: "
        f"{UPSTREAM}/agent/agent_0.py#L599"
    },
)
def test_a_pilot_at_the_end_of_its_walltime_is_reported_as_ended_and_its_task_stops(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["before"] == "AGENT_EXECUTING"
    assert answer["steps"] > 0
    assert answer["lasted"] >= 30
    # DONE if the agent ended it; another state if the time limit of the scheduler was reached first
    assert answer["pilot"] in ("DONE", "FAILED", "CANCELED"), f"after its walltime the pilot is {answer['pilot']}"
    assert answer["task"] in ("CANCELED", "FAILED")
    assert answer["stopped"], "the pilot is reported as ended and its task still works"


def stages_joined(outcome: Outcome) -> None:
    """Assert that every second stage read the files of both tasks of its first stage after they were written."""
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
        assert job["state"] == "RUNNING", "the scheduler did not report the ensemble's job as running"


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
    stages_joined(outcome)


@case(
    payload="radical/ensemble.py",
    component="radical.entk",
    variants={"staging=link": {"staging": "link"}},
    schedulers=("local",),
    where="login",
    cores=2,
    tier="scale",  # the case needs its own pilot only to confirm a known failure
    walltime=420,
    params={"members": 1},
    xfail="radical.pilot 1.103 neither links nor moves files if radical.saga is installed, since those methods "
    f"are empty: {UPSTREAM}/utils/staging_helper.py#L184",
)
def test_the_second_stage_reads_linked_files(outcome: Outcome) -> None:
    stages_joined(outcome)


@case(
    payload="radical/steering.py",
    component="radical.entk",
    schedulers=PILOTS,
    where="login",
    jobs=1,
    cores=2,
    walltime=420,
    fixture=ENSEMBLE,
    params={"pipelines": ["adaptive", "tolerant"], "least": 20, "exit_code": 3},
)
def test_a_pipeline_adds_stages_at_run_time_and_another_continues_after_a_failed_task(outcome: Outcome) -> None:
    adaptive, tolerant = outcome.answer["adaptive"], outcome.answer["tolerant"]
    assert adaptive["state"] == tolerant["state"] == "DONE"
    done = ["DONE"]
    assert adaptive["stages"] == [[f"double{number}", "DONE", done] for number in (3, 6, 12)]
    # a failed task does not fail its stage, unless it is marked as fatal
    assert tolerant["stages"] == [["fails", "DONE", ["FAILED"]], ["after", "DONE", done]]
    assert tolerant["continued"]


@case(
    payload="radical/steering.py",
    component="radical.entk",
    name="fatal",
    schedulers=("local",),
    where="login",
    cores=2,
    tier="scale",  # the case needs its own pilot only to confirm a known failure
    walltime=420,
    params={"pipelines": ["strict"], "exit_code": 3},
    xfail="radical.entk 1.103.0 (wfprocessor.py, _update_dequeued_task) checks the state from before the failure to "
    "decide whether it is fatal, so the pipeline continues and ends as DONE: "
    "https://github.com/radical-cybertools/radical.entk/blob/60ac0a677f7a3d97eb06ef4dbc7b97ced2d3f7ea/"
    "src/radical/entk/appman/wfprocessor.py#L360",
)
def test_a_pipeline_fails_and_stops_when_a_task_marked_as_fatal_fails(outcome: Outcome) -> None:
    strict = outcome.answer["strict"]
    assert strict["state"] == "FAILED"
    assert strict["stages"][0][:2] == ["fails", "FAILED"]
    assert not strict["continued"]
