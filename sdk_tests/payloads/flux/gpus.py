"""Flux: one task for each GPU of the node, each with its own GPU; a job that requests one GPU more is refused."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main

PROGRAM = str(Path(__file__).resolve().parent.parent / "_gpus.py")


def gpus(request):
    import json

    from _instance import flux, instance, seconds_left

    count = int(request.get("gpus") or request["params"].get("gpus", 2))
    request["params"]["gpus"] = count
    folder = Path("arrived").absolute()
    folder.mkdir()
    command = f'exec "$0" {PROGRAM} {folder} $FLUX_TASK_RANK {count} {{}}'
    with instance(request):
        known = int(flux("resource", "list", "-n", "-s", "all", "-o", "{ngpus}"))
        one_each = ["-N1", f"-n{count}", "-g1", "-o", "gpu-affinity=per-task"]
        done = flux("run", *one_each, "sh", "-c", command.format(seconds_left() / 2), sys.executable, check=False)
        more = flux("run", "-N1", "-n1", f"-g{count + 1}", "true", check=False)
    tasks = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    message = (more.stderr.strip().splitlines() or [""])[-1]
    refused = {"exit_code": more.returncode, "message": message}
    return {"gpus": count, "known": known, "tasks": tasks, "one_more": refused}


if __name__ == "__main__":
    main(gpus, __doc__)
