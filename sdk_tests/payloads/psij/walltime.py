"""PSI/J: the scheduler ends a job that exceeds its duration, and PSI/J reports it as FAILED."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def walltime(request):
    from _psij import Session, status_of, wait_for_file
    from psij import JobState

    duration = request["params"].get("duration", 60)
    with Session(request) as session:
        job = session.shell(f"echo go > go.txt; sleep {duration + 600} && echo end > end.txt", duration=duration)
        session.wait(job, JobState.ACTIVE)
        wait_for_file(Path("go.txt"))
        began = time.monotonic()
        session.wait(job)
    return {**status_of(job), "lasted": round(time.monotonic() - began, 1), "ended_by_itself": Path("end.txt").exists()}


if __name__ == "__main__":
    main(walltime, __doc__)
