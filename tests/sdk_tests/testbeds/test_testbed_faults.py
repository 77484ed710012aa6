"""Each fault of the vocabulary on each kind of testbed, and the outcome and cause the harness must reach."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from sdk_tests.schedulers import CommandFailed, Finished, SchedulerKind
from sdk_tests.schedulers.registry import kinds
from sdk_tests.testbeds import Testbed, manage
from tests.needs import need
from tests.sdk_tests.bench import Bench, Came
from tests.sdk_tests.testbeds.fault_base import Faults
from tests.sdk_tests.testbeds.faults import faults

pytestmark = pytest.mark.long

KINDS = {
    "slurm": "slurm",
    "flux": "flux",
    "pbs": "pbs-emulated",
    "openpbs": "pbs",
    "lsf": "lsf",
    "cobalt": "cobalt",
}
"""What a testbed is called in a test's name, and the kind that is brought up."""
RUNS = """
    import pathlib, time
    pathlib.Path(MARK).touch()
    while not pathlib.Path(GO).exists():
        time.sleep(0.05)
    print("{}")
"""

Verdict = tuple[str, str, str] | tuple[str]
UNREACHABLE: Verdict = ("infra", "scheduler", "scheduler-unreachable")

EXPECTED: list[tuple[str, Callable[[Faults, str], None], Verdict]] = [
    ("down for ever", lambda broken, job: broken.down(40.0), UNREACHABLE),
    ("node dies", lambda broken, job: broken.kill_node(job), ("infra", "site", "node-failure")),
    ("preempted", lambda broken, job: broken.preempt(job), ("infra", "scheduler", "preempted")),
    ("killed at walltime", lambda broken, job: broken.expire(job), ("fail", "component", "time-limit")),
    ("vanishes", lambda broken, job: broken.vanish(job), ("error", "unknown", "job-vanished")),
    ("garbled status", lambda broken, job: broken.garble(), UNREACHABLE),
]
"""A running job, what happens to it, and what its case must come to."""


class FaultyBench(Bench):
    """A bench whose site has a testbed of its own, with one case that has a job of its own."""

    testbed: Testbed

    def use(self, testbed: Testbed) -> None:
        self.testbed = testbed
        self.broken = faults(testbed)
        spec = msgspec.json.encode([msgspec.to_builtins(testbed.scheduler)]).decode()
        self.promises = f"schedulers: {spec}\n"
        source = RUNS.replace("MARK", repr(str(self.mark))).replace("GO", repr(str(self.folder / "go")))
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
        argv = kind.mine_argv()
        assert argv is not None
        done = subprocess.run(argv, env=kind.env, capture_output=True, text=True, timeout=30, check=False)
        return list(kind.parse_mine(Finished(tuple(argv), done.returncode, done.stdout, done.stderr)))

    def finished(self, process: subprocess.Popen[str]) -> Came:
        output, _ = process.communicate(timeout=150)
        return self.came(process.returncode, output)


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FaultyBench]:
    if request.param in ("slurm", "flux", "openpbs"):
        need(request.param)
    home = Path(tempfile.mkdtemp(prefix="bed-", dir="/tmp"))  # short, so that all of a testbed lies in it
    made = FaultyBench(tmp_path)
    testbed = manage.up(KINDS[request.param], home, nodes=2, cores=4, owner_pid=os.getpid())
    try:
        made.use(testbed)
        if testbed.kind == "flux":  # its first broker is the instance itself, and no node that can die
            subprocess.run(["flux", "resource", "drain", "0"], env=made.environ(), check=True, timeout=30)
        yield made
    finally:
        made.close()
        manage.down(home, testbed.id)
        shutil.rmtree(home)


def until(true: Callable[[], bool], limit: float = 60.0) -> None:
    deadline = time.monotonic() + limit
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.parametrize(("name", "inject", "verdict"), EXPECTED, ids=[name for name, *_ in EXPECTED])
def test_a_fault_of_a_running_job_is_blamed_on_whom_it_comes_from(
    bench: FaultyBench, name: str, inject: Callable[[Faults, str], None], verdict: Verdict
) -> None:
    process = bench.start("--scheduler", bench.testbed.kind)
    until(bench.mark.exists)
    (job,) = bench.jobs()
    breaking = threading.Thread(target=inject, args=(bench.broken, job))  # being down lasts as long as it is down
    breaking.start()
    came = bench.finished(process)
    (bench.folder / "go").touch()
    breaking.join()
    assert came.verdict(bench.case_id) == verdict, came.output
    assert came.code == {"infra": 3}.get(verdict[0], 1)


def test_a_refused_submission_is_the_schedulers_fault(bench: FaultyBench) -> None:
    bench.broken.refuse()
    came = bench.run("--scheduler", bench.testbed.kind)
    assert came.verdict(bench.case_id) == ("infra", "scheduler", "submit-refused"), came.output
    assert came.code == 3


def test_a_job_held_for_ever_is_given_up_and_cancelled(bench: FaultyBench) -> None:
    bench.site = bench.site.replace("00:00:30", "00:00:03")
    bench.broken.hold()
    came = bench.run("--scheduler", bench.testbed.kind)
    assert came.verdict(bench.case_id) == ("infra", "scheduler", "queue-wait"), came.output
    until(lambda: bench.jobs() == [])


def test_a_scheduler_that_is_down_for_a_moment_costs_nothing(bench: FaultyBench) -> None:
    process = bench.start("--scheduler", bench.testbed.kind)
    until(bench.mark.exists)
    bench.broken.down(2.0)
    until(lambda: answers(bench))
    (bench.folder / "go").touch()
    came = bench.finished(process)
    assert came.verdict(bench.case_id) == ("pass",), came.output


def test_a_slow_answer_is_an_answer(bench: FaultyBench) -> None:
    bench.broken.slow(2.0)
    (bench.folder / "go").touch()
    came = bench.run("--scheduler", bench.testbed.kind)
    assert came.verdict(bench.case_id) == ("pass",), came.output


def answers(bench: FaultyBench) -> bool:
    try:
        return len(bench.jobs()) == 1
    except (CommandFailed, subprocess.TimeoutExpired):
        return False
