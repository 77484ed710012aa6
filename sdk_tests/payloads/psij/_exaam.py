"""The program of a job of the pipeline: ``_exaam.py OUTPUT NAME INPUT...`` writes a digest of its name and inputs.

With ``--break FILE`` before the inputs, it exits with 3 unless the file exists, and creates the file.
"""

import hashlib
import json
import os
import platform
import sys
import time
from pathlib import Path

began = time.time()
output, name, *inputs = sys.argv[1:]
if inputs[:1] == ["--break"]:
    marker = Path(inputs[1])
    inputs = inputs[2:]
    if not marker.exists():
        marker.touch()
        sys.exit(3)
read = [json.loads(Path(each).read_text(encoding="utf-8"))["digest"] for each in inputs]
nodes = ("SLURMD_NODENAME", "EMULATED_NODENAME")
jobs = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID")
result = {
    "digest": hashlib.sha256("".join([name, *read]).encode()).hexdigest(),
    "inputs": [Path(each).stem for each in inputs],
    "node": next((os.environ[each] for each in nodes if each in os.environ), None) or platform.node(),
    "job_id": next((os.environ[each] for each in jobs if each in os.environ), None),
    "began": began,
    "ended": time.time(),
}
unfinished = Path(output + ".part")
unfinished.write_text(json.dumps(result), encoding="utf-8")
unfinished.rename(output)
