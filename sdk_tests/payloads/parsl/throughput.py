"""Parsl: many short tasks through a pool of the HighThroughputExecutor, timed beside a bare loop over the same program.

Each task runs the program `true` once. Latency is taken on an idle pool, one task after the other, from the call to the
moment the worker begins.
"""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _figures import bare, figures, metric, peak
from _payload import main

PROGRAM = "/bin/true"


def throughput(request):
    import parsl
    from _parsl import left, loaded

    @parsl.python_app
    def run(program):
        import subprocess
        import time

        began = time.time()
        return began, subprocess.run([program], check=False).returncode

    given = {"tasks": 1000, "probes": 200, **request["params"]}
    workers = int(request.get("cores") or 1)
    with loaded(request, workers=workers) as executor:
        run(PROGRAM).result(timeout=left(request))  # the pool is up
        waits = []
        for _ in range(given["probes"]):
            asked = time.time()
            waits.append(run(PROGRAM).result(timeout=left(request))[0] - asked)
        began = time.monotonic()
        futures = [run(PROGRAM) for _ in range(given["tasks"])]
        submitted = time.monotonic() - began
        codes = [future.result(timeout=left(request))[1] for future in futures]
        took = time.monotonic() - began
        memory = {name: peak(pid) for name, pid in managers(executor).items()}
    plain = bare([PROGRAM], min(given["tasks"], 1000))
    metrics = figures(given["tasks"], took, submitted, waits, plain, workers)
    metrics += [metric(f"memory_{name}", value, "MB", "lower") for name, value in memory.items()]
    return {"tasks": len(codes), "failed": sum(code != 0 for code in codes), "workers": workers, "metrics": metrics}


def managers(executor):
    """Return the pids of what manages the tasks: this process, the exchange, and the pool over its workers."""
    from _parsl import family, runs

    found = {"client": os.getpid()}
    pids = [os.getpid(), *map(int, executor.provider.resources)]
    started = [each for pid in pids for each in family(pid) if runs(each)]
    for name, program in (("interchange", "HTEX interchange"), ("pool", "process_worker_pool.py")):
        those = [each for each in started if program in " ".join(each.cmdline()[:2])]
        found[name] = min(those, key=lambda each: each.create_time()).pid
    return found


if __name__ == "__main__":
    main(throughput, __doc__)
