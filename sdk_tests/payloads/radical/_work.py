"""A task of the pilot: computes a value from its id and its argument, writes it to a file, and reports where it ran."""

import hashlib
import json
import os
import platform
import sys
import time
from pathlib import Path


def ancestors():
    """Return the names of the ancestors of this process."""
    pid, names = os.getppid(), []
    while pid > 1:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
        names.append(name)
        pid = int(rest.split()[1])
    return names


JOB = ("SLURM_JOB_ID", "PBS_JOBID")
began = time.time()
argument, rounds = sys.argv[1], int(sys.argv[2])
uid = os.environ["RP_TASK_ID"]
# This takes long enough that two tasks on the same core would overlap.
value = hashlib.pbkdf2_hmac("sha256", uid.encode(), argument.encode(), rounds).hex()
Path("value.txt").write_text(value)
print(
    json.dumps(
        {
            "uid": uid,
            "argument": argument,
            "value": value,
            "host": platform.node(),
            "node": os.environ.get("SLURMD_NODENAME") or os.environ.get("EMULATED_NODENAME"),
            "job_id": next((os.environ[name] for name in JOB if name in os.environ), None),
            "ancestors": ancestors(),
            "step_cpus": os.environ.get("SLURM_CPUS_PER_TASK"),
            "began": began,
            "ended": time.time(),
        }
    )
)
