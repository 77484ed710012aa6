"""Flux: an instance starts over the nodes there are, one broker each, and runs a task on every one of them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import NODE_NAMES, main

WHERE = f"""
pid=$(flux getattr broker.pid)
name=$(tr '\\0' '\\n' < /proc/$pid/environ | sed -nE 's/^({"|".join(NODE_NAMES)})=//p')
echo $(flux getattr rank) $pid ${{name:-$(uname -n)}}
"""
"""What each broker's node is asked: the environment of the broker itself names the node it was started on."""


def start_and_size(request):
    from _instance import flux, instance

    with instance(request):
        size = int(flux("getattr", "size"))
        told = [line.split() for line in flux("exec", "-r", "all", "sh", "-c", WHERE).splitlines()]
        each = flux("run", f"-N{size}", f"-n{size}", "sh", "-c", "echo $FLUX_TASK_RANK of $FLUX_JOB_SIZE")
        version = flux("version").split()[1]
    found = sorted((int(rank), int(pid), node) for rank, pid, node in told)  # they answer in any order
    brokers = [{"rank": rank, "pid": pid, "node": node} for rank, pid, node in found]
    return {"version": version, "size": size, "brokers": brokers, "tasks": sorted(each.splitlines())}


if __name__ == "__main__":
    main(start_and_size, __doc__)
