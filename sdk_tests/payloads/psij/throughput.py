"""PSI/J: many short jobs, a bounded number at once, timed beside the same program without PSI/J.

Each job runs the program `true`. Latency is that of single jobs, from the call to what the job's own clock says.
Without PSI/J means a bare loop here, or the batch scheduler's own submit command with as many jobs at once.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _figures import bare, figures, metric, peak
from _payload import main

PROGRAM = "/bin/true"


def throughput(request):
    from _psij import Session, until

    given = {"tasks": 1000, "probes": 100, "at_once": 16, "bare": 200, **request["params"]}
    kind, states, waits = request["scheduler"]["kind"], [], []
    room, done = threading.Semaphore(given["at_once"]), threading.Event()

    def hear(job, status):
        if status.final:
            states.append(status.state.name)
            room.release()
            if len(states) == given["tasks"]:
                done.set()

    with Session(request) as session:
        for number in range(given["probes"]):
            out, asked = Path(f"probe{number}.out").absolute(), time.time()
            session.settle(session.submit("/bin/date", ["+%s.%N"], stdout_path=out))
            waits.append(float(until(out).read_text()) - asked)
        session.jobs.clear()
        session.executor.set_job_status_callback(hear)
        began = time.monotonic()
        for _ in range(given["tasks"]):
            if not room.acquire(timeout=session.left()):
                raise TimeoutError(f"{len(states)} of {given['tasks']} jobs ended in time")
            session.submit(PROGRAM, [])
        submitted = time.monotonic() - began
        if not done.wait(session.left()):
            raise TimeoutError(f"{len(states)} of {given['tasks']} jobs ended in time")
        took = time.monotonic() - began
        session.jobs.clear()  # all have ended: there is nothing to cancel
    plain = bare([PROGRAM], given["bare"]) if kind == "local" else NATIVE[kind](request["scheduler"], given)
    metrics = figures(given["tasks"], took, submitted, waits, plain)
    metrics.append(metric("memory_client", peak(os.getpid()), "MB", "lower"))
    return {"tasks": len(states), "states": sorted(set(states)), "metrics": metrics}


def slurm(scheduler, given):
    """Return the jobs a second that sbatch and squeue alone come to."""
    argv = ["sbatch", "--parsable", "--ntasks=1", "--time=5", "--output=/dev/null", "--error=/dev/null"]
    argv += [f"--partition={scheduler['queue']}"] if scheduler.get("queue") else []
    argv += [f"--account={scheduler['account']}"] if scheduler.get("account") else []
    argv += [*(scheduler.get("directives") or ()), "--wrap", PROGRAM]
    ids, began = [], time.monotonic()

    def running():
        listing = ["squeue", "--noheader", "--format=%i", "--states=PD,R,CG", f"--jobs={','.join(ids)}"]
        return len(subprocess.run(listing, capture_output=True, check=True).stdout.split())

    while len(ids) < given["bare"] or running():
        for _ in range(min(given["bare"] - len(ids), given["at_once"] - (running() if ids else 0))):
            ids.append(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip().split(";")[0])
    return given["bare"] / (time.monotonic() - began)


NATIVE = {"slurm": slurm}


if __name__ == "__main__":
    main(throughput, __doc__)
