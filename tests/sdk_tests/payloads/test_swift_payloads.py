"""Swift/T's and Maestro's cases: their judges refuse what a broken one would answer; with Swift/T here, each runs."""

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
from sdk_tests.deployments import resolve
from sdk_tests.integration import test_maestro, test_swift
from sdk_tests.model.attempt import Outcome
from sdk_tests.model.case import Case
from sdk_tests.plan.components import SWIFT_T, components
from sdk_tests.plan.maestro import MAESTRO
from sdk_tests.plan.probe import probe
from tests.needs import need

Judge = Callable[[Outcome], None]
Answer = dict[str, Any]
Change = Callable[[Answer], None]

FOLDER = Path(sdk_tests.__file__).parent / "payloads" / "swift"
SHA = "b83382a973db8ecae8dcf9e6a712895ab07adb074833dc4b823676c4716f8658"


def at(*path: Any, value: Any) -> Change:
    """Return a change of an answer: the place ``path`` leads to gets ``value``."""

    def change(answer: Answer) -> None:
        place: Any = answer
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def without(*path: Any) -> Change:
    """Return a change of an answer: the place ``path`` leads to is gone."""

    def change(answer: Answer) -> None:
        place: Any = answer
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]

    return change


def ran(name: str, began: float, ended: float, **rest: Any) -> Answer:
    """What a program that an app runs says of itself."""
    place = {"node": "n1", "job_id": "12", "flux_job": "f12", "pid": int(began * 10)}
    return {"name": name, "saw": [], "values": [], **place, "began": began, "ended": ended, **rest}


def members() -> Answer:
    """What three programs leave that ran at once, and one that read what they wrote."""
    wrote = {f"member-{n}": ran(f"member-{n}", 1 + n / 10, 2, values=[n, 3]) for n in range(3)}
    return {**wrote, "total": ran("total", 3, 4, saw=list(wrote))}


def diamond() -> Answer:
    sides = {side: ran(side, began, began + 1, saw=["top"]) for side, began in (("left", 2), ("right", 2.5))}
    return {"top": ran("top", 1, 2), **sides, "bottom": ran("bottom", 4, 5, saw=["left", "right"])}


def two(number: int) -> Answer:
    return {f"{number}.{rank}": {"rank": rank, "size": 2, "pid": 50 + rank} for rank in range(2)}


def spread(count: int) -> Answer:
    return {"exit_code": 0, "count": count, "wrote": [ran(f"{n}", 1, 2, node=f"n{1 + n % 2}") for n in range(count)]}


def said(code: int) -> Answer:
    return {"ended": True, "state": "COMPLETED" if not code else "FAILED", "exit_code": code, "node": "n1"}


POWER = {"exit_code": 0, "procs": 3, "value": 7**20, "workers": 2, "servers": 1}
SINGLETON = [at("value", value=7**19), at("workers", value=1), at("servers", value=0), at("exit_code", value=1)]
MEMBERS = [
    without("wrote", "member-1"),
    without("wrote", "total"),
    at("wrote", "member-1", "values", value=[0, 3]),
    at("wrote", "total", "saw", value=["member-0", "member-2"]),
    at("wrote", "total", "began", value=1.5),
    at("wrote", "member-2", "pid", value=10),
]
"""What no way of running the programs of members may get wrong."""

TOLD = "error: <Child exited with code: 3> command: ..."

LEAF = {"built": True, "exit_code": 0, "reversed": "faeL", "letters": "4", "upper": "LEAF"}
NUMBERS = {str(number): number % 2 for number in range(100)}
STUDY = {
    **{
        f"square_NUMBER.{n}": {
            "state": "FINISHED",
            "job_id": str(n),
            "wrote": [{"value": n * n, "node": "n1", "job_id": str(n), "began": 1, "ended": 2}],
        }
        for n in (2, 3, 7)
    },
    "total": {
        "state": "FINISHED",
        "job_id": "9",
        "wrote": [{"value": 62, "node": "n1", "job_id": "9", "began": 3, "ended": 4}],
    },
}
PARTLY = {
    "square_NUMBER.2": STUDY["square_NUMBER.2"],
    "square_NUMBER.13": {"state": "FAILED", "job_id": "4", "wrote": []},
    "after_NUMBER.2": {
        "state": "FINISHED",
        "job_id": "5",
        "wrote": [{"value": 4, "node": "n1", "job_id": "5", "began": 3, "ended": 4}],
    },
    "after_NUMBER.13": {"state": "FAILED", "job_id": "--", "wrote": []},
}

WORKED: list[tuple[Judge, Answer, list[Change]]] = [
    (test_swift.test_a_program_is_compiled_and_computes_with_its_arguments, POWER, SINGLETON),
    (
        test_swift.test_the_mpiexec_of_its_mpi_starts_it_inside_an_allocation,
        {**POWER, "procs": 4, "value": 3**30, "workers": 3},
        SINGLETON,
    ),
    (
        test_swift.test_each_task_of_a_loop_runs_once_and_the_sum_is_right,
        {"exit_code": 0, "sum": 328350, "ran": NUMBERS},
        [at("sum", value=328349), without("ran", "42"), at("ran", "42", value=2), at("exit_code", value=1)],
    ),
    (
        test_swift.test_programs_run_at_once_on_all_workers_and_write_their_files,
        {"exit_code": 0, "wrote": members()},
        [*MEMBERS, at("exit_code", value=1), at("wrote", "member-0", "ended", value=1.15)],
    ),
    (
        test_swift.test_statements_run_in_the_order_of_their_data,
        {"exit_code": 0, "wrote": diamond()},
        [
            without("wrote", "right"),
            at("wrote", "bottom", "saw", value=["left"]),
            at("wrote", "left", "began", value=1.5),
            at("wrote", "right", "ended", value=4.5),
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
        {"exit_code": 0, "sum": 25, "ran": {**two(3), **two(4)}},
        [
            at("sum", value=9),
            without("ran", "4.1"),
            at("ran", "0.1", value=two(3)["3.1"]),
            at("ran", "3.1", "size", value=1),
            at("ran", "4.1", "pid", value=50),
            at("exit_code", value=1),
        ],
    ),
    (
        test_swift.test_the_workers_of_one_run_are_on_all_nodes,
        spread(3),
        [
            at("wrote", 1, "node", value="n1"),
            at("wrote", 1, "node", value="login"),
            at("wrote", 2, "began", value=2.5),
            at("wrote", value=spread(2)["wrote"]),
            at("exit_code", value=1),
        ],
    ),
    (
        test_swift.test_the_compiler_names_the_line_of_a_wrong_type_and_nothing_runs,
        {"exit_code": 4, "place": "wrong_type.swift:5", "said": ["wrong_type.swift:5:5: Cannot assign"], "ran": {}},
        [
            at("exit_code", value=0),
            at("said", value=["wrong_type.swift:4:1: Cannot assign"]),
            at("said", value=["wrong_type.swift:50:1: Cannot assign"]),
            at("ran", value={"ran": "1"}),
        ],
    ),
    (
        test_swift.test_a_program_that_fails_ends_the_run_and_what_depends_on_it_never_starts,
        {"exit_code": 1, "said": [TOLD], "after": False},
        [at("exit_code", value=0), at("said", value=[]), at("after", value=True)],
    ),
    (
        test_swift.test_a_run_it_submits_does_its_work_in_its_own_job,
        {"submitted": True, "job_id": "12", "said": said(0), "logged": [0], "wrote": members()},
        [
            *MEMBERS,
            lambda answer: answer.update(submitted=False, exit_code=1),
            at("said", "exit_code", value=1),
            at("logged", value=[]),
            at("job_id", value="13"),
            at("wrote", "member-1", "job_id", value=None),
            at("wrote", "member-1", "node", value="login"),
        ],
    ),
    (
        test_swift.test_a_run_that_fails_in_its_job_makes_the_job_fail,
        {"submitted": True, "job_id": "12", "said": said(1), "logged": [1], "wrote": {}},
        [
            lambda answer: answer.update(submitted=False, exit_code=1),
            at("said", "exit_code", value=0),
            at("logged", value=[0]),
            at("wrote", "after", value=ran("after", 1, 2)),
        ],
    ),
    (
        test_swift.test_psij_runs_the_job_that_swift_t_hands_to_it,
        {"exit_code": 0, "native_ids": ["12"], "states": ["COMPLETED"], "wrote": members()},
        [
            *MEMBERS,
            at("exit_code", value=1),
            at("states", value=[]),
            at("states", value=["FAILED"]),
            at("native_ids", value=[]),
            at("native_ids", value=["13"]),
            at("wrote", "total", "job_id", value=None),
        ],
    ),
    (
        test_swift.test_a_program_handed_to_psij_keeps_its_arguments,
        {"exit_code": 0, "native_ids": ["12"], "states": ["COMPLETED"], "wrote": members()},
        MEMBERS,
    ),
    (
        test_swift.test_psij_tells_that_the_job_swift_t_handed_to_it_failed,
        {"exit_code": 1, "native_ids": ["12"], "states": ["FAILED"], "begun": ["bad"], "wrote": {}},
        [
            at("exit_code", value=0),
            at("states", value=["COMPLETED"]),
            at("states", value=[]),
            at("native_ids", value=[]),
            at("begun", value=[]),
            at("begun", value=["after", "bad"]),
        ],
    ),
    (
        test_swift.test_a_run_that_fails_in_flux_ends_as_failed,
        {"exit_code": 143, "procs": 4, "said": [TOLD], "wrote": {}},
        [at("exit_code", value=0), at("said", value=[]), at("wrote", "after", value=ran("after", 1, 2))],
    ),
    (
        test_swift.test_the_ranks_of_a_run_are_one_job_of_flux,
        {"exit_code": 0, "procs": 4, "wrote": members()},
        [
            *MEMBERS,
            at("exit_code", value=1),
            lambda answer: [each.update(flux_job=None) for each in answer["wrote"].values()],
            at("wrote", "member-1", "flux_job", value="f13"),
        ],
    ),
    (
        test_swift.test_many_short_tasks_are_measured_and_none_is_lost,
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
        test_maestro.test_a_step_for_each_value_runs_in_its_own_job_and_one_waits_for_all,
        {"exit_code": 0, "steps": STUDY},
        [
            at("exit_code", value=2),
            without("steps", "square_NUMBER.3"),
            at("steps", "square_NUMBER.3", "state", value="FAILED"),
            at("steps", "square_NUMBER.3", "wrote", value=[]),
            at("steps", "square_NUMBER.3", "wrote", 0, "value", value=8),
            at("steps", "square_NUMBER.3", "wrote", 0, "job_id", value=None),
            at("steps", "square_NUMBER.3", "wrote", 0, "node", value="login"),
            at("steps", "total", "wrote", 0, "value", value=53),
            at("steps", "total", "wrote", 0, "began", value=1.5),
        ],
    ),
    (
        test_maestro.test_a_step_that_fails_fails_what_depends_on_it_and_nothing_beside,
        {"exit_code": 2, "steps": PARTLY},
        [
            at("exit_code", value=0),
            without("steps", "after_NUMBER.13"),
            at("steps", "square_NUMBER.13", "state", value="FINISHED"),
            at("steps", "after_NUMBER.13", "state", value="FINISHED"),
            at("steps", "after_NUMBER.13", "wrote", value=[{"value": 0}]),
            at("steps", "after_NUMBER.2", "state", value="FAILED"),
            at("steps", "after_NUMBER.2", "wrote", 0, "value", value=0),
        ],
    ),
]

GOOD = [pytest.param(judge, answer, id=judge.__name__) for judge, answer, _ in WORKED]
BAD = [
    pytest.param(judge, answer, change, id=f"{judge.__name__}-{number}")
    for judge, answer, changes in WORKED
    for number, change in enumerate(changes)
]


def outcome(judge: Judge, answer: Answer) -> Outcome:
    case: Case = judge.exaworks_cases[0]  # type: ignore[attr-defined]
    given = copy.deepcopy(answer)
    return Outcome(case, case.case_id("slurm"), "slurm", given, 0, nodes=("n1", "n2"), params=dict(case.params))


@pytest.mark.parametrize(("judge", "answer"), GOOD)
def test_a_judge_accepts_what_a_working_component_answers(judge: Judge, answer: Answer) -> None:
    judge(outcome(judge, answer))


@pytest.mark.parametrize(("judge", "answer", "change"), BAD)
def test_a_judge_refuses_what_a_broken_component_answers(judge: Judge, answer: Answer, change: Change) -> None:
    given = outcome(judge, answer)
    change(given.answer)
    assert given.answer != answer
    with pytest.raises(AssertionError):
        judge(given)


def test_every_case_of_these_components_has_a_judge_that_was_tried() -> None:
    tried = {judge for judge, _, _ in WORKED}
    for module in (test_swift, test_maestro):
        for value in vars(module).values():
            assert not hasattr(value, "exaworks_cases") or value in tried, value


def test_a_turbine_that_was_built_without_python_is_a_reason_and_no_pass() -> None:
    judge = test_swift.test_a_leaf_function_in_python_returns_its_value
    with pytest.raises(pytest.skip.Exception, match="without Python"):
        judge(outcome(judge, {"built": False, "exit_code": 1}))


# What is there ------------------------------------------------------------------------------------------------------


def test_swift_t_is_seen_by_its_command_and_the_version_it_says(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "swift-t"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\n[ "$1" = -v ] && printf "STC: Swift-Turbine Compiler 1.0.8\\n\\nTurbine 1.5.2\\n"\n')
    program.chmod(0o755)
    path = os.pathsep.join((str(program.parent), os.environ["PATH"]))
    found = probe(resolve("path", {**os.environ, "PATH": path}), {"swift-t": SWIFT_T})
    assert found.components["swift-t"].version == "1.0.8"
    assert found.components["swift-t"].location == str(program)


def test_without_its_command_swift_t_is_absent_with_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to(sys.executable)
    found = probe(resolve("path", {"PATH": str(tmp_path)}), {"swift-t": SWIFT_T})
    assert found.absent["swift-t"] == "no `swift-t` on PATH of deployment path"


def test_maestro_has_joined_through_the_entry_point_and_is_no_part_of_the_release() -> None:
    from exaworks_sdk.release import load

    assert components()["maestro"] == MAESTRO
    assert "maestro" not in {component.name for component in load(None).components}


# What the payloads share --------------------------------------------------------------------------------------------


def shared(expression: str, tmp_path: Path, **env: str) -> Any:
    """Return what an expression over the payloads' own module comes to, in an interpreter of its own."""
    script = f"import json, sys; sys.path.insert(0, {str(FOLDER)!r}); import _swift; print(json.dumps({expression}))"
    argv = [sys.executable, "-c", script]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=tmp_path, env={**kept, **env})
    return json.loads(done.stdout)


def launching(kind: str, tmp_path: Path, **rest: Any) -> Any:
    params = rest.pop("params", {})
    request = {"scheduler": {"kind": kind, **rest}, "params": params, "nodes": 2, "where": "allocation"}
    return shared(f"_swift.launching(json.loads({json.dumps(request)!r}), 4)", tmp_path)


def test_ranks_are_started_by_the_launcher_of_the_allocation(tmp_path: Path) -> None:
    slurm = launching("slurm", tmp_path, launcher_flags=["--cpu-bind=none"])
    assert (slurm["TURBINE_LAUNCHER"], slurm["SLURM_MPI_TYPE"]) == ("srun", "pmi2")
    assert slurm["TURBINE_LAUNCH_OPTIONS"].split() == ["--overlap", "--overcommit", "--nodes=2", "--cpu-bind=none"]
    flux = Path(launching("flux", tmp_path)["TURBINE_LAUNCHER"])
    assert flux.read_text().splitlines()[-1] == 'exec flux run --nodes=2 --tasks-per-node=2 "$@"'
    assert launching("pbs", tmp_path) == {}
    assert launching("pbs", tmp_path, loopback=True) == {"HYDRA_LAUNCHER": "fork"}
    assert launching("slurm", tmp_path, params={"launcher": "mpiexec"}) == {}


def test_a_sites_own_way_of_serving_mpi_is_kept(tmp_path: Path) -> None:
    assert shared("_swift.pmi()", tmp_path, SLURM_MPI_TYPE="cray_shasta") == {"SLURM_MPI_TYPE": "cray_shasta"}


def test_a_command_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    script = tmp_path / "stays"
    script.write_text("#!/bin/sh\nsleep 100 &\necho $!\nwait\n")
    script.chmod(0o755)
    run = f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import _swift; _swift.ended([sys.argv[1]], None, 1)"
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
