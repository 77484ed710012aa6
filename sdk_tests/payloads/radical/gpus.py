"""RADICAL-Pilot: one task for each GPU of the pilot's node, all at the same time, each with its own GPU."""

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from _payload import main  # noqa: E402
from _radical import limits, pilot  # noqa: E402

PROGRAM = str(HERE.parent / "_gpus.py")


def gpus(request):
    count = int(request.get("gpus") or request["params"].get("gpus", 2))
    request["params"]["gpus"], request["cores"] = count, max(count, request.get("cores") or 1)
    folder = Path("arrived").absolute()
    folder.mkdir()
    with pilot(request) as active:
        tasks = active.run(
            {
                "executable": sys.executable,
                "arguments": [PROGRAM, str(folder), str(number), str(count), str(limits(request)[0] / 2)],
                "gpus_per_rank": 1,
                "gpu_type": active.rp.CUDA,
            }
            for number in range(count)
        )
        states = [task.state for task in tasks]
        print([task.stderr for task in tasks if task.stderr])
        answers = [json.loads(task.stdout) for task in tasks if task.exit_code == 0]
    return {"gpus": count, "states": states, "tasks": answers}


if __name__ == "__main__":
    main(gpus, __doc__)
