"""What ``./exaworks`` costs on a warm checkout over the plain Python command line, and what the help costs.

    python benchmarks/bootstrap.py [ROUNDS]

Needs an environment that is there (any ``./exaworks`` command makes it). Rounds are interleaved, medians printed.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("EXAWORKS_HOME", ROOT / ".exaworks"))


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    script = str(ROOT / "exaworks")
    seconds([script, "--version"])
    made = [stamp.parent for stamp in HOME.glob("env/*/.made") if not stamp.parent.name.endswith("-dev")]
    if not made:
        sys.exit(f"{HOME} holds no environment")
    python = str(max(made, key=lambda folder: folder.stat().st_mtime) / "bin" / "python")
    commands = {
        "python -I -c pass": [python, "-I", "-c", "pass"],
        "python -I -m exaworks_sdk --version": [python, "-I", "-m", "exaworks_sdk", "--version"],
        "./exaworks --version": [script, "--version"],
        "python -I -m exaworks_sdk --help": [python, "-I", "-m", "exaworks_sdk", "--help"],
        "./exaworks --help": [script, "--help"],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            taken[name].append(seconds(command))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    for name, median in medians.items():
        print(f"{median * 1000:7.1f} ms  {name}")
    for option in ("--version", "--help"):
        over = medians[f"./exaworks {option}"] - medians[f"python -I -m exaworks_sdk {option}"]
        print(f"{over * 1000:7.1f} ms  ./exaworks over the plain command line, {option} (limit: 100 ms)")


if __name__ == "__main__":
    main()
