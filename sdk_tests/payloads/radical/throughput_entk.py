"""RADICAL-EnTK: the rate of many short tasks of one stage, compared with the same program without RADICAL.

Each task runs the program `true`. The latency is measured with a pipeline whose stages have one task each: from the end
of a task to the start of the next one, both by the clock of the task. Without RADICAL, a plain loop runs the program.
"""

import os
import sys
import time
from itertools import pairwise
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from _figures import bare_rate, figures, metric, peak_memory  # noqa: E402
from _payload import main  # noqa: E402
from _resource import cores  # noqa: E402
from _workflows import workflows  # noqa: E402

PROGRAM = "/bin/true"


def throughput(request):
    given = {"tasks": 1000, "probes": 10, "bare": 200, **request["params"]}
    with workflows(request) as active:
        import radical.entk as re

        def stage(*tasks):
            new = re.Stage()
            new.add_tasks(list(tasks))
            return new

        def task(executable, *arguments):
            new = re.Task()
            new.executable, new.arguments = executable, list(arguments)
            return new

        def run(*stages):
            pipeline = re.Pipeline()
            pipeline.add_stages(list(stages))
            began = time.monotonic()
            active.run([pipeline])
            return pipeline, time.monotonic() - began

        _, pilot_start = run(stage(task(PROGRAM)))  # afterwards the pilot is active
        clocks = [Path.cwd() / f"probe{number}.txt" for number in range(given["probes"] + 1)]
        run(*(stage(task(sys.executable, "-I", str(HERE / "_clock.py"), str(clock))) for clock in clocks))
        times = [[float(each) for each in clock.read_text().split()] for clock in clocks]
        waits = [after[0] - before[1] for before, after in pairwise(times)]
        pipeline, seconds = run(stage(*(task(PROGRAM) for _ in range(given["tasks"]))))
        tasks = [each for part in pipeline.stages for each in part.tasks]
        memory = peak_memory(os.getpid())
    plain_rate = bare_rate([PROGRAM], given["bare"])
    values = figures(given["tasks"], seconds, seconds, waits, plain_rate, cores(request))
    metrics = [each for each in values if each["name"] != "submissions_per_second"]  # EnTK submits them itself
    metrics.append(metric("memory_client", memory, "MB", "lower"))
    metrics.append(metric("pilot_start", pilot_start, "s", "lower"))
    states = sorted({each.state for each in tasks})
    return {"tasks": len({each.uid for each in tasks}), "states": states, "metrics": metrics}


if __name__ == "__main__":
    main(throughput, __doc__)
