"""PSI/J: a job that waits in the queue is cancelled there and never runs."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main

KINDS = {
    "slurm": ({"slurm.begin": "now+1hour"}, ["squeue", "--noheader", "--states=all", "--format=%T", "--jobs"]),
}
"""How a job is made to wait, and the native command that tells the state of one."""


def cancel_queued(request):
    from _psij import Session, told
    from psij import JobState

    custom, query = KINDS[request["scheduler"]["kind"]]

    def native(job):
        return subprocess.run([*query, job.native_id], capture_output=True, text=True, check=True).stdout.strip()

    with Session(request) as session:
        job = session.shell("echo ran > ran.txt", custom=custom)
        before = session.settle(job, JobState.QUEUED).state.name
        native_before = native(job)
        job.cancel()
        session.settle(job)
    answer = {"before": before, "native_before": native_before, "native_after": native(job)}
    return {**told(job), **answer, "ran": Path("ran.txt").exists()}


if __name__ == "__main__":
    main(cancel_queued, __doc__)
