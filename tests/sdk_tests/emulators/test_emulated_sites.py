"""Tests of a testbed with the profile of a system: it enforces the limits of the site file and starts ranks."""

from __future__ import annotations

import pytest

from sdk_tests.rehearsal.checks import launchers, limits
from sdk_tests.schedulers import JobState
from tests.sdk_tests.emulators.conftest import LAUNCHER, Cluster


def test_nodes_have_the_names_and_cores_of_the_system(site: Cluster) -> None:
    probe = site.kind.probe()
    assert probe.nodes == tuple(f"{site.testbed.kind}{number}" for number in (1, 2, 3))
    assert set(probe.queues) == {"debug", "default"}
    if probe.details:
        assert set(probe.details["cores"].values()) == {6}


@pytest.mark.parametrize(
    ("queue", "nodes", "walltime", "accepted"),
    [
        ("debug", 2, 1800.0, True),
        ("debug", 3, 600.0, False),
        ("debug", 1, 1860.0, False),
        ("default", 2, 3600.0, True),
        ("default", 1, 600.0, False),
        ("default", 2, 60.0, False),
        ("default", 2, 3660.0, False),
        ("default", 3, 7200.0, True),
        ("default", 3, 7260.0, False),
    ],
)
def test_a_queue_accepts_jobs_within_its_limits_and_refuses_others(
    site: Cluster, queue: str, nodes: int, walltime: float, accepted: bool
) -> None:
    job = site.job("true", queue=queue, nodes=nodes, walltime=walltime)
    if not accepted:
        site.refusal(job)
        return
    assert site.ended(site.submit(job)).state is JobState.DONE


def test_a_queue_limits_the_jobs_of_a_user(site: Cluster) -> None:
    first = site.submit(site.job("sleep 300", queue="default", nodes=2, walltime=600.0))
    assert site.refusal(site.job("true", queue="default", nodes=2, walltime=600.0))
    site.run(*site.kind.cancel_argv([first]))
    site.ended(first)


def test_a_queue_limits_the_jobs_that_run_at_once(site: Cluster) -> None:
    jobs = [site.submit(site.job("sleep 300")) for _ in range(3)]
    states = [site.status(job) for job in jobs]
    assert [status.state for status in states if status] == [JobState.RUNNING, JobState.RUNNING, JobState.QUEUED]
    site.run(*site.kind.cancel_argv(jobs))
    for job in jobs:
        site.ended(job)


def test_a_job_over_each_limit_is_submitted_and_refused(site: Cluster) -> None:
    checks = {check.what: check for check in limits(site.kind, site.folder, 3, None)}
    assert set(checks) == {
        "debug: 3 nodes",
        "debug: 1860 s on 1 nodes",
        "default: 3660 s on 2 nodes",
        "default: 1 nodes, too few",
    }
    assert all(check.passed and check.answer for check in checks.values())


def test_a_launcher_starts_one_rank_on_each_node_with_the_sites_flags(site: Cluster) -> None:
    (check,) = launchers(site.kind, site.folder, 2, None)
    assert check.passed, check.answer
    assert "--site-flag" in check.what
    assert sorted(check.answer.split(", ")) == [f"{site.testbed.kind}{number}" for number in (1, 2)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--teleport true", "option --teleport is not known"),
        ("-n 0 true", "not a number of at least 1"),
        ("-n 400 {one} true", "need more than the job's 1 nodes"),
        ("-n 1", "no command to start"),
    ],
)
def test_a_launcher_refuses_unknown_options_and_more_than_the_job_has(
    site: Cluster, arguments: str, message: str
) -> None:
    name = LAUNCHER[site.testbed.kind].partition(",")[0]
    one = {"jsrun": "-r 1", "mpiexec": "--ppn 1", "aprun": "-N 1"}[name]
    job = site.job(f"{name} {arguments.format(one=one)}")
    status = site.ended(site.submit(job))
    assert status.state is JobState.FAILED
    assert message in site.output(job)


def test_the_exit_code_of_a_failing_rank_is_returned_and_the_other_ranks_end(site: Cluster) -> None:
    name = LAUNCHER[site.testbed.kind].partition(",")[0]
    count = {"jsrun": "-n 2 -r 2", "mpiexec": "-n 2 --ppn 2", "aprun": "-n 2 -N 2"}[name]
    job = site.job(f"{name} {count} sh -c '[ $PMI_RANK = 0 ] && exit 7; sleep 300'")
    assert site.ended(site.submit(job)).exit_code == 7


def test_a_launcher_outside_an_allocation_is_refused(site: Cluster) -> None:
    name = LAUNCHER[site.testbed.kind].partition(",")[0]
    done = site.run(name, "-n", "1", "true")
    assert done.exit_code != 0
    assert "inside an allocation" in done.stderr


def test_a_launcher_prints_its_version_even_outside_an_allocation(site: Cluster) -> None:
    name = LAUNCHER[site.testbed.kind].partition(",")[0]
    done = site.run(name, "--version")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{name} version ")
