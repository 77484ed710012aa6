"""The judges of the cases: each accepts the answer of a working component and refuses those of a broken one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from sdk_tests import Case, Outcome
from sdk_tests.integration import test_control, test_parsl, test_psij, test_scale

Judge = Callable[[Outcome], None]
Answer = dict[str, Any]

JOB = {"native_id": "12", "state": "COMPLETED", "exit_code": 0, "message": None}
FAILED = {**JOB, "state": "FAILED", "exit_code": 7}
CANCELED = {**JOB, "state": "CANCELED", "exit_code": None}
CHANGES = [["QUEUED", None], ["ACTIVE", None], ["CANCELED", None]]
HELLO = {"greeting": "Hello World!", "node": "n1", "pid": 99, "job_id": "12"}


def bulk() -> Answer:
    jobs = []
    for number in range(50):
        end, code = ("FAILED", 3) if number % 10 == 9 else ("COMPLETED", 0)
        job = {"native_id": str(100 + number), "exit_code": code, "square": number**2}
        jobs.append({**job, "states": ["QUEUED", "ACTIVE", end]})
    return {"jobs": jobs}


def blocks(count: int) -> Answer:
    tasks = []
    for number in range(2 * count):
        block = str(number // 2)
        task = {"node": "n1", "pid": 50 + number, "block": block, "manager": f"m{block}", "job_id": f"7{block}"}
        tasks.append({**task, "square": number**2})
    return {"tasks": tasks, "jobs": {str(block): f"7{block}" for block in range(count)}}


def step(value: int, began: float) -> Answer:
    return {"value": value, "began": began, "ended": began + 1}


def at(*path: Any, value: Any) -> Callable[[Answer], None]:
    """Return a function that sets the value at ``path`` in an answer."""

    def change(answer: Answer) -> None:
        place: Any = answer
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def launched(nodes: int) -> Answer:
    """Return the answer of an MPI app with two ranks on so many nodes."""
    ranks = [{"rank": n, "size": 2, "node": f"n{n + 1}" if nodes > 1 else "n1", "pid": 60 + n} for n in range(2)]
    return {"ranks": ranks, "failed_with": 3, "unsized": "InvalidResourceSpecification"}


def started(count: int, first: int) -> Answer:
    """Return the answer of a launcher's payload."""
    processes = [{"pid": 70 + number, "rank": str(first + number), "slots": 2} for number in range(count)]
    return {**JOB, "processes": processes, "failing": {**FAILED, "exit_code": 1}}


def measured(tasks: int, *more: str, **rest: Any) -> Answer:
    """Return the answer of a payload of the scale tier."""
    names = sorted(test_scale.FIGURES.union(more))
    return {
        "tasks": tasks,
        "metrics": [{"name": name, "value": 2.0, "unit": "1", "better": "lower"} for name in names],
        **rest,
    }


def without(answer: Answer, name: str) -> Answer:
    """Return the answer of a payload of the scale tier without a figure."""
    return {**answer, "metrics": [figure for figure in answer["metrics"] if figure["name"] != name]}


ENSEMBLE = measured(1000, "pilot_start", states=["DONE"])
STARTED = [
    at("failing", "state", value="COMPLETED"),
    at("failing", "exit_code", value=0),
    at("state", value="FAILED"),
    at("processes", 0, "slots", value=1),
]
"""Changes that make the answer of any launcher wrong."""

MEASURED = [
    at("tasks", value=999),
    at("metrics", 0, "name", value="unheard_of"),
    at("metrics", 0, "value", value=0),
    at("metrics", value=measured(1)["metrics"][:-1]),
]

LAUNCHED = [
    at("ranks", value=launched(1)["ranks"][:1]),
    at("ranks", 1, "rank", value=0),
    at("ranks", 1, "size", value=1),
    at("ranks", 1, "node", value="login"),
    at("ranks", 1, "pid", value=60),
    at("failed_with", value=0),
    at("unsized", value="NoneType"),
]


EXAMPLES: list[tuple[Judge, Answer, list[Callable[[Answer], None]]]] = [
    (
        test_control.test_the_schedulers_own_command_runs_a_program,
        HELLO,
        [at("greeting", value="Hello"), at("node", value="login"), at("job_id", value=None)],
    ),
    (
        test_psij.test_a_job_runs_on_a_node_and_knows_its_id,
        {**JOB, **HELLO},
        [
            at("state", value="FAILED"),
            at("exit_code", value=None),
            at("job_id", value="13"),
            at("node", value="login"),
            at("native_id", value=""),
        ],
    ),
    (
        test_psij.test_arguments_environment_and_streams_reach_a_job_unchanged,
        {
            **JOB,
            **test_psij.test_arguments_environment_and_streams_reach_a_job_unchanged.exaworks_cases[0].params,  # type: ignore[attr-defined]
            "in_directory": True,
            "stderr": "this is stderr\n",
        },
        [
            at("arguments", 1, value="/home/user"),
            at("variable", value="of"),
            at("stdin", value=""),
            at("in_directory", value=False),
            at("stderr", value=""),
        ],
    ),
    (
        test_psij.test_a_job_that_exits_with_7_fails_with_exit_code_7,
        {**FAILED, "file": "ran"},
        [at("state", value="COMPLETED"), at("exit_code", value=1), at("file", value="")],
    ),
    (
        test_psij.test_a_running_job_that_is_cancelled_stops_working,
        {**CANCELED, "before": "ACTIVE", "steps": 3, "stopped": True, "status_changes": CHANGES},
        [
            at("state", value="COMPLETED"),
            at("stopped", value=False),
            at("steps", value=0),
            at("before", value="QUEUED"),
            at("status_changes", value=CHANGES[:2]),
            at("status_changes", value=[*CHANGES, ["FAILED", 137]]),
        ],
    ),
    (
        test_psij.test_a_queued_job_that_is_cancelled_never_runs,
        {**CANCELED, "before": "QUEUED", "native_before": "PENDING", "native_after": "CANCELLED by 0", "ran": False},
        [at("native_before", value="RUNNING"), at("native_after", value="PENDING"), at("ran", value=True)],
    ),
    (
        test_psij.test_a_job_that_exceeds_its_duration_is_ended_and_fails,
        {**FAILED, "message": "The job exhausted its time limit.", "lasted": 80.0, "ended_by_itself": False},
        [
            at("state", value="COMPLETED"),
            at("message", value="A node required by the job is down."),
            at("lasted", value=1.0),
            at("ended_by_itself", value=True),
        ],
    ),
    (
        test_psij.test_the_sites_launcher_puts_one_process_on_each_node,
        {**JOB, "processes": [HELLO, {**HELLO, "node": "n2"}]},
        [
            at("processes", value=[HELLO]),
            at("processes", 1, "node", value="n1"),
            at("processes", 1, "job_id", value="9"),
        ],
    ),
    (
        test_psij.test_fifty_jobs_each_pass_through_their_states_in_legal_order,
        bulk(),
        [
            at("jobs", 7, "square", value=50),
            at("jobs", 7, "states", value=["QUEUED", "COMPLETED", "ACTIVE"]),
            at("jobs", 7, "states", value=["QUEUED", "ACTIVE", "ACTIVE", "COMPLETED"]),
            at("jobs", 9, "states", value=["QUEUED", "ACTIVE", "COMPLETED"]),
            at("jobs", 9, "exit_code", value=0),
            at("jobs", 7, "native_id", value="106"),
            at("jobs", value=bulk()["jobs"][:49]),
        ],
    ),
    (
        test_psij.test_a_second_executor_follows_a_job_by_its_native_id,
        {**JOB, "before": "ACTIVE", "file": "done"},
        [at("before", value="COMPLETED"), at("file", value=""), at("state", value="FAILED")],
    ),
    (
        test_psij.test_a_second_executor_reports_the_exit_code_of_a_job_it_did_not_submit,
        {**FAILED, "before": "ACTIVE", "file": "done"},
        [at("exit_code", value=0), at("state", value="COMPLETED")],
    ),
    (
        test_parsl.test_a_python_app_returns_a_computed_value_from_a_worker,
        {"value": 7**40, "node": "n1", "worker": 2, "submitter": 1},
        [at("value", value=7**39), at("worker", value=1), at("node", value="login")],
    ),
    (
        test_parsl.test_a_bash_app_reads_and_writes_files_and_its_exit_code_is_reported,
        {"exit_code": 0, "sorted": [3, 7, 20, 100, 3000], "count": 5, "failed_with": 3},
        [at("sorted", 0, value=100), at("count", value=4), at("failed_with", value="None"), at("exit_code", value=1)],
    ),
    (
        test_parsl.test_a_diamond_of_futures_runs_in_order_and_passes_values_on,
        {"top": step(7, 0), "left": step(70, 1), "right": step(49, 1.5), "bottom": step(21, 3)},
        [at("bottom", "value", value=-21), at("left", "began", value=0.5), at("bottom", "began", value=2.2)],
    ),
    (
        test_parsl.test_the_exception_of_an_app_is_raised_by_its_future_and_stops_dependent_apps,
        {
            "type": "ArithmeticError",
            "message": "84 by nothing",
            "dependent": "DependencyError",
            "dependent_because_of": "84 by nothing",
            "other": 42.0,
        },
        [
            at("type", value="Exception"),
            at("message", value=""),
            at("dependent", value="NoneType"),
            at("dependent_because_of", value="None"),
            at("other", value=0),
        ],
    ),
    (
        test_parsl.test_the_workers_of_one_block_run_at_the_same_time,
        blocks(1),
        [at("tasks", 1, "pid", value=50), at("tasks", 1, "job_id", value="9"), at("tasks", 1, "square", value=0)],
    ),
    (
        test_parsl.test_two_blocks_in_jobs_of_their_own_run_at_the_same_time,
        blocks(2),
        [
            at("jobs", "1", value="70"),
            at("tasks", value=blocks(2)["tasks"][:2]),
            at("tasks", 3, "manager", value="m2"),
            at("tasks", 3, "node", value="login"),
        ],
    ),
    (
        test_parsl.test_a_recursive_join_app_returns_the_values_of_its_futures_or_their_failure,
        {"value": 13, "tasks": 25, "wide": [1, 2, 3], "error": "JoinError", "reasons": ["no such leaf"]},
        [
            at("value", value=8),
            at("tasks", value=26),
            at("wide", 2, value=2),
            at("error", value="LookupError"),
            at("reasons", value=[]),
        ],
    ),
    (
        test_parsl.test_a_second_load_reuses_checkpointed_results_and_reruns_only_failed_apps,
        {
            "first": {
                "values": [0, 1, 4, 9],
                "error": "RuntimeError('not yet')",
                "ran": ["0", "1", "2", "3", "second_time"],
            },
            "second": {"values": [0, 1, 4, 9, 16], "error": None, "ran": ["4", "second_time"]},
        },
        [
            at("second", "ran", value=["0", "1", "2", "3", "4", "second_time"]),
            at("second", "ran", value=["4"]),
            at("second", "values", 3, value=None),
            at("second", "error", value="RuntimeError('not yet')"),
            at("first", "error", value=""),
            at("first", "ran", value=["0", "1", "2", "3"]),
        ],
    ),
    (
        test_parsl.test_the_task_of_a_killed_worker_is_retried_as_often_as_retries_allow,
        {
            "pids": {"spared": 5, "once": 7},
            "tries": {"spared": [5], "once": [6, 7], "again": [5, 7]},
            "error": "WorkerLost",
            "message": "Task failure due to loss of worker 0 on host n1",
        },
        [
            at("tries", "once", value=[7]),
            at("tries", "spared", value=[5, 6]),
            at("pids", "once", value=9),
            at("tries", "again", value=[5, 6, 7]),
            at("error", value="NoneType"),
            at("message", value="None"),
        ],
    ),
    (
        test_parsl.test_monitoring_records_the_states_of_every_task_in_order,
        {
            "failed": [3],
            "workflow": [{"name": "exaworks", "completed": 2, "failed": 1, "ended": "2026-11-22 12:00:00"}],
            "functions": ["half"] * 3,
            "states": [
                ["pending", "launched", "running", "running_ended", end] for end in ("exec_done", "failed", "exec_done")
            ],
            "hosts": ["n1"],
        },
        [
            at("failed", value=[]),
            at("workflow", 0, "completed", value=3),
            at("workflow", 0, "ended", value=None),
            at("states", 0, value=["pending", "launched", "exec_done"]),
            at("states", 1, 4, value="exec_done"),
            at("states", 2, value=["launched", "pending", "running", "running_ended", "exec_done"]),
            at("states", value=[]),
            at("functions", value=["half"]),
            at("hosts", value=[]),
        ],
    ),
    (test_parsl.test_an_mpi_app_has_its_two_ranks_through_mpiexec, launched(1), LAUNCHED),
    (test_parsl.test_an_mpi_app_has_its_two_ranks_through_srun, launched(1), LAUNCHED),
    (
        test_parsl.test_an_mpi_app_has_a_rank_on_each_of_two_nodes,
        launched(2),
        [at("ranks", 1, "node", value="n1"), at("ranks", 1, "size", value=1), at("failed_with", value="None")],
    ),
    (
        test_psij.test_a_job_runs_through_the_executor_for_classic_pbs,
        {**JOB, **HELLO},
        [at("state", value="FAILED"), at("job_id", value="13")],
    ),
    (
        test_psij.test_a_job_that_exits_with_7_fails_with_exit_code_7_through_classic_pbs,
        {**FAILED, "file": "ran"},
        [at("state", value="COMPLETED"), at("exit_code", value=1), at("file", value="")],
    ),
    (
        test_psij.test_a_specification_read_back_from_json_equals_the_first_and_runs,
        {
            **JOB,
            **test_psij.test_a_specification_read_back_from_json_equals_the_first_and_runs.exaworks_cases[0].params,  # type: ignore[attr-defined]
            "differ": [],
            "in_directory": True,
        },
        [
            at("differ", value=["environment"]),
            at("arguments", 0, value="two"),
            at("variable", value=""),
            at("in_directory", value=False),
            at("state", value="FAILED"),
        ],
    ),
    (
        test_psij.test_a_duration_survives_being_written_as_json,
        {"differ": [], "durations": [300, 300]},
        [at("durations", 1, value=0), at("durations", 0, value=600)],
    ),
    (
        test_psij.test_the_launcher_single_starts_one_process_whatever_was_requested,
        started(1, 0),
        [at("processes", value=started(2, 0)["processes"]), *STARTED],
    ),
    (
        test_psij.test_the_launcher_multiple_starts_each_process_with_its_own_rank,
        started(2, 1),
        [
            at("processes", value=started(1, 1)["processes"]),
            at("processes", 1, "rank", value="1"),
            at("processes", 1, "pid", value=70),
            *STARTED,
        ],
    ),
    (
        test_psij.test_the_launcher_mpirun_starts_each_process_with_its_own_rank,
        started(2, 0),
        [
            at("processes", value=started(1, 0)["processes"]),
            at("processes", 1, "rank", value="0"),
            at("processes", 1, "pid", value=70),
            *STARTED,
        ],
    ),
    (
        test_psij.test_the_launcher_srun_starts_each_process_with_its_own_rank,
        started(2, 0),
        [at("processes", value=started(1, 0)["processes"]), at("processes", 1, "rank", value="0"), *STARTED],
    ),
    (
        test_scale.test_parsl_runs_every_one_of_many_short_tasks,
        measured(1000, "memory_interchange", "memory_pool", failed=0, workers=2),
        [at("failed", value=1), *MEASURED],
    ),
    (
        test_scale.test_psij_runs_every_one_of_many_short_jobs_here,
        measured(1000, states=["COMPLETED"]),
        [at("states", value=["COMPLETED", "FAILED"]), *MEASURED],
    ),
    (
        test_scale.test_psij_runs_every_one_of_many_short_jobs_through_the_scheduler,
        measured(1000, states=["COMPLETED"]),
        [at("states", value=["CANCELED", "COMPLETED"]), *MEASURED],
    ),
    *(
        (
            judge,
            measured(1000, "pilot_start", states=["DONE 0"]),
            [at("states", value=["DONE 0", "FAILED 1"]), *MEASURED],
        )
        for judge in (
            test_scale.test_a_pilot_runs_every_one_of_many_short_tasks,
            test_scale.test_flux_in_a_pilot_runs_every_one_of_many_short_tasks,
        )
    ),
    *(
        (judge, without(ENSEMBLE, "submissions_per_second"), [at("states", value=["DONE", "FAILED"]), *MEASURED])
        for judge in (
            test_scale.test_an_ensemble_runs_every_one_of_many_short_tasks_of_a_stage,
            test_scale.test_flux_runs_every_one_of_many_short_tasks_of_an_ensemble,
        )
    ),
]

GOOD = [pytest.param(judge, answer, id=judge.__name__) for judge, answer, _ in EXAMPLES]
BAD = [
    pytest.param(judge, answer, change, id=f"{judge.__name__}-{number}")
    for judge, answer, changes in EXAMPLES
    for number, change in enumerate(changes)
]


def outcome(judge: Judge, answer: Answer) -> Outcome:
    case: Case = judge.exaworks_cases[0]  # type: ignore[attr-defined]
    return Outcome(
        case, case.case_id("slurm"), "slurm", copy.deepcopy(answer), 0, nodes=("n1", "n2"), params=dict(case.params)
    )


@pytest.mark.parametrize(("judge", "answer"), GOOD)
def test_a_judge_accepts_the_answer_of_a_working_component(judge: Judge, answer: Answer) -> None:
    judge(outcome(judge, answer))


@pytest.mark.parametrize(("judge", "answer", "change"), BAD)
def test_a_judge_refuses_the_answer_of_a_broken_component(
    judge: Judge, answer: Answer, change: Callable[[Answer], None]
) -> None:
    given = outcome(judge, answer)
    change(given.answer)
    with pytest.raises(AssertionError):
        judge(given)


@pytest.mark.parametrize(
    ("later", "accepted"), [([["FAILED", 137]], True), ([["FAILED", 1]], False), ([["COMPLETED", 0]], False)]
)
def test_on_local_only_the_one_known_state_may_follow_canceled(later: list[Any], accepted: bool) -> None:
    judge = test_psij.test_a_running_job_that_is_cancelled_stops_working
    given = outcome(
        judge, {**CANCELED, "before": "ACTIVE", "steps": 3, "stopped": True, "status_changes": [*CHANGES, *later]}
    )
    given.scheduler = "local"
    if accepted:
        judge(given)
    else:
        with pytest.raises(AssertionError):
            judge(given)


def test_every_judge_of_these_components_is_tested() -> None:
    tested = {judge for judge, _, _ in EXAMPLES}
    for module in (test_control, test_psij, test_parsl, test_scale):
        for value in vars(module).values():
            assert not hasattr(value, "exaworks_cases") or value in tested, value
