"""A testbed that looks like a system refuses what the system's file refuses, and starts ranks as its launchers do."""

from __future__ import annotations

import pytest

from sdk_tests.rehearsal.checks import launchers, limits
from sdk_tests.schedulers import JobState
from tests.sdk_tests.emulators.conftest import LAUNCHER, Bed


def test_nodes_are_named_and_shaped_like_the_systems(site: Bed) -> None:
    probe = site.kind.probe()
    assert probe.nodes == tuple(f"{site.testbed.kind}{number}" for number in (1, 2, 3))
    assert set(probe.queues) == {"debug", "default"}
    if probe.details:
        assert set(probe.details["cores"].values()) == {6}


@pytest.mark.parametrize(
    ("queue", "nodes", "walltime", "taken"),
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
def test_a_queue_takes_what_its_limits_allow_and_refuses_the_rest(
    site: Bed, queue: str, nodes: int, walltime: float, taken: bool
) -> None:
    job = site.job("true", queue=queue, nodes=nodes, walltime=walltime)
    if not taken:
        site.refusal(job)
        return
    assert site.ended(site.submit(job)).state is JobState.DONE


def test_a_user_has_no_more_jobs_in_a_queue_than_it_allows(site: Bed) -> None:
    first = site.submit(site.job("sleep 300", queue="default", nodes=2, walltime=600.0))
    assert site.refusal(site.job("true", queue="default", nodes=2, walltime=600.0))
    site.run(*site.kind.cancel_argv([first]))
    site.ended(first)


def test_no_more_jobs_run_at_once_than_a_queue_allows(site: Bed) -> None:
    jobs = [site.submit(site.job("sleep 300")) for _ in range(3)]
    states = [site.status(job) for job in jobs]
    assert [status.state for status in states if status] == [JobState.RUNNING, JobState.RUNNING, JobState.QUEUED]
    site.run(*site.kind.cancel_argv(jobs))
    for job in jobs:
        site.ended(job)


def test_every_limit_is_tried_and_refused(site: Bed) -> None:
    tried = {check.what: check for check in limits(site.kind, site.folder, 3, None)}
    assert set(tried) == {
        "debug: 3 nodes",
        "debug: 1860 s on 1 nodes",
        "default: 3660 s on 2 nodes",
        "default: 1 nodes, too few",
    }
    assert all(check.passed and check.said for check in tried.values())


def test_a_launcher_starts_one_rank_on_each_node_with_the_sites_flags(site: Bed) -> None:
    (check,) = launchers(site.kind, site.folder, 2, None)
    assert check.passed, check.said
    assert "--site-flag" in check.what
    assert sorted(check.said.split(", ")) == [f"{site.testbed.kind}{number}" for number in (1, 2)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--teleport true", "option --teleport is not known"),
        ("-n 0 true", "not a number of at least 1"),
        ("-n 400 {one} true", "need more than the job's 1 nodes"),
        ("-n 1", "no command to start"),
    ],
)
def test_a_launcher_refuses_what_it_does_not_know_or_the_job_does_not_hold(site: Bed, words: str, said: str) -> None:
    name = LAUNCHER[site.testbed.kind].partition(",")[0]
    one = {"jsrun": "-r 1", "mpiexec": "--ppn 1", "aprun": "-N 1"}[name]
    job = site.job(f"{name} {words.format(one=one)}")
    status = site.ended(site.submit(job))
    assert status.state is JobState.FAILED
    assert said in job.output.read_text()


def test_a_failing_rank_gives_its_exit_code_and_ends_the_others(site: Bed) -> None:
    name = LAUNCHER[site.testbed.kind].partition(",")[0]
    count = {"jsrun": "-n 2 -r 2", "mpiexec": "-n 2 --ppn 2", "aprun": "-n 2 -N 2"}[name]
    job = site.job(f"{name} {count} sh -c '[ $PMI_RANK = 0 ] && exit 7; sleep 300'")
    assert site.ended(site.submit(job)).exit_code == 7


def test_a_launcher_outside_an_allocation_is_refused(site: Bed) -> None:
    name = LAUNCHER[site.testbed.kind].partition(",")[0]
    done = site.run(name, "-n", "1", "true")
    assert done.exit_code != 0
    assert "inside an allocation" in done.stderr


def test_a_launcher_tells_its_version_also_outside_an_allocation(site: Bed) -> None:
    name = LAUNCHER[site.testbed.kind].partition(",")[0]
    done = site.run(name, "--version")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{name} version ")
