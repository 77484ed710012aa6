"""PSI/J: a second executor that knows only the native id follows a job to its end."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def attach(request):
    from _psij import Session, told, until
    from psij import Job, JobState

    code = int(request["params"].get("code", 0))
    script = f"echo up > up.txt; until [ -e go.txt ]; do sleep 0.1; done; echo done > done.txt; exit {code}"
    # The first executor polls so seldom that only the second one can learn how the job ended.
    with Session(request, poll=3600) as first, Session(request) as second:
        submitted = first.submit("/bin/sh", ["-c", script])
        until(Path("up.txt"), first.left())
        follower = Job()
        second.executor.attach(follower, str(submitted.native_id))
        before = second.settle(follower, JobState.ACTIVE).state.name
        Path("go.txt").touch()
        second.settle(follower)
        first.jobs.clear()  # it has ended: some schedulers call it a failure to cancel such a job
        result = until(Path("done.txt")).read_text(encoding="utf-8").strip()
        return {**told(follower), "native_id": str(submitted.native_id), "before": before, "file": result}


if __name__ == "__main__":
    main(attach, __doc__)
