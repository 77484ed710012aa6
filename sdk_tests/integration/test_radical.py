"""RADICAL: a pilot that asks the scheduler for its own job and runs tasks in it, and an ensemble of pipelines."""

from __future__ import annotations

import hashlib
from typing import Any

from sdk_tests.model.attempt import Outcome
from sdk_tests.model.case import case

PILOTS = ("local", "slurm", "pbs")
"""Schedulers that a pilot's own job is submitted to.

Not Flux: psij-python 0.9.11's executor, the one way by which radical.pilot 1.103 could submit to it, passes on neither
environment nor folder, without which a pilot's bootstrap finds nothing. A pilot inside a Flux job is a pair with Flux.
"""


UPSTREAM = "https://github.com/radical-cybertools/radical.pilot/blob/v1.103.2/src/radical/pilot"
"""Where the code of radical.pilot stands that a known failure is about."""


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
    failed_beside(outcome)


def failed_beside(outcome: Outcome) -> None:
    """Assert that one task failed with its exit code and its stderr, and the one beside it passed."""
    failing, passing = outcome.answer["failing"], outcome.answer["passing"]
    assert (failing["state"], failing["exit_code"]) == ("FAILED", outcome.params["exit_code"])
    assert failing["stdout"] == ""
    assert "wrong" in failing["stderr"].splitlines(), "its own stderr is lost (a launcher may add to it)"
    assert (passing["state"], passing["exit_code"], passing["stdout"]) == ("DONE", 0, "42")


@case(
    payload="radical/service.py",
    component="radical.pilot",
    schedulers=PILOTS,
    where="login",
    jobs=1,
    cores=2,
    walltime=300,
    params={"ranks": 2, "salt": "of-this-service", "pilot_cores": 4},
)
def test_two_ranks_read_a_staged_file_ask_a_service_and_their_answers_are_staged_back(outcome: Outcome) -> None:
    answer, params = outcome.answer, outcome.params
    assert (answer["task"]["state"], answer["task"]["exit_code"]) == ("DONE", 0), answer["task"]["stderr"]
    ranks = answer["ranks"]
    assert [(told["rank"], told["ranks"]) for told in ranks] == [(rank, params["ranks"]) for rank in range(len(ranks))]
    assert len({told["pid"] for told in ranks}) == params["ranks"]
    for told in ranks:
        assert told["line"] == f"line {told['rank']}"
        assert told["digest"] == hashlib.sha256((params["salt"] + told["line"]).encode()).hexdigest()
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
    params={"calls": 20, "pilot_cores": 4},
)
def test_raptor_calls_functions_in_its_worker_and_an_exception_fails_its_own_call_alone(outcome: Outcome) -> None:
    *calls, failing = outcome.answer["calls"]
    assert [(call["state"], call["value"]["square"]) for call in calls] == [
        ("DONE", number**2) for number in range(outcome.params["calls"])
    ]
    pids = {call["value"]["pid"] for call in calls}
    assert len(pids) == len(calls), "each call has a process of its own"
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
    tier="scale",  # three minutes of waiting
    walltime=420,
    params={"pilot_minutes": 2},  # of which the agent's own start takes up to one
    broken_on={
        "local": "radical.pilot 1.103.2 ends its agent and, where no job ends with it, leaves its task at work: "
        f"{UPSTREAM}/agent/agent_0.py#L599"
    },
)
def test_a_pilot_whose_time_is_over_tells_its_end_and_its_task_works_no_more(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["before"] == "AGENT_EXECUTING"
    assert answer["steps"] > 0
    assert answer["lasted"] >= 30
    # done where its agent saw the time, and not where the scheduler's own limit came first
    assert answer["pilot"] in ("DONE", "FAILED", "CANCELED"), f"the pilot's time is over and it is {answer['pilot']}"
    assert answer["task"] in ("CANCELED", "FAILED")
    assert answer["stopped"], "the pilot is told ended and its task still works"


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
    tier="scale",  # a pilot of its own, for what is known not to work
    walltime=420,
    params={"members": 1},
    xfail="radical.pilot 1.103 links and moves no file where radical.saga is installed, those methods are empty there: "
    f"{UPSTREAM}/utils/staging_helper.py#L184",
)
def test_the_second_stage_reads_files_that_are_linked_to_it(outcome: Outcome) -> None:
    joined(outcome)


@case(
    payload="radical/steering.py",
    component="radical.entk",
    schedulers=PILOTS,
    where="login",
    jobs=1,
    cores=2,
    walltime=420,
    params={"pipelines": ["adaptive", "tolerant"], "least": 20, "exit_code": 3},
)
def test_a_pipeline_grows_by_what_its_stages_find_and_another_goes_on_past_a_failed_task(outcome: Outcome) -> None:
    adaptive, tolerant = outcome.answer["adaptive"], outcome.answer["tolerant"]
    assert adaptive["state"] == tolerant["state"] == "DONE"
    done = ["DONE"]
    assert adaptive["stages"] == [[f"double{number}", "DONE", done] for number in (3, 6, 12)]
    # a failed task makes no failed stage, unless it is said to be fatal
    assert tolerant["stages"] == [["fails", "DONE", ["FAILED"]], ["after", "DONE", done]]
    assert tolerant["went_on"]


@case(
    payload="radical/steering.py",
    component="radical.entk",
    name="fatal",
    schedulers=("local",),
    where="login",
    cores=2,
    tier="scale",  # a pilot of its own, for what is known not to work
    walltime=420,
    params={"pipelines": ["strict"], "exit_code": 3},
    xfail="radical.entk 1.103.0 (wfprocessor.py, _update_dequeued_task) asks by the state a task had before it failed "
    "whether its failure is fatal, so its pipeline goes on and is called DONE: "
    "https://github.com/radical-cybertools/radical.entk/blob/60ac0a677f7a3d97eb06ef4dbc7b97ced2d3f7ea/"
    "src/radical/entk/appman/wfprocessor.py#L360",
)
def test_a_pipeline_whose_task_is_fatal_fails_with_it_and_stops(outcome: Outcome) -> None:
    strict = outcome.answer["strict"]
    assert strict["state"] == "FAILED"
    assert strict["stages"][0][:2] == ["fails", "FAILED"]
    assert not strict["went_on"]
