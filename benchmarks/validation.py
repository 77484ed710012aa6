"""Measure whole runs of ``exaworks validate`` on this machine: a first start, the smoke tier, and the integration tier.

python -m benchmarks.validation [--no-cold] [--tier integration] [--rounds 3]

The first start is that of a copy of the checkout without any environment; packages may be in the caches of uv and pip.
The smoke tier runs warm on local and Slurm, without RADICAL. The integration tier runs on local and Slurm.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import ROOT, clean_environment
from benchmarks.load import Watch
from benchmarks.results import Cell, publish
from dashboard_client.runs import list_runs
from exaworks_sdk.paths import places
from sdk_tests.model.timeline import Timeline
from sdk_tests.report.critical_path import critical_path

FIRST = re.compile(r"(?:pass|FAIL|ERROR|INFRA)\s+\S|works: control/")
"""A line with a verdict."""
ON = ("--scheduler", "local", "--scheduler", "slurm", "--no-upload")
WITHOUT_RADICAL = ("control/*", "psij/*", "parsl/*")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-cold", action="store_true", help="leave the first start out")
    parser.add_argument("--tier", default="integration", help="of the run whose ratio is measured")
    parser.add_argument("--rounds", type=int, default=3, help="runs of the smoke tier of which the median counts")
    options = parser.parse_args()
    watch = Watch()
    rows: list[list[Cell]] = []
    if not options.no_cold:
        rows.append(["first start of a checkout, to the first verdict", cold(), None, None, "20"])
    smoke = [pattern for name in WITHOUT_RADICAL for pattern in ("--case", name)]
    validate("--tier", "smoke", *smoke)  # creates what is absent, and is not measured
    times = [validate("--tier", "smoke", *smoke) for _ in range(options.rounds)]
    rows.append(["smoke tier, warm, local and Slurm, without RADICAL", statistics.median(times), None, None, "30"])
    seconds = validate("--tier", options.tier)
    timeline = Timeline.read(list_runs(places().runs)[-1].private)
    path = critical_path(timeline) if timeline is not None else None
    ratio = seconds / path.seconds if path is not None and path.seconds else None
    name = f"{options.tier} tier, local and Slurm"
    rows.append([name, seconds, path.seconds if path else None, ratio, "ratio 1.15"])
    headers = ("run", "s", "critical path s", "ratio", "goal, at most")
    notes = [f"The critical path: {path.brief(8)}."] if path is not None else []
    publish("validation", headers, rows, watch.load(), times=headers[1:4], notes=notes)


def validate(*arguments: str) -> float:
    """Run ``exaworks validate``; return its time in seconds, whatever the verdict."""
    env = {**clean_environment(), "EXAWORKS_HOME": str(places().home)}
    started = time.perf_counter()
    command = [str(ROOT / "exaworks"), "validate", *ON, *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode not in (0, 1):
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")
    return seconds


def cold() -> float:
    """Start a copy of the checkout for the first time; return the seconds to the first verdict, then stop it."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp") as name:
        copy = Path(name, "checkout")
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(copy)], check=True)
        env = {**clean_environment(), "EXAWORKS_HOME": str(Path(name, "home"))}
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(copy / "exaworks"), "validate", "--tier", "smoke", *ON],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        assert process.stdout is not None
        lines, seconds = [], None
        for line in process.stdout:
            lines.append(line)
            if FIRST.search(line):
                seconds = time.perf_counter() - started
                break
        process.terminate()
        process.stdout.close()
        process.wait(timeout=120)
        if seconds is None:
            sys.exit(f"the first start gave no verdict:\n{''.join(lines)[-2000:]}")
        return seconds


if __name__ == "__main__":
    main()
