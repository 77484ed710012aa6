"""A rank of a task: waits until every rank is there, then asks the service about its line of the staged file.

``_rank.py SERVICE INPUT``: the name of the variable with the service's port, and the file.
"""

import json
import os
import socket
import sys
import time
from pathlib import Path

service, source = sys.argv[1:]
# RADICAL knows PALS's mpiexec, and so its ranks, by the folder it lies in; its stand-in lies elsewhere
rank, ranks = int(os.environ.get("RP_RANK") or os.environ["PMI_RANK"]), int(os.environ["RP_RANKS"])
Path(f"here.{rank}").touch()
end = time.monotonic() + 30
while any(not Path(f"here.{other}").exists() for other in range(ranks)):
    if time.monotonic() > end:
        raise SystemExit(f"rank {rank} waits for others: {sorted(Path().glob('here.*'))}")
    time.sleep(0.05)
line = Path(source).read_text().splitlines()[rank]
with socket.create_connection(("127.0.0.1", int(os.environ[service])), timeout=20) as asked:
    asked.sendall(line.encode() + b"\n")
    digest = asked.makefile().readline().strip()
told = {"rank": rank, "ranks": ranks, "pid": os.getpid(), "line": line, "digest": digest}
told["launched_as"] = next((os.environ[name] for name in ("PMI_RANK", "SLURM_PROCID") if name in os.environ), None)
Path(f"answer.{rank}").write_text(json.dumps(told))
