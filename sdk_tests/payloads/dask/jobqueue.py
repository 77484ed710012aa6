"""Dask: two workers in jobs of their own, which dask-jobqueue submits, and a task that raises."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def jobqueue(request):
    from _dask import cluster, computed, jobs
    from distributed import Client

    workers = int(request["params"].get("workers", 2))
    with cluster(request["scheduler"]) as made, Client(made) as client:
        made.scale(jobs=workers)
        answer = computed(client, request, workers)
        return {**answer, "jobs": jobs(made)}


if __name__ == "__main__":
    main(jobqueue, __doc__)
