"""Flux: many short jobs of one submission, timed beside the same program without Flux.

Each job runs the program `true`. Latency is that of single jobs, from the call of `flux submit` to what the job's own
clock says. Without Flux means a bare loop here.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _figures import bare, figures, metric
from _payload import main

PROGRAM = "/bin/true"


def throughput(request):
    from _instance import ended, flux, instance, jobs

    given = {"tasks": 1000, "probes": 30, "bare": 200, **request["params"]}
    waits, states = [], set()
    with instance(request):
        cores = int(flux("resource", "list", "-n", "-s", "all", "-o", "{ncores}"))
        for number in range(given["probes"]):
            out, asked = Path(f"probe{number}.out"), time.time()
            ended(flux("submit", f"--output={out}", "/bin/date", "+%s.%N"))
            waits.append(float(out.read_text(encoding="utf-8")) - asked)
        began = time.monotonic()
        ids = flux("submit", f"--cc=1-{given['tasks']}", "--flags=waitable", PROGRAM).split()
        submitted = time.monotonic() - began
        flux("job", "wait", "--all")
        took = time.monotonic() - began
        for first in range(0, len(ids), 1000):
            states |= {row["status"] for row in jobs(ids[first : first + 1000])}
        status = flux("exec", "-r", 0, "sh", "-c", "cat /proc/$(flux getattr broker.pid)/status")
    memory = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024
    metrics = figures(given["tasks"], took, submitted, waits, bare([PROGRAM], given["bare"]), cores)
    metrics.append(metric("memory_broker", memory, "MB", "lower"))
    return {"tasks": len(set(ids)), "states": sorted(states), "metrics": metrics}


if __name__ == "__main__":
    main(throughput, __doc__)
