"""Swift/T: the rate of many short tasks that run the program `true`, compared with a plain loop over the same program.

The latency is the time from the end of a leaf function to the beginning of the next one, which depends on it. The
memory is that of the server rank, and the largest of the worker ranks.
"""

import sys
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _figures import bare_rate, figures, metric
from _payload import main

PROGRAM = "/bin/true"


def throughput(request):
    from _swift import HERE, answers, launcher_variables, named, program, swift

    given = {"tasks": 1000, "probes": 200, **request["params"]}
    procs = 1 + int(request.get("cores") or 1)
    env = {**launcher_variables(request, procs), "TURBINE_INTERPOSER": f"{sys.executable} {HERE / '_rank.py'}"}
    arguments = named(count=given["tasks"], probes=given["probes"], command=PROGRAM)
    done = swift(request, program("throughput.swift"), *arguments, procs=procs, env=env)
    if done.returncode:
        sys.exit(f"swift-t ended with {done.returncode}")
    printed = answers(done.stdout)
    times = [tuple(map(float, line.split())) for line in Path("probes").read_text(encoding="utf-8").splitlines()]
    waits = [later[0] - earlier[1] for earlier, later in pairwise(times)]
    plain_rate = bare_rate([PROGRAM], min(given["tasks"], 1000))
    seconds = float(printed["seconds"])
    values = figures(given["tasks"], seconds, seconds, waits, plain_rate, procs - 1)
    metrics = [
        each for each in values if each["name"] != "submissions_per_second"
    ]  # the program creates its tasks itself
    memory = [float(Path(f"memory.{rank}").read_text(encoding="utf-8")) for rank in range(procs)]
    metrics += [
        metric("memory_server", memory[-1], "MB", "lower"),
        metric("memory_worker", max(memory[:-1]), "MB", "lower"),
    ]
    return {"tasks": int(printed["tasks"]), "probes": len(times), "workers": procs - 1, "metrics": metrics}


if __name__ == "__main__":
    main(throughput, __doc__)
