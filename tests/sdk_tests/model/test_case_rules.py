"""Rules for all cases: what can fail has a case in which it fails, and a known failure names a version and a source."""

from __future__ import annotations

import re

import pytest

from sdk_tests.integration import pairs
from sdk_tests.plan import matrix
from sdk_tests.plan.matrix import Row

ROWS = matrix.rows()
NAMES = list(dict.fromkeys(f"{row.family}/{row.case.name}" for row in ROWS))

FAILING_TWINS = {
    "flux/run": "flux/run_fails",
    "flux/dependencies": "flux/dependency_fails",
    "flux/python_api": "flux/python_api_fails",
    "maestro/study": "maestro/failing",
    "parsl/python_app": "parsl/exception",
    "parsl/diamond": "parsl/exception",
    "parsl+flux/apps": "parsl+flux/apps_fail",
    "psij/hello": "psij/exit_code",
    "psij/redirect": "psij/exit_code",
    "psij/serialize": "psij/exit_code",
    "psij/attach": "psij/attach_failing",
    "psij+flux/jobs": "psij+flux/jobs_fail",
    "radical.entk/ensemble": "radical.entk/fatal",
    "radical.entk+flux/ensemble": "radical.pilot+flux/failing_task",
    "radical.pilot/pilot": "radical.pilot/failing_task",
    "radical.pilot/service": "radical.pilot/failing_task",
    "radical.pilot+flux/pilot": "radical.pilot+flux/failing_task",
    "radical.pilot+flux/inside": "radical.pilot+flux/failing_task",
    "radical.pilot+psij/submitted": "radical.pilot/failing_task",  # which PSI/J submits too where there is a scheduler
    "swift-t/hello": "swift-t/compile_error",
    "swift-t/apps": "swift-t/failing",
    "swift-t/dataflow": "swift-t/failing",
    "swift-t/submit": "swift-t/submit_failing",
    "swift-t+flux/launch": "swift-t+flux/launch_failing",
    "swift-t+psij/submit": "swift-t+psij/submit_failing",
}
"""A case that works, and the case in which the same feature fails."""

MIXED = {
    "parsl/exalearn": "one of its simulations raises",
    "psij/exaam": "one of its jobs exits with 3",
    "radical.entk/deepdrivemd": "one of its simulations fails",
    "radical.entk+flux/deepdrivemd": "one of its simulations fails",
    "colmena/tasks": "one of its tasks raises",
    "colmena+parsl/steering": "one of its tasks raises",
    "colmena+parsl/block": "one of its tasks raises",
    "dask/graph": "a function raises, and fails its dependent",
    "dask/jobqueue": "one of its tasks raises",
    "dask+psij/workers": "one of its tasks raises",
    "flux/bulk": "every tenth job exits with 3",
    "flux/cancel": "cancelled while it runs, and while it is held",
    "flux/gpus": "a job that requests one GPU too many is refused",
    "flux/too_big": "refused, beside one that is as big as the instance",
    "globus-compute/endpoint": "one of its functions raises",
    "globus-compute+parsl/block": "one of its functions raises",
    "libensemble/ensemble": "one of its simulations exits with 3",
    "libensemble+psij/jobs": "one of its simulations exits with 3",
    "parsl/bash_app": "exits with a code of its own, beside one that passes",
    "parsl/checkpoint": "a task fails in the first load and alone runs again in the second",
    "parsl/join": "one of its leaves raises",
    "parsl/killed_worker": "its worker is killed, once and again",
    "parsl/monitoring": "one of its tasks raises",
    "parsl/mpi": "a launch exits with 3, and one without ranks is refused",
    "parsl+radical.pilot/pilot": "an app raises",
    "psij/bulk": "every tenth job exits with 3",
    "psij/cancel_running": "cancelled",
    "psij/cancel_queued": "cancelled",
    "psij/launcher": "the launcher reports the exit code of /bin/false",
    "psij/walltime": "outlives its limit",
    "psij+radical.pilot/pilot": "one of its jobs fails",
    "radical.entk/steering": "one of its tasks fails",
    "radical.pilot/raptor": "one of its calls raises",
    "radical.pilot/walltime": "outlives its limit",
}
"""A case that contains a success and a failure, and the failure."""

NO_FAILURE = {
    "control/hello": "where it fails the site is broken",
    "flux/instance": "size",
    "flux/nodes": "size",
    "flux/throughput": "measured",
    "flux/fluxion": "which scheduler is loaded",
    "flux+flux/nested": "levels and sizes",
    "parsl/gpus": "binding",
    "parsl/htex": "workers at the same time",
    "parsl/throughput": "measured",
    "psij/gpus": "binding",
    "psij/multi_node": "places",
    "psij/serialize_duration": "a value kept",
    "psij/throughput": "measured",
    "radical.entk/throughput": "measured",
    "radical.entk+flux/throughput": "measured",
    "radical.pilot/gpus": "binding",
    "radical.pilot/throughput": "measured",
    "radical.pilot+flux/throughput": "measured",
    "swift-t/mpiexec": "the launcher",
    "swift-t/candle": "the choice of the best",
    "swift-t/foreach": "a sum",
    "swift-t/leaf": "a value",
    "swift-t/par": "ranks",
    "swift-t/nodes": "places",
    "swift-t/throughput": "measured",
    "swift-t+psij/arguments": "values kept",
}
"""A case that makes no claim about failures, and what it tests instead."""


def test_every_case_has_a_failing_twin_or_makes_no_claim_about_failures() -> None:
    twins = set(FAILING_TWINS.values())
    listed = [*FAILING_TWINS, *MIXED, *NO_FAILURE, *twins]
    assert sorted(set(NAMES) - set(listed)) == [], "add these cases to one of the tables of this file"
    assert sorted(set(listed) - set(NAMES)) == [], "there are no such cases"
    assert len(listed) == len(set(listed)), "a case is in two tables"


def test_every_component_and_every_pair_has_a_case_with_a_failure() -> None:
    failing = {name.partition("/")[0] for name in (*FAILING_TWINS.values(), *MIXED)}
    with_twin_elsewhere = {name.partition("/")[0] for name in FAILING_TWINS}
    families = {row.family for row in ROWS} - {"control", "flux+flux"}
    assert families <= failing | with_twin_elsewhere


@pytest.mark.parametrize("row", [row for row in ROWS if row.case.xfail or row.case.broken_on], ids=lambda row: row.name)
def test_a_known_failure_names_the_version_that_fails_and_the_line_of_the_upstream_source(row: Row) -> None:
    for why in filter(None, (row.case.xfail, *row.case.broken_on.values())):
        reason, _, source = why.rpartition(": ")
        assert re.search(r"[a-z.-]+ \d+\.\d+", reason), f"add the component and its version: {why}"
        assert re.fullmatch(r"https://github\.com/\S+#L\d+", source), f"add the line of the upstream source: {why}"


def test_a_combination_that_does_not_exist_has_no_case_and_is_no_intended_pair() -> None:
    assert not {each.case.partition("@")[0] for each in pairs.NOT_THERE if not each.scheduler} & set(NAMES)
    assert not {tuple(each.components) for each in pairs.NOT_THERE if not each.scheduler} & set(pairs.MEANT)
