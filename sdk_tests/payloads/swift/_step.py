"""A program as apps of a workflow call it: ``_step.py NAME ARGUMENT...``, which prints what it did as JSON.

The name ``fail`` makes it exit with 3. Arguments that are files are read, and what is in them is what it says it saw.
"""

import json
import os
import platform
import sys
import time
from pathlib import Path

began = time.time()
name, *arguments = sys.argv[1:]
if name == "fail":
    sys.exit(3)
saw = [json.loads(Path(each).read_text(encoding="utf-8"))["name"] for each in arguments if each.endswith(".json")]
values = [int(each) for each in arguments if not each.endswith(".json")]
met = Path("met")
if name == "member":
    name += f"-{values[0]}"
    if met.is_dir():  # then it waits for all others, which takes as many workers, and at last gives up
        (met / name).touch()
        end = time.monotonic() + 30
        while len(list(met.iterdir())) < values[1] and time.monotonic() < end:
            time.sleep(0.02)
# Nodes of a testbed share one host name; of two brokers of Flux, each has a socket of its own.
places = ("SLURMD_NODENAME", "EMULATED_NODENAME", "FLUX_URI")
jobs = ("SLURM_JOB_ID", "PBS_JOBID")
place = {
    "node": next((os.environ[each] for each in places if each in os.environ), None) or platform.node(),
    "job_id": next((os.environ[each] for each in jobs if each in os.environ), None),
    "flux_job": os.environ.get("FLUX_JOB_ID"),
    "pid": os.getpid(),
}
print(json.dumps({"name": name, "saw": saw, "values": values, **place, "began": began, "ended": time.time()}))
