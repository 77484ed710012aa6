"""Cases of Swift/T and Maestro: their judges refuse wrong answers; if Swift/T is installed, every case runs."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sdk_tests
from sdk_tests import Case, Outcome
from sdk_tests.deployments import resolve
from sdk_tests.integration import test_maestro, test_swift
from sdk_tests.plan.components import SWIFT_T, components
from sdk_tests.plan.extras import MAESTRO
from sdk_tests.plan.probe import probe
from tests.needs import need

Judge = Callable[[Outcome], None]
Answer = dict[str, Any]
Change = Callable[[Answer], None]

FOLDER = Path(sdk_tests.__file__).parent / "payloads" / "swift"
SHA = "b83382a973db8ecae8dcf9e6a712895ab07adb074833dc4b823676c4716f8658"


def at(*path: Any, value: Any) -> Change:
    """Return a function that sets the value at ``path`` in an answer."""

    def change(answer: Answer) -> None:
        place: Any = answer
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def without(*path: Any) -> Change:
    """Return a function that removes the value at ``path`` from an answer."""

    def change(answer: Answer) -> None:
        place: Any = answer
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]

    return change


def program_result(name: str, began: float, ended: float, **rest: Any) -> Answer:
    """Return the result of a program that an app runs."""
    place = {"node": "n1", "job_id": "12", "flux_job": "f12", "pid": int(began * 10)}
    return {"name": name, "inputs": [], "values": [], **place, "began": began, "ended": ended, **rest}


def members() -> Answer:
    """Return the results of three programs that ran at the same time, and of one that read their results."""
    results = {f"member-{n}": program_result(f"member-{n}", 1 + n / 10, 2, values=[n, 3]) for n in range(3)}
    return {**results, "total": program_result("total", 3, 4, inputs=list(results))}


def diamond() -> Answer:
    sides = {
        side: program_result(side, began, began + 1, inputs=["top"]) for side, began in (("left", 2), ("right", 2.5))
    }
    return {
        "top": program_result("top", 1, 2),
        **sides,
        "bottom": program_result("bottom", 4, 5, inputs=["left", "right"]),
    }


def two(number: int) -> Answer:
    return {f"{number}.{rank}": {"rank": rank, "size": 2, "pid": 50 + rank} for rank in range(2)}


def spread(count: int) -> Answer:
    return {
        "exit_code": 0,
        "count": count,
        "results": [program_result(f"{n}", 1, 2, node=f"n{1 + n % 2}") for n in range(count)],
    }


def job_status(code: int) -> Answer:
    return {"ended": True, "state": "COMPLETED" if not code else "FAILED", "exit_code": code, "node": "n1"}


POWER = {"exit_code": 0, "procs": 3, "value": 7**20, "workers": 2, "servers": 1}
SINGLETON = [at("value", value=7**19), at("workers", value=1), at("servers", value=0), at("exit_code", value=1)]
MEMBERS = [
    without("results", "member-1"),
    without("results", "total"),
    at("results", "member-1", "values", value=[0, 3]),
    at("results", "total", "inputs", value=["member-0", "member-2"]),
    at("results", "total", "began", value=1.5),
    at("results", "member-2", "pid", value=10),
]
"""Changes that make the results of the members wrong in every way of running them."""

EXIT_CODE_LINE = "error: <Child exited with code: 3> command: ..."

LEAF = {"built": True, "exit_code": 0, "reversed": "faeL", "letters": "4", "upper": "LEAF"}
NUMBERS = {str(number): number % 2 for number in range(100)}
STUDY = {
    **{
        f"square_NUMBER.{n}": {
            "state": "FINISHED",
            "job_id": str(n),
            "results": [{"value": n * n, "node": "n1", "job_id": str(n), "began": 1, "ended": 2}],
        }
        for n in (2, 3, 7)
    },
    "total": {
        "state": "FINISHED",
        "job_id": "9",
        "results": [{"value": 62, "node": "n1", "job_id": "9", "began": 3, "ended": 4}],
    },
}
PARTLY = {
    "square_NUMBER.2": STUDY["square_NUMBER.2"],
    "square_NUMBER.13": {"state": "FAILED", "job_id": "4", "results": []},
    "after_NUMBER.2": {
        "state": "FINISHED",
        "job_id": "5",
        "results": [{"value": 4, "node": "n1", "job_id": "5", "began": 3, "ended": 4}],
    },
    "after_NUMBER.13": {"state": "FAILED", "job_id": "--", "results": []},
}

EXAMPLES: list[tuple[Judge, Answer, list[Change]]] = [
    (test_swift.test_a_program_is_compiled_and_computes_with_its_arguments, POWER, SINGLETON),
    (
        test_swift.test_the_mpiexec_of_turbines_mpi_starts_a_run_inside_an_allocation,
        {**POWER, "procs": 4, "value": 3**30, "workers": 3},
        SINGLETON,
    ),
    (
        test_swift.test_each_task_of_a_loop_runs_once_and_the_sum_is_right,
        {"exit_code": 0, "sum": 328350, "ranks": NUMBERS},
        [at("sum", value=328349), without("ranks", "42"), at("ranks", "42", value=2), at("exit_code", value=1)],
    ),
    (
        test_swift.test_programs_run_at_once_on_all_workers_and_write_their_files,
        {"exit_code": 0, "results": members()},
        [*MEMBERS, at("exit_code", value=1), at("results", "member-0", "ended", value=1.15)],
    ),
    (
        test_swift.test_statements_run_in_the_order_of_their_data,
        {"exit_code": 0, "results": diamond()},
        [
            without("results", "right"),
            at("results", "bottom", "inputs", value=["left"]),
            at("results", "left", "began", value=1.5),
            at("results", "right", "ended", value=4.5),
            at("exit_code", value=1),
        ],
    ),
    (
        test_swift.test_a_leaf_function_in_tcl_returns_its_results,
        LEAF,
        [at("reversed", value="Leaf"), at("letters", value="5"), at("upper", value="Leaf"), at("exit_code", value=1)],
    ),
    (
        test_swift.test_a_leaf_function_in_python_returns_its_value,
        {"built": True, "exit_code": 0, "value": SHA},
        [at("value", value=""), at("exit_code", value=1)],
    ),
    (
        test_swift.test_a_parallel_task_has_a_communicator_of_two_ranks,
        {"exit_code": 0, "sum": 25, "ranks": {**two(3), **two(4)}},
        [
            at("sum", value=9),
            without("ranks", "4.1"),
            at("ranks", "0.1", value=two(3)["3.1"]),
            at("ranks", "3.1", "size", value=1),
            at("ranks", "4.1", "pid", value=50),
            at("exit_code", value=1),
        ],
    ),
    (
        test_swift.test_the_workers_of_one_run_are_on_all_nodes,
        spread(3),
        [
            at("results", 1, "node", value="n1"),
            at("results", 1, "node", value="login"),
            at("results", 2, "began", value=2.5),
            at("results", value=spread(2)["results"]),
            at("exit_code", value=1),
        ],
    ),
    (
        test_swift.test_the_compiler_names_the_line_of_a_wrong_type_and_nothing_runs,
        {
            "exit_code": 4,
            "error_line": "wrong_type.swift:5",
            "messages": ["wrong_type.swift:5:5: Cannot assign"],
            "printed": {},
        },
        [
            at("exit_code", value=0),
            at("messages", value=["wrong_type.swift:4:1: Cannot assign"]),
            at("messages", value=["wrong_type.swift:50:1: Cannot assign"]),
            at("printed", value={"ran": "1"}),
        ],
    ),
    (
        test_swift.test_a_failing_program_ends_the_run_and_its_dependent_never_starts,
        {"exit_code": 1, "messages": [EXIT_CODE_LINE], "dependent_ran": False},
        [at("exit_code", value=0), at("messages", value=[]), at("dependent_ran", value=True)],
    ),
    (
        test_swift.test_a_submitted_run_does_its_work_in_its_own_job,
        {"submitted": True, "job_id": "12", "job": job_status(0), "logged_exit_codes": [0], "results": members()},
        [
            *MEMBERS,
            lambda answer: answer.update(submitted=False, exit_code=1),
            at("job", "exit_code", value=1),
            at("logged_exit_codes", value=[]),
            at("job_id", value="13"),
            at("results", "member-1", "job_id", value=None),
            at("results", "member-1", "node", value="login"),
        ],
    ),
    (
        test_swift.test_a_failing_run_makes_its_job_fail,
        {"submitted": True, "job_id": "12", "job": job_status(1), "logged_exit_codes": [1], "results": {}},
        [
            lambda answer: answer.update(submitted=False, exit_code=1),
            at("job", "exit_code", value=0),
            at("logged_exit_codes", value=[0]),
            at("results", "after", value=program_result("after", 1, 2)),
        ],
    ),
    (
        test_swift.test_psij_runs_the_job_that_swift_t_submits_through_it,
        {"exit_code": 0, "native_ids": ["12"], "states": ["COMPLETED"], "results": members()},
        [
            *MEMBERS,
            at("exit_code", value=1),
            at("states", value=[]),
            at("states", value=["FAILED"]),
            at("native_ids", value=[]),
            at("native_ids", value=["13"]),
            at("results", "total", "job_id", value=None),
        ],
    ),
    (
        test_swift.test_a_program_submitted_through_psij_keeps_its_arguments,
        {"exit_code": 0, "native_ids": ["12"], "states": ["COMPLETED"], "results": members()},
        MEMBERS,
    ),
    (
        test_swift.test_psij_reports_the_failure_of_a_job_that_swift_t_submits_through_it,
        {"exit_code": 1, "native_ids": ["12"], "states": ["FAILED"], "started": ["bad"], "results": {}},
        [
            at("exit_code", value=0),
            at("states", value=["COMPLETED"]),
            at("states", value=[]),
            at("native_ids", value=[]),
            at("started", value=[]),
            at("started", value=["after", "bad"]),
        ],
    ),
    (
        test_swift.test_a_run_that_fails_in_flux_ends_as_failed,
        {"exit_code": 143, "procs": 4, "messages": [EXIT_CODE_LINE], "results": {}},
        [
            at("exit_code", value=0),
            at("messages", value=[]),
            at("results", "after", value=program_result("after", 1, 2)),
        ],
    ),
    (
        test_swift.test_the_ranks_of_a_run_are_one_job_of_flux,
        {"exit_code": 0, "procs": 4, "results": members()},
        [
            *MEMBERS,
            at("exit_code", value=1),
            lambda answer: [each.update(flux_job=None) for each in answer["results"].values()],
            at("results", "member-1", "flux_job", value="f13"),
        ],
    ),
    (
        test_swift.test_every_one_of_many_short_tasks_runs_and_is_measured,
        {"tasks": 1000, "probes": 200, "metrics": [{"name": n, "value": 2.0} for n in sorted(test_swift.FIGURES)]},
        [
            at("tasks", value=999),
            at("probes", value=1),
            at("metrics", 0, "name", value="unheard_of"),
            at("metrics", 0, "value", value=0),
            at("metrics", 1, "value", value=3.0),
        ],
    ),
    (
        test_maestro.test_one_step_for_each_value_runs_in_its_own_job_and_a_last_step_waits_for_all,
        {"exit_code": 0, "steps": STUDY},
        [
            at("exit_code", value=2),
            without("steps", "square_NUMBER.3"),
            at("steps", "square_NUMBER.3", "state", value="FAILED"),
            at("steps", "square_NUMBER.3", "results", value=[]),
            at("steps", "square_NUMBER.3", "results", 0, "value", value=8),
            at("steps", "square_NUMBER.3", "results", 0, "job_id", value=None),
            at("steps", "square_NUMBER.3", "results", 0, "node", value="login"),
            at("steps", "total", "results", 0, "value", value=53),
            at("steps", "total", "results", 0, "began", value=1.5),
        ],
    ),
    (
        test_maestro.test_a_failed_step_fails_its_dependents_and_no_other_step,
        {"exit_code": 2, "steps": PARTLY},
        [
            at("exit_code", value=0),
            without("steps", "after_NUMBER.13"),
            at("steps", "square_NUMBER.13", "state", value="FINISHED"),
            at("steps", "after_NUMBER.13", "state", value="FINISHED"),
            at("steps", "after_NUMBER.13", "results", value=[{"value": 0}]),
            at("steps", "after_NUMBER.2", "state", value="FAILED"),
            at("steps", "after_NUMBER.2", "results", 0, "value", value=0),
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
    with pytest.raises(AssertionError):
        judge(given)


def test_every_judge_of_these_components_is_tested() -> None:
    tested = {judge for judge, _, _ in EXAMPLES}
    for module in (test_swift, test_maestro):
        for value in vars(module).values():
            assert not hasattr(value, "exaworks_cases") or value in tested, value


def test_a_turbine_built_without_python_is_a_skip_and_not_a_pass() -> None:
    judge = test_swift.test_a_leaf_function_in_python_returns_its_value
    with pytest.raises(pytest.skip.Exception, match="without Python"):
        judge(outcome(judge, {"built": False, "exit_code": 1}))


# The probe of the deployment------------------------------------------------------------------------------------------


def test_swift_t_is_detected_by_its_command_with_its_version(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "swift-t"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\n[ "$1" = -v ] && printf "STC: Swift-Turbine Compiler 1.0.8\\n\\nTurbine 1.5.2\\n"\n')
    program.chmod(0o755)
    path = os.pathsep.join((str(program.parent), os.environ["PATH"]))
    contents = probe(resolve("path", {**os.environ, "PATH": path}), {"swift-t": SWIFT_T})
    assert contents.components["swift-t"].version == "1.0.8"
    assert contents.components["swift-t"].location == str(program)


def test_without_its_command_swift_t_is_absent_and_the_reason_names_the_command(tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to(sys.executable)
    contents = probe(resolve("path", {"PATH": str(tmp_path)}), {"swift-t": SWIFT_T})
    assert contents.absent["swift-t"] == "no `swift-t` on PATH of deployment path"


def test_maestro_is_registered_by_its_entry_point_and_is_not_in_the_release() -> None:
    from exaworks_sdk.release import load

    assert components()["maestro"] == MAESTRO
    assert "maestro" not in {component.name for component in load(None).components}


# The functions that the payloads share ------------------------------------------------------------------------------


def shared(expression: str, tmp_path: Path, **env: str) -> Any:
    """Return the value of an expression that uses the module ``_swift``, evaluated in a separate interpreter."""
    script = f"import json, sys; sys.path.insert(0, {str(FOLDER)!r}); import _swift; print(json.dumps({expression}))"
    argv = [sys.executable, "-c", script]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=tmp_path, env={**kept, **env})
    return json.loads(done.stdout)


def launching(kind: str, tmp_path: Path, **rest: Any) -> Any:
    params = rest.pop("params", {})
    request = {"scheduler": {"kind": kind, **rest}, "params": params, "nodes": 2, "where": "allocation"}
    return shared(f"_swift.launcher_variables(json.loads({json.dumps(request)!r}), 4)", tmp_path)


def test_the_launcher_of_the_allocation_starts_the_ranks(tmp_path: Path) -> None:
    slurm = launching("slurm", tmp_path, launcher_flags=["--cpu-bind=none"])
    assert (slurm["TURBINE_LAUNCHER"], slurm["SLURM_MPI_TYPE"]) == ("srun", "pmi2")
    assert slurm["TURBINE_LAUNCH_OPTIONS"].split() == ["--overlap", "--overcommit", "--nodes=2", "--cpu-bind=none"]
    flux = Path(launching("flux", tmp_path)["TURBINE_LAUNCHER"])
    assert flux.read_text().splitlines()[-1] == 'exec flux run --nodes=2 --tasks-per-node=2 "$@"'
    assert launching("pbs", tmp_path) == {}
    assert launching("pbs", tmp_path, loopback=True) == {"HYDRA_LAUNCHER": "fork"}
    assert launching("slurm", tmp_path, params={"launcher": "mpiexec"}) == {}


def test_the_mpi_type_that_a_site_has_set_is_kept(tmp_path: Path) -> None:
    assert shared("_swift.pmi()", tmp_path, SLURM_MPI_TYPE="cray_shasta") == {"SLURM_MPI_TYPE": "cray_shasta"}


def test_a_command_that_takes_too_long_is_ended_with_all_its_processes(tmp_path: Path) -> None:
    script = tmp_path / "stays"
    script.write_text("#!/bin/sh\nsleep 100 &\necho $!\nwait\n")
    script.chmod(0o755)
    run = f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import _swift; _swift.run_command([sys.argv[1]], None, 1)"
    done = subprocess.run(
        [sys.executable, "-c", run, script], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 1
    assert done.stderr.endswith(f"TimeoutError: {script} has not ended after 1 s\n")
    stat = Path(f"/proc/{done.stdout.strip()}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


# With Swift/T -------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.needs("swift-t")
def test_every_case_of_swift_t_runs_here_and_none_fails(tmp_path: Path) -> None:
    program = Path(need("swift-t"))
    env = {**os.environ, "EXAWORKS_HOME": str(tmp_path), "PATH": f"{program.parent}:{os.environ['PATH']}"}
    argv = [sys.executable, "-m", "exaworks_sdk", "validate", "--deployment", "path", "--component", "swift-t"]
    argv += ["--scheduler", "local", "--scheduler", "slurm", "--no-upload", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    outcomes = {case["outcome"] for case in answer["cases"] if case["case_id"].startswith("swift-t")}
    assert "pass" in outcomes
    assert outcomes <= {"pass", "skip", "xfail"}
