"""Flux: the rate of many short jobs of one submission, compared with the same program without Flux.

Each job runs the program `true`. The latency is measured with single jobs, from the call of `flux submit` to the time
that the job itself prints. Without Flux, a plain loop runs the program.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _figures import bare_rate, figures, metric
from _payload import main

PROGRAM = "/bin/true"


def throughput(request):
    from _instance import flux, instance, jobs, wait_for_end

    given = {"tasks": 1000, "probes": 30, "bare": 200, **request["params"]}
    waits, states = [], set()
    with instance(request):
        cores = int(flux("resource", "list", "-n", "-s", "all", "-o", "{ncores}"))
        for number in range(given["probes"]):
            out, submitted_at = Path(f"probe{number}.out"), time.time()
            wait_for_end(flux("submit", f"--output={out}", "/bin/date", "+%s.%N"))
            waits.append(float(out.read_text(encoding="utf-8")) - submitted_at)
        began = time.monotonic()
        ids = flux("submit", f"--cc=1-{given['tasks']}", "--flags=waitable", PROGRAM).split()
        submit_seconds = time.monotonic() - began
        flux("job", "wait", "--all")
        seconds = time.monotonic() - began
        for first in range(0, len(ids), 1000):
            states |= {row["status"] for row in jobs(ids[first : first + 1000])}
        status = flux("exec", "-r", 0, "sh", "-c", "cat /proc/$(flux getattr broker.pid)/status")
    memory = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024
    metrics = figures(given["tasks"], seconds, submit_seconds, waits, bare_rate([PROGRAM], given["bare"]), cores)
    metrics.append(metric("memory_broker", memory, "MB", "lower"))
    return {"tasks": len(set(ids)), "states": sorted(states), "metrics": metrics}


if __name__ == "__main__":
    main(throughput, __doc__)
