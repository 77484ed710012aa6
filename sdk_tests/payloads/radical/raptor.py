"""RAPTOR, with a master and a worker, calls Python functions in a RADICAL pilot; one of them raises an exception."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from _payload import main  # noqa: E402
from _radical import pilot  # noqa: E402


def square(number):
    import os  # the worker receives only this function, not the module

    return {"square": number**2, "pid": os.getpid(), "parent": os.getppid()}


def fails(number):
    raise ArithmeticError(f"{number} by nothing")


def calls(request):
    count = int(request["params"].get("calls", 20))
    with pilot(request) as active:
        rp = active.rp
        (master,) = active.handle.submit_raptors([rp.TaskDescription({"mode": rp.RAPTOR_MASTER})])
        (worker,) = master.submit_workers([rp.TaskDescription({"mode": rp.RAPTOR_WORKER, "cores_per_rank": 2})])
        functions = [rp.pythontask(square)(number) for number in range(count)] + [rp.pythontask(fails)(84)]
        tasks = master.submit_tasks(
            [rp.TaskDescription({"mode": rp.TASK_FUNCTION, "function": function}) for function in functions]
        )
        active.tasks.wait_tasks([task.uid for task in tasks])
        master.rpc("stop")
        active.tasks.wait_tasks([master.uid], timeout=30)
        return {
            "submitter": os.getpid(),
            "master": master.state,
            "worker": worker.state,
            "calls": [
                {"state": task.state, "value": task.return_value, "exception": str(task.exception)} for task in tasks
            ],
        }


if __name__ == "__main__":
    main(calls, __doc__)
