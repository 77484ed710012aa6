"""PSI/J: a second executor that knows only the native id follows a job to its end."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def attach(request):
    from _psij import Session, one_id, told, until
    from psij import Job, JobState

    code = int(request["params"].get("code", 0))
    script = f"echo up > up.txt; until [ -e go.txt ]; do sleep 0.1; done; echo done > done.txt; exit {code}"
    # The first executor polls so seldom that only the second one can learn how the job ended.
    with Session(request, poll=3600) as first, Session(request) as second:
        submitted = first.shell(script)
        until(Path("up.txt"), first.left())
        follower = Job()
        # psij 0.9.11 refuses an id of Flux in the form in which it tells it itself
        second.executor.attach(follower, one_id(request["scheduler"], str(submitted.native_id)))
        before = second.settle(follower, JobState.ACTIVE).state.name
        Path("go.txt").touch()
        second.settle(follower)
        first.jobs.clear()  # it has ended: some schedulers call it a failure to cancel such a job
        result = until(Path("done.txt")).read_text(encoding="utf-8").strip()
        return {**told(follower), "native_id": str(submitted.native_id), "before": before, "file": result}


if __name__ == "__main__":
    main(attach, __doc__)
