"""Faults with a real Slurm: the right party is blamed, no record is lost, and no job stays in the queue."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from sdk_tests.testbeds import Testbed, manage
from tests.sdk_tests.bench import Bench, RunResult
from tests.waiting import wait_until

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
        self.site_additions = "schedulers: " + msgspec.json.encode([spec]).decode() + "\n"
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
    bench = SlurmBench(tmp_path)
    bench.use(shared)
    yield bench
    bench.close()
    leftover_jobs = bench.queued()
    if leftover_jobs:
        bench.slurm("scancel", *leftover_jobs)


def test_a_hanging_case_does_not_affect_the_other_cases_of_its_allocation(slurm: SlurmBench) -> None:
    slurm.case("hangs", "import time; time.sleep(100)", walltime=3.0)
    slurm.case("answers", "import os, json; print(json.dumps({'job': os.environ['SLURM_JOB_ID']}))")
    slurm.case("alone", "import os, json; print(json.dumps({'job': os.environ['SLURM_JOB_ID']}))", where="job")
    slurm.case("crashes", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", where="job")
    slurm.case("fails", "import sys; sys.exit(9)", where="job")
    result = slurm.run("--scheduler", "slurm")
    assert result.verdict("python/hangs@slurm") == ("fail", "component", "time-limit")
    assert result.verdict("python/answers@slurm") == ("pass",)
    assert result.verdict("python/alone@slurm") == ("pass",)
    assert result.verdict("python/crashes@slurm") == ("fail", "component", "killed-by-signal")
    assert result.verdict("python/fails@slurm") == ("fail", "component", "payload-failed")
    shared_jobs = {tuple(result.only(f"python/{n}@slurm").scheduler.job_ids) for n in ("hangs", "answers")}
    alone = result.only("python/alone@slurm").scheduler.job_ids
    assert len(shared_jobs) == 1
    assert tuple(alone) not in shared_jobs
    timing = result.only("python/alone@slurm").timing
    assert timing.queue_wait is not None
    assert timing.queue_wait.source == "scheduler"
    assert result.only("python/alone@slurm").context.nodes
    assert slurm.queued() == []


def test_a_refused_submission_is_the_schedulers_fault(slurm: SlurmBench, shared: Testbed) -> None:
    slurm.use(shared, queues=[{"name": "nowhere"}], default_queue="nowhere", multi_node_queue="nowhere")
    slurm.cases.clear()
    slurm.case("job", where="job")
    result = slurm.run("--scheduler", "slurm")
    assert result.verdict("python/job@slurm") == ("infra", "scheduler", "slurm-partition")
    assert "nvalid partition" in result.evidence("python/job@slurm")
    assert result.code == 3


def test_a_job_that_does_not_start_in_time_is_cancelled(slurm: SlurmBench) -> None:
    slurm.site = slurm.site.replace("00:00:30", "00:00:03")
    slurm.cases.clear()
    slurm.case("job", where="job")
    slurm.slurm("scontrol", "update", "NodeName=n[1-2]", "State=DRAIN", "Reason=test")
    try:
        result = slurm.run("--scheduler", "slurm")
    finally:
        slurm.slurm("scontrol", "update", "NodeName=n[1-2]", "State=RESUME")
    assert result.verdict("python/job@slurm") == ("infra", "scheduler", "slurm-unavailable")
    assert result.code == 3
    assert slurm.queued() == []


def test_a_control_case_is_reproduced_by_the_very_command_that_went_through_the_scheduler(slurm: SlurmBench) -> None:
    record = slurm.run("--scheduler", "slurm").only("control/hello@slurm")
    command = record.evidence.reproduce or ""
    sent = str(record.extras["submit_command"])
    assert "srun" in command.split()[0]
    assert sent.split(" --job-name=")[0] == command.split(" --job-name=")[0]
    again = ["sh", "-c", command]
    done = subprocess.run(again, env=slurm.environ(), capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout)["job"].isdigit(), "it ran outside of a job"


def test_a_job_that_somebody_else_cancels_is_an_error(slurm: SlurmBench) -> None:
    slurm.case("job", "import time; time.sleep(60)", where="job")
    process = slurm.start("--scheduler", "slurm")
    listing = ("squeue", "--noheader", "--format=%j", "--states=running")
    wait_until(lambda: any(name.startswith("ex-1-") for name in slurm.slurm(*listing).split()))
    (job_name,) = [name for name in slurm.slurm(*listing).split() if name.startswith("ex-1-")]
    slurm.slurm("scancel", f"--name={job_name}")
    output, _ = process.communicate(timeout=60)
    result = slurm.result(process.returncode, output)
    assert result.verdict("python/job@slurm") == ("error", "unknown", "job-ended")
    assert "CANCELLED" in result.evidence("python/job@slurm")
    assert result.code == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_or_killed_run_leaves_no_job_in_the_queue(slurm: SlurmBench, number: int) -> None:
    slurm.case("own", "import time; time.sleep(60)", where="job")
    slurm.case("shares", "import time; time.sleep(60)")
    source = SUBMITS.replace("FOLDER", repr(str(slurm.folder))) + "\n    import time; time.sleep(60)\n"
    slurm.case("submits", source, where="login", jobs=1)
    process = slurm.start("--scheduler", "slurm")
    wait_until(lambda: (slurm.folder / "submitted").exists() and len(slurm.queued()) == 3)
    os.kill(process.pid, number)
    process.communicate(timeout=60)
    wait_until(lambda: slurm.queued() == [], 20)


def test_a_payload_that_hangs_after_submitting_has_its_job_cancelled(slurm: SlurmBench) -> None:
    source = SUBMITS.replace("FOLDER", repr(str(slurm.folder))) + "\n    import time; time.sleep(60)\n"
    slurm.case("submits", source, where="login", jobs=1, total=4.0)
    result = slurm.run("--scheduler", "slurm")
    assert result.verdict("python/submits@slurm") == ("fail", "component", "time-limit")
    wait_until(lambda: slurm.queued() == [], 20)


def test_inside_an_allocation_only_allocation_cases_run_and_local_cases_do_not_see_it(slurm: SlurmBench) -> None:
    source = "import json, os; print(json.dumps({'job': os.environ.get('SLURM_JOB_ID')}))"
    shares = slurm.case("shares", source, "assert bool(outcome.answer['job']) == (outcome.scheduler == 'slurm')")
    slurm.case("own", source, where="job", schedulers=("slurm",))
    slurm.case("submits", source, where="login", jobs=1, schedulers=("slurm",))
    command = ["srun", "--nodes=1", "--ntasks=1", "--cpus-per-task=2", *slurm.command()]
    done = subprocess.run(
        command, env=slurm.environ(), cwd=slurm.folder, capture_output=True, text=True, timeout=120, check=False
    )
    result = slurm.result(done.returncode, done.stdout + done.stderr)
    assert result.verdict("python/shares@slurm") == ("pass",), result.output
    assert result.verdict(shares) == ("pass",)
    for name in ("control/hello@slurm", "python/own@slurm", "python/submits@slurm"):
        assert result.verdict(name) == ("skip", "site", "inside-allocation")
    assert result.code == 0


def run_and_kill_daemon(slurm: SlurmBench, name: str, recorded: int) -> RunResult:
    """Run; kill a daemon of the testbed after a payload has submitted and ``recorded`` cases have a record."""
    process = slurm.start("--scheduler", "slurm")
    wait_until(lambda: (slurm.folder / "submitted").exists())
    runs = slurm.home / "runs"
    wait_until(lambda: sum(p.read_bytes().count(b"\n") for p in runs.glob("*/records.jsonl")) == recorded)
    (daemon,) = [daemon for daemon in slurm.testbed.daemons if daemon.name == name]
    os.kill(daemon.pid, signal.SIGKILL)
    (slurm.folder / "go").touch()
    output, _ = process.communicate(timeout=120)
    return slurm.result(process.returncode, output)


def test_if_the_controller_is_killed_the_scheduler_is_blamed_and_no_record_is_lost(tmp_path: Path) -> None:
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
        result = run_and_kill_daemon(slurm, "slurmctld", recorded=2)
        assert result.only("control/hello@slurm").verdict.outcome.value == "pass", result.output
        assert result.verdict("python/fine@slurm") == ("pass",)
        assert result.verdict("python/asks@slurm") == ("infra", "scheduler", "slurm-controller")
        assert result.verdict("python/waits@slurm") == ("infra", "scheduler", "slurm-controller")
        assert result.code == 3
        closed = result.run.manifest.closed
        assert closed is not None
        assert (closed.planned, closed.recorded, closed.missing) == (4, 4, 0)
        (warning,) = [line for line in result.output.splitlines() if "warning: jobs may be left on slurm: " in line]
        assert "the jobs in the queue could not be listed: " in warning
    finally:
        slurm.close()
        manage.down(home, testbed.id)
