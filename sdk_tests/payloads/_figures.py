"""The figures of payloads of the scale tier, computed in one place so that all components measure the same."""

import math
import subprocess
import time


def bare_rate(argv, count):
    """Return how often per second a plain loop can start the program and wait for it."""
    began = time.monotonic()
    for _ in range(count):
        subprocess.run(argv, check=False)
    return count / (time.monotonic() - began)


def figures(count, seconds, submit_seconds, waits, plain_rate, workers=1):
    """Return the figures of ``count`` tasks that took ``seconds``, of which submitting them took ``submit_seconds``.

    ``waits``: for single tasks, the seconds from the submission to the start. ``plain_rate``: tasks per second without
    the component. The overhead is the time for which a task occupies a worker, minus the time that its program takes.
    """
    rate = count / seconds
    ordered = sorted(waits)
    rows = [
        ("tasks_per_second", rate, "1/s", "higher"),
        ("submissions_per_second", count / submit_seconds, "1/s", "higher"),
        ("bare_tasks_per_second", plain_rate, "1/s", "higher"),
        ("overhead_per_task", (workers / rate - 1 / plain_rate) * 1000, "ms", "lower"),
    ]
    if ordered:
        rows += [
            ("launch_latency_p50", quantile(ordered, 0.50) * 1000, "ms", "lower"),
            ("launch_latency_p99", quantile(ordered, 0.99) * 1000, "ms", "lower"),
        ]
    return [metric(*row) for row in rows]


def metric(name, value, unit, better):
    """Return one figure in the form of a record's metric; the value has four significant digits."""
    return {"name": name, "value": float(f"{value:.4g}"), "unit": unit, "better": better}


def quantile(ordered, share):
    """Return the smallest value that is at least as large as this share of the sorted values."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def peak_memory(pid):
    """Return the peak resident memory of a process of this machine, in MB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
