"""The judges of RADICAL's other cases and pairs: each accepts a correct answer and refuses wrong ones."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

import pytest

from sdk_tests import Outcome
from sdk_tests.integration import test_radical, test_radical_pairs
from tests.sdk_tests.integration.test_integration import Answer, Judge, at


def service() -> Answer:
    ranks = []
    for rank in range(2):
        line = f"line {rank}"
        digest = hashlib.sha256(f"of-this-service{line}".encode()).hexdigest()
        ranks.append({"rank": rank, "ranks": 2, "pid": 70 + rank, "line": line, "digest": digest})
    state = {"port": "40000", "during": "AGENT_EXECUTING", "after": "CANCELED"}
    return {"service": state, "task": {"state": "DONE", "exit_code": 0, "stderr": ""}, "ranks": ranks}


def raptor() -> Answer:
    calls: list[Answer] = []
    for number in range(20):
        value = {"square": number**2, "pid": 100 + number, "parent": 50 + number}
        calls.append({"state": "DONE", "value": value, "exception": "None"})
    calls.append({"state": "FAILED", "value": None, "exception": "ArithmeticError('84 by nothing')"})
    return {"submitter": 1, "calls": calls}


def steering() -> Answer:
    doubled = [[f"double{number}", "DONE", ["DONE"]] for number in (3, 6, 12)]
    continued = [["fails", "DONE", ["FAILED"]], ["after", "DONE", ["DONE"]]]
    return {
        "adaptive": {"state": "DONE", "stages": doubled, "continued": False},
        "tolerant": {"state": "DONE", "stages": continued, "continued": True},
    }


def pilot(count: int, rounds: int) -> Answer:
    tasks = []
    for number in range(count):
        uid, argument = f"task.{number:06}", f"argument-{number}"
        value = hashlib.pbkdf2_hmac("sha256", uid.encode(), argument.encode(), rounds).hex()
        output = {"value": value, "job_id": "7", "ancestors": ["sh", "flux-shell-0", "flux-broker-0"]}
        task = {"uid": uid, "state": "DONE", "exit_code": 0, "stderr": "", "argument": argument, "written": value}
        tasks.append({**task, "output": output})
    job = {"id": "7", "state": "RUNNING", "nodes": "n1"}
    return {"pilot": {"state": "PMGR_ACTIVE", "jobs": [job], "through_psij": ["7"]}, "tasks": tasks}


WALLTIME = {"before": "AGENT_EXECUTING", "pilot": "DONE", "task": "CANCELED", "lasted": 70.0, "steps": 50}
PSIJ = {
    "passing": {"state": "COMPLETED", "output": {"task": "task.000000", "pilot": "pilot.0000"}},
    "failing": {
        "state": "FAILED",
        "metadata": {"exit_code": 7},
        "output": {"task": "task.000001", "pilot": "pilot.0000"},
    },
}
PARSL = {
    "submitter": 1,
    "value": {"value": 7**40, "pid": 2, "task": "task.000003"},
    "exit_code": 0,
    "printed": "42",
    "exception": "ArithmeticError('84 by nothing')",
}
EXAMPLES: list[tuple[Judge, Answer, list[Any]]] = [
    (
        test_radical.test_two_ranks_read_a_staged_file_query_a_service_and_their_answers_are_staged_out,
        service(),
        [
            at("task", "state", value="FAILED"),
            at("ranks", value=service()["ranks"][:1]),
            at("ranks", 1, "ranks", value=1),
            at("ranks", 1, "pid", value=70),
            at("ranks", 1, "line", value="line 0"),
            at("ranks", 0, "digest", value="0" * 64),
            at("service", "during", value="DONE"),
            at("service", "after", value="AGENT_EXECUTING"),
        ],
    ),
    (
        test_radical.test_raptor_calls_functions_in_its_worker_and_an_exception_fails_only_its_own_call,
        raptor(),
        [
            at("calls", 7, "value", "square", value=50),
            at("calls", 7, "state", value="FAILED"),
            at("calls", 7, "value", "pid", value=108),
            at("calls", 7, "value", "parent", value=1),
            at("calls", 20, "state", value="DONE"),
            at("calls", 20, "exception", value="None"),
        ],
    ),
    (
        test_radical.test_a_pilot_at_the_end_of_its_walltime_is_reported_as_ended_and_its_task_stops,
        {**WALLTIME, "stopped": True},
        [
            at("stopped", value=False),
            at("pilot", value="PMGR_ACTIVE"),
            at("task", value="AGENT_EXECUTING"),
            at("steps", value=0),
            at("lasted", value=5.0),
            at("before", value="FAILED"),
        ],
    ),
    (
        test_radical.test_a_pipeline_adds_stages_at_run_time_and_another_continues_after_a_failed_task,
        steering(),
        [
            at("adaptive", "stages", value=steering()["adaptive"]["stages"][:2]),
            at("adaptive", "state", value="SUSPENDED"),
            at("tolerant", "continued", value=False),
            at("tolerant", "stages", 0, 2, value=["DONE"]),
        ],
    ),
    (
        test_radical.test_a_pipeline_fails_and_stops_when_a_task_marked_as_fatal_fails,
        {"strict": {"state": "FAILED", "stages": [["fails", "FAILED", ["FAILED"]]], "continued": False}},
        [
            at("strict", "state", value="DONE"),
            at("strict", "continued", value=True),
            at("strict", "stages", 0, 1, value="DONE"),
        ],
    ),
    (
        test_radical_pairs.test_a_pilots_job_is_submitted_by_psij_and_its_tasks_run_in_it,
        pilot(2, 1000),
        [
            at("pilot", "through_psij", value=[]),
            at("pilot", "through_psij", value=["6"]),
            at("pilot", "jobs", 0, "state", value="QUEUED"),
            at("tasks", 1, "output", "job_id", value=None),
            at("tasks", 1, "written", value=None),
        ],
    ),
    (
        test_radical_pairs.test_flux_started_by_a_pilot_runs_its_tasks,
        pilot(6, 50_000),
        [at("tasks", 3, "output", "ancestors", value=["sh", "python"]), at("tasks", 3, "state", value="FAILED")],
    ),
    (
        test_radical_pairs.test_the_pilot_reports_the_exit_code_of_a_task_that_fails_in_flux,
        {
            "failing": {"state": "FAILED", "exit_code": 3, "stdout": "", "stderr": "wrong"},
            "passing": {"state": "DONE", "exit_code": 0, "stdout": "42", "stderr": ""},
        },
        [
            at("failing", "state", value="DONE"),
            at("failing", "exit_code", value=1),
            at("failing", "stderr", value=""),
            at("passing", "state", value="FAILED"),
            at("passing", "stdout", value=""),
        ],
    ),
    (
        test_radical_pairs.test_a_pilot_inside_a_flux_job_runs_its_tasks_with_flux,
        pilot(6, 50_000),
        [at("tasks", 3, "output", "ancestors", value=[]), at("tasks", value=[])],
    ),
    (
        test_radical_pairs.test_psij_runs_its_jobs_in_a_pilot_and_reports_which_failed,
        PSIJ,
        [
            at("failing", "state", value="COMPLETED"),
            at("failing", "metadata", "exit_code", value=1),
            at("passing", "state", value="FAILED"),
            at("passing", "output", "pilot", value=None),
            at("failing", "output", "task", value="task.000000"),
        ],
    ),
    (
        test_radical_pairs.test_parsl_runs_its_apps_in_a_pilot_and_reports_an_exception,
        PARSL,
        [
            at("value", "value", value=7),
            at("value", "pid", value=1),
            at("value", "task", value=None),
            at("exit_code", value=1),
            at("printed", value=""),
            at("exception", value="None"),
        ],
    ),
]
GOOD = [pytest.param(judge, answer, id=judge.__name__) for judge, answer, _ in EXAMPLES]
BAD = [
    pytest.param(judge, answer, change, id=f"{judge.__name__}-{number}")
    for judge, answer, changes in EXAMPLES
    for number, change in enumerate(changes)
]


def outcome(judge: Judge, answer: Answer) -> Outcome:
    case = judge.exaworks_cases[0]  # type: ignore[attr-defined]
    return Outcome(case, case.case_id("slurm"), "slurm", copy.deepcopy(answer), 0, params=dict(case.params))


@pytest.mark.parametrize(("judge", "answer"), GOOD)
def test_a_judge_accepts_the_answer_of_a_working_component(judge: Judge, answer: Answer) -> None:
    judge(outcome(judge, answer))


@pytest.mark.parametrize(("judge", "answer", "change"), BAD)
def test_a_judge_refuses_the_answer_of_a_broken_component(judge: Judge, answer: Answer, change: Any) -> None:
    given = outcome(judge, answer)
    change(given.answer)
    with pytest.raises((AssertionError, ValueError)):
        judge(given)
