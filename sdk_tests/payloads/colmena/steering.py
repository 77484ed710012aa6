"""Colmena on Parsl: a search whose tasks run in Parsl's workers, steered by its results; one of its tasks raises."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from _payload import main  # noqa: E402


def steering(request):
    sys.path.append(str(HERE.parent / "parsl"))
    from _colmena import search
    from _parsl import configured, wait_for_blocks_end
    from colmena.models.methods import PythonMethod
    from colmena.task_server import ParslTaskServer

    target = int(request["params"].get("target", 6))

    def distance(number):
        import os
        import platform

        if number < 0:
            raise ArithmeticError(f"{number} is less than nothing")
        nodes, jobs = ("SLURMD_NODENAME", "EMULATED_NODENAME"), ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID")
        return {
            "distance": (number - target) ** 2,
            "pid": os.getpid(),
            "node": next((os.environ[name] for name in nodes if name in os.environ), None) or platform.node(),
            "job_id": next((os.environ[name] for name in jobs if name in os.environ), None),
        }

    kind, config = configured(request, workers=2)
    method = PythonMethod(distance, name="distance")
    jobs = set()
    try:
        results = search(request, lambda queues: ParslTaskServer([method], queues, config))
        jobs = {each["job_id"] for each in results if each.get("job_id")}
    finally:
        wait_for_blocks_end(kind, sorted(jobs) if kind != "local" else [])
    return {"results": results, "thinker": os.getpid()}


if __name__ == "__main__":
    main(steering, __doc__)
