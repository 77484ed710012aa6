"""Run a job through SAGA's fork adaptor: python fork_job.py VERSION."""

import os
import sys
from importlib.metadata import version
from pathlib import Path

here = Path.cwd()
os.environ.update(HOME=str(here), RADICAL_BASE=str(here), RADICAL_DEFAULT_IFACE="lo")

import radical.saga as rs  # after HOME is set

assert version("radical.saga") == sys.argv[1], version("radical.saga")

service = rs.job.Service("fork://localhost/")
try:
    description = rs.job.Description()
    description.executable = "/bin/sh"
    description.arguments = ["-c", "'echo from-a-job; exit 4'"]
    description.working_directory = str(here)
    description.output = "out"
    job = service.create_job(description)
    job.run()
    job.wait(timeout=60)
    assert job.exit_code == 4, (job.state, job.exit_code)
    assert (here / "out").read_text().strip() == "from-a-job"
finally:
    service.close()
