"""A task of the pilot: works out a value from its own id and argument, writes it down and says where it ran."""

import hashlib
import json
import os
import platform
import sys
import time
from pathlib import Path

began = time.time()
argument, rounds = sys.argv[1], int(sys.argv[2])
uid = os.environ["RP_TASK_ID"]
# Takes long enough for tasks that were given the same core to be seen to overlap.
value = hashlib.pbkdf2_hmac("sha256", uid.encode(), argument.encode(), rounds).hex()
Path("value.txt").write_text(value)
print(
    json.dumps(
        {
            "uid": uid,
            "argument": argument,
            "value": value,
            "host": platform.node(),
            "node": os.environ.get("SLURMD_NODENAME"),
            "job_id": os.environ.get("SLURM_JOB_ID"),
            "step_cpus": os.environ.get("SLURM_CPUS_PER_TASK"),
            "began": began,
            "ended": time.time(),
        }
    )
)
