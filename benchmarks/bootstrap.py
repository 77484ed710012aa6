"""Measure the time of ``./exaworks`` in a prepared checkout, compared with the plain Python command line.

    python -m benchmarks.bootstrap [ROUNDS]

Needs an existing environment (any ``./exaworks`` command creates it). Rounds are interleaved; prints medians.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.load import Watch
from benchmarks.results import Cell, publish

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("EXAWORKS_HOME", ROOT / ".exaworks"))


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    watch = Watch()
    script = str(ROOT / "exaworks")
    seconds([script, "--version"])
    environments = [stamp.parent for stamp in HOME.glob("env/*/.made") if not stamp.parent.name.endswith("-dev")]
    if not environments:
        sys.exit(f"{HOME} has no environment: run ./exaworks once")
    python = str(max(environments, key=lambda folder: folder.stat().st_mtime) / "bin" / "python")
    commands = {
        "python -I -c pass": [python, "-I", "-c", "pass"],
        "python -I -m exaworks_sdk --version": [python, "-I", "-m", "exaworks_sdk", "--version"],
        "./exaworks --version": [script, "--version"],
        "python -I -m exaworks_sdk --help": [python, "-I", "-m", "exaworks_sdk", "--help"],
        "./exaworks --help": [script, "--help"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            times[name].append(seconds(command))
    medians = {name: statistics.median(values) for name, values in times.items()}
    rows: list[list[Cell]] = [[name, median * 1000] for name, median in medians.items()]
    for option in ("--version", "--help"):
        cost = medians[f"./exaworks {option}"] - medians[f"python -I -m exaworks_sdk {option}"]
        rows.append([f"what the script adds to the plain command line, {option} (limit: 100 ms)", cost * 1000])
    publish("bootstrap", (f"command, median of {rounds}", "ms"), rows, watch.load(), times=("ms",))


if __name__ == "__main__":
    main()
