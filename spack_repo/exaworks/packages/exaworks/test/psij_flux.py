"""Inside a Flux instance, submit a job to it through PSI/J: flux start python psij_flux.py."""

import os
from datetime import timedelta
from pathlib import Path

here = Path.cwd()
os.environ["HOME"] = str(here)

from psij import Job, JobExecutor, JobSpec, JobState, ResourceSpecV1  # after HOME is set

# A job that Flux starts has its id in the environment.
spec = JobSpec(
    executable="/bin/sh",
    arguments=["-c", f'echo "${{FLUX_JOB_ID:-none}}" > {here}/id'],
    resources=ResourceSpecV1(process_count=1, cpu_cores_per_process=1),
)
job = Job(spec)
JobExecutor.get_instance("flux").submit(job)
status = job.wait(timeout=timedelta(seconds=120))
assert status is not None and status.state == JobState.COMPLETED, status
assert (here / "id").read_text().strip() != "none", "the job did not run under Flux"
