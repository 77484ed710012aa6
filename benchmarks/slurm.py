"""Measure jobs on a private Slurm of many nodes: a bare sbatch loop, the harness and ReFrame, and what each asks of the
controller.

python -m benchmarks.slurm [--jobs 100 1000 10000] [--nodes 64] [--bare 1000] [--reframe 1000] [--at-once 200]
    [--interval 2]

Every program runs jobs of ``true``, each in a job of its own, with at most as many in the queue at once. The controller
counts the requests that it gets (``sdiag``); messages of the nodes are left out. The nodes claim more cores than the
machine has (``config_overrides``), so the limit is the machine, not the scheduler.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from benchmarks import sbatch
from benchmarks.harness import SITE, clean_environment, harness, reframe
from benchmarks.load import Watch
from benchmarks.results import Cell, publish
from sdk_tests.testbeds import VARIABLE, Testbed, manage

CORES = 4
"""Cores that each node claims to have."""
ACCESS = '["--partition=debug"]'


@dataclass(frozen=True)
class Measured:
    """One program's jobs: elapsed and processor seconds, memory in MB, requests by kind, repeated jobs."""

    seconds: float
    cpu: float | None
    memory: float | None
    requests: dict[str, int]
    repeated: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="+", default=[100, 1000, 10000], help="jobs of the harness")
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--bare", type=int, default=1000, help="jobs of the bare loop")
    parser.add_argument("--reframe", type=int, default=1000, help="jobs of ReFrame; 0 leaves it out")
    parser.add_argument("--at-once", type=int, default=200, help="jobs in the queue at once")
    parser.add_argument("--interval", type=float, default=2.0, help="seconds between two status queries of the harness")
    options = parser.parse_args()
    watch = Watch()
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as name:
        folder = Path(name)

        def on_testbed(measure: Callable[[Testbed, dict[str, str]], Measured]) -> Measured:
            """Start a Slurm for one measurement, so that its controller remembers no jobs of another."""
            testbed = manage.up("slurm", folder / "t", nodes=options.nodes, cores=CORES, owner_pid=os.getpid())
            env = manage.environment(testbed, clean_environment())
            del env[VARIABLE]  # as on a cluster: jobs on a testbed share the few cores of this machine
            try:
                return measure(testbed, env)
            finally:
                manage.down(folder / "t", testbed.id)

        measured = [("bare sbatch loop", options.bare, on_testbed(lambda _, env: bare(options.bare, env, folder)))]
        for count in options.jobs:
            ours = on_testbed(lambda t, env, n=count: of_harness(t, env, n, folder, options))  # type: ignore[misc]
            measured.append(("this harness", count, ours))
        if options.reframe:
            theirs = on_testbed(lambda _, env: of_reframe(env, options.reframe, folder, options.at_once))
            measured.append(("ReFrame, async", options.reframe, theirs))
    base = measured[0][2].seconds / options.bare
    rows = [row(name, count, each, base) for name, count, each in measured]
    headers = (
        "program",
        "jobs",
        "elapsed s",
        "ms a job",
        "ratio to bare",
        "processor s",
        "memory MB",
        "requests a job",
        "requests a minute",
        "status queries",
        "repeated jobs",
    )
    times = ("elapsed s", "ms a job", "ratio to bare", "requests a minute")
    publish("slurm", headers, rows, watch.load(), times=times, notes=notes(measured))


def row(name: str, count: int, each: Measured, base: float) -> list[Cell]:
    total, queries = sum(each.requests.values()), status_queries(each.requests)
    a_job = each.seconds / count
    cells: list[Cell] = [name, count, each.seconds, a_job * 1000, a_job / base, each.cpu, each.memory]
    return [*cells, total / count, total / each.seconds * 60, queries, each.repeated]


def notes(measured: list[tuple[str, int, Measured]]) -> list[str]:
    """Return which requests each program sent most."""
    lines = []
    for name, count, each in measured:
        most = ", ".join(f"{kind} {number:,}" for kind, number in Counter(each.requests).most_common(4))
        lines.append(f"{name}, {count:,} jobs: {most}.")
    return lines


def status_queries(requests: dict[str, int]) -> int:
    return sum(number for kind, number in requests.items() if "JOB_INFO" in kind or "JOB_USER_INFO" in kind)


def bare(count: int, env: dict[str, str], folder: Path) -> Measured:
    sbatch.reset_requests(env)
    started = time.perf_counter()
    repeated = sbatch.wait(sbatch.submit(count, "true", env, folder), env)
    return Measured(time.perf_counter() - started, None, None, sbatch.requests(env), repeated)


def of_harness(
    testbed: Testbed, env: dict[str, str], count: int, folder: Path, options: argparse.Namespace
) -> Measured:
    """Run jobs with the harness; the time is from the first submission to the last result."""
    spec = msgspec.structs.replace(testbed.scheduler, max_jobs=options.at_once, status_interval=options.interval)
    site = SITE.replace("PREFIX", sys.prefix) + f"schedulers: {msgspec.json.encode([spec]).decode()}\n"
    sbatch.reset_requests(env)
    own = folder / f"harness-{count}"
    cost = harness(own, count, env, site, payload="/bin/true", where="job", scheduler="slurm")
    requests = sbatch.requests(env)
    (path,) = (own / "home" / "runs").glob("*/records.jsonl")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    times = [record["timing"] for record in records if record["timing"]["submitted"]]
    first = min(stamp(each["submitted"]) for each in times)
    last = max(stamp(each["ended"]) + each["collect"]["seconds"] for each in times if each["ended"] and each["collect"])
    repeated = sum(not record["retries"]["final"] for record in records)
    return Measured(last - first, cost.cpu, cost.memory, requests, repeated)


def of_reframe(env: dict[str, str], count: int, folder: Path, at_once: int) -> Measured:
    sbatch.reset_requests(env)
    cost = reframe(folder / "reframe", count, at_once, env, scheduler="squeue", access=ACCESS)
    return Measured(cost.seconds, cost.cpu, cost.memory, sbatch.requests(env), 0)


def stamp(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


if __name__ == "__main__":
    main()
