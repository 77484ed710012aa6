"""The figures that payloads of the scale tier share, so that those of two components mean the same."""

import math
import subprocess
import time


def bare(argv, count):
    """Return the tasks a second of the least there is: the program started and waited for, one after the other."""
    began = time.monotonic()
    for _ in range(count):
        subprocess.run(argv, check=False)
    return count / (time.monotonic() - began)


def figures(count, took, submitted, waits, plain, workers=1):
    """Return the figures of ``count`` tasks in ``took`` seconds, handed over in ``submitted`` of them.

    ``waits`` are the seconds to the beginning of single tasks, ``plain`` is the rate of the bare engine. Overhead is
    the time of a worker that a task took, less the time it takes by itself.
    """
    rate = count / took
    ordered = sorted(waits)
    found = [
        ("tasks_per_second", rate, "1/s", "higher"),
        ("submissions_per_second", count / submitted, "1/s", "higher"),
        ("bare_tasks_per_second", plain, "1/s", "higher"),
        ("overhead_per_task", (workers / rate - 1 / plain) * 1000, "ms", "lower"),
    ]
    if ordered:
        found += [
            ("launch_latency_p50", quantile(ordered, 0.50) * 1000, "ms", "lower"),
            ("launch_latency_p99", quantile(ordered, 0.99) * 1000, "ms", "lower"),
        ]
    return [metric(*each) for each in found]


def metric(name, value, unit, better):
    """Return one figure in the shape a record has, to four digits."""
    return {"name": name, "value": float(f"{value:.4g}"), "unit": unit, "better": better}


def quantile(ordered, share):
    """Return the smallest value that at least this share of the values does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def peak(pid):
    """Return the most memory a process of this machine ever had resident, in MB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
