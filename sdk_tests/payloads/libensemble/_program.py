"""The simulation of the ensembles: ``_program.py NUMBER`` prints its square and where it ran.

For a negative number it exits with 3.
"""

import json
import os
import platform
import sys

number = int(float(sys.argv[1]))
if number < 0:
    print(f"no root of {number}", file=sys.stderr)
    sys.exit(3)
nodes, jobs = ("SLURMD_NODENAME", "EMULATED_NODENAME"), ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID")
place = {
    "node": next((os.environ[name] for name in nodes if name in os.environ), None) or platform.node(),
    "job_id": next((os.environ[name] for name in jobs if name in os.environ), None),
}
print(json.dumps({"square": number**2, "pid": os.getpid(), **place}))
