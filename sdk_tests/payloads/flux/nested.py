"""Flux: an instance in a job of another instance, nested twice; each instance has its own resources and jobs."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def describe(deeper):
    """Return a description of the instance of this process, and of ``deeper`` instances nested in its jobs."""
    from _instance import flux

    names = ("instance-level", "size", "local-uri", "jobid-path")
    here = {name: flux("getattr", name) for name in names}
    here["cores"] = int(flux("resource", "list", "-n", "-s", "all", "-o", "{ncores}"))
    here["ran"] = flux("run", "-n1", "sh", "-c", "echo $FLUX_JOB_ID_PATH; echo $FLUX_URI").splitlines()[-1]
    if not deeper:
        return [here]
    inside = flux("alloc", "-N1", "-n1", sys.executable, __file__, "--describe", deeper - 1)
    return [here, *json.loads(inside.splitlines()[-1])]


def nested(request):
    from _instance import instance

    with instance(request):
        return {"instances": describe(request["params"].get("deeper", 2))}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--describe"]:
        print(json.dumps(describe(int(sys.argv[2]))))
    else:
        main(nested, __doc__)
