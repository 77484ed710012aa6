"""Tests of jobs on every emulated scheduler and on the real PBS, with the commands that the harness uses."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path

from sdk_tests.schedulers import CommandFailed, JobState
from sdk_tests.testbeds import manage, processes
from tests.sdk_tests.emulators.conftest import Cluster


def until(condition: object, limit: float = 30.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.05)


def test_a_job_runs_on_distinct_nodes_and_its_exit_code_is_reported(cluster: Cluster) -> None:
    go = cluster.folder / "go"
    job = cluster.job(f"until [ -e {go} ]; do sleep 0.1; done; echo on $EMULATED_NODENAME; exit 3", nodes=2)
    job_id = cluster.submit(job)
    cluster.until(job_id, lambda status: status is not None and status.state is JobState.RUNNING)
    go.touch()
    status = cluster.ended(job_id)
    assert (status.state, status.exit_code) == (JobState.FAILED, 3)
    assert len(set(status.nodes)) == 2
    assert cluster.output(job).split() == ["on", status.nodes[0]]


def test_a_successful_job_is_done(cluster: Cluster) -> None:
    assert cluster.ended(cluster.submit(cluster.job("true"))).state is JobState.DONE


def test_the_signal_that_kills_a_job_is_reported(cluster: Cluster) -> None:
    status = cluster.ended(cluster.submit(cluster.job("kill -SEGV $$")))
    assert (status.state, status.signal) == (JobState.FAILED, signal.SIGSEGV)


def test_a_script_may_be_removed_after_submission(cluster: Cluster) -> None:
    job = cluster.job("echo spooled")
    cluster.faults.hold()
    job_id = cluster.submit(job)
    job.script.unlink()
    cluster.faults.release(job_id)
    assert cluster.ended(job_id).state is JobState.DONE
    assert cluster.output(job) == "spooled\n"


def test_cancelling_ends_every_process_of_a_job_even_outside_its_session(cluster: Cluster) -> None:
    started = cluster.folder / f"started-{cluster.count}"
    script = f"trap '' INT TERM\nsetsid sleep 300 & sleep 300 & touch {started}; wait; sleep 300"
    job_id = cluster.submit(cluster.job(script))
    until(started.exists)
    inside = cluster.processes()
    assert len(inside) >= 3
    cluster.run(*cluster.kind.cancel_argv([job_id]))
    assert cluster.ended(job_id).state is JobState.CANCELLED
    if not cluster.emulated:  # without a cgroups hook, a MOM does not kill a process that ignores SIGTERM
        processes.end(inside, grace=0.0)
    until(lambda: not any(map(processes.alive, inside)))


def test_a_queued_job_can_be_cancelled_and_never_runs(cluster: Cluster) -> None:
    cluster.faults.hold()
    mark = cluster.folder / f"ran-{cluster.count}"
    job_id = cluster.submit(cluster.job(f"touch {mark}"))
    status = cluster.status(job_id)
    assert status is not None
    assert (status.state, status.nodes) == (JobState.QUEUED, ())
    cluster.run(*cluster.kind.cancel_argv([job_id]))
    assert cluster.ended(job_id).state is JobState.CANCELLED
    assert not mark.exists()


def test_a_job_past_its_walltime_has_timed_out(cluster: Cluster) -> None:
    job_id = cluster.submit(cluster.job("sleep 300"))
    cluster.until(job_id, lambda status: status is not None and status.state is JobState.RUNNING)
    cluster.faults.expire(job_id)
    assert cluster.ended(job_id).state is JobState.TIMEOUT


def test_a_job_waits_until_nodes_are_free(cluster: Cluster) -> None:
    go = cluster.folder / f"go-{cluster.count}"
    whole = {"nodes": 3, "cores": 4}
    first = cluster.submit(cluster.job(f"until [ -e {go} ]; do sleep 0.1; done", **whole))
    second = cluster.submit(cluster.job("true", **whole))
    cluster.until(first, lambda status: status is not None and status.state is JobState.RUNNING)
    waiting = cluster.status(second)
    assert waiting is not None
    assert waiting.state is JobState.QUEUED
    go.touch()
    assert [cluster.ended(job_id).state for job_id in (first, second)] == [JobState.DONE, JobState.DONE]


def test_an_unknown_queue_is_refused_and_named(cluster: Cluster) -> None:
    message = cluster.refusal(cluster.job("true", queue="nowhere"))
    assert "nowhere" in message or "Unknown queue" in message


def test_cancelling_a_job_that_has_ended_has_no_effect(cluster: Cluster) -> None:
    job_id = cluster.submit(cluster.job("true"))
    cluster.ended(job_id)
    cluster.run(*cluster.kind.cancel_argv([job_id]))
    assert cluster.ended(job_id).state is JobState.DONE


def test_the_users_live_jobs_are_listed_with_the_folders_of_submission(cluster: Cluster) -> None:
    job_id = cluster.submit(cluster.job("sleep 300"))
    argv = cluster.kind.own_jobs_argv()
    assert argv is not None
    assert cluster.kind.parse_own_jobs(cluster.run(*argv))[job_id].folder == str(cluster.folder)
    cluster.run(*cluster.kind.cancel_argv([job_id]))
    cluster.ended(job_id)
    assert job_id not in cluster.kind.parse_own_jobs(cluster.run(*argv))


def test_the_control_command_waits_and_returns_output_and_exit_code(cluster: Cluster) -> None:
    folder = cluster.folder / f"control-{cluster.count}"
    folder.mkdir()
    job = cluster.job("", queue=cluster.testbed.scheduler.default_queue)
    spec = type(job)(job.name, folder, folder, 1, 60.0, job.queue)
    argv = ["/bin/sh", "-c", 'echo "$1"; echo err >&2; exit 4', "sh", 'a "b" $HOME']
    done = cluster.run(*cluster.kind.control_argv(argv, spec))
    assert (done.exit_code, done.stdout) == (4, 'a "b" $HOME\n')
    assert "err" in done.stderr.splitlines()


def test_the_control_command_can_be_run_again_when_its_folder_is_gone_or_holds_results(cluster: Cluster) -> None:
    folder = cluster.folder / f"again-{cluster.count}"
    job = cluster.job("", queue=cluster.testbed.scheduler.default_queue)
    spec = type(job)(job.name, folder, folder, 1, 60.0, job.queue)
    count = cluster.folder / f"count-{cluster.count}"
    argv = cluster.kind.control_argv(["/bin/sh", "-c", f'echo x >> "{count}"; wc -l < "{count}"; exit 4'], spec)
    for number in (1, 2):
        done = cluster.run(*argv)
        assert (done.exit_code, done.stdout.split()) == (4, [str(number)]), done
    shutil.rmtree(folder)
    done = cluster.run(*argv)
    assert (done.exit_code, done.stdout.split()) == (4, ["3"]), done


def _status_fails(cluster: Cluster, job_id: str, seconds: float, go: Path) -> bool:
    """Ask for a job while the daemon is down for some seconds, and end the job then; return whether an error came.

    On a busy machine, a short outage may be over before the question is asked.
    """
    down = threading.Thread(target=cluster.faults.down, args=(seconds,))  # blocks until a real scheduler is up again
    down.start()
    until(lambda: cluster.run(*cluster.kind.ping_argv()).exit_code != 0 or not down.is_alive())
    try:
        cluster.status(job_id)
    except CommandFailed:
        go.touch()
        return True
    finally:
        down.join()
    return False


def test_while_the_daemon_is_down_commands_fail_and_jobs_continue(cluster: Cluster) -> None:
    go = cluster.folder / f"down-{cluster.count}"
    job_id = cluster.submit(cluster.job(f"until [ -e {go} ]; do sleep 0.1; done; exit 5"))
    assert cluster.run(*cluster.kind.ping_argv()).exit_code == 0
    assert any(_status_fails(cluster, job_id, seconds, go) for seconds in (2.0, 10.0, 40.0))
    until(lambda: cluster.run(*cluster.kind.ping_argv()).exit_code == 0)
    assert cluster.ended(job_id).exit_code == 5


def test_an_unknown_option_is_refused_and_named(emulated: Cluster) -> None:
    submit = {"lsf": "bsub", "pbs": "qsub", "cobalt": "qsub"}[emulated.testbed.kind]
    done = emulated.run(submit, "--teleport", "x", str(emulated.job("true").script))
    assert done.exit_code != 0
    assert "teleport" in done.stderr


def test_an_unknown_directive_is_refused_and_named(emulated: Cluster) -> None:
    submit, prefix, directive = {
        "lsf": ("bsub", "#BSUB", "-teleport now"),
        "pbs": ("qsub", "#PBS", "-Y now"),
        "cobalt": ("qsub", "#COBALT", "--teleport now"),
    }[emulated.testbed.kind]
    script = emulated.folder / "directive.sh"
    script.write_text(f"#!/bin/sh\n{prefix} {directive}\ntrue\n")
    script.chmod(0o755)
    done = emulated.run(submit, str(script))
    assert done.exit_code != 0
    assert directive.split()[0].lstrip("-") in done.stderr


def test_a_stopped_testbed_leaves_no_process(tmp_path: Path, cluster: Cluster) -> None:
    name = cluster.testbed.kind if not cluster.emulated or cluster.testbed.kind != "pbs" else "pbs-emulated"
    testbed = manage.up(name, tmp_path, nodes=1, cores=2, owner_pid=os.getpid())
    kind = type(cluster.kind)(testbed.scheduler, manage.environment(testbed, dict(os.environ)))
    other = Cluster(testbed, kind, tmp_path)
    other.submit(other.job("setsid sleep 300 & sleep 300"))
    until(lambda: len(other.processes()) >= 3)
    inside = [*other.processes(), *testbed.daemons]
    manage.down(tmp_path, testbed.id)
    assert not any(map(processes.alive, inside))
    assert not testbed.folder.exists()
