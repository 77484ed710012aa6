"""PSI/J: many jobs at once, each with its own result; one callback receives every state change."""

import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def bulk(request):
    from _psij import Session, status_of

    count = int(request["params"].get("count", 50))
    failing = int(request["params"].get("failing_every", 10))
    states, lock = {}, threading.Lock()

    def record_state(job, status):
        with lock:
            states.setdefault(job.id, []).append(status.state.name)

    with Session(request) as session:
        session.executor.set_job_status_callback(record_state)
        jobs = []
        for number in range(count):
            code = 3 if number % failing == failing - 1 else 0
            command = f"echo $(({number} * {number})); exit {code}"
            jobs.append(session.shell(command, stdout_path=Path(f"{number}.out").absolute()))
        for job in jobs:
            session.wait(job)
    squares = [int(Path(f"{number}.out").read_text(encoding="utf-8")) for number in range(count)]
    with lock:
        rows = [{**status_of(job), "states": states[job.id], "square": squares[n]} for n, job in enumerate(jobs)]
    return {"jobs": rows}


if __name__ == "__main__":
    main(bulk, __doc__)
