"""Colmena: a search on two worker processes, steered by its results; one of its tasks raises."""

import os
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main, node


def distance(number, target):
    if number < 0:
        raise ArithmeticError(f"{number} is less than nothing")
    return {"distance": (number - target) ** 2, "pid": os.getpid(), "node": node()}


def tasks(request):
    from _colmena import search
    from colmena.models.methods import PythonMethod
    from colmena.task_server.local import LocalTaskServer

    method = PythonMethod(partial(distance, target=int(request["params"].get("target", 6))), name="distance")
    results = search(request, lambda queues: LocalTaskServer(queues, [method], threads=False, num_workers=2))
    return {"results": results, "thinker": os.getpid()}


if __name__ == "__main__":
    main(tasks, __doc__)
