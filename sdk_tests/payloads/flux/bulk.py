"""Flux: many jobs of one ``flux submit --cc``, each with its own number, result and end; how quick they were."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def bulk(request):
    from _instance import flux, instance, jobs

    count = int(request["params"].get("jobs", 100))
    failing = int(request["params"].get("failing_every", 10))
    script = f"echo $((FLUX_JOB_CC * FLUX_JOB_CC)); [ $(((FLUX_JOB_CC + 1) % {failing})) -ne 0 ] || exit 3"
    with instance(request):
        began = time.time()
        several = [f"--cc=0-{count - 1}", "--output={cc}.out", "--wait"]
        done = flux("submit", *several, "sh", "-c", script, check=False)
        seconds = time.time() - began
        rows = jobs(done.stdout.split())
        memory = broker_memory()
    squares = [int(Path(f"{number}.out").read_text(encoding="utf-8")) for number in range(count)]
    ends = [(row["id"], row["status"], int(row["returncode"])) for row in rows]
    latencies = sorted(1000 * (float(row["t_run"]) - float(row["t_submit"])) for row in rows)
    metrics = [
        ("tasks_per_second", count / seconds, "1/s", "higher"),
        ("launch_latency_p50", latencies[count // 2], "ms", "lower"),
        ("launch_latency_p99", latencies[count * 99 // 100], "ms", "lower"),
        ("manager_memory", memory, "MB", "lower"),
    ]
    keys = ("name", "value", "unit", "better")
    measured = [dict(zip(keys, (name, round(value, 3), *rest), strict=True)) for name, value, *rest in metrics]
    return {"exit_code": done.returncode, "squares": squares, "ends": ends, "metrics": measured}


def broker_memory():
    """Return the most megabytes that the first broker has had, which keeps every job in memory."""
    from _instance import flux

    status = flux("exec", "-r", 0, "sh", "-c", "cat /proc/$(flux getattr broker.pid)/status")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1000


if __name__ == "__main__":
    main(bulk, __doc__)
