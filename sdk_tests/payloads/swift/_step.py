"""The program of a workflow's apps: ``_step.py NAME ARGUMENT...`` prints its result as JSON.

With the name ``fail`` it exits with 3. It reads the arguments that are JSON files and reports them as its inputs.
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
inputs = [json.loads(Path(each).read_text(encoding="utf-8"))["name"] for each in arguments if each.endswith(".json")]
values = [int(each) for each in arguments if not each.endswith(".json")]
arrived = Path("arrived")
if name == "member":
    name += f"-{values[0]}"
    if arrived.is_dir():  # then wait for all other members, which needs as many workers, at most 30 s
        (arrived / name).touch()
        end = time.monotonic() + 30
        while len(list(arrived.iterdir())) < values[1] and time.monotonic() < end:
            time.sleep(0.02)
# The nodes of a testbed share one host name, but each broker of Flux has its own socket.
node_variables = ("SLURMD_NODENAME", "EMULATED_NODENAME", "FLUX_URI")
job_variables = ("SLURM_JOB_ID", "PBS_JOBID")
place = {
    "node": next((os.environ[each] for each in node_variables if each in os.environ), None) or platform.node(),
    "job_id": next((os.environ[each] for each in job_variables if each in os.environ), None),
    "flux_job": os.environ.get("FLUX_JOB_ID"),
    "pid": os.getpid(),
}
print(json.dumps({"name": name, "inputs": inputs, "values": values, **place, "began": began, "ended": time.time()}))
