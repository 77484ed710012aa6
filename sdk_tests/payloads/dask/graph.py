"""Dask: a graph of functions, computed by two worker processes on one node, and a function that raises."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main, node


def square(number):
    import time

    time.sleep(0.3)  # so that both workers get some of them
    return {"value": number * number, "pid": os.getpid()}


def total(squares):
    return sum(each["value"] for each in squares)


def graph(request):
    import dask
    from _dask import LOOPBACK, seconds_left
    from distributed import Client, LocalCluster

    numbers = request["params"].get("numbers", [1, 2, 3, 4, 5, 6])
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=0, **LOOPBACK) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(2, timeout=seconds_left(request))
        squares = [dask.delayed(square)(number) for number in numbers]
        computed, result = client.compute([squares, dask.delayed(total)(squares)])
        fails = client.submit(lambda number: number // 0, 84)
        after = client.submit(lambda value: value + 1, fails)
        left = seconds_left(request)
        return {
            "node": node(),
            "submitter": os.getpid(),
            "workers": sorted(client.run(os.getpid).values()),
            "squares": computed.result(timeout=left),
            "total": result.result(timeout=left),
            "raised": repr(fails.exception(timeout=left)),
            "dependent": repr(after.exception(timeout=left)),
        }


if __name__ == "__main__":
    main(graph, __doc__)
