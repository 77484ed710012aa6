"""Flux's cases: each judge accepts the answer of a working Flux and refuses the answers of a broken one."""

from __future__ import annotations

import copy
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sdk_tests
from sdk_tests import Case, Outcome
from sdk_tests.integration import test_flux

Judge = Callable[[Outcome], None]
Answer = dict[str, Any]
Change = Callable[[Answer], None]

PAYLOADS = Path(sdk_tests.__file__).parent / "payloads"


def at(*path: Any, value: Any) -> Change:
    """Return a function that sets the value at ``path`` in an answer."""

    def change(answer: Answer) -> None:
        place: Any = answer
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def without(*path: Any, value: Any) -> Change:
    """Return a function that removes a value from the list at ``path`` in an answer."""

    def change(answer: Answer) -> None:
        place: Any = answer
        for key in path:
            place = place[key]
        place.remove(value)

    return change


def instance(size: int) -> Answer:
    brokers = [{"rank": rank, "pid": 40 + rank, "node": f"n{rank + 1}"} for rank in range(size)]
    return {"version": "0.88.0", "size": size, "brokers": brokers, "tasks": [f"{r} of {size}" for r in range(size)]}


RAN = {"exit_code": 0, "output": "of two words; 'quoted' hidden", "in_folder": True, "stderr": ["on stderr"]}
BULK: Answer = {
    "exit_code": 3,
    "squares": [number * number for number in range(100)],
    "ends": [[f"f{n}", *(("FAILED", 3) if n % 10 == 9 else ("COMPLETED", 0))] for n in range(100)],
}
FIGURES = [{"name": name, "value": 5.0, "unit": "1/s", "better": "higher"} for name in sorted(test_flux.FIGURES)]


def job(began: float, code: str = "0") -> Answer:
    status = "FAILED" if code != "0" else "COMPLETED"
    return {"status": status, "returncode": code, "note": "", "began": began, "ended": began + 1, "ran": True}


CHAIN: Answer = {
    "first": job(1),
    "after_first": job(2),
    "fails": job(3, "3"),
    "after_failure": {
        **job(0, "1"),
        "ended": 4,
        "ran": False,
        "note": "dependency after-success=f1 can never be satisfied",
    },
    "only_after_failure": job(4),
    "after_any": job(4.5),
}
REFUSED = {"exit_code": 1, "message": "unsatisfiable request: need 3 node(s)", "ran": False}
LEVELS: Answer = {
    "instances": [
        {"instance-level": f"{level}", "size": "1", "local-uri": f"local:///{level}", "jobid-path": path, "cores": 1}
        | {"ran": f"local:///{level}"}
        for level, path in enumerate(("/", "/f1", "/f1/f2"))
    ]
}
LOG = ["submit", "validate", *test_flux.LOG[1:]]
API: Answer = {
    "bindings": "/opt/flux",
    "codes": list(range(10)),
    "ids": list(range(100, 110)),
    "events": list(test_flux.LOG),
    "log": LOG,
    "log_in_time_order": True,
    "raised": [
        "JobException: job.exception: type=exec: no such file",
        "JobException: job.exception: type=alloc: unsatisfiable",
        "JobException: job.exception: type=cancel: not needed any more",
    ],
}
ENDED = {"state": "COMPLETED", "exit_code": None, "flux_status": "COMPLETED"}
PSIJ: Answer = {
    "ends": [dict(ENDED) for _ in range(8)],
    "failing": {"state": "FAILED", "exit_code": 7, "flux_status": "FAILED"},
    "before": "ACTIVE",
    "cancelled": {"state": "CANCELED", "exit_code": None, "flux_status": "CANCELED"},
    "ids": [f"f{number}" for number in range(8)],
    "squares": [number * number for number in range(8)],
}
PARSL: Answer = {
    "values": [{"square": n * n, "pid": 50 + n, "job": f"f{n}"} for n in (*range(8), 100)],
    "raised": ["ArithmeticError: -1 is less than nothing", "AppException: Parsl task exited abnormally: returned 9"],
    "pid": 7,
}
CANCEL = {
    "running": {"before": "RUN", "status": "CANCELED"},
    "held": {"before": "SCHED", "status": "CANCELED"},
    "steps": 20,
    "stopped": True,
    "ran": False,
}

EXAMPLES: list[tuple[Any, Answer, list[Change]]] = [
    (
        test_flux.test_an_instance_starts_and_runs_a_task_on_every_broker,
        instance(1),
        [at("size", value=2), at("brokers", value=[]), at("tasks", value=[]), at("brokers", 0, "node", value="login")],
    ),
    (
        test_flux.test_an_instance_over_an_allocation_has_a_broker_on_each_node,
        instance(2),
        [
            at("size", value=1),
            at("brokers", 1, "node", value="n1"),
            at("brokers", 1, value={"rank": 1, "pid": 40, "node": "n1"}),
            at("tasks", value=["0 of 1", "0 of 1"]),
        ],
    ),
    (
        test_flux.test_flux_run_sets_the_environment_and_the_folder_of_a_program,
        RAN,
        [
            at("exit_code", value=1),
            at("output", value="of two words; 'quoted' still here"),
            at("in_folder", value=False),
            at("stderr", value=[]),
        ],
    ),
    (
        test_flux.test_flux_run_returns_the_exit_code_of_its_program,
        {**RAN, "exit_code": 7},
        [at("exit_code", value=0), at("exit_code", value=1), at("output", value="")],
    ),
    (
        test_flux.test_a_hundred_jobs_of_one_submission_each_have_their_result,
        BULK,
        [
            at("exit_code", value=0),
            at("squares", 7, value=50),
            at("ends", 9, value=["f9", "COMPLETED", 0]),
            at("ends", 8, value=["f9", "COMPLETED", 0]),
            without("ends", value=["f1", "COMPLETED", 0]),
        ],
    ),
    (
        test_flux.test_flux_runs_every_one_of_many_short_jobs,
        {"tasks": 1000, "states": ["COMPLETED"], "metrics": FIGURES},
        [
            at("tasks", value=999),
            at("states", value=["COMPLETED", "FAILED"]),
            at("metrics", value=FIGURES[1:]),
            at("metrics", 0, "value", value=-1.0),
        ],
    ),
    (
        test_flux.test_a_job_waits_for_the_one_it_depends_on,
        CHAIN,
        [
            at("after_first", "began", value=1.5),
            at("after_any", "began", value=3.5),
            at("fails", "returncode", value="0"),
            at("only_after_failure", "ran", value=False),
        ],
    ),
    (
        test_flux.test_a_job_whose_dependency_failed_never_runs,
        CHAIN,
        [
            at("after_failure", "ran", value=True),
            at("after_failure", "began", value=4.0),
            at("after_failure", "note", value=""),
            at("fails", "status", value="COMPLETED"),
        ],
    ),
    (
        test_flux.test_a_cancelled_job_stops_working_and_a_held_one_never_starts,
        CANCEL,
        [
            at("running", "status", value="COMPLETED"),
            at("running", "before", value="SCHED"),
            at("held", "before", value="RUN"),
            at("steps", value=0),
            at("stopped", value=False),
            at("ran", value=True),
        ],
    ),
    (
        test_flux.test_a_job_larger_than_the_instance_is_refused_and_one_as_large_runs,
        {"nodes": 2, "cores": 4, "all": {**REFUSED, "exit_code": 0, "ran": True}, "a node more": REFUSED}
        | {"a core more": dict(REFUSED)},
        [
            at("all", "ran", value=False),
            at("a node more", "ran", value=True),
            at("a core more", "exit_code", value=0),
            at("a core more", "message", value="no such command"),
        ],
    ),
    (
        test_flux.test_nested_instances_each_have_their_own_jobs_and_resources,
        LEVELS,
        [
            at("instances", value=LEVELS["instances"][:2]),
            at("instances", 2, "instance-level", value="1"),
            at("instances", 2, "local-uri", value="local:///1"),
            at("instances", 1, "ran", value="local:///0"),
            at("instances", 1, "cores", value=4),
            at("instances", 2, "jobid-path", value="/f2"),
        ],
    ),
    (
        test_flux.test_futures_of_the_python_api_return_exit_codes_and_events_in_order,
        API,
        [
            at("codes", 3, value=0),
            at("ids", 3, value=100),
            at("log", value=[*LOG[:5], "start", "alloc", *LOG[7:]]),
            at("events", value=["submit", "start", "alloc", "finish", "clean"]),
            at("events", value=["submit", "alloc", "finish", "clean"]),
            at("log_in_time_order", value=False),
        ],
    ),
    (
        test_flux.test_futures_of_the_python_api_raise_the_exception_of_their_job,
        API,
        [
            at("raised", 0, value="NoneType: None"),
            at("raised", 1, value="JobException: job.exception: type=exec: what"),
            at("raised", 2, value="JobException: job.exception: type=cancel: "),
        ],
    ),
    (
        test_flux.test_fluxion_schedules_where_it_is_installed,
        {"folders": ["/m"], "fluxion_modules": ["/m/sched-fluxion-resource.so"]}
        | {"loaded_schedulers": ["sched-fluxion-qmanager"]}
        | {"job": "COMPLETED"},
        [at("loaded_schedulers", value=["sched-simple"]), at("loaded_schedulers", value=[]), at("job", value="FAILED")],
    ),
    (
        test_flux.test_psij_runs_jobs_in_a_flux_instance,
        PSIJ,
        [at("squares", 2, value=5), at("ids", 2, value="f1"), at("ends", 2, "flux_status", value="FAILED")],
    ),
    (
        test_flux.test_psij_reports_failed_and_cancelled_jobs_of_flux,
        PSIJ,
        [
            at("failing", "state", value="COMPLETED"),
            at("failing", "exit_code", value=1),
            at("before", value="QUEUED"),
            at("cancelled", "state", value="COMPLETED"),
            at("cancelled", "flux_status", value="RUN"),
        ],
    ),
    (
        test_flux.test_parsl_apps_are_jobs_of_a_flux_instance,
        PARSL,
        [
            at("values", 3, "square", value=8),
            at("values", 8, "square", value=0),
            at("values", 3, "job", value="f2"),
            at("values", 3, "pid", value=7),
        ],
    ),
    (
        test_flux.test_the_exception_and_the_death_of_a_parsl_app_are_reported_through_flux,
        PARSL,
        [at("raised", 0, value="NoneType: None"), at("raised", 1, value="AppException: returned 1")],
    ),
]


def outcome(judge: Any, answer: Answer) -> Outcome:
    case: Case = judge.exaworks_cases[0]
    return Outcome(
        case, case.case_id("slurm"), "slurm", copy.deepcopy(answer), 0, nodes=("n1", "n2"), params=dict(case.params)
    )


@pytest.mark.parametrize(("judge", "answer"), [pytest.param(j, a, id=j.__name__) for j, a, _ in EXAMPLES])
def test_a_judge_accepts_the_answer_of_a_working_flux(judge: Judge, answer: Answer) -> None:
    judge(outcome(judge, answer))


@pytest.mark.parametrize(
    ("judge", "answer", "change"),
    [pytest.param(j, a, c, id=f"{j.__name__}-{n}") for j, a, changes in EXAMPLES for n, c in enumerate(changes)],
)
def test_a_judge_refuses_the_answer_of_a_broken_flux(judge: Judge, answer: Answer, change: Change) -> None:
    given = outcome(judge, answer)
    change(given.answer)
    with pytest.raises(AssertionError):
        judge(given)


def test_every_judge_of_flux_is_tested() -> None:
    tested = {judge for judge, _, _ in EXAMPLES}
    for value in vars(test_flux).values():
        assert not hasattr(value, "exaworks_cases") or value in tested, value


def test_without_flux_sched_its_case_is_skipped_and_the_reason_names_the_searched_folders() -> None:
    judge = test_flux.test_fluxion_schedules_where_it_is_installed
    with pytest.raises(pytest.skip.Exception, match="no sched-fluxion"):
        judge(
            outcome(
                judge,
                {"folders": ["/m"], "fluxion_modules": [], "loaded_schedulers": ["sched-simple"], "job": "COMPLETED"},
            )
        )


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("local", "flux start --test-size=2"),
        ("slurm", "srun --mpi=pmi2 -N 3 -n 3 -c 4 flux start"),
        ("flux", "flux run -N 3 -n 3 -c 4 flux start"),
        ("pbs", "flux start"),
    ],
)
def test_an_instance_is_started_with_the_launcher_of_its_allocation(
    kind: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(PAYLOADS / "flux"))
    payload = importlib.import_module("_instance")
    request = {"scheduler": {"kind": kind}, "params": {"brokers": 2}, "nodes": 3, "cores": 4}
    monkeypatch.delitem(sys.modules, "_instance")
    assert " ".join(payload.start(request)) == command
