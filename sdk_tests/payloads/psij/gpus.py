"""PSI/J: one job with a process for each GPU of its node, each with its own GPU, started by the site's launcher."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main

LOOK = str(Path(__file__).resolve().parent.parent / "_gpus.py")


def gpus(request):
    from _psij import Session, said, told
    from psij import ResourceSpecV1

    count = int(request.get("gpus") or request["params"].get("gpus", 2))
    met, out, error = (Path(name).absolute() for name in ("met", "out.txt", "err.txt"))
    met.mkdir()
    # A process goes by its own id: which of them it is, each launcher tells in its own way.
    look = f"exec {sys.executable} {LOOK} {met} $$ {count} {request.get('walltime', 60) / 2}"
    launcher = request["scheduler"].get("launcher") or "multiple"
    with Session(request) as session:
        spec = session.spec("/bin/sh", ["-c", look], launcher=launcher, stdout_path=out, stderr_path=error)
        alone = spec.resources.exclusive_node_use
        size = {"processes_per_node": count, "gpu_cores_per_process": 1, "exclusive_node_use": alone}
        spec.resources = ResourceSpecV1(node_count=1, **size)
        job = session.run(spec)
        session.settle(job)
    return {**told(job), "gpus": count, "tasks": said(out)}


if __name__ == "__main__":
    main(gpus, __doc__)
