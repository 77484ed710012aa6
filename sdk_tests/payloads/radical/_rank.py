"""A rank of a task: waits until all ranks have started, then sends its line of the staged file to the service.

``_rank.py SERVICE INPUT``: the name of the variable with the service's port, and the staged file.
"""

import json
import os
import socket
import sys
import time
from pathlib import Path

service, source = sys.argv[1:]
# RADICAL recognises PALS's mpiexec by its folder and then sets RP_RANK; the emulated mpiexec is in another folder
rank, ranks = int(os.environ.get("RP_RANK") or os.environ["PMI_RANK"]), int(os.environ["RP_RANKS"])
Path(f"started.{rank}").touch()
end = time.monotonic() + 30
while any(not Path(f"started.{other}").exists() for other in range(ranks)):
    if time.monotonic() > end:
        raise SystemExit(
            f"rank {rank} has waited 30 s for the other ranks; started: {sorted(Path().glob('started.*'))}"
        )
    time.sleep(0.05)
line = Path(source).read_text().splitlines()[rank]
with socket.create_connection(("127.0.0.1", int(os.environ[service])), timeout=20) as connection:
    connection.sendall(line.encode() + b"\n")
    digest = connection.makefile().readline().strip()
answer = {"rank": rank, "ranks": ranks, "pid": os.getpid(), "line": line, "digest": digest}
answer["launched_as"] = next((os.environ[name] for name in ("PMI_RANK", "SLURM_PROCID") if name in os.environ), None)
Path(f"answer.{rank}").write_text(json.dumps(answer))
