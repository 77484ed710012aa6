"""Faults of a real Slurm and around it: whose they are called, and that nothing is lost or left in the queue."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from sdk_tests.testbeds import Testbed, manage
from tests.sdk_tests.bench import Bench, Came

pytestmark = [pytest.mark.needs("slurm", "munge"), pytest.mark.slow]

CONTROL = "import json, os; print(json.dumps({'job': os.environ.get('SLURM_JOB_ID')}))"
SUBMITS = """
    import pathlib, subprocess, sys
    script = pathlib.Path("job.sh")
    script.write_text("#!/bin/sh\\nsleep 300\\n")
    print(subprocess.check_output(["sbatch", "--parsable", str(script)], text=True), file=sys.stderr, flush=True)
    pathlib.Path(FOLDER, "submitted").touch()
"""


class SlurmBench(Bench):
    """A bench whose site has a Slurm of its own."""

    testbed: Testbed

    def use(self, testbed: Testbed, **changes: object) -> None:
        self.testbed = testbed
        spec = msgspec.to_builtins(msgspec.structs.replace(testbed.scheduler, **changes))
        self.promises = "schedulers: " + msgspec.json.encode([spec]).decode() + "\n"
        self.case("hello", CONTROL, "assert outcome.answer['job']", component="control", where="control",
                  schedulers=("slurm",))  # fmt: skip

    def environ(self) -> dict[str, str]:
        return manage.environment(self.testbed, super().environ())

    def slurm(self, *argv: str) -> str:
        done = subprocess.run(argv, env=self.environ(), capture_output=True, text=True, check=True, timeout=20)
        return done.stdout

    def queued(self) -> list[str]:
        return self.slurm("squeue", "--noheader", "--format=%i").split()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    home = tmp_path_factory.mktemp("slurm")
    testbed = manage.up("slurm", home, nodes=2, cores=4, owner_pid=os.getpid())
    yield testbed
    manage.down(home, testbed.id)


@pytest.fixture
def slurm(tmp_path: Path, shared: Testbed) -> Iterator[SlurmBench]:
    made = SlurmBench(tmp_path)
    made.use(shared)
    yield made
    made.close()
    left = made.queued()
    if left:
        made.slurm("scancel", *left)


def until(what: object, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    assert callable(what)
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_a_hang_inside_a_shared_allocation_costs_its_neighbours_nothing(slurm: SlurmBench) -> None:
    slurm.case("hangs", "import time; time.sleep(100)", walltime=3.0)
    slurm.case("answers", "import os, json; print(json.dumps({'job': os.environ['SLURM_JOB_ID']}))")
    slurm.case("alone", "import os, json; print(json.dumps({'job': os.environ['SLURM_JOB_ID']}))", where="job")
    slurm.case("crashes", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", where="job")
    slurm.case("fails", "import sys; sys.exit(9)", where="job")
    came = slurm.run("--scheduler", "slurm")
    assert came.verdict("python/hangs@slurm") == ("fail", "component", "time-limit")
    assert came.verdict("python/answers@slurm") == ("pass",)
    assert came.verdict("python/alone@slurm") == ("pass",)
    assert came.verdict("python/crashes@slurm") == ("fail", "component", "killed-by-signal")
    assert came.verdict("python/fails@slurm") == ("fail", "component", "payload-failed")
    shared_jobs = {tuple(came.only(f"python/{n}@slurm").scheduler.job_ids) for n in ("hangs", "answers")}
    alone = came.only("python/alone@slurm").scheduler.job_ids
    assert len(shared_jobs) == 1
    assert tuple(alone) not in shared_jobs
    timing = came.only("python/alone@slurm").timing
    assert timing.queue_wait is not None
    assert timing.queue_wait.source == "scheduler"
    assert came.only("python/alone@slurm").context.nodes
    assert slurm.queued() == []


def test_a_refused_submission_is_the_schedulers_fault(slurm: SlurmBench, shared: Testbed) -> None:
    slurm.use(shared, queues=[{"name": "nowhere"}], default_queue="nowhere", multi_node_queue="nowhere")
    slurm.cases.clear()
    slurm.case("job", where="job")
    came = slurm.run("--scheduler", "slurm")
    assert came.verdict("python/job@slurm") == ("infra", "scheduler", "submit-refused")
    assert "nvalid partition" in came.evidence("python/job@slurm")
    assert came.code == 3


def test_a_job_that_never_starts_is_given_up_and_cancelled(slurm: SlurmBench) -> None:
    slurm.site = slurm.site.replace("00:00:30", "00:00:03")
    slurm.cases.clear()
    slurm.case("job", where="job")
    slurm.slurm("scontrol", "update", "NodeName=n[1-2]", "State=DRAIN", "Reason=test")
    try:
        came = slurm.run("--scheduler", "slurm")
    finally:
        slurm.slurm("scontrol", "update", "NodeName=n[1-2]", "State=RESUME")
    assert came.verdict("python/job@slurm") == ("infra", "scheduler", "queue-wait")
    assert came.code == 3
    assert slurm.queued() == []


def test_a_job_cancelled_by_somebody_else_is_an_error_not_a_pass(slurm: SlurmBench) -> None:
    slurm.case("job", "import time; time.sleep(60)", where="job")
    process = slurm.start("--scheduler", "slurm")
    until(lambda: "ex-1\n" in slurm.slurm("squeue", "--noheader", "--format=%j", "--states=running"))
    slurm.slurm("scancel", "--name=ex-1")
    output, _ = process.communicate(timeout=60)
    came = slurm.came(process.returncode, output)
    assert came.verdict("python/job@slurm") == ("error", "unknown", "job-ended")
    assert "CANCELLED" in came.evidence("python/job@slurm")
    assert came.code == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_or_killed_run_leaves_no_job_in_the_queue(slurm: SlurmBench, number: int) -> None:
    slurm.case("own", "import time; time.sleep(60)", where="job")
    slurm.case("shares", "import time; time.sleep(60)")
    source = SUBMITS.replace("FOLDER", repr(str(slurm.folder))) + "\n    import time; time.sleep(60)\n"
    slurm.case("submits", source, where="login", jobs=1)
    process = slurm.start("--scheduler", "slurm")
    until(lambda: (slurm.folder / "submitted").exists() and len(slurm.queued()) == 3)
    os.kill(process.pid, number)
    process.communicate(timeout=60)
    until(lambda: slurm.queued() == [], 20)


def test_a_payload_that_hangs_after_submitting_has_its_job_cancelled(slurm: SlurmBench) -> None:
    source = SUBMITS.replace("FOLDER", repr(str(slurm.folder))) + "\n    import time; time.sleep(60)\n"
    slurm.case("submits", source, where="login", jobs=1, total=4.0)
    came = slurm.run("--scheduler", "slurm")
    assert came.verdict("python/submits@slurm") == ("fail", "component", "time-limit")
    until(lambda: slurm.queued() == [], 20)


def test_inside_an_allocation_only_what_shares_one_runs_and_local_cases_see_none_of_it(slurm: SlurmBench) -> None:
    source = "import json, os; print(json.dumps({'job': os.environ.get('SLURM_JOB_ID')}))"
    shares = slurm.case("shares", source, "assert bool(outcome.answer['job']) == (outcome.scheduler == 'slurm')")
    slurm.case("own", source, where="job", schedulers=("slurm",))
    slurm.case("submits", source, where="login", jobs=1, schedulers=("slurm",))
    command = ["srun", "--nodes=1", "--ntasks=1", "--cpus-per-task=2", *slurm.command()]
    done = subprocess.run(
        command, env=slurm.environ(), cwd=slurm.folder, capture_output=True, text=True, timeout=120, check=False
    )
    came = slurm.came(done.returncode, done.stdout + done.stderr)
    assert came.verdict("python/shares@slurm") == ("pass",), came.output
    assert came.verdict(shares) == ("pass",)
    for name in ("control/hello@slurm", "python/own@slurm", "python/submits@slurm"):
        assert came.verdict(name) == ("skip", "site", "inside-allocation")
    assert came.code == 0


def dying(slurm: SlurmBench, name: str, recorded: int) -> Came:
    """Run, kill a daemon of the testbed once a payload has submitted and so many cases are recorded, and return."""
    process = slurm.start("--scheduler", "slurm")
    until(lambda: (slurm.folder / "submitted").exists())
    runs = slurm.home / "runs"
    until(lambda: sum(p.read_bytes().count(b"\n") for p in runs.glob("*/records.jsonl")) == recorded)
    (daemon,) = [daemon for daemon in slurm.testbed.daemons if daemon.name == name]
    os.kill(daemon.pid, signal.SIGKILL)
    (slurm.folder / "go").touch()
    output, _ = process.communicate(timeout=120)
    return slurm.came(process.returncode, output)


def test_a_controller_killed_mid_run_is_the_schedulers_fault_and_loses_no_record(tmp_path: Path) -> None:
    home = tmp_path / "testbed-home"
    testbed = manage.up("slurm", home, nodes=2, cores=4, owner_pid=os.getpid())
    slurm = SlurmBench(tmp_path)
    try:
        slurm.use(testbed)
        waits = SUBMITS.replace("FOLDER", repr(str(tmp_path))) + (
            f"    import time\n    while not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.05)\n"
            "    subprocess.run(['squeue'], check=True)\n    print('{}')\n"
        )
        slurm.case("asks", waits, where="login", jobs=1)
        slurm.case("waits", "import time; time.sleep(200)", where="job")
        slurm.case("fine")
        came = dying(slurm, "slurmctld", recorded=2)
        assert came.only("control/hello@slurm").verdict.outcome.value == "pass", came.output
        assert came.verdict("python/fine@slurm") == ("pass",)
        assert came.verdict("python/asks@slurm") == ("infra", "scheduler", "scheduler-unreachable")
        assert came.verdict("python/waits@slurm") == ("infra", "scheduler", "scheduler-unreachable")
        assert came.code == 3
        closed = came.run.manifest.closed
        assert closed is not None
        assert (closed.planned, closed.recorded, closed.missing) == (4, 4, 0)
        assert "warning: left on slurm: jobs that payloads left could not be looked for: " in came.output
    finally:
        slurm.close()
        manage.down(home, testbed.id)
