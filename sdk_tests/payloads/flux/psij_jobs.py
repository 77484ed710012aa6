"""Flux under PSI/J: the executor for Flux runs jobs in an instance, reports how they end, and cancels one."""

import sys
import time
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def psij_jobs(request):
    from _bindings import bindings
    from _instance import flux, instance, seconds_left

    count = int(request["params"].get("jobs", 8))
    folder = Path.cwd()
    bindings()  # PSI/J looks for the modules of its executors only once, when it is imported
    with instance(request):
        from psij import Job, JobAttributes, JobExecutor, JobSpec, JobState, ResourceSpecV1

        executor, submitted = JobExecutor.get_instance("flux"), []

        def submit(script, output=None):
            resources = ResourceSpecV1(process_count=1, cpu_cores_per_process=1, exclusive_node_use=False)
            spec = JobSpec("/bin/sh", ["-c", script], resources=resources, stdout_path=output)
            spec.attributes = JobAttributes(duration=timedelta(minutes=5))
            submitted.append(job := Job(spec))
            executor.submit(job)
            return job

        def wait(job, state=None):
            status = job.wait(timedelta(seconds=seconds_left()), target_states=[state] if state else None)
            known = flux("jobs", "-n", "-o", "{status}", job.native_id) if state is None else None
            return {"state": status.state.name, "exit_code": status.exit_code, "flux_status": known}

        try:
            jobs = [submit(f"echo $(({n} * {n}))", folder / f"{n}.out") for n in range(count)]
            failing, lasting = submit("exit 7"), submit("sleep 600")
            ends = [wait(job) for job in jobs]
            before = wait(lasting, JobState.ACTIVE)["state"]
            lasting.cancel()
            answer = {"ends": ends, "failing": wait(failing), "before": before, "cancelled": wait(lasting)}
        finally:
            cancel(submitted)
    squares = [int(Path(f"{number}.out").read_text(encoding="utf-8")) for number in range(count)]
    return {**answer, "ids": [str(job.native_id) for job in jobs], "squares": squares}


def cancel(submitted, seconds=1.0):
    """Cancel what has not ended. Jobs of PSI/J have no working directory in Flux by which they could be found later.

    A job gets its id a moment after its submission.
    """
    from _instance import flux

    end = time.monotonic() + seconds
    while any(job.native_id is None for job in submitted) and time.monotonic() < end:
        time.sleep(0.05)
    remaining = [str(job.native_id) for job in submitted if job.native_id and not job.status.final]
    if remaining:
        flux("cancel", *remaining, check=False)


if __name__ == "__main__":
    main(psij_jobs, __doc__)
