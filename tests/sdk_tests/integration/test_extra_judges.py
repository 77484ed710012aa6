"""The judges of the components outside the release: each accepts a right answer and refuses wrong ones."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from sdk_tests import Case, Outcome
from sdk_tests.integration import test_colmena, test_dask, test_globus, test_libensemble
from sdk_tests.plan.components import components

Judge = Callable[[Outcome], None]
Answer = dict[str, Any]
Change = Callable[[Answer], None]

MODULES = (test_colmena, test_dask, test_globus, test_libensemble)
DIVISION = "ZeroDivisionError('integer division or modulo by zero')"


def at(*path: Any, value: Any) -> Change:
    """Return a function that sets the value at ``path`` in an answer."""

    def change(answer: Answer) -> None:
        place: Any = answer
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def each(name: str, key: str, value: Any) -> Change:
    """Return a function that sets a key of every element of a list."""
    return lambda answer: [element.update({key: value}) for element in answer[name]]  # type: ignore[return-value]


def last_removed(name: str) -> Change:
    return lambda answer: answer[name].pop()


def graph() -> Answer:
    squares = [{"value": number**2, "pid": 50 + number % 2} for number in (1, 2, 3, 4, 5, 6)]
    return {
        "node": "n1",
        "submitter": 9,
        "workers": [50, 51],
        "squares": squares,
        "total": 91,
        "raised": DIVISION,
        "dependent": DIVISION,
    }


def workers() -> Answer:
    tasks = [
        {"square": number**2, "pid": 60 + number % 2, "node": f"n{1 + number % 2}", "job_id": f"7{number % 2}"}
        for number in range(8)
    ]
    return {"tasks": tasks, "jobs": ["70", "71"], "raised": DIVISION, "ends": ["COMPLETED", "COMPLETED"]}


WORKERS: list[Change] = [
    at("tasks", 3, "square", value=8),
    at("tasks", value=[]),
    lambda answer: [task.update(pid=60, node="n1") for task in answer["tasks"]],  # type: ignore[list-item]
    each("tasks", "job_id", "70"),
    each("tasks", "job_id", None),
    each("tasks", "node", "login"),
    at("jobs", value=["70", "70"]),
    at("jobs", value=["70", "72"]),
    at("raised", value="None"),
]


def test_dask_jobqueue_may_leave_the_server_out_of_the_id_of_a_job() -> None:
    answer = workers()
    for task in answer["tasks"]:
        task["job_id"] += ".pbs-server"
    judge = test_dask.test_dask_jobqueue_submits_a_job_for_each_worker_and_both_compute
    judge(outcome(judge, answer))


def rows(finished: str) -> Answer:
    worked = [
        {"number": number, "value": number**2, "square": number**2, "worker": 1 + n % 3, "state": finished}
        for n, number in enumerate((2, 3, 5, 26))
    ]
    for n, row in enumerate(worked):
        row |= {"exit_code": 0, "pid": 80 + n, "node": "n1", "job_id": f"9{n}", "native_id": f"9{n}"}
    failed = {"number": -7, "value": -1, "worker": 1, "state": "FAILED", "exit_code": 3, "native_id": "99"}
    return {"flag": 0, "rows": [*worked, failed]}


ROWS: list[Change] = [
    at("flag", value=1),
    last_removed("rows"),
    at("rows", 3, "number", value=25),
    at("rows", 0, "value", value=5),
    at("rows", 0, "square", value=5),
    at("rows", 0, "state", value="FAILED"),
    at("rows", 4, "state", value="FINISHED"),
    at("rows", 4, "exit_code", value=0),
    each("rows", "worker", 1),
    at("rows", 1, "pid", value=80),
    at("rows", 1, "node", value="login"),
]


def search() -> Answer:
    numbers = [(1, None), (0, None), (3, 1), (5, 3), (7, 5)]
    results: list[Answer] = [
        {"number": number, "after": after, "success": True, "failure": None, "distance": (number - 6) ** 2}
        for number, after in numbers
    ]
    for n, result in enumerate(results):
        result |= {"pid": 60 + n % 2, "node": "n1", "job_id": "70"}
    error = "ArithmeticError('-1 is less than nothing')"
    results.insert(1, {"number": -1, "after": None, "success": False, "failure": error})
    return {"results": results, "thinker": 9}


SEARCH: list[Change] = [
    at("results", 0, "distance", value=26),
    at("results", 1, "failure", value="ValueError('something else')"),
    at("results", 1, "success", value=True),
    last_removed("results"),
    at("results", 3, "after", value=0),
    at("results", 5, "number", value=8),
    at("results", 0, "pid", value=9),
    at("results", 0, "pid", value=77),
    at("results", 0, "node", value="login"),
]


def functions() -> Answer:
    answers = [
        {"number": number, "square": number**2, "pid": 60 + number % 2, "node": "n1", "job_id": "70"}
        for number in (2, 3, 5, 7)
    ]
    error = {"code": "RemoteExecutionError", "message": "ArithmeticError: -1 is less than nothing"}
    return {
        "submitter": 9,
        "answers": answers,
        "errors": {"-1": error},
        "engine": "GlobusComputeEngine",
        "workers": 2,
        "jobs": ["70"],
    }


FUNCTIONS: list[Change] = [
    at("answers", 0, "square", value=5),
    last_removed("answers"),
    at("errors", value={}),
    at("errors", "-1", "message", value="lost"),
    at("errors", "-1", "code", value=""),
    at("answers", 0, "pid", value=9),
    at("answers", 1, "pid", value=77),
    at("answers", 0, "node", value="login"),
]

EXAMPLES: list[tuple[Judge, Answer, list[Change]]] = [
    (
        test_dask.test_two_workers_compute_a_graph_and_a_function_that_raises_fails_only_its_dependents,
        graph(),
        [
            at("squares", 0, "value", value=2),
            each("squares", "pid", 50),
            at("total", value=90),
            at("workers", value=[50]),
            at("submitter", value=50),
            at("raised", value="None"),
            at("dependent", value="None"),
            at("node", value="login"),
        ],
    ),
    (test_dask.test_dask_jobqueue_submits_a_job_for_each_worker_and_both_compute, workers(), WORKERS),
    (
        test_dask.test_workers_in_jobs_of_psij_compute_and_their_jobs_complete,
        workers(),
        [*WORKERS, at("ends", value=["COMPLETED", "FAILED"])],
    ),
    (
        test_libensemble.test_a_generator_reads_results_and_a_simulation_that_fails_is_reported,
        rows("FINISHED"),
        ROWS,
    ),
    (
        test_libensemble.test_each_simulation_is_a_job_of_psij_and_one_that_fails_is_reported,
        rows("COMPLETED"),
        [*ROWS, at("rows", 0, "job_id", value=None), at("rows", 4, "native_id", value="90")],
    ),
    (
        test_globus.test_a_configured_endpoint_runs_functions_and_an_exception_is_the_result_of_its_own,
        functions(),
        [*FUNCTIONS, at("engine", value="ThreadPoolEngine"), at("workers", value=1)],
    ),
    (
        test_globus.test_functions_run_in_a_block_that_parsl_requests_for_the_engine,
        functions(),
        [*FUNCTIONS, each("answers", "job_id", None), at("jobs", value=["71"]), at("jobs", value=["70", "71"])],
    ),
    (test_colmena.test_results_decide_what_is_computed_next_and_a_task_that_raises_is_a_result, search(), SEARCH),
    (test_colmena.test_tasks_in_workers_of_parsl_are_steered_by_their_results, search(), SEARCH),
    (
        test_colmena.test_tasks_in_a_block_of_parsl_run_in_its_job_and_are_steered_by_their_results,
        search(),
        [*SEARCH, each("results", "job_id", None), at("results", 0, "job_id", value="71")],
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
    given = copy.deepcopy(answer)
    return Outcome(case, case.case_id("slurm"), "slurm", given, 0, nodes=("n1", "n2"), params=dict(case.params))


@pytest.mark.parametrize(("judge", "answer"), GOOD)
def test_a_judge_accepts_the_answer_of_a_working_component(judge: Judge, answer: Answer) -> None:
    judge(outcome(judge, answer))


@pytest.mark.parametrize(("judge", "answer", "change"), BAD)
def test_a_judge_refuses_the_answer_of_a_broken_component(judge: Judge, answer: Answer, change: Change) -> None:
    given = outcome(judge, answer)
    change(given.answer)
    assert given.answer != answer
    with pytest.raises((AssertionError, KeyError, ValueError)):
        judge(given)


def test_every_judge_of_these_components_is_tested() -> None:
    tested = {judge for judge, _, _ in EXAMPLES}
    for module in MODULES:
        for value in vars(module).values():
            assert not hasattr(value, "exaworks_cases") or value in tested, value


def test_an_extra_component_is_registered_by_its_entry_point_and_belongs_to_no_release() -> None:
    from exaworks_sdk.release import load

    extras = {name for name, kind in components().items() if kind.extra}
    assert extras == {"colmena", "dask", "globus-compute", "libensemble", "maestro"}
    assert not extras & {component.name for component in load(None).components}
    assert all(kind.preflight for kind in components().values())
