"""Run the throughput cases of all components on this machine, and show their figures in one table.

python -m benchmarks.components [--deployment release --deployment spack] [--case '*/throughput*']

Components that are in no deployment, and schedulers that this machine cannot have, are left out with the reason that
``exaworks validate`` gives.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import ROOT, clean_environment
from benchmarks.load import Watch
from benchmarks.results import Cell, publish
from dashboard_client.runs import RunFolder, list_runs
from dashboard_client.schema import Record
from exaworks_sdk.paths import places

COLUMNS = {
    "tasks/s": "tasks_per_second",
    "bare/s": "bare_tasks_per_second",
    "overhead ms": "overhead_per_task",
    "latency p50 ms": "launch_latency_p50",
    "p99 ms": "launch_latency_p99",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deployment", action="append", default=[])
    parser.add_argument("--case", action="append", default=[])
    options = parser.parse_args()
    watch, before = Watch(), set(_runs())
    command = [sys.executable, "-m", "exaworks_sdk", "validate", "--tier", "scale", "--no-upload"]
    command += [f"--case={pattern}" for pattern in options.case or ["*/throughput*"]]
    command += [f"--deployment={name}" for name in options.deployment or _deployments()]
    env = {**clean_environment(), "EXAWORKS_HOME": str(places().home)}
    code = subprocess.run(command, cwd=ROOT, env=env, check=False).returncode
    new = sorted(set(_runs()) - before)
    if not new:
        sys.exit(code or 1)
    records = [record for record in RunFolder(new[-1]).effective().values() if record.metrics]
    versions = sorted({f"{c.name} {c.version}" for record in records for c in record.stack.components})
    notes = [", ".join(versions) + "."]
    failed = [
        r.case_id for r in RunFolder(new[-1]).effective().values() if r.verdict.outcome.value in ("fail", "error")
    ]
    if failed:
        notes.append(f"These cases did not pass: {', '.join(failed)}.")
    headers = ("case", *COLUMNS, "memory MB")
    publish("components", headers, [row(each) for each in records], watch.load(), times=tuple(COLUMNS), notes=notes)
    sys.exit(0 if records else code or 1)


def row(record: Record) -> list[Cell]:
    values = {metric.name: metric.value for metric in record.metrics}
    memory = (f"{n.removeprefix('memory_')} {v:.0f}" for n, v in values.items() if n.startswith("memory_"))
    return [f"`{record.case_id}`", *(values.get(name) for name in COLUMNS.values()), ", ".join(memory)]


def _runs() -> list[Path]:
    return [run.path for run in list_runs(places().runs)]


def _deployments() -> list[str]:
    """Return the release as pip's packages, and as Spack's where it is installed; Flux and Swift/T are there alone."""
    from exaworks_sdk.install import spack_prefix
    from exaworks_sdk.release import load

    lock = spack_prefix(places(), load()) / "environment" / "spack.lock"
    return ["release", *(["spack"] if lock.exists() else [])]


if __name__ == "__main__":
    main()
