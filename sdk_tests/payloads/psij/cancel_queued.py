"""PSI/J: a job that waits in the queue is cancelled there and never runs."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main

KINDS = {
    "slurm": ({"slurm.begin": "now+1hour"}, ["squeue", "--noheader", "--states=all", "--format=%T", "--jobs"]),
}
"""For each scheduler: the attribute that keeps a job in the queue, and the native command that prints its state."""


def cancel_queued(request):
    from _psij import Session, status_of
    from psij import JobState

    custom, query = KINDS[request["scheduler"]["kind"]]

    def native_state(job):
        return subprocess.run([*query, job.native_id], capture_output=True, text=True, check=True).stdout.strip()

    with Session(request) as session:
        job = session.shell("echo ran > ran.txt", custom=custom)
        before = session.wait(job, JobState.QUEUED).state.name
        native_before = native_state(job)
        job.cancel()
        session.wait(job)
    answer = {"before": before, "native_before": native_before, "native_after": native_state(job)}
    return {**status_of(job), **answer, "ran": Path("ran.txt").exists()}


if __name__ == "__main__":
    main(cancel_queued, __doc__)
