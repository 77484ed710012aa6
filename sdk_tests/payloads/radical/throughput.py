"""RADICAL-Pilot: the rate of many short tasks in one pilot, compared with the same program without RADICAL.

Each task runs the program `true`. The latency is measured with single tasks on an idle pilot, one after the other, from
the call to the time that the task itself prints. Without RADICAL, a plain loop runs the program.
"""

import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from _figures import bare_rate, figures, metric, peak_memory  # noqa: E402
from _payload import main  # noqa: E402
from _radical import pilot  # noqa: E402
from _resource import cores  # noqa: E402

PROGRAM = "/bin/true"


def throughput(request):
    given = {"tasks": 1000, "probes": 20, "bare": 200, **request["params"]}
    waits, asked = [], time.monotonic()
    with pilot(request) as active:
        pilot_start = time.monotonic() - asked
        for _ in range(given["probes"]):
            submitted_at = time.time()
            (task,) = active.run([{"executable": "/bin/date", "arguments": ["+%s.%N"]}])
            waits.append(float(task.stdout) - submitted_at)
        began = time.monotonic()
        submitted = active.submit({"executable": PROGRAM} for _ in range(given["tasks"]))
        submit_seconds = time.monotonic() - began
        tasks = active.wait(submitted)
        seconds = time.monotonic() - began
        states = sorted({f"{task.state} {task.exit_code}" for task in tasks})
        memory = peak_memory(os.getpid())
    plain_rate = bare_rate([PROGRAM], given["bare"])
    metrics = figures(given["tasks"], seconds, submit_seconds, waits, plain_rate, cores(request))
    metrics.append(metric("memory_client", memory, "MB", "lower"))
    metrics.append(metric("pilot_start", pilot_start, "s", "lower"))
    return {"tasks": len({task.uid for task in tasks}), "states": states, "metrics": metrics}


if __name__ == "__main__":
    main(throughput, __doc__)
