"""PSI/J: a job with one process for each GPU of its node, each with its own GPU, started by the site's launcher."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main

PROGRAM = str(Path(__file__).resolve().parent.parent / "_gpus.py")


def gpus(request):
    from _psij import Session, printed_objects, status_of
    from psij import ResourceSpecV1

    count = int(request.get("gpus") or request["params"].get("gpus", 2))
    arrived, out, error = (Path(name).absolute() for name in ("arrived", "out.txt", "err.txt"))
    arrived.mkdir()
    # Processes are numbered by their pid, because each launcher reports the rank in its own way.
    command = f"exec {sys.executable} {PROGRAM} {arrived} $$ {count} {request.get('walltime', 60) / 2}"
    launcher = request["scheduler"].get("launcher") or "multiple"
    with Session(request) as session:
        spec = session.spec("/bin/sh", ["-c", command], launcher=launcher, stdout_path=out, stderr_path=error)
        exclusive = spec.resources.exclusive_node_use
        size = {"processes_per_node": count, "gpu_cores_per_process": 1, "exclusive_node_use": exclusive}
        spec.resources = ResourceSpecV1(node_count=1, **size)
        job = session.run(spec)
        session.wait(job)
    return {**status_of(job), "gpus": count, "tasks": printed_objects(out, job)}


if __name__ == "__main__":
    main(gpus, __doc__)
