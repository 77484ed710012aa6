"""PSI/J: a running job is cancelled, is reported as CANCELED, and really stops working."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main

STEPS = "while :; do echo step >> steps.txt; sleep 0.1; done"


def cancel_running(request):
    from _psij import Session, status_of, wait_for_file
    from psij import JobState

    steps = Path("steps.txt")
    changes = []
    with Session(request) as session:
        session.executor.set_job_status_callback(
            lambda _, status: changes.append([status.state.name, status.exit_code])
        )
        job = session.shell(STEPS)
        before = session.wait(job, JobState.ACTIVE).state.name
        wait_for_file(steps)
        job.cancel()
        status = session.wait(job)
        stopped = stops_growing(steps)
    answer = {"before": before, "stopped": stopped, "steps": steps.stat().st_size // len("step\n")}
    return {**status_of(job, status), **answer, "status_changes": changes}


def stops_growing(path, quiet=1.0, seconds=40.0):
    """Return whether the file stops growing; the scheduler may kill a job some time after it reports its end."""
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
