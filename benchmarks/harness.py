"""Measure the cost of the harness: cases that run ``true``, compared with a bare loop and ReFrame, and jobs on a Slurm
testbed, compared with sbatch.

python -m benchmarks.harness [--cases 100 1000] [--no-reframe] [--no-slurm]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tabulate import tabulate

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
limits: {queue_wait: 00:05:00}
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
        "name": "local", "scheduler": "local", "launcher": "local", "environs": ["plain"], "max_jobs": JOBS}]}],
    "environments": [{"name": "plain"}],
    "general": [{"check_search_recursive": False}],
}
"""


def wall(command: list[str], env: dict[str, str], folder: Path) -> float:
    """Run a command, which must succeed, and return its time in seconds."""
    started = time.perf_counter()
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(
            f"{' '.join(command[:6])} … failed with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return seconds


def bare(count: int, concurrency: int) -> float:
    """Run ``true`` in a bare loop, ``concurrency`` at once, and return the time in seconds."""
    started = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as pool:
        list(pool.map(lambda _: subprocess.run(["true"], check=True), range(count)))
    return time.perf_counter() - started


def harness(
    folder: Path, count: int, env: dict[str, str], site: str, *, payload: str, where: str, scheduler: str
) -> tuple[float, list[str]]:
    """Run ``count`` cases with the harness, and return the time in seconds and the command."""
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
    return wall(command, full, folder), command


def overhead(folder: Path, counts: list[int], env: dict[str, str], with_reframe: bool) -> list[list[object]]:
    """Return rows: name, cases, wall time, cost of a case over the bare loop with and without start-up, ratio."""
    concurrency = len(os.sched_getaffinity(0))
    site = SITE.replace("PREFIX", sys.prefix)

    def one(name: str, count: int) -> float:
        return harness(folder / name, count, env, site, payload="/bin/true", where="job", scheduler="local")[0]

    start = statistics.median(one(f"local-1-{turn}", 1) for turn in range(3))
    rows: list[list[object]] = [["this harness, start and end", 1, start, "", "", ""]]
    for count in counts:
        bare_times, harness_times = [], []
        for turn in range(3):
            bare_times.append(bare(count, concurrency))
            harness_times.append(one(f"local-{count}-{turn}", count))
        base, time_harness = statistics.median(bare_times), statistics.median(harness_times)
        rows.append([f"bare loop, {concurrency} at once", count, base, 0.0, 0.0, ""])
        cost = time_harness - base
        rows.append(["this harness", count, time_harness, cost / count * 1000, (cost - start) / count * 1000, ""])
        if with_reframe and count <= 100:
            time_reframe = reframe(folder / f"reframe-{count}", count, concurrency, env)
            cost_reframe = time_reframe - base
            ratio = f"{cost_reframe / cost:.1f} x this harness"
            rows.append(["ReFrame, async", count, time_reframe, cost_reframe / count * 1000, "", ratio])
    return rows


def reframe(folder: Path, count: int, concurrency: int, env: dict[str, str]) -> float:
    """Run the same cases with ReFrame's asynchronous policy and the same concurrency; return the time in seconds."""
    folder.mkdir(parents=True)
    (folder / "bench.py").write_text(REFRAME.replace("COUNT", str(count)))
    (folder / "site.py").write_text(REFRAME_SITE.replace("JOBS", str(concurrency)))
    command = [str(Path(sys.prefix, "bin", "reframe")), "-C", "site.py", "-c", "bench.py", "--exec-policy=async", "-r"]
    return wall([*command, f"--prefix={folder}/out"], env, folder)


def jobs(folder: Path, count: int, env: dict[str, str]) -> list[list[object]]:
    """Run one-second jobs on a private Slurm, in a bare sbatch loop and with the harness, and return rows."""
    import json

    from sdk_tests.testbeds import manage

    folder.mkdir(parents=True)
    testbed = manage.up("slurm", folder / "testbed", nodes=2, cores=16, owner_pid=os.getpid())
    try:
        import msgspec

        full = manage.environment(testbed, env)
        spec = msgspec.json.encode([testbed.scheduler]).decode()
        site = SITE.replace("PREFIX", sys.prefix) + f"schedulers: {spec}\n"
        script = folder / "second.sh"
        script.write_text("#!/bin/sh\nsleep 1\n")
        script.chmod(0o755)
        rows: list[list[object]] = []
        base = sbatch(count, script, full, folder)
        harness(folder / "harness", count, full, site, payload=str(script), where="job", scheduler="slurm")
        (records,) = (folder / "harness" / "home" / "runs").glob("*/records.jsonl")
        times = [json.loads(line)["timing"] for line in records.read_text().splitlines()]
        first = min(stamp(t["submitted"]) for t in times)
        seconds = max(stamp(t["ended"]) + t["collect"]["seconds"] for t in times) - first
        cost = (seconds - base) / count * 1000
        rows.append(["bare sbatch loop", count, base, 0.0, "", ""])
        rows.append(
            ["this harness, from the first submission", count, seconds, cost, "", f"{seconds / base:.2f} x bare"]
        )
        return rows
    finally:
        manage.down(folder / "testbed", testbed.id)


def stamp(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def sbatch(count: int, script: Path, env: dict[str, str], folder: Path) -> float:
    """Submit jobs one by one, poll the queue until it is empty, and return the time in seconds."""
    started = time.perf_counter()
    for _ in range(count):
        subprocess.run(
            ["sbatch", "--parsable", "--output=/dev/null", str(script)],
            env=env,
            cwd=folder,
            check=True,
            capture_output=True,
        )
    squeue = ["squeue", "--noheader", "--format=%i"]
    while subprocess.run(squeue, env=env, check=True, capture_output=True).stdout.strip():
        time.sleep(0.2)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--no-reframe", action="store_true")
    parser.add_argument("--no-slurm", action="store_true")
    options = parser.parse_args()
    env = {k: v for k, v in os.environ.items() if not k.startswith(("EXAWORKS_", "SLURM", "PYTEST", "COV"))}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        rows = overhead(folder, options.cases, env, not options.no_reframe)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        if not options.no_slurm:
            rows += jobs(folder / "slurm", 100, env)
    headers = ("program", "cases", "wall s", "ms per case over bare", "without start-up", "ratio")
    print(tabulate(rows, headers=headers, floatfmt=".2f"))
    print(f"peak memory of the largest process (harness, ReFrame or their children): {peak:.0f} MB")


if __name__ == "__main__":
    main()
