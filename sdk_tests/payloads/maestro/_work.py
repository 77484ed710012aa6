"""The program of a step: ``_work.py NUMBER`` prints its square, ``_work.py FILE...`` the sum of the files' values.

It prints JSON with the value, its node, its batch job and its start and end times. For the number 13 it exits with 3.
"""

import json
import os
import platform
import sys
import time
from pathlib import Path

began = time.time()
first, *rest = sys.argv[1:]
if first == "13":
    sys.exit(3)
if first.isdigit():
    value = int(first) ** 2
else:
    value = sum(json.loads(Path(name).read_text(encoding="utf-8"))["value"] for name in (first, *rest))
node = os.environ.get("SLURMD_NODENAME") or os.environ.get("EMULATED_NODENAME") or platform.node()
jobs = ("SLURM_JOB_ID", "LSB_JOBID", "FLUX_ENCLOSING_ID")  # in Flux a step is an instance of its own
job = next((os.environ[name] for name in jobs if name in os.environ), None)
print(json.dumps({"value": value, "node": node, "job_id": job, "began": began, "ended": time.time()}))
