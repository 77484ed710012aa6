"""Tests of the Slurm kind with a real Slurm: each command runs, and each parsed output was printed by Slurm."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from sdk_tests.schedulers import CommandFailed, JobState
from sdk_tests.schedulers.hostlist import expand
from sdk_tests.schedulers.slurm import SlurmKind
from sdk_tests.testbeds import processes
from tests.sdk_tests.schedulers.conftest import Cluster

pytestmark = pytest.mark.needs("slurm", "munge")


def test_the_probe_reports_version_nodes_and_partitions(slurm: Cluster) -> None:
    probe = slurm.kind.probe()
    assert probe.available, probe.reason
    assert probe.version == slurm.testbed.version
    assert probe.location
    assert Path(probe.location).name == "sbatch"
    assert (probe.nodes, probe.queues) == (("n1", "n2"), ("debug",))
    assert probe.details["cores"] == {"n1": 4, "n2": 4}


def test_a_job_runs_from_submission_to_its_end(slurm: Cluster) -> None:
    before = time.time()
    job = slurm.job("echo hello from $SLURMD_NODENAME")
    job_id = slurm.submit(job)
    status = slurm.ended(job_id)
    assert (status.state, status.native_state) == (JobState.DONE, "COMPLETED")
    assert (status.exit_code, status.signal) == (0, None)
    assert job.output.read_text() == f"hello from {status.nodes[0]}\n"
    assert status.submitted is not None
    assert status.started is not None
    assert status.ended is not None
    assert before - 2 <= status.submitted <= status.started <= status.ended <= time.time() + 1


@pytest.mark.parametrize(
    ("body", "exit_code", "sign"), [("exit 3", 3, None), ("kill -9 $$", None, 9), ("kill -SEGV $$", None, 11)]
)
def test_a_failed_job_has_an_exit_code_or_a_signal(
    slurm: Cluster, body: str, exit_code: int | None, sign: int | None
) -> None:
    status = slurm.ended(slurm.submit(slurm.job(body)))
    assert status.state is JobState.FAILED
    assert (status.exit_code, status.signal) == (exit_code, sign)


def test_one_query_reports_many_jobs_and_omits_unknown_ones(slurm: Cluster) -> None:
    ids = [slurm.submit(slurm.job("true")) for _ in range(5)]
    assert set(slurm.status(*ids, "999999")) == set(ids)
    assert slurm.status("999999") == {}
    assert slurm.status("999998", "999999") == {}


def test_a_users_own_defaults_of_slurm_commands_change_nothing(slurm: Cluster) -> None:
    own = {
        "SBATCH_HOLD": "1",
        "SBATCH_WAIT": "1",
        "SBATCH_PARTITION": "other",
        "SBATCH_ARRAY_INX": "0-3",
        "SBATCH_OUTPUT": "/nonexistent/output",
        "SQUEUE_STATES": "PENDING",
        "SQUEUE_PARTITION": "other",
        "SQUEUE_FORMAT": "%j",
        "SQUEUE_SORT": "-i",
        "SCANCEL_STATE": "PENDING",
        "SLURM_TIME_FORMAT": "relative",
        "TZ": "Asia/Tokyo",
    }
    users = Cluster(slurm.testbed, slurm.folder, {**slurm.env, **own})
    job_id = users.submit(users.job("exec sleep 60", queue=None))
    users.until(job_id, lambda status: status.state is JobState.RUNNING)
    assert users.run(users.kind.cancel_argv([job_id])).exit_code == 0
    assert users.ended(job_id) == slurm.status(job_id)[job_id]
    assert slurm.status(job_id)[job_id].state is JobState.CANCELLED


def test_a_running_job_is_cancelled_and_cancelling_it_again_has_no_effect(slurm: Cluster) -> None:
    job_id = slurm.submit(slurm.job("exec sleep 60"))
    running = slurm.until(job_id, lambda status: status.state is JobState.RUNNING)
    assert running.nodes
    assert running.ended is None
    assert running.exit_code is None
    assert slurm.run(slurm.kind.cancel_argv([job_id])).exit_code == 0
    status = slurm.ended(job_id)
    assert status.state is JobState.CANCELLED
    assert slurm.run(slurm.kind.cancel_argv([job_id, "999999"])).exit_code is not None
    assert slurm.ended(job_id) == status


def test_a_queued_job_has_a_wait_reason_and_can_be_cancelled_before_it_starts(slurm: Cluster) -> None:
    kind = SlurmKind(msgspec.structs.replace(slurm.testbed.scheduler, exclusive=True), slurm.env)
    holder = kind.parse_submit(slurm.run(kind.submit_argv(slurm.job("exec sleep 60", nodes=2))))
    slurm.until(holder, lambda status: status.state is JobState.RUNNING)
    waiting = slurm.submit(slurm.job("true"))
    status = slurm.until(waiting, lambda status: status.reason in ("Resources", "Priority"))
    assert (status.state, status.started, status.nodes) == (JobState.QUEUED, None, ())
    assert slurm.run(kind.cancel_argv([waiting])).exit_code == 0
    status = slurm.ended(waiting)
    assert (status.state, status.started) == (JobState.CANCELLED, None)
    assert slurm.run(kind.cancel_argv([holder])).exit_code == 0
    slurm.ended(holder)


def test_one_command_cancels_several_jobs(slurm: Cluster) -> None:
    ids = [slurm.submit(slurm.job("exec sleep 60")) for _ in range(3)]
    assert slurm.run(slurm.kind.cancel_argv(ids)).exit_code == 0
    assert {slurm.ended(job_id).state for job_id in ids} == {JobState.CANCELLED}


@pytest.mark.parametrize(
    ("change", "evidence"),
    [
        ({"queue": "nowhere"}, "invalid partition"),
        ({"nodes": 9}, "more processors"),
        ({"cores": 99}, "not available"),
        ({"walltime": 999 * 3600.0}, "time limit"),
    ],
)
def test_a_refused_submission_reports_the_reason(slurm: Cluster, change: dict[str, object], evidence: str) -> None:
    job = replace(slurm.job("true"), **change)  # type: ignore[arg-type]
    with pytest.raises(CommandFailed, match=r"^sbatch: exit 1: ") as raised:
        slurm.submit(job)
    assert evidence.lower() in str(raised.value).lower()


def test_an_allocation_of_two_nodes_has_two_distinct_nodes_and_all_requested_cores(slurm: Cluster) -> None:
    job = slurm.job("srun -n2 -N2 sh -c 'echo $SLURMD_NODENAME'; echo $SLURM_JOB_CPUS_PER_NODE", nodes=2, cores=3)
    status = slurm.ended(slurm.submit(job))
    assert status.nodes == ("n1", "n2")
    *names, cpus = job.output.read_text().split()
    assert sorted(names) == ["n1", "n2"]
    assert cpus == "3(x2)"


def test_programs_in_an_allocation_inherit_no_task_count(slurm: Cluster) -> None:
    job = slurm.job("env", nodes=1, cores=3)
    slurm.ended(slurm.submit(job))
    names = {line.partition("=")[0] for line in job.output.read_text().splitlines()}
    assert "SLURM_JOB_ID" in names
    assert not names & {"SLURM_NTASKS", "SLURM_NPROCS", "SLURM_CPUS_PER_TASK", "SLURM_NTASKS_PER_NODE"}


def test_an_environment_without_the_allocation_still_reaches_the_scheduler(slurm: Cluster) -> None:
    job = slurm.job("env")
    slurm.ended(slurm.submit(job))
    inside = dict(line.split("=", 1) for line in job.output.read_text().splitlines() if "=" in line)
    outside = slurm.kind.without_allocation(inside)
    assert "SLURM_JOB_ID" in inside
    assert [name for name in outside if name.startswith(("SLURM", "PMI"))] == ["SLURM_CONF"]
    assert outside["PATH"] == inside["PATH"]
    assert slurm.run(slurm.kind.ping_argv(), env=outside).exit_code == 0


def test_the_control_command_blocks_until_the_end_and_prints_the_output(slurm: Cluster) -> None:
    spec = slurm.job("", nodes=2)
    done = slurm.run(slurm.kind.control_argv(["sh", "-c", "echo $SLURMD_NODENAME"], spec))
    assert done.exit_code == 0, done.stderr
    assert sorted(done.stdout.split()) == ["n1", "n2"]
    failed = slurm.run(slurm.kind.control_argv(["sh", "-c", "exit 7"], replace(spec, nodes=1)))
    assert failed.exit_code == 7


def test_the_users_live_jobs_are_listed_with_their_folders(slurm: Cluster) -> None:
    folder = slurm.folder / "a place"
    folder.mkdir()
    job = slurm.job("exec sleep 60")
    argv = slurm.kind.submit_argv(job)
    job_id = slurm.kind.parse_submit(slurm.run([argv[0], f"--chdir={folder}", *argv[1:]]))
    listing = slurm.kind.own_jobs_argv()
    assert listing is not None
    assert slurm.kind.parse_own_jobs(slurm.run(listing))[job_id].folder == str(folder)
    slurm.run(slurm.kind.cancel_argv([job_id]))
    slurm.ended(job_id)
    assert job_id not in slurm.kind.parse_own_jobs(slurm.run(listing))


@pytest.mark.parametrize("text", ["n[1-3,7],login1", "nid[000998-001001]", "a[1-2]b[08-10],c"])
def test_node_lists_are_expanded_as_slurm_expands_them(slurm: Cluster, text: str) -> None:
    done = slurm.run(["scontrol", "show", "hostnames", text])
    assert done.exit_code == 0, done.stderr
    assert expand(text) == tuple(done.stdout.split())


@pytest.mark.slow
def test_slurm_ends_a_job_at_its_walltime(slurm: Cluster) -> None:
    job_id = slurm.submit(slurm.job("exec sleep 300", walltime=5))
    status = slurm.ended(job_id, limit=150)
    assert (status.state, status.native_state) == (JobState.TIMEOUT, "TIMEOUT")
    assert status.started is not None
    assert status.ended is not None
    assert status.ended - status.started >= 60


def test_a_lost_node_is_evidence_against_the_site(own_slurm: Cluster) -> None:
    job_id = own_slurm.submit(own_slurm.job("exec sleep 300"))
    own_slurm.until(job_id, lambda status: status.state is JobState.RUNNING)
    done = own_slurm.run(["scontrol", "update", "NodeName=n1", "State=DOWN", "Reason=power"])
    assert done.exit_code == 0, done.stderr
    assert own_slurm.ended(job_id).state is JobState.NODE_FAIL


@pytest.mark.slow
def test_a_dead_controller_is_detected_at_once_and_no_job_counts_as_ended(own_slurm: Cluster) -> None:
    job_id = own_slurm.submit(own_slurm.job("exec sleep 300"))
    assert own_slurm.run(own_slurm.kind.ping_argv()).exit_code == 0
    (controller,) = [daemon for daemon in own_slurm.testbed.daemons if daemon.name == "slurmctld"]
    os.kill(controller.pid, signal.SIGKILL)
    assert processes.wait([controller], 5) == []

    ping = own_slurm.run(own_slurm.kind.ping_argv(), limit=5)
    assert ping.exit_code == 1
    assert "DOWN" in ping.stdout
    for limit in (20.0, 0.5):  # squeue gives up by itself after a while; it may also be killed before that
        with pytest.raises(CommandFailed, match="squeue: "):
            own_slurm.kind.parse_status(own_slurm.run(own_slurm.kind.status_argv([job_id]), limit=limit))
    probe = own_slurm.kind.probe()
    assert not probe.available
    assert probe.reason is not None
    assert probe.reason.startswith("scontrol: exit 1: Slurmctld(primary) at ")


def test_a_job_runs_in_the_reservation_of_the_site_file(slurm: Cluster) -> None:
    create = ["scontrol", "create", "reservation", "ReservationName=maint", f"Users={os.getuid()}", "Nodes=n2"]
    done = slurm.run([*create, "StartTime=now", "Duration=UNLIMITED"])
    assert done.exit_code == 0, done.evidence
    spec = msgspec.structs.replace(slurm.testbed.scheduler, reservation="$SITE_RESERVATION")
    reserved = replace(slurm)
    reserved.kind = SlurmKind(spec, {**slurm.env, "SITE_RESERVATION": "maint"})
    try:
        status = reserved.ended(reserved.submit(reserved.job("[ $SLURM_JOB_RESERVATION = maint ]")))
        assert (status.state, status.nodes) == (JobState.DONE, ("n2",))
    finally:
        slurm.run(["scontrol", "delete", "ReservationName=maint"])
