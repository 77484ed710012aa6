"""PSI/J: the rate of many short jobs, a limited number at once, compared with the same program without PSI/J.

Each job runs the program `true`. The latency is measured with single jobs, from the call to the time that the job
prints. Without PSI/J, a plain loop runs the program, or the scheduler's own command submits as many jobs at once.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _figures import bare_rate, figures, metric, peak_memory
from _payload import main

PROGRAM = "/bin/true"


def throughput(request):
    from _psij import Session, wait_for_file

    given = {"tasks": 1000, "probes": 100, "at_once": 16, "bare": 200, **request["params"]}
    kind, states, waits = request["scheduler"]["kind"], [], []
    room, done = threading.Semaphore(given["at_once"]), threading.Event()

    def count_end(job, status):
        if status.final:
            states.append(status.state.name)
            room.release()
            if len(states) == given["tasks"]:
                done.set()

    with Session(request) as session:
        for number in range(given["probes"]):
            out, submitted_at = Path(f"probe{number}.out").absolute(), time.time()
            session.wait(session.submit("/bin/date", ["+%s.%N"], stdout_path=out))
            waits.append(float(wait_for_file(out).read_text()) - submitted_at)
        session.jobs.clear()
        session.executor.set_job_status_callback(count_end)
        began = time.monotonic()
        for _ in range(given["tasks"]):
            if not room.acquire(timeout=session.seconds_left()):
                raise TimeoutError(f"{len(states)} of {given['tasks']} jobs ended in time")
            session.submit(PROGRAM, [])
        submit_seconds = time.monotonic() - began
        if not done.wait(session.seconds_left()):
            raise TimeoutError(f"{len(states)} of {given['tasks']} jobs ended in time")
        seconds = time.monotonic() - began
        session.jobs.clear()  # all jobs have ended, so there is nothing to cancel
    plain_rate = bare_rate([PROGRAM], given["bare"]) if kind == "local" else NATIVE[kind](request["scheduler"], given)
    metrics = figures(given["tasks"], seconds, submit_seconds, waits, plain_rate)
    metrics.append(metric("memory_client", peak_memory(os.getpid()), "MB", "lower"))
    return {"tasks": len(states), "states": sorted(set(states)), "metrics": metrics}


def slurm(scheduler, given):
    """Return the jobs per second that sbatch and squeue alone reach."""
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
