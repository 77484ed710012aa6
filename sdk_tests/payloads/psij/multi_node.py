"""PSI/J: one job with a process on each of its nodes, started by the site's launcher."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def multi_node(request):
    from _psij import HELLO, Session, printed_objects, status_of

    nodes = request.get("nodes") or 1
    scheduler = request["scheduler"]
    launcher = scheduler.get("launcher") or {"slurm": "srun", "lsf": "jsrun"}.get(scheduler["kind"], "single")
    with Session(request) as session:
        job = session.submit(
            sys.executable, [HELLO], nodes=nodes, launcher=launcher, stdout_path=Path("nodes.out").absolute()
        )
        session.wait(job)
    return {**status_of(job), "processes": printed_objects(Path("nodes.out"), job)}


if __name__ == "__main__":
    main(multi_node, __doc__)
