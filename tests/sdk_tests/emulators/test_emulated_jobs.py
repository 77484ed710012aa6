"""The same claims about jobs on every emulated scheduler and the real PBS, with the commands the harness uses."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from sdk_tests.schedulers import CommandFailed, JobState
from sdk_tests.testbeds import manage, processes
from tests.sdk_tests.emulators.conftest import Bed


def until(true: object, limit: float = 30.0) -> None:
    assert callable(true)
    deadline = time.monotonic() + limit
    while not true():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def test_a_job_runs_on_nodes_of_its_own_and_ends_with_its_exit_code(bed: Bed) -> None:
    go = bed.folder / "go"
    job = bed.job(f"until [ -e {go} ]; do sleep 0.1; done; echo on $EMULATED_NODENAME; exit 3", nodes=2)
    taken = bed.submit(job)
    bed.until(taken, lambda status: status is not None and status.state is JobState.RUNNING)
    go.touch()
    status = bed.ended(taken)
    assert (status.state, status.exit_code) == (JobState.FAILED, 3)
    assert len(set(status.nodes)) == 2
    assert job.output.read_text().split() == ["on", status.nodes[0]]


def test_a_job_that_ends_well_is_done(bed: Bed) -> None:
    assert bed.ended(bed.submit(bed.job("true"))).state is JobState.DONE


def test_a_signal_a_job_dies_of_is_told(bed: Bed) -> None:
    status = bed.ended(bed.submit(bed.job("kill -SEGV $$")))
    assert (status.state, status.signal) == (JobState.FAILED, signal.SIGSEGV)


def test_a_script_may_be_removed_once_it_is_submitted(bed: Bed) -> None:
    job = bed.job("echo spooled")
    bed.faults.hold()
    taken = bed.submit(job)
    job.script.unlink()
    bed.faults.release(taken)
    assert bed.ended(taken).state is JobState.DONE
    assert job.output.read_text() == "spooled\n"


def test_cancelling_ends_every_process_of_a_job_also_one_that_left_its_session(bed: Bed) -> None:
    pids = bed.folder / f"pids-{bed.count}"
    taken = bed.submit(bed.job(f"trap '' INT TERM\nsetsid sleep 300 & sleep 300 & echo $$ $! > {pids}.new; "
                               f"pgrep -s 0 >> {pids}.new; mv {pids}.new {pids}; wait; sleep 300"))  # fmt: skip
    until(pids.exists)
    inside = bed.processes()
    assert len(inside) >= 3
    bed.run(*bed.kind.cancel_argv([taken]))
    assert bed.ended(taken).state is JobState.CANCELLED
    if not bed.emulated:  # where no cgroups hook is set up, a MOM lets live what does not heed her SIGTERM
        processes.end(inside, grace=0.0)
    until(lambda: not any(map(processes.alive, inside)))


def test_a_job_that_waits_is_cancelled_and_never_runs(bed: Bed) -> None:
    bed.faults.hold()
    mark = bed.folder / f"ran-{bed.count}"
    taken = bed.submit(bed.job(f"touch {mark}"))
    status = bed.status(taken)
    assert status is not None
    assert (status.state, status.nodes) == (JobState.QUEUED, ())
    bed.run(*bed.kind.cancel_argv([taken]))
    assert bed.ended(taken).state is JobState.CANCELLED
    assert not mark.exists()


def test_a_job_past_its_walltime_is_ended_as_timed_out(bed: Bed) -> None:
    taken = bed.submit(bed.job("sleep 300"))
    bed.until(taken, lambda status: status is not None and status.state is JobState.RUNNING)
    bed.faults.expire(taken)
    assert bed.ended(taken).state is JobState.TIMEOUT


def test_jobs_wait_for_nodes_and_take_their_turn(bed: Bed) -> None:
    go = bed.folder / f"go-{bed.count}"
    whole = {"nodes": 3, "cores": 4}
    first = bed.submit(bed.job(f"until [ -e {go} ]; do sleep 0.1; done", **whole))
    second = bed.submit(bed.job("true", **whole))
    bed.until(first, lambda status: status is not None and status.state is JobState.RUNNING)
    waiting = bed.status(second)
    assert waiting is not None
    assert waiting.state is JobState.QUEUED
    go.touch()
    assert [bed.ended(taken).state for taken in (first, second)] == [JobState.DONE, JobState.DONE]


def test_a_queue_nobody_has_is_refused_and_named(bed: Bed) -> None:
    said = bed.refusal(bed.job("true", queue="nowhere"))
    assert "nowhere" in said or "Unknown queue" in said


def test_a_cancelled_job_can_be_cancelled_again_without_harm(bed: Bed) -> None:
    taken = bed.submit(bed.job("true"))
    bed.ended(taken)
    bed.run(*bed.kind.cancel_argv([taken]))
    assert bed.ended(taken).state is JobState.DONE


def test_ones_own_jobs_are_found_by_where_they_were_submitted(bed: Bed) -> None:
    taken = bed.submit(bed.job("sleep 300"))
    argv = bed.kind.mine_argv()
    assert argv is not None
    assert bed.kind.parse_mine(bed.run(*argv))[taken] == str(bed.folder)
    bed.run(*bed.kind.cancel_argv([taken]))
    bed.ended(taken)
    assert taken not in bed.kind.parse_mine(bed.run(*argv))


def test_the_control_command_waits_and_gives_output_and_exit_code(bed: Bed) -> None:
    folder = bed.folder / f"control-{bed.count}"
    folder.mkdir()
    job = bed.job("", queue=bed.testbed.scheduler.default_queue)
    spec = type(job)(job.name, folder, folder, 1, 60.0, job.queue)
    argv = ["/bin/sh", "-c", 'echo "$1"; echo err >&2; exit 4', "sh", 'a "b" $HOME']
    done = bed.run(*bed.kind.control_argv(argv, spec))
    assert (done.exit_code, done.stdout) == (4, 'a "b" $HOME\n')
    assert "err" in done.stderr.splitlines()


def test_while_the_daemon_is_down_commands_fail_and_jobs_go_on(bed: Bed) -> None:
    go = bed.folder / f"down-{bed.count}"
    taken = bed.submit(bed.job(f"until [ -e {go} ]; do sleep 0.1; done; exit 5"))
    assert bed.run(*bed.kind.ping_argv()).exit_code == 0
    down = threading.Thread(target=bed.faults.down, args=(2.0,))  # a real one's takes as long as it is down
    down.start()
    until(lambda: bed.run(*bed.kind.ping_argv()).exit_code != 0)
    with pytest.raises(CommandFailed):
        bed.status(taken)
    go.touch()
    until(lambda: bed.run(*bed.kind.ping_argv()).exit_code == 0)
    down.join()
    assert bed.ended(taken).exit_code == 5


def test_an_option_nobody_implements_is_refused_by_name(emulated: Bed) -> None:
    bed = emulated
    submit = {"lsf": "bsub", "pbs": "qsub", "cobalt": "qsub"}[bed.testbed.kind]
    done = bed.run(submit, "--teleport", "x", str(bed.job("true").script))
    assert done.exit_code != 0
    assert "--teleport" in done.stderr


def test_a_directive_nobody_implements_is_refused_by_name(emulated: Bed) -> None:
    bed = emulated
    submit, sign, wanted = {
        "lsf": ("bsub", "#BSUB", "-teleport now"),
        "pbs": ("qsub", "#PBS", "-Y now"),
        "cobalt": ("qsub", "#COBALT", "--teleport now"),
    }[bed.testbed.kind]
    script = bed.folder / "directive.sh"
    script.write_text(f"#!/bin/sh\n{sign} {wanted}\ntrue\n")
    script.chmod(0o755)
    done = bed.run(submit, str(script))
    assert done.exit_code != 0
    assert wanted.split()[0] in done.stderr


def test_a_testbed_that_is_taken_down_leaves_no_process(tmp_path: Path, bed: Bed) -> None:
    name = bed.testbed.kind if not bed.emulated or bed.testbed.kind != "pbs" else "pbs-emulated"
    made = manage.up(name, tmp_path, nodes=1, cores=2, owner_pid=os.getpid())
    kind = type(bed.kind)(made.scheduler, manage.environment(made, dict(os.environ)))
    other = Bed(made, kind, tmp_path)
    other.submit(other.job("setsid sleep 300 & sleep 300"))
    until(lambda: len(other.processes()) >= 3)
    inside = [*other.processes(), *made.daemons]
    manage.down(tmp_path, made.id)
    assert not any(map(processes.alive, inside))
    assert not made.folder.exists()
