"""The rules every case keeps: what can fail is made to fail, and what is known to fail says since when and where."""

from __future__ import annotations

import re

import pytest

from sdk_tests.integration import pairs
from sdk_tests.plan import matrix
from sdk_tests.plan.matrix import Row

ROWS = matrix.rows()
NAMES = list(dict.fromkeys(f"{row.family}/{row.case.name}" for row in ROWS))

MADE_TO_FAIL = {
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
"""A case that works, and the one in which the same is made to go wrong."""

BOTH = {
    "flux/bulk": "every tenth job exits with 3",
    "flux/cancel": "cancelled while it runs, and while it is held",
    "flux/gpus": "a job that asks for a GPU too many is refused",
    "flux/too_big": "refused, beside one that is as big as the instance",
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
    "psij/launcher": "the launcher tells the exit code of /bin/false",
    "psij/walltime": "outlives its limit",
    "psij+radical.pilot/pilot": "one of its jobs fails",
    "radical.entk/steering": "one of its tasks fails",
    "radical.pilot/raptor": "one of its calls raises",
    "radical.pilot/walltime": "outlives its limit",
}
"""A case that has both in it, and what goes wrong there."""

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
    "radical.pilot/gpus": "binding",
    "swift-t/mpiexec": "the launcher",
    "swift-t/foreach": "a sum",
    "swift-t/leaf": "a value",
    "swift-t/par": "ranks",
    "swift-t/nodes": "places",
    "swift-t/throughput": "measured",
    "swift-t+psij/arguments": "values kept",
}
"""A case that promises nothing about failure, and what it does promise."""


def test_every_case_has_its_negative_twin_or_promises_nothing_about_failure() -> None:
    twins = set(MADE_TO_FAIL.values())
    said = [*MADE_TO_FAIL, *BOTH, *NO_FAILURE, *twins]
    assert sorted(set(NAMES) - set(said)) == [], "what is its negative twin? say so in this file"
    assert sorted(set(said) - set(NAMES)) == [], "there is no such case"
    assert len(said) == len(set(said)), "a case is said to be two things"


def test_every_component_and_every_pair_is_seen_to_fail() -> None:
    failing = {name.partition("/")[0] for name in (*MADE_TO_FAIL.values(), *BOTH)}
    elsewhere = {name.partition("/")[0] for name in MADE_TO_FAIL}
    families = {row.family for row in ROWS} - {"control", "flux+flux"}
    assert families <= failing | elsewhere


@pytest.mark.parametrize("row", [row for row in ROWS if row.case.xfail or row.case.broken_on], ids=lambda row: row.name)
def test_a_known_failure_names_the_version_it_was_seen_with_and_where_upstream_shows_it(row: Row) -> None:
    for why in filter(None, (row.case.xfail, *row.case.broken_on.values())):
        said, _, place = why.rpartition(": ")
        assert re.search(r"[a-z.-]+ \d+\.\d+", said), f"of which version is that true? {why}"
        assert re.fullmatch(r"https://github\.com/\S+#L\d+", place), f"where does upstream show that? {why}"


def test_what_does_not_exist_is_no_case_and_what_is_meant_is_no_dead_end() -> None:
    assert not {each.case.partition("@")[0] for each in pairs.NOT_THERE if not each.scheduler} & set(NAMES)
    assert not {tuple(each.components) for each in pairs.NOT_THERE if not each.scheduler} & set(pairs.MEANT)
