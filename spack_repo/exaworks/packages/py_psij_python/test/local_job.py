"""Run a job and a failing job through PSI/J's local executor: python local_job.py VERSION."""

import os
import sys
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

here = Path.cwd()
os.environ["HOME"] = str(here)

from psij import Job, JobExecutor, JobSpec, JobState  # after HOME is set

assert version("psij-python") == sys.argv[1], version("psij-python")


def run(command):
    spec = JobSpec(
        executable="/bin/sh", arguments=["-c", command], stdout_path=here / "out", directory=here
    )
    job = Job(spec)
    JobExecutor.get_instance("local").submit(job)
    status = job.wait(timeout=timedelta(seconds=60))
    assert status is not None, "the job did not end within a minute"
    return status


status = run("echo from-a-job")
assert status.state == JobState.COMPLETED, status
assert (here / "out").read_text() == "from-a-job\n"
status = run("exit 3")
assert (status.state, status.exit_code) == (JobState.FAILED, 3), status
