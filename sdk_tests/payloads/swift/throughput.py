"""Swift/T: many short tasks, app functions that run the program `true`, timed beside a bare loop over the same program.

Latency is the time from the end of a leaf function to the beginning of the one that waits for it. Memory is that of the
rank that serves the others, and the most of a rank that works.
"""

import sys
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _figures import bare, figures, metric
from _payload import main

PROGRAM = "/bin/true"


def throughput(request):
    from _swift import HERE, answers, launching, named, program, swift

    given = {"tasks": 1000, "probes": 200, **request["params"]}
    procs = 1 + int(request.get("cores") or 1)
    env = {**launching(request, procs), "TURBINE_INTERPOSER": f"{sys.executable} {HERE / '_rank.py'}"}
    arguments = named(count=given["tasks"], probes=given["probes"], command=PROGRAM)
    done = swift(request, program("throughput.swift"), *arguments, procs=procs, env=env)
    if done.returncode:
        sys.exit(f"swift-t ended with {done.returncode}")
    said = answers(done.stdout)
    times = [tuple(map(float, line.split())) for line in Path("probes").read_text(encoding="utf-8").splitlines()]
    waits = [later[0] - earlier[1] for earlier, later in pairwise(times)]
    plain = bare([PROGRAM], min(given["tasks"], 1000))
    found = figures(given["tasks"], float(said["took"]), float(said["took"]), waits, plain, procs - 1)
    metrics = [each for each in found if each["name"] != "submissions_per_second"]  # its tasks are its own
    memory = [float(Path(f"memory.{rank}").read_text(encoding="utf-8")) for rank in range(procs)]
    metrics += [
        metric("memory_server", memory[-1], "MB", "lower"),
        metric("memory_worker", max(memory[:-1]), "MB", "lower"),
    ]
    return {"tasks": int(said["tasks"]), "probes": len(times), "workers": procs - 1, "metrics": metrics}


if __name__ == "__main__":
    main(throughput, __doc__)
