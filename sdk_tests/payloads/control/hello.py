"""The control case: reports where it runs. It uses no component; if it fails, the site is broken and not the SDK."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main, node

JOB_VARIABLES = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "COBALT_JOBID", "FLUX_JOB_ID")


def hello(request):
    job = next((os.environ[name] for name in JOB_VARIABLES if name in os.environ), None)
    return {"greeting": "Hello World!", "node": node(), "pid": os.getpid(), "job_id": job}


if __name__ == "__main__":
    main(hello, __doc__)
