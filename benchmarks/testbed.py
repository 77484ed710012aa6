"""How long the private Slurm takes to come up, and 100 jobs on it, against the same Slurm with its default scheduling.

python benchmarks/testbed.py [--jobs 100] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from tabulate import tabulate

from sdk_tests.testbeds import Testbed, manage, slurm_conf


def came_up(home: Path) -> tuple[float, float]:
    """Return the seconds from the call to idle nodes, and from the call of ``down`` to the last process gone."""
    begun = time.monotonic()
    bed = manage.up("slurm", home, owner_pid=os.getpid())
    idle = time.monotonic()
    manage.down(home, bed.id)
    return idle - begun, time.monotonic() - idle


def ran(bed: Testbed, jobs: int) -> tuple[float, float]:
    """Return the seconds from the first submission to the last submission, and to the end of the last job."""
    env = manage.environment(bed, {name: value for name, value in os.environ.items() if not name.startswith("SLURM")})
    begun = time.monotonic()
    for _ in range(jobs):
        subprocess.run(
            ["sbatch", "--parsable", "--output=/dev/null", "--wrap=true"],
            env=env,
            stdout=subprocess.DEVNULL,
            check=True,
        )
    submitted = time.monotonic()
    while True:
        listed = subprocess.run(
            ["squeue", "-h", "-t", "all", "-o", "%T"], env=env, capture_output=True, text=True, check=True
        )
        if listed.stdout.split().count("COMPLETED") == jobs:
            return submitted - begun, time.monotonic() - begun
        time.sleep(0.05)


def by_default(tuned: Callable[[Testbed, Path, int], str]) -> Callable[[Testbed, Path, int], str]:
    """Return a writer of slurm.conf that leaves scheduling as Slurm comes."""

    def write(bed: Testbed, base: Path, cores: int) -> str:
        lines = tuned(bed, base, cores).splitlines()
        return "\n".join(line for line in lines if not line.startswith("SchedulerParameters=")) + "\n"

    return write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder:
        home = Path(folder)
        rounds = [came_up(home) for _ in range(given.rounds)]
        ups, downs = ([round_[index] for round_ in rounds] for index in (0, 1))
        rows = []
        for name, writer in (
            ("ours", slurm_conf.configuration),
            ("Slurm's default", by_default(slurm_conf.configuration)),
        ):
            with mock.patch.object(slurm_conf, "configuration", writer):
                bed = manage.up("slurm", home, owner_pid=os.getpid())
            try:
                rows.append((name, *ran(bed, given.jobs)))
            finally:
                manage.down(home, bed.id)
    shown = (
        ("up to idle nodes", statistics.median(ups), max(ups)),
        ("down to nothing left", statistics.median(downs), max(downs)),
    )
    print(tabulate(shown, headers=(f"two nodes, {given.rounds} rounds", "median s", "worst s"), floatfmt=".2f"))
    print()
    table = [(name, submitted, done, done / rows[0][2]) for name, submitted, done in rows]
    headers = (f"{given.jobs} x sbatch true, scheduling", "submitted s", "all done s", "ratio")
    print(tabulate(table, headers=headers, floatfmt=".2f"))


if __name__ == "__main__":
    main()
