"""PSI/J: one of its launchers starts a job's processes, inside this allocation or in a job of their own."""

import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main

REPORT = """
import json, os, time
names = ("_PSI_J_PROCESS_INDEX_", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")
rank = next((os.environ[name] for name in names if name in os.environ), None)
nodes = os.environ.get("PSIJ_NODEFILE")
answer = {"pid": os.getpid(), "rank": rank, "slots": len(open(nodes).read().split()) if nodes else 1}
os.write(1, (json.dumps(answer) + chr(10)).encode())
"""
"""Prints with a single write, so that the lines of several processes do not mix."""
FAIL = "sleep 0.5; exit 1"
"""Waits before it exits, because MPICH's mpirun may die of SIGPIPE if it still forwards standard input."""


def launcher(request):
    from _psij import Session, printed_objects, status_of
    from psij import ResourceSpecV1

    given = {"launcher": "multiple", "processes": 2, **request["params"]}
    program = {"mpirun": "mpirun", "srun": "srun"}.get(given["launcher"])
    if program and not shutil.which(program):
        return {"absent": f"no {program} on PATH {os.environ.get('PATH')}"}
    if program == "mpirun" and "EMULATED_NODENAME" in os.environ:
        return {"absent": "mpirun logs in to the nodes of the allocation, but the nodes of a testbed are only names"}
    out, error = Path("out.txt").absolute(), Path("err.txt").absolute()
    if request.get("where") != "login":  # in an allocation, run the processes here instead of submitting a job
        request["scheduler"] = {**request["scheduler"], "kind": "local", "component_names": {}}
    with Session(request) as session:
        specs = [
            session.spec(
                sys.executable, ["-c", REPORT], launcher=given["launcher"], stdout_path=out, stderr_path=error
            ),
            session.spec("/bin/sh", ["-c", FAIL], launcher=given["launcher"]),
        ]
        jobs = []
        for spec in specs:
            exclusive = spec.resources.exclusive_node_use
            spec.resources = ResourceSpecV1(
                node_count=1, processes_per_node=given["processes"], exclusive_node_use=exclusive
            )
            jobs.append(session.run(spec))
            session.wait(jobs[-1])
    processes = printed_objects(out, jobs[0])
    if program and len(processes) == given["processes"] and len({each["rank"] for each in processes}) == 1:
        print(f"{program} started {len(processes)} processes that do not know each other: no ranks", file=sys.stderr)
    return {**status_of(jobs[0]), "processes": processes, "failing": status_of(jobs[1])}


if __name__ == "__main__":
    main(launcher, __doc__)
