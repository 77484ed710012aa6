"""Dask under PSI/J: two workers, each in a job that PSI/J submits, and a task that raises."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from _payload import main  # noqa: E402


def workers(request):
    sys.path.append(str(HERE.parent / "psij"))
    from _dask import WORKER, computed, listening
    from _psij import Session, comparable_id
    from distributed import Client, LocalCluster

    scheduler, count = request["scheduler"], int(request["params"].get("workers", 2))
    with LocalCluster(n_workers=0, **listening(scheduler)) as cluster, Session(request) as session:
        program = ["-m", "distributed.cli.dask_worker", cluster.scheduler_address, *WORKER]
        options = ["--nthreads=1", "--memory-limit=0", "--local-directory", str(Path("dask-space").absolute())]
        jobs = [
            session.submit(sys.executable, [*program, *options], stdout_path=Path(f"worker-{number}.out").absolute())
            for number in range(count)
        ]
        with Client(cluster) as client:
            answer = computed(client, request, count)
            client.shutdown()  # the workers end, and so do their jobs
        ends = [session.wait(job).state.name for job in jobs]
    for task in answer["tasks"]:
        task["job_id"] = comparable_id(scheduler, task["job_id"])
    return {**answer, "jobs": [comparable_id(scheduler, str(job.native_id)) for job in jobs], "ends": ends}


if __name__ == "__main__":
    main(workers, __doc__)
