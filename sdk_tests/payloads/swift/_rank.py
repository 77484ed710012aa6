"""Turbine's interposer: ``_rank.py PROGRAM...`` runs one rank and writes its peak memory, in MB, to a file."""

import os
import resource
import subprocess
import sys
from pathlib import Path

code = subprocess.run(
    sys.argv[1:], close_fds=False
).returncode  # the launcher communicates with the rank through an open file
used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
Path(f"memory.{os.environ.get('PMI_RANK', os.getpid())}").write_text(f"{used:.1f}", encoding="utf-8")
sys.exit(code if code >= 0 else 128 - code)
