"""Parsl: the rate of many short tasks of a HighThroughputExecutor, compared with a plain loop over the same program.

Each task runs the program `true` once. The latency is measured on an idle pool, one task after the other, from the call
to the time when the worker begins.
"""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _figures import bare_rate, figures, metric, peak_memory
from _payload import main

PROGRAM = "/bin/true"


def throughput(request):
    import parsl
    from _parsl import loaded, seconds_left

    @parsl.python_app
    def run(program):
        import subprocess
        import time

        began = time.time()
        return began, subprocess.run([program], check=False).returncode

    given = {"tasks": 1000, "probes": 200, **request["params"]}
    workers = int(request.get("cores") or 1)
    with loaded(request, workers=workers) as executor:
        run(PROGRAM).result(timeout=seconds_left(request))  # afterwards the pool is running
        waits = []
        for _ in range(given["probes"]):
            submitted_at = time.time()
            waits.append(run(PROGRAM).result(timeout=seconds_left(request))[0] - submitted_at)
        began = time.monotonic()
        futures = [run(PROGRAM) for _ in range(given["tasks"])]
        submit_seconds = time.monotonic() - began
        codes = [future.result(timeout=seconds_left(request))[1] for future in futures]
        seconds = time.monotonic() - began
        memory = {name: peak_memory(pid) for name, pid in managers(executor).items()}
    plain_rate = bare_rate([PROGRAM], min(given["tasks"], 1000))
    metrics = figures(given["tasks"], seconds, submit_seconds, waits, plain_rate, workers)
    metrics += [metric(f"memory_{name}", value, "MB", "lower") for name, value in memory.items()]
    return {"tasks": len(codes), "failed": sum(code != 0 for code in codes), "workers": workers, "metrics": metrics}


def managers(executor):
    """Return the pids of the processes that manage the tasks: the client, the interchange, and the worker pool."""
    from _parsl import is_running, process_tree

    by_name = {"client": os.getpid()}
    pids = [os.getpid(), *map(int, executor.provider.resources)]
    started = [each for pid in pids for each in process_tree(pid) if is_running(each)]
    for name, program in (("interchange", "HTEX interchange"), ("pool", "process_worker_pool.py")):
        matches = [each for each in started if program in " ".join(each.cmdline()[:2])]
        by_name[name] = min(matches, key=lambda each: each.create_time()).pid
    return by_name


if __name__ == "__main__":
    main(throughput, __doc__)
