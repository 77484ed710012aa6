"""Run the throughput cases of all components on this machine, and show their figures in one table.

python -m benchmarks.components [--deployment release --deployment spack] [--case '*/throughput*']

Each case runs by itself, so that no other one slows it down. Components that are in no deployment, and schedulers that
this machine cannot have, are left out; ``exaworks validate --list --tier scale`` gives the reason.
"""

from __future__ import annotations

import argparse
import json
import re
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
    watch = Watch()
    arguments = ["--tier", "scale", *(f"--deployment={name}" for name in options.deployment or _deployments())]
    patterns = [f"--case={pattern}" for pattern in options.case or ["*/throughput*"]]
    planned = json.loads(validate(*arguments, *patterns, "--list", "--json", stdout=subprocess.PIPE).stdout)
    records: list[Record] = []
    cases = [each["case"] for each in planned if each["tier"] == "scale" and each["verdict"] is None]
    for case in cases:
        before = set(_runs())
        validate(*arguments, f"--case={case}", "--no-upload")
        for run in set(_runs()) - before:
            records += [record for record in RunFolder(run).effective().values() if record.metrics]
    if not records:
        sys.exit("no case was measured")
    versions = sorted({f"{c.name} {c.version}" for record in records for c in record.stack.components})
    notes = [", ".join(versions) + ". One case at a time."]
    absent = sorted(set(cases) - {record.case_id for record in records})
    if absent:
        notes.append(f"Not measured, see the output of their runs above: {', '.join(absent)}.")
    headers = ("case", *COLUMNS, "memory MB")
    rows = [row(each) for each in sorted(records, key=lambda each: _by_number(each.case_id))]
    publish("components", headers, rows, watch.load(), times=tuple(COLUMNS), notes=notes)
    sys.exit(1 if absent else 0)


def validate(*arguments: str, stdout: int | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "exaworks_sdk", "validate", *arguments]
    env = {**clean_environment(), "EXAWORKS_HOME": str(places().home)}
    return subprocess.run(command, cwd=ROOT, env=env, stdout=stdout, text=True, check=False)


def _by_number(case_id: str) -> list[str | int]:
    """Return a sort key by which 1,000 tasks come before 10,000."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", case_id)]


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
