"""Shared by the Dask payloads: Dask's scheduler in this process, and workers in jobs of the site's scheduler.

By hand: ``dask scheduler --scheduler-file s.json`` and ``dask worker --scheduler-file s.json``.
"""

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import dask

LOOPBACK = {"host": "127.0.0.1", "dashboard_address": None}
"""Where Dask's scheduler listens if all workers are on this machine. It has no web pages."""
WORKER = ("--no-nanny", "--no-dashboard")
"""Options of a worker: it is one process, which is not started again if it ends."""
STARTED = time.monotonic()

SPACE = str(Path("dask-space").absolute())
dask.config.set({"distributed.scheduler.allowed-failures": 1, "temporary-directory": SPACE})


def seconds_left(request):
    """Return the seconds until this payload's time limit."""
    limit = request.get("limit") or request.get("walltime") or 120
    return max(1.0, STARTED + 0.9 * limit - time.monotonic())


def listening(scheduler):
    """Return the options of Dask's scheduler: where it listens."""
    here = scheduler["kind"] == "local" or scheduler.get("loopback")
    return LOOPBACK if here else {"dashboard_address": None}


def computed(client, request, workers):
    """Return the squares that so many workers compute, each with its place, and why a task that raises has failed."""

    def square(number):  # a function in a function, because the workers cannot import this module
        import os
        import platform
        import time

        nodes = ("SLURMD_NODENAME", "EMULATED_NODENAME")
        jobs = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID")
        time.sleep(0.5)
        return {
            "square": number * number,
            "pid": os.getpid(),
            "node": next((os.environ[name] for name in nodes if name in os.environ), None) or platform.node(),
            "job_id": next((os.environ[name] for name in jobs if name in os.environ), None),
        }

    left = seconds_left(request)
    client.wait_for_workers(workers, timeout=left)
    futures = client.map(square, range(4 * workers))
    fails = client.submit(lambda number: number // 0, 84)
    return {"tasks": [each.result(timeout=left) for each in futures], "raised": repr(fails.exception(timeout=left))}


@contextlib.contextmanager
def cluster(scheduler):
    """Yield dask-jobqueue's cluster for this scheduler; each worker will be a job of one core.

    Afterwards none of its jobs remains in the queue.
    """
    import dask_jobqueue
    from dask_jobqueue.local import LocalCluster

    kind, directives = scheduler["kind"], list(scheduler.get("directives") or ())
    size = {"cores": 1, "memory": "1GB", "processes": 1, "python": sys.executable}
    folders = {"log_directory": str(Path("dask-logs").absolute()), "local_directory": SPACE}
    common = {**size, **folders, "worker_extra_args": list(WORKER[1:]), "scheduler_options": listening(scheduler)}
    site = {"queue": scheduler.get("queue"), "account": scheduler.get("account"), "walltime": "00:10:00", **common}
    if kind == "local":
        made = LocalCluster(**common)
    elif kind == "slurm":  # without a memory request, because a node's memory may not be configured
        directives += ["--exclusive"] * bool(scheduler.get("exclusive"))
        made = dask_jobqueue.SLURMCluster(job_directives_skip=["--mem"], job_extra_directives=directives, **site)
    else:
        made = dask_jobqueue.PBSCluster(resource_spec="select=1:ncpus=1", job_extra_directives=directives, **site)
    ids = []
    try:
        with made:
            yield made
            ids = jobs(made)
    finally:
        end = time.monotonic() + 30
        while ids and subprocess.run(LISTING[kind](ids), capture_output=True).stdout.split() and time.monotonic() < end:
            time.sleep(0.1)


def jobs(cluster):
    """Return the ids of the jobs that a cluster has submitted."""
    return [str(worker.job_id) for worker in cluster.workers.values()]


LISTING = {
    "local": lambda ids: ["ps", "-o", "pid=", "-p", ",".join(ids)],
    "slurm": lambda ids: ["squeue", "--noheader", "--states=PD,R,CG", f"--jobs={','.join(ids)}"],
    "pbs": lambda ids: ["qstat", *ids],
}
"""For each scheduler, the native command that lists those of the given jobs that have not ended."""
