"""Cases that share an allocation with one that is killed or breaks it have the verdicts that they have alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from sdk_tests.testbeds import Testbed, manage
from tests.sdk_tests.bench import Bench, RunResult

SHARED = """
import json, os, pathlib, signal, subprocess, sys, time
def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
def started(name):
    pathlib.Path(FOLDER, name).touch()
def wait_for(name):
    until = time.monotonic() + 10
    while not pathlib.Path(FOLDER, name).exists() and time.monotonic() < until:
        time.sleep(0.05)
"""
"""Before the source of each payload: FOLDER is where they meet."""

BESIDE = """
    started("beside")
    wait_for("broken")
    print(json.dumps({"printed": run(*ONE_CORE, "echo", "beside")}))
"""
AFTER = """
    print(json.dumps({"printed": run(*ONE_CORE, "echo", "after")}))
"""
FAILS = """
    run(*ONE_CORE, "sh", "-c", "exit 3")
"""
DIES = """
    started("broken")
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)
"""
ALL_CORES = """
    wait_for("beside")
    run("flux", "submit", "--ntasks=2", "--flags=waitable", "sleep", "600")
"""
ALL_CORES_ELSEWHERE = """
    wait_for("beside")
    run("flux", "submit", "--cwd=/", "--ntasks=2", "sleep", "600")
"""
STOPPED_QUEUE = """
    wait_for("beside")
    run("flux", "queue", "stop")
"""
KILLED_BROKER = """
    wait_for("beside")
    broker = int(run("flux", "getattr", "broker.pid"))
    started("broken")
    os.kill(broker, signal.SIGKILL)
    time.sleep(60)
"""
STEP_LEFT = """
    wait_for("beside")
    subprocess.Popen(["srun", "--ntasks=1", "--cpus-per-task=2", "--exact", "sleep", "600"], start_new_session=True)
    time.sleep(2)
"""
NESTED = {
    "kind": "flux",
    "nested": True,
    "start": ["srun", "-N", "{nodes}", "-n", "{nodes}", "-c", "{cores}", "--mpi=pmi2", "flux", "start"],
}
KILLED = ("fail", "component", "killed-by-signal")
NEIGHBOURS = ("beside", "after", "fails")
ONE_CORE = {"flux": ["flux", "run", "--ntasks=1"], "slurm": ["srun", "--ntasks=1", "--exact"]}


class SharedBench(Bench):
    """A bench whose cases share allocations of two cores on a testbed: two run at once, and one waits."""

    testbed: Testbed
    kind: str

    def use(self, testbed: Testbed, *, nested: bool) -> None:
        """Use a testbed; nested: the cases run in a Flux that is started in its allocations."""
        self.testbed, self.kind = testbed, "flux" if nested else testbed.kind
        specs = [msgspec.to_builtins(testbed.scheduler), *([NESTED] if nested else [])]
        self.site_additions = "schedulers: " + msgspec.json.encode(specs).decode() + "\n"
        self.source("beside", BESIDE, 12.0)
        self.source("after", AFTER, 11.0)
        self.source("fails", FAILS, 10.0)

    def source(self, name: str, source: str, walltime: float) -> None:
        lines = "\n".join(line.removeprefix("    ") for line in source.splitlines())
        given = f"{SHARED}FOLDER = {str(self.folder)!r}\nONE_CORE = {ONE_CORE[self.kind]!r}\n"
        body = f"assert outcome.answer == {{'printed': {name!r}}}"
        self.case(name, given + lines, body, walltime=walltime, cores=1, schedulers=(self.kind,))

    def environ(self) -> dict[str, str]:
        return manage.environment(self.testbed, super().environ())

    def verdicts(self, result: RunResult) -> dict[str, tuple[str, ...]]:
        """Return the final verdict of each case, as outcome, class and rule."""
        verdicts = {}
        for case_id, record in result.run.effective().items():
            cause = record.verdict.cause
            blamed = (cause.cls.value, cause.rule) if cause is not None else ()
            name = case_id.partition("/")[2].partition("@")[0]
            verdicts[name] = (record.verdict.outcome.value, *blamed)
        return verdicts


def started_testbed(kind: str, factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    home = factory.mktemp(kind)
    testbed = manage.up(kind, home, nodes=2, cores=2, owner_pid=os.getpid())
    yield testbed
    manage.down(home, testbed.id)


@pytest.fixture(scope="module")
def flux_testbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    yield from started_testbed("flux", tmp_path_factory)


@pytest.fixture(scope="module")
def slurm_testbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    yield from started_testbed("slurm", tmp_path_factory)


def bench_on(testbed: Testbed, folder: Path, nested: bool) -> SharedBench:
    folder.mkdir()
    bench = SharedBench(folder)
    bench.use(testbed, nested=nested)
    return bench


def compared(testbed: Testbed, folder: Path, culprit: str, nested: bool = False) -> tuple[SharedBench, RunResult]:
    """Run the neighbours without and with a culprit, and require the same verdicts of them."""
    name = f"{testbed.kind}+flux" if nested else testbed.kind
    alone = bench_on(testbed, folder / "alone", nested)
    (alone.folder / "broken").touch()
    without = alone.verdicts(alone.run("--scheduler", name))
    assert without == {"beside": ("pass",), "after": ("pass",), "fails": ("fail", "component", "payload-failed")}
    bench = bench_on(testbed, folder / "shared", nested)
    bench.source("culprit", culprit, 25.0)
    result = bench.run("--scheduler", name)
    verdicts = bench.verdicts(result)
    assert {name: verdicts[name] for name in NEIGHBOURS} == without, result.output
    return bench, result


@pytest.mark.needs("flux")
@pytest.mark.slow
@pytest.mark.parametrize("leaves", [ALL_CORES, ALL_CORES_ELSEWHERE], ids=["in its folder", "elsewhere"])
def test_a_job_that_a_killed_payload_left_in_flux_is_cancelled(
    leaves: str, flux_testbed: Testbed, tmp_path: Path
) -> None:
    bench, result = compared(flux_testbed, tmp_path, leaves + DIES)
    assert bench.verdicts(result)["culprit"] == KILLED
    if leaves == ALL_CORES:
        (record,) = result.records("python/culprit@flux")
        (job,) = record.extras["orphan_processes"]
        assert job.startswith("job f")


@pytest.mark.needs("flux")
@pytest.mark.slow
def test_a_flux_that_starts_no_job_any_more_is_replaced_and_its_cases_are_repeated(
    flux_testbed: Testbed, tmp_path: Path
) -> None:
    bench, result = compared(flux_testbed, tmp_path, STOPPED_QUEUE + DIES)
    assert bench.verdicts(result)["culprit"] == KILLED
    first, second = result.records("python/beside@flux")
    assert [first.retries.attempt, second.retries.attempt] == [1, 2]
    assert [first.retries.final, second.retries.final] == [False, True]
    assert "a job of one core does not run" in first.extras["disturbed"]
    assert first.scheduler.job_ids != second.scheduler.job_ids
    for waited in ("after", "fails"):
        (record,) = result.records(f"python/{waited}@flux")
        assert record.scheduler.job_ids not in (first.scheduler.job_ids, second.scheduler.job_ids)


@pytest.mark.needs("flux")
@pytest.mark.slow
def test_cases_whose_flux_was_killed_are_repeated_or_started_in_another_one(
    flux_testbed: Testbed, tmp_path: Path
) -> None:
    bench, result = compared(flux_testbed, tmp_path, KILLED_BROKER)
    assert bench.verdicts(result)["culprit"][:2] == ("error", "unknown")
    first, second = result.records("python/beside@flux")
    assert "the job that it shared had ended" in first.extras["disturbed"]
    assert (first.retries.final, second.retries.final, second.verdict.outcome.value) == (False, True, "pass")
    (after,) = result.records("python/after@flux")
    assert after.scheduler.job_ids not in (first.scheduler.job_ids, second.scheduler.job_ids)


@pytest.mark.needs("slurm", "munge")
@pytest.mark.slow
def test_a_killed_payload_does_not_change_the_verdicts_of_its_neighbours_in_slurm(
    slurm_testbed: Testbed, tmp_path: Path
) -> None:
    bench, result = compared(slurm_testbed, tmp_path, STEP_LEFT + DIES)
    assert bench.verdicts(result)["culprit"] == KILLED


@pytest.mark.needs("flux", "slurm", "munge")
@pytest.mark.slow
def test_a_job_that_a_killed_payload_left_in_a_flux_inside_slurm_is_cancelled(
    slurm_testbed: Testbed, tmp_path: Path
) -> None:
    bench, result = compared(slurm_testbed, tmp_path, ALL_CORES + DIES, nested=True)
    assert bench.verdicts(result)["culprit"] == KILLED
    (record,) = result.records("python/culprit@slurm+flux")
    (job,) = record.extras["orphan_processes"]
    assert job.startswith("job f")
