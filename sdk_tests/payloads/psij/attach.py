"""PSI/J: a second executor that knows only the native id follows a job to its end."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def attach(request):
    from _psij import Session, comparable_id, status_of, wait_for_file
    from psij import Job, JobState

    code = int(request["params"].get("code", 0))
    script = f"echo up > up.txt; until [ -e go.txt ]; do sleep 0.1; done; echo done > done.txt; exit {code}"
    # The first executor polls so rarely that only the second one can detect the end of the job.
    with Session(request, poll=3600) as first, Session(request) as second:
        submitted = first.shell(script)
        wait_for_file(Path("up.txt"), first.seconds_left())
        follower = Job()
        # psij 0.9.11 refuses an id of Flux in the form in which it reports it
        second.executor.attach(follower, comparable_id(request["scheduler"], str(submitted.native_id)))
        before = second.wait(follower, JobState.ACTIVE).state.name
        Path("go.txt").touch()
        second.wait(follower)
        first.jobs.clear()  # it has ended; with some schedulers, cancelling an ended job is an error
        result = wait_for_file(Path("done.txt")).read_text(encoding="utf-8").strip()
        return {**status_of(follower), "native_id": str(submitted.native_id), "before": before, "file": result}


if __name__ == "__main__":
    main(attach, __doc__)
