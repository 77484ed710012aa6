"""Measure the time that pipelines need in addition to installing and testing: generation, and each of their steps.

    python -m benchmarks.ci [ROUNDS]

Prints medians. The cost of a stage is the time of ``ci stage`` minus that of the bare command, in the same run.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.load import Watch
from benchmarks.results import Cell, publish

CLI = [sys.executable, "-I", "-m", "exaworks_sdk"]
SITE = """\
system: bench/box
description: A machine for a benchmark
local: {allowed: true, cores: 1}
"""


NOTHING_TESTED = ("bare smoke", "ci stage smoke", "ci verdict")
"""Steps that end with 1: without a component, the smoke stage has nothing to test."""


def seconds(step: str, command: list[str], folder: Path, environ: dict[str, str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    elapsed = time.perf_counter() - start
    if done.returncode != (step in NOTHING_TESTED):
        sys.exit(f"{step} ended with {done.returncode}:\n{done.stdout.decode()[-2000:]}{done.stderr.decode()[-2000:]}")
    return elapsed


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    watch = Watch()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        site = folder / "sites" / "bench" / "box.yaml"
        site.parent.mkdir(parents=True)
        site.write_text(SITE)
        environ = {**os.environ, "EXAWORKS_SITES": str(folder / "sites"), "EXAWORKS_HOME": str(folder / "home")}
        environ |= {"EXAWORKS_TIER": "smoke", "EXAWORKS_DEPLOYMENT": "path"}
        on = ["--site", "bench/box"]
        control = ["validate", "--component", "control", *on, "--no-upload", "--deployment", "path"]
        smoke = ["validate", "--tier", "smoke", *on, "--no-upload", "--deployment", "path"]
        commands = {
            "exaworks --version": [*CLI, "--version"],
            "ci generate --all": [*CLI, "ci", "generate", "--all", "--to", "generated"],
            "bare setup": [*CLI, "sites", "show", "bench/box"],
            "ci stage setup": [*CLI, "ci", "stage", "setup", *on, "--lock", "--", "sites", "show", "bench/box"],
            "bare control": [*CLI, *control],
            "ci stage control": [*CLI, "ci", "stage", "control", *on, "--after", "setup", "--", *control[:3]],
            "bare smoke": [*CLI, *smoke],
            "ci stage smoke": [*CLI, "ci", "stage", "smoke", *on, "--after", "control", "--", *smoke[:3]],
            "ci deliver": [*CLI, "ci", "deliver", *on],
            "ci verdict": [*CLI, "ci", "verdict", *on],
            "ci cleanup": [*CLI, "ci", "cleanup", *on],
        }
        times: dict[str, list[float]] = {step: [] for step in commands}
        for _ in range(rounds):
            for step, command in commands.items():
                times[step].append(seconds(step, command, folder, environ))
    medians = {step: statistics.median(values) for step, values in times.items()}
    stages = sum(medians[f"ci stage {stage}"] - medians[f"bare {stage}"] for stage in ("setup", "control", "smoke"))
    own = stages + medians["bare setup"] + sum(medians[step] for step in ("ci deliver", "ci verdict", "ci cleanup"))
    rows: list[list[Cell]] = [[step, median] for step, median in medians.items()]
    rows.append(["all own steps of a pipeline (limit: 20 s)", own])
    publish("ci", (f"step, median of {rounds}", "s"), rows, watch.load(), times=("s",))


if __name__ == "__main__":
    main()
