"""Parsl: the MPIExecutor starts an app's ranks with the allocation's own launcher, mpiexec or srun, on its nodes."""

import json
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main

RANK = """
import json, os, platform
names = [("PMI_RANK", "PMI_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
         ("PALS_RANKID", "PALS_SIZE"), ("PMIX_RANK", "PALS_NRANKS")]
rank, size = next(([os.environ[r], os.environ.get(s, 0)] for r, s in names if r in os.environ), [None, None])
node = next((os.environ[n] for n in ("SLURMD_NODENAME", "EMULATED_NODENAME") if n in os.environ), platform.node())
answer = {"rank": int(rank), "size": int(size), "node": node, "pid": os.getpid()}
os.write(1, (json.dumps(answer) + chr(10)).encode())
"""
"""The program of each rank. It needs no MPI library, because launchers set the rank in the environment."""


def mpi(request):
    import parsl
    from _parsl import loaded, seconds_left
    from parsl.app.errors import BashExitFailure
    from parsl.executors import MPIExecutor
    from parsl.launchers import SimpleLauncher

    launcher = request["params"].get("launcher", "mpiexec")
    if not shutil.which(launcher):
        return {"absent": f"no {launcher} on PATH {os.environ.get('PATH')}"}
    nodes = int(request.get("nodes") or 1)
    size = {"num_nodes": nodes, "ranks_per_node": 2 // nodes, "num_ranks": 2}

    @parsl.bash_app
    def ranks(command, stdout=None, stderr=None, parsl_resource_specification=None):
        return f"$PARSL_MPI_PREFIX {command}"

    Path("rank.py").write_text(RANK, encoding="utf-8")
    out, error = (str(Path(name).absolute()) for name in ("ranks.out", "ranks.err"))
    command = f"{sys.executable} {Path('rank.py').absolute()}"
    own = {"kind": MPIExecutor, "max_workers_per_block": 1, "mpi_launcher": launcher}
    with loaded(request, executor=own, launcher=SimpleLauncher()):
        done = ranks(command, stdout=out, stderr=error, parsl_resource_specification=size)
        failed = ranks("sh -c 'exit 3'", parsl_resource_specification=size)
        refused = ranks(command, parsl_resource_specification={})
        code = done.exception(timeout=seconds_left(request))
        wrong, unsized = (each.exception(timeout=seconds_left(request)) for each in (failed, refused))
    if code is not None:
        raise RuntimeError(Path(error).read_text(encoding="utf-8")[-2000:]) from code
    answers = [json.loads(line) for line in Path(out).read_text(encoding="utf-8").splitlines()]
    answer = {"ranks": sorted(answers, key=lambda each: each["rank"]), "unsized": type(unsized).__name__}
    return {**answer, "failed_with": wrong.exitcode if isinstance(wrong, BashExitFailure) else repr(wrong)}


if __name__ == "__main__":
    main(mpi, __doc__)
