"""Swift/T: programs that run on all ranks of an allocation, and runs that Swift/T submits itself."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from sdk_tests import Outcome, case

SPREADS = ("slurm", "flux")
"""Schedulers whose launcher starts Turbine's ranks; on others, the mpiexec that Turbine was built with does."""

SUBMITS = ("slurm", "pbs")
"""Schedulers to which the payload lets Swift/T submit."""

WALLTIME = 120.0
"""Seconds that a run may take. Alone it takes 4 s, mostly for the compiler in Java; beside 20 busy processes, 25 s."""

NO_ARGUMENTS = (
    "turbine 1.5.2 submits a program through PSI/J without its arguments: "
    "https://github.com/swift-lang/swift-t/blob/e96b808e7839bfba6cc2f9541538cbe638fcab57/"
    "turbine/code/scripts/submit/psij/turbine-psij-run.zsh#L53"
)


def members_worked(outcome: Outcome, results: dict[str, Any]) -> None:
    """Assert that every member ran once, with its values, and that the last step read the results of all members."""
    count = outcome.params["count"]
    assert set(results) == {*(f"member-{number}" for number in range(count)), "total"}
    members = [results[f"member-{number}"] for number in range(count)]
    assert [each["values"] for each in members] == [[number, count] for number in range(count)]
    assert len({each["pid"] for each in members}) == count
    assert results["total"]["inputs"] == [each["name"] for each in members]
    assert max(each["ended"] for each in members) <= results["total"]["began"]


def at_once(members: list[dict[str, Any]]) -> bool:
    """Return whether there was a time at which all of them ran."""
    return bool(max(each["began"] for each in members) <= min(each["ended"] for each in members))


def power(outcome: Outcome) -> None:
    """Assert that a program computed the power of its arguments on the requested ranks."""
    answer, params = outcome.answer, outcome.params
    assert answer["exit_code"] == 0
    assert answer["value"] == params["base"] ** params["exponent"]
    assert (answer["workers"], answer["servers"]) == (params["procs"] - 1, 1), "every rank was a separate run"


@case(
    payload="swift/hello.py",
    component="swift-t",
    tier="smoke",
    cores=2,
    params={"base": 7, "exponent": 20, "procs": 3},
    walltime=WALLTIME,
)
def test_a_program_is_compiled_and_computes_with_its_arguments(outcome: Outcome) -> None:
    power(outcome)


@case(
    payload="swift/hello.py",
    component="swift-t",
    name="mpiexec",
    schedulers=SPREADS,
    cores=2,
    params={"base": 3, "exponent": 30, "procs": 4, "launcher": "mpiexec"},
    walltime=WALLTIME,
)
def test_the_mpiexec_of_turbines_mpi_starts_a_run_inside_an_allocation(outcome: Outcome) -> None:
    power(outcome)


@case(payload="swift/foreach.py", component="swift-t", cores=2, params={"count": 100}, walltime=WALLTIME)
def test_each_task_of_a_loop_runs_once_and_the_sum_is_right(outcome: Outcome) -> None:
    answer, count = outcome.answer, outcome.params["count"]
    assert answer["exit_code"] == 0
    assert answer["sum"] == sum(number * number for number in range(count))
    assert set(answer["ranks"]) == {str(number) for number in range(count)}
    assert set(answer["ranks"].values()) <= {0, 1}, "a task ran on a rank that is not a worker"


@case(payload="swift/apps.py", component="swift-t", cores=2, params={"count": 3}, walltime=WALLTIME)
def test_programs_run_at_once_on_all_workers_and_write_their_files(outcome: Outcome) -> None:
    results = outcome.answer["results"]
    assert outcome.answer["exit_code"] == 0
    members_worked(outcome, results)
    assert at_once([each for name, each in results.items() if name != "total"])


@case(payload="swift/dataflow.py", component="swift-t", cores=2, walltime=WALLTIME)
def test_statements_run_in_the_order_of_their_data(outcome: Outcome) -> None:
    results = outcome.answer["results"]
    assert outcome.answer["exit_code"] == 0
    inputs = {name: each["inputs"] for name, each in results.items()}
    assert inputs == {"top": [], "left": ["top"], "right": ["top"], "bottom": ["left", "right"]}
    for side in ("left", "right"):
        assert results["top"]["ended"] <= results[side]["began"]
        assert results[side]["ended"] <= results["bottom"]["began"]


@case(
    payload="swift/leaf.py",
    component="swift-t",
    variants={"language=tcl": {"language": "tcl", "text": "Leaf"}},
    cores=2,
    walltime=WALLTIME,
)
def test_a_leaf_function_in_tcl_returns_its_results(outcome: Outcome) -> None:
    answer, text = outcome.answer, outcome.params["text"]
    assert answer["exit_code"] == 0
    assert (answer["reversed"], answer["letters"]) == (text[::-1], str(len(text)))
    assert answer["upper"] == text.upper()


@case(
    payload="swift/leaf.py",
    component="swift-t",
    variants={"language=python": {"language": "python", "text": "Leaf"}},
    cores=2,
    walltime=WALLTIME,
)
def test_a_leaf_function_in_python_returns_its_value(outcome: Outcome) -> None:
    answer = outcome.answer
    if not answer["built"]:
        pytest.skip("this Turbine was built without Python")
    assert answer["exit_code"] == 0
    assert answer["value"] == hashlib.sha256(outcome.params["text"].encode()).hexdigest()


@case(payload="swift/par.py", component="swift-t", cores=2, walltime=WALLTIME)
def test_a_parallel_task_has_a_communicator_of_two_ranks(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["exit_code"] == 0
    assert answer["sum"] == 3 * 3 + 4 * 4
    assert set(answer["ranks"]) == {"3.0", "3.1", "4.0", "4.1"}, "a rank did not receive the number of its task"
    for one, other in (("3.0", "3.1"), ("4.0", "4.1")):
        first, second = answer["ranks"][one], answer["ranks"][other]
        assert (first["size"], second["size"]) == (2, 2)
        assert first["pid"] != second["pid"]


@case(payload="swift/nodes.py", component="swift-t", schedulers=SPREADS, nodes=2, cores=2, walltime=WALLTIME)
def test_the_workers_of_one_run_are_on_all_nodes(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["exit_code"] == 0
    assert len(answer["results"]) == answer["count"] == 2 * outcome.case.nodes - 1
    assert at_once(answer["results"])
    nodes = {each["node"] for each in answer["results"]}
    assert len(nodes) == outcome.case.nodes
    assert outcome.scheduler == "flux" or outcome.ran_on(*nodes)


@case(payload="swift/compile_error.py", component="swift-t", walltime=WALLTIME)
def test_the_compiler_names_the_line_of_a_wrong_type_and_nothing_runs(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["exit_code"] not in (0, None)
    assert any(line.startswith(f"{answer['error_line']}:") for line in answer["messages"])
    assert not answer["printed"]


@case(payload="swift/failing.py", component="swift-t", cores=2, walltime=WALLTIME)
def test_a_failing_program_ends_the_run_and_its_dependent_never_starts(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["exit_code"] not in (0, None)
    assert any("exited with code: 3" in line for line in answer["messages"]), (
        "the exit code of the program is not reported"
    )
    assert not answer["dependent_ran"]


@case(
    payload="swift/submit.py",
    component="swift-t",
    schedulers=SUBMITS,
    where="login",
    jobs=1,
    walltime=120,
    params={"count": 3},
)
def test_a_submitted_run_does_its_work_in_its_own_job(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["submitted"], f"swift-t -m ended with {answer['exit_code']}"
    assert (answer["job"]["exit_code"], answer["logged_exit_codes"]) == (0, [0])
    members_worked(outcome, answer["results"])
    steps = answer["results"].values()
    assert {each["job_id"] for each in steps} == {answer["job_id"]}
    assert outcome.ran_on(answer["job"]["node"])
    if outcome.scheduler == "slurm":
        assert {each["node"] for each in steps} == {answer["job"]["node"]}


@case(
    payload="swift/submit.py",
    component="swift-t",
    name="submit_failing",
    schedulers=SUBMITS,
    where="login",
    jobs=1,
    walltime=120,
    params={"count": 3, "program": "failing.swift"},
)
def test_a_failing_run_makes_its_job_fail(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["submitted"], f"swift-t -m ended with {answer['exit_code']}"
    assert answer["job"]["exit_code"] not in (0, None), "the scheduler reports the job as successful"
    assert answer["logged_exit_codes"] == [answer["job"]["exit_code"]]
    assert "after" not in answer["results"]


def submitted_through_psij(outcome: Outcome) -> None:
    """Assert that PSI/J ran one job and reported its end, and that all the work was done in that job."""
    answer = outcome.answer
    assert answer["states"] == ["COMPLETED"]
    assert answer["exit_code"] == 0
    assert len(answer["native_ids"]) == 1
    members_worked(outcome, answer["results"])
    if outcome.scheduler != "local":
        assert {each["job_id"] for each in answer["results"].values()} == set(answer["native_ids"])


@case(
    payload="swift/through_psij.py",
    component="swift-t",
    name="submit",
    partners=("psij",),
    schedulers=("local", *SUBMITS),
    where="login",
    jobs=1,
    cores=2,
    walltime=120,
    params={"count": 3},
)
def test_psij_runs_the_job_that_swift_t_submits_through_it(outcome: Outcome) -> None:
    submitted_through_psij(outcome)


@case(
    payload="swift/through_psij.py",
    component="swift-t",
    name="arguments",
    partners=("psij",),
    schedulers=("local",),
    where="login",
    cores=2,
    walltime=120,
    params={"count": 3, "reads": "argv"},
    xfail=NO_ARGUMENTS,
)
def test_a_program_submitted_through_psij_keeps_its_arguments(outcome: Outcome) -> None:
    submitted_through_psij(outcome)


@case(
    payload="swift/through_psij.py",
    component="swift-t",
    name="submit_failing",
    partners=("psij",),
    schedulers=("local", *SUBMITS),
    where="login",
    jobs=1,
    cores=2,
    walltime=120,
    params={"count": 3, "program": "failing.swift"},
)
def test_psij_reports_the_failure_of_a_job_that_swift_t_submits_through_it(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["states"] == ["FAILED"]
    assert len(answer["native_ids"]) == 1
    assert answer["exit_code"] not in (0, None)
    assert answer["started"] == ["bad"], "the run failed before its program, or continued after the failure"


@case(
    payload="swift/in_flux.py",
    component="swift-t",
    name="launch",
    partners=("flux",),
    variants={"by=swift-t": {"by": "swift-t"}, "by=flux": {"by": "flux"}},
    cores=2,
    walltime=120,
    params={"count": 3},
)
def test_the_ranks_of_a_run_are_one_job_of_flux(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["exit_code"] == 0
    members_worked(outcome, answer["results"])
    jobs = {each["flux_job"] for each in answer["results"].values()}
    assert len(jobs) == 1, "the ranks are in several jobs"
    assert all(jobs), "the ranks were not started by Flux"


@case(
    payload="swift/in_flux.py",
    component="swift-t",
    name="launch_failing",
    partners=("flux",),
    variants={"by=swift-t": {"by": "swift-t"}, "by=flux": {"by": "flux"}},
    cores=2,
    walltime=120,
    params={"count": 3, "program": "failing.swift"},
)
def test_a_run_that_fails_in_flux_ends_as_failed(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["exit_code"] not in (0, None)
    assert any("exited with code: 3" in line for line in answer["messages"]), (
        "the exit code of the program is not reported"
    )
    assert "after" not in answer["results"]


FIGURES = {
    "tasks_per_second",
    "bare_tasks_per_second",
    "overhead_per_task",
    "launch_latency_p50",
    "launch_latency_p99",
    "memory_server",
    "memory_worker",
}
"""The figures of many short tasks."""


@case(
    payload="swift/throughput.py",
    component="swift-t",
    tier="scale",
    variants={"tasks=1000": {"tasks": 1000}, "tasks=10000": {"tasks": 10000}},
    cores=2,
    walltime=900,
    params={"probes": 200},
)
def test_every_one_of_many_short_tasks_runs_and_is_measured(outcome: Outcome) -> None:
    answer, params = outcome.answer, outcome.params
    assert (answer["tasks"], answer["probes"]) == (params["tasks"], params["probes"])
    figures = {each["name"]: each["value"] for each in answer["metrics"]}
    assert set(figures) == FIGURES
    assert all(value > 0 for name, value in figures.items() if name != "overhead_per_task")
    assert figures["launch_latency_p50"] <= figures["launch_latency_p99"]
