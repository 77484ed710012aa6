"""Measure the start of the Slurm testbed, and 100 jobs on it, compared with a Slurm with default scheduling.

python -m benchmarks.testbed [--jobs 100] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from benchmarks import sbatch
from benchmarks.harness import clean_environment
from benchmarks.load import Watch
from benchmarks.results import publish
from sdk_tests.testbeds import Testbed, manage, slurm_conf


def time_to_start(home: Path) -> tuple[float, float]:
    """Start and stop a testbed; return the seconds until its nodes are idle, and until its last process has ended."""
    started = time.monotonic()
    testbed = manage.up("slurm", home, owner_pid=os.getpid())
    idle = time.monotonic()
    manage.down(home, testbed.id)
    return idle - started, time.monotonic() - idle


def run_jobs(testbed: Testbed, jobs: int) -> tuple[float, float, int]:
    """Run jobs; return the seconds to the last submission and to the last end, and how many jobs were requeued."""
    env = manage.environment(testbed, clean_environment())
    started = time.monotonic()
    ids = sbatch.submit(jobs, "true", env, Path(tempfile.gettempdir()))
    submitted = time.monotonic()
    requeued = sbatch.wait(ids, env, interval=0.05)
    return submitted - started, time.monotonic() - started, requeued


def by_default(tuned: Callable[..., str]) -> Callable[..., str]:
    """Return a function that writes slurm.conf without this project's scheduling parameters."""

    def write(*arguments: object) -> str:
        lines = tuned(*arguments).splitlines()
        return "\n".join(line for line in lines if not line.startswith("SchedulerParameters=")) + "\n"

    return write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    watch = Watch()
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder:
        home = Path(folder)
        rounds = [time_to_start(home) for _ in range(options.rounds)]
        ups, downs = ([round_[index] for round_ in rounds] for index in (0, 1))
        rows = []
        for name, writer in (
            ("testbed", slurm_conf.configuration),
            ("Slurm's default", by_default(slurm_conf.configuration)),
        ):
            with mock.patch.object(slurm_conf, "configuration", writer):
                testbed = manage.up("slurm", home, owner_pid=os.getpid())
            try:
                rows.append((name, *run_jobs(testbed, options.jobs)))
            finally:
                manage.down(home, testbed.id)
    starts = watch.load()
    publish(
        "testbed-start",
        (f"two nodes, {options.rounds} rounds", "median s", "worst s"),
        [
            ("start until nodes are idle", statistics.median(ups), max(ups)),
            ("stop until all processes have ended", statistics.median(downs), max(downs)),
        ],
        starts,
        times=("median s", "worst s"),
    )
    headers = (f"{options.jobs} x sbatch true, scheduling", "submitted s", "all done s", "ratio", "requeued")
    jobs = [(name, submitted, done, done / rows[0][2], requeued) for name, submitted, done, requeued in rows]
    publish("testbed-jobs", headers, jobs, starts, times=("submitted s", "all done s", "ratio"))


if __name__ == "__main__":
    main()
