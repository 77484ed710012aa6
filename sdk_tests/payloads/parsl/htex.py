"""Parsl: blocks of the HighThroughputExecutor, each its own batch job or local pool, all working at the same time."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main

WORKERS = 2
"""Workers of each block."""


def htex(request):
    import parsl
    from _parsl import loaded, seconds_left

    @parsl.python_app
    def meet(folder, number, count, seconds):
        """Wait for ``count`` tasks, which need all workers of all blocks; return where this one runs."""
        import os
        import platform
        import time
        from pathlib import Path

        Path(folder, str(number)).touch()
        end = time.monotonic() + seconds
        while (arrived := len(list(Path(folder).iterdir()))) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"{arrived} of {count} tasks arrived within {seconds:.0f} s")
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
    folder = Path("arrived").absolute()
    folder.mkdir()
    with loaded(request, blocks=blocks, workers=WORKERS) as executor:
        count = blocks * WORKERS
        futures = [meet(str(folder), number, count, seconds_left(request) - 5) for number in range(count)]
        tasks = [future.result(timeout=seconds_left(request)) for future in futures]
        jobs = {block: str(job) for block, job in executor.blocks_to_job_id.items()}
    return {"tasks": tasks, "jobs": jobs}


if __name__ == "__main__":
    main(htex, __doc__)
