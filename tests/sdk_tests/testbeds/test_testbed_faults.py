"""Every fault on every kind of testbed, and the outcome and cause that the harness must reach."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from sdk_tests.schedulers import CommandFailed, CommandResult, SchedulerKind
from sdk_tests.schedulers.registry import kinds
from sdk_tests.testbeds import Testbed, manage
from tests.needs import need
from tests.sdk_tests.bench import Bench, RunResult
from tests.sdk_tests.testbeds.fault_base import Faults
from tests.sdk_tests.testbeds.faults import faults
from tests.waiting import wait_until

pytestmark = pytest.mark.long

KINDS = {
    "slurm": "slurm",
    "flux": "flux",
    "pbs": "pbs-emulated",
    "openpbs": "pbs",
    "lsf": "lsf",
    "cobalt": "cobalt",
}
"""The name of a testbed in the names of tests, and the kind that is started."""
PAYLOAD = """
    import pathlib, time
    pathlib.Path(MARK).touch()
    while not pathlib.Path(GO).exists():
        time.sleep(0.05)
    print("{}")
"""

Verdict = tuple[str, str, str] | tuple[str]
UNREACHABLE: Verdict = ("infra", "scheduler", "scheduler-unreachable")

EXPECTED: list[tuple[str, Callable[[Faults, str], None], Verdict]] = [
    ("scheduler stays down", lambda fault, job: fault.down(40.0), UNREACHABLE),
    ("node dies", lambda fault, job: fault.kill_node(job), ("infra", "site", "node-failure")),
    ("preempted", lambda fault, job: fault.preempt(job), ("infra", "scheduler", "preempted")),
    ("killed at walltime", lambda fault, job: fault.expire(job), ("fail", "component", "time-limit")),
    ("vanishes", lambda fault, job: fault.vanish(job), ("error", "unknown", "job-vanished")),
    ("garbled status", lambda fault, job: fault.garble(), UNREACHABLE),
]
"""What happens to a running job, and the verdict that its case must get."""


REFINED = {
    "scheduler-unreachable": ("slurm-controller", "pbs-server", "lsf-daemon", "cobalt-daemon", "flux-no-instance"),
    "node-failure": ("slurm-node-failure",),
    "preempted": ("slurm-preempted", "lsf-terminated"),
    "submit-refused": (
        "slurm-unavailable",
        "slurm-refused",
        "pbs-queue-disabled",
        "lsf-queue-closed",
        "lsf-refused",
        "cobalt-queue",
        "cobalt-refused",
        "flux-disabled",
    ),
    "queue-wait": ("slurm-held", "pbs-held", "lsf-held", "cobalt-held"),
}
"""Rules of the catalogue that say more about the same cause, from what the scheduler answered."""


def agrees(found: Verdict, expected: Verdict) -> bool:
    """Return whether a verdict is the expected one, or one with a rule that says more."""
    if found == expected or len(expected) == 1:
        return found == expected
    return found[:2] == expected[:2] and found[2] in REFINED.get(expected[2], ())


class FaultyBench(Bench):
    """A bench whose site has one testbed, with one case that runs as a job."""

    testbed: Testbed

    def use(self, testbed: Testbed) -> None:
        self.testbed = testbed
        self.faults = faults(testbed)
        spec = msgspec.json.encode([msgspec.to_builtins(testbed.scheduler)]).decode()
        self.site_additions = f"schedulers: {spec}\n"
        source = PAYLOAD.replace("MARK", repr(str(self.mark))).replace("GO", repr(str(self.folder / "go")))
        self.case("job", source, where="job", walltime=200.0)
        self.case_id = f"python/job@{testbed.kind}"

    @property
    def mark(self) -> Path:
        return self.folder / "running"

    def environ(self) -> dict[str, str]:
        return manage.environment(self.testbed, super().environ())

    def scheduler(self) -> SchedulerKind:
        return kinds()[self.testbed.kind](self.testbed.scheduler, self.environ())

    def jobs(self) -> list[str]:
        kind = self.scheduler()
        argv = kind.own_jobs_argv()
        assert argv is not None
        done = subprocess.run(argv, env=kind.env, capture_output=True, text=True, timeout=30, check=False)
        return list(kind.parse_own_jobs(CommandResult(tuple(argv), done.returncode, done.stdout, done.stderr)))

    def finished(self, process: subprocess.Popen[str]) -> RunResult:
        output, _ = process.communicate(timeout=400)  # on a busy machine the harness multiplies its own limits
        return self.result(process.returncode, output)


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FaultyBench]:
    if request.param in ("slurm", "flux", "openpbs"):
        need(request.param)
    home = Path(tempfile.mkdtemp(prefix="testbed-", dir="/tmp"))  # short, so that a testbed fits into it
    created = FaultyBench(tmp_path)
    testbed = manage.up(KINDS[request.param], home, nodes=2, cores=4, owner_pid=os.getpid())
    try:
        created.use(testbed)
        if testbed.kind == "flux":  # its first broker is the instance itself and must not be killed
            subprocess.run(["flux", "resource", "drain", "0"], env=created.environ(), check=True, timeout=30)
        yield created
    finally:
        created.close()
        manage.down(home, testbed.id)
        shutil.rmtree(home)


@pytest.mark.parametrize(("name", "inject", "verdict"), EXPECTED, ids=[name for name, *_ in EXPECTED])
def test_a_fault_during_a_job_gets_the_right_outcome_and_cause(
    bench: FaultyBench, name: str, inject: Callable[[Faults, str], None], verdict: Verdict
) -> None:
    process = bench.start("--scheduler", bench.testbed.kind)
    wait_until(bench.mark.exists)
    (job,) = bench.jobs()
    injection = threading.Thread(target=inject, args=(bench.faults, job))  # ``down`` returns only after the restart
    injection.start()
    result = bench.finished(process)
    (bench.folder / "go").touch()
    injection.join()
    assert agrees(result.verdict(bench.case_id), verdict), f"{result.verdict(bench.case_id)}\n{result.output}"
    assert result.code == {"infra": 3}.get(verdict[0], 1)


def test_a_refused_submission_is_blamed_on_the_scheduler(bench: FaultyBench) -> None:
    bench.faults.refuse()
    result = bench.run("--scheduler", bench.testbed.kind)
    assert agrees(result.verdict(bench.case_id), ("infra", "scheduler", "submit-refused")), result.output
    assert result.code == 3


def test_a_job_that_stays_held_is_given_up_and_cancelled(bench: FaultyBench) -> None:
    bench.site = bench.site.replace("00:00:30", "00:00:03")
    bench.faults.hold()
    result = bench.run("--scheduler", bench.testbed.kind)
    assert agrees(result.verdict(bench.case_id), ("infra", "scheduler", "queue-wait")), result.output
    wait_until(lambda: bench.jobs() == [])


def test_a_short_outage_of_the_scheduler_does_not_change_the_result(bench: FaultyBench) -> None:
    process = bench.start("--scheduler", bench.testbed.kind)
    wait_until(bench.mark.exists)
    bench.faults.down(2.0)
    wait_until(lambda: answers(bench))
    (bench.folder / "go").touch()
    result = bench.finished(process)
    assert result.verdict(bench.case_id) == ("pass",), result.output


def test_a_slow_status_command_does_not_change_the_result(bench: FaultyBench) -> None:
    bench.faults.slow(2.0)
    (bench.folder / "go").touch()
    result = bench.run("--scheduler", bench.testbed.kind)
    assert result.verdict(bench.case_id) == ("pass",), result.output


def answers(bench: FaultyBench) -> bool:
    try:
        return len(bench.jobs()) == 1
    except (CommandFailed, subprocess.TimeoutExpired):
        return False
