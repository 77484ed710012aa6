"""PSI/J: a job that runs is cancelled, is told CANCELED, and really stops working."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main

STEPS = "while :; do echo step >> steps.txt; sleep 0.1; done"


def cancel_running(request):
    from _psij import Session, told, until
    from psij import JobState

    steps = Path("steps.txt")
    heard = []
    with Session(request) as session:
        session.executor.set_job_status_callback(lambda _, status: heard.append([status.state.name, status.exit_code]))
        job = session.shell(STEPS)
        before = session.settle(job, JobState.ACTIVE).state.name
        until(steps)
        job.cancel()
        status = session.settle(job)
        stopped = stands_still(steps)
    answer = {"before": before, "stopped": stopped, "steps": steps.stat().st_size // len("step\n")}
    return {**told(job, status), **answer, "heard": heard}


def stands_still(path, quiet=1.0, seconds=40.0):
    """Tell whether the file stops growing: the scheduler may take a while between its word and the kill."""
    end, size, since = time.monotonic() + seconds, -1, time.monotonic()
    while time.monotonic() < end:
        if path.stat().st_size != size:
            size, since = path.stat().st_size, time.monotonic()
        elif time.monotonic() - since > quiet:
            return True
        time.sleep(0.1)
    return False


if __name__ == "__main__":
    main(cancel_running, __doc__)
