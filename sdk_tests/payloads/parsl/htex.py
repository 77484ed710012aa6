"""Parsl: blocks of the HighThroughputExecutor, each its own batch job (or local pool), all at work at the same time."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main

WORKERS = 2
"""Workers a block has."""


def htex(request):
    import parsl
    from _parsl import left, loaded

    @parsl.python_app
    def meet(folder, number, count, seconds):
        """Wait until ``count`` tasks are here, which needs every worker of every block, and say where this one is."""
        import os
        import platform
        import time
        from pathlib import Path

        Path(folder, str(number)).touch()
        end = time.monotonic() + seconds
        while (here := len(list(Path(folder).iterdir()))) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"{here} of {count} tasks met in {seconds:.0f} s")
            time.sleep(0.05)
        names = ("SLURMD_NODENAME", "EMULATED_NODENAME")
        node = next((os.environ[name] for name in names if name in os.environ), None) or platform.node()
        job = next(
            (os.environ[name] for name in ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID") if name in os.environ), None
        )
        where = {"node": node, "pid": os.getpid()}
        where["block"], where["manager"] = os.environ["PARSL_WORKER_BLOCK_ID"], os.environ["PARSL_WORKER_POOL_ID"]
        return {**where, "job_id": job, "square": number * number}

    blocks = int(request["params"].get("blocks", 1))
    folder = Path("met").absolute()
    folder.mkdir()
    with loaded(request, blocks=blocks, workers=WORKERS) as executor:
        count = blocks * WORKERS
        futures = [meet(str(folder), number, count, left(request) - 5) for number in range(count)]
        tasks = [future.result(timeout=left(request)) for future in futures]
        jobs = {block: str(job) for block, job in executor.blocks_to_job_id.items()}
    return {"tasks": tasks, "jobs": jobs}


if __name__ == "__main__":
    main(htex, __doc__)
