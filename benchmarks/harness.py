"""Measure the cost of the harness: cases that run ``true``, compared with a bare loop and with ReFrame.

python -m benchmarks.harness [--cases 100 1000 10000] [--rounds 3] [--reframe 100] [--no-reframe]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.load import Watch
from benchmarks.results import Cell, publish

ROOT = Path(__file__).resolve().parents[1]
COMPONENT = "from sdk_tests.plan.components import ComponentKind\nPYTHON = ComponentKind('python', command='python3')\n"
CASES = """
from sdk_tests.api import case

@case(payload={payload!r}, component="python", name="bench", answer=False, where={where!r}, walltime=30.0,
      schedulers=({scheduler!r},), variants={{f"n={{n:04d}}": {{}} for n in range({count})}})
def test_bench(outcome):
    assert outcome.exit_code == 0
"""
SITE = """
system: test/bench
description: A machine for benchmarks
local: {allowed: true, cores: 0}
deployment: venv:PREFIX
limits: {queue_wait: 04:00:00, infra_retries: 3}
"""
REFRAME = """
import reframe as rfm
import reframe.utility.sanity as sn

@rfm.simple_test
class Bench(rfm.RunOnlyRegressionTest):
    number = parameter(range(COUNT))
    valid_systems = ["*"]
    valid_prog_environs = ["*"]
    executable = "true"

    @sanity_function
    def fine(self):
        return sn.assert_true(True)
"""
REFRAME_SITE = """
site_configuration = {
    "systems": [{"name": "here", "hostnames": [".*"], "partitions": [{
        "name": "jobs", "scheduler": "SCHEDULER", "launcher": "local", "environs": ["plain"], "max_jobs": JOBS,
        "access": ACCESS}]}],
    "environments": [{"name": "plain"}],
    "general": [{"check_search_recursive": False}],
}
"""


@dataclass(frozen=True)
class Cost:
    """What a command took: elapsed and processor seconds, and the peak memory in MB of its largest process."""

    seconds: float
    cpu: float
    memory: float


def cost(command: list[str], env: dict[str, str], folder: Path) -> Cost:
    """Run a command, which must succeed."""
    started = time.perf_counter()
    output = folder / "output.txt"
    with output.open("w") as file:
        process = subprocess.Popen(command, env=env, cwd=folder, stdout=file, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode:
        sys.exit(f"{' '.join(command[:6])} … failed with {process.returncode}:\n{output.read_text()[-4000:]}")
    return Cost(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def bare(count: int, concurrency: int) -> float:
    """Run ``true`` in a bare loop, ``concurrency`` at once, and return the time in seconds."""
    started = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as pool:
        list(pool.map(lambda _: subprocess.run(["true"], check=True), range(count)))
    return time.perf_counter() - started


def harness(
    folder: Path, count: int, env: dict[str, str], site: str, *, payload: str, where: str, scheduler: str
) -> Cost:
    """Run ``count`` cases with the harness."""
    folder.mkdir(parents=True, exist_ok=True)
    plug = folder / "plug"
    info = plug / "bench-1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bench\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[exaworks.components]\npython = bench_component:PYTHON\n")
    (plug / "bench_component.py").write_text(COMPONENT)
    (folder / "site.yaml").write_text(site)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_bench.py").write_text(CASES.format(payload=payload, where=where, scheduler=scheduler, count=count))
    command = [sys.executable, "-m", "pytest", "-q", "-c", "pytest.ini", "-p", "no:cacheprovider", "--no-upload"]
    command += ["--site", "test/bench", "--site-file", "site.yaml", "--scheduler", scheduler, "test_bench.py"]
    full = {**env, "PYTHONPATH": f"{plug}:{ROOT}", "EXAWORKS_HOME": str(folder / "home")}
    return cost(command, full, folder)


def reframe(
    folder: Path, count: int, concurrency: int, env: dict[str, str], scheduler: str = "local", access: str = "[]"
) -> Cost:
    """Run the same cases with ReFrame's asynchronous policy and the same number at once."""
    folder.mkdir(parents=True)
    (folder / "bench.py").write_text(REFRAME.replace("COUNT", str(count)))
    site = REFRAME_SITE.replace("JOBS", str(concurrency)).replace("SCHEDULER", scheduler).replace("ACCESS", access)
    (folder / "site.py").write_text(site)
    command = [str(Path(sys.prefix, "bin", "reframe")), "-C", "site.py", "-c", "bench.py", "--exec-policy=async", "-r"]
    return cost([*command, f"--prefix={folder}/out"], env, folder)


def overhead(folder: Path, counts: list[int], rounds: int, env: dict[str, str], reframe_at: int) -> list[list[Cell]]:
    """Return rows for the counts of cases: medians of the rounds, in which the programs take turns."""
    concurrency = len(os.sched_getaffinity(0))
    site = SITE.replace("PREFIX", sys.prefix)

    def one(name: str, count: int) -> Cost:
        return harness(folder / name, count, env, site, payload="/bin/true", where="job", scheduler="local")

    def median(costs: list[Cost]) -> Cost:
        return Cost(
            *(statistics.median(getattr(each, name) for each in costs) for name in ("seconds", "cpu", "memory"))
        )

    one("local-0", 1)  # afterwards everything is compiled and in memory
    start = median([one(f"local-1-{turn}", 1) for turn in range(rounds)])
    rows: list[list[Cell]] = [["this harness, start and end", 1, start.seconds, start.cpu, None, None, start.memory]]
    for count in counts:
        turns = max(1, rounds if count <= 1000 else 1)
        bare_times, costs, others = [], list[Cost](), list[Cost]()
        for turn in range(turns):
            bare_times.append(bare(count, concurrency))
            costs.append(one(f"local-{count}-{turn}", count))
            if count <= reframe_at:
                others.append(reframe(folder / f"reframe-{count}-{turn}", count, concurrency, env))
        base, ours = statistics.median(bare_times), median(costs)
        rows.append([f"bare loop, {concurrency} at once", count, base, None, None, None, None])
        each = (ours.seconds - base - start.seconds) / count * 1000
        rows.append(["this harness", count, ours.seconds, ours.cpu, each, 1.0, ours.memory])
        if others:
            theirs = median(others)
            ratio = (theirs.seconds - base) / (ours.seconds - base)
            per_case = (theirs.seconds - base) / count * 1000
            rows.append(["ReFrame, async", count, theirs.seconds, theirs.cpu, per_case, ratio, theirs.memory])
    return rows


def further(rows: list[list[Cell]]) -> str:
    """Return what a case more costs between each two sizes: without what a run of any size costs once."""
    bare_loop = {row[1]: row[2] for row in rows if str(row[0]).startswith("bare")}
    times = [(row[1], row[2] - bare_loop[row[1]]) for row in rows if row[0] == "this harness"]  # type: ignore[operator]
    costs = [
        f"{1000 * (more - less) / (many - few):.2f} ms from {few:,} to {many:,} cases"  # type: ignore[operator]
        for (few, less), (many, more) in pairwise(times)
    ]
    return f"A further case costs {', '.join(costs)}."


def clean_environment() -> dict[str, str]:
    """Return the environment without variables that would change what is measured."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("EXAWORKS_", "SLURM", "PYTEST", "COV"))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument(
        "--rounds", type=int, default=3, help="repetitions of which the median counts, up to 1,000 cases"
    )
    parser.add_argument("--reframe", type=int, default=100, metavar="N", help="compare with ReFrame up to N cases")
    parser.add_argument("--no-reframe", action="store_true")
    options = parser.parse_args()
    watch = Watch()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        at = 0 if options.no_reframe else options.reframe
        rows = overhead(Path(name), options.cases, options.rounds, clean_environment(), at)
    notes = [further(rows)] if watch.load().idle and len(options.cases) > 1 else []
    headers = ("program", "cases", "elapsed s", "processor s", "ms a case", "ratio to this harness", "memory MB")
    publish("harness", headers, rows, watch.load(), times=("elapsed s", "ms a case", headers[5]), notes=notes)


if __name__ == "__main__":
    main()
