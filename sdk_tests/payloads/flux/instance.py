"""Flux: an instance starts on all nodes, with one broker on each, and runs a task on every broker."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import NODE_NAMES, main

REPORT = f"""
pid=$(flux getattr broker.pid)
name=$(tr '\\0' '\\n' < /proc/$pid/environ | sed -nE 's/^({"|".join(NODE_NAMES)})=//p')
echo $(flux getattr rank) $pid ${{name:-$(uname -n)}}
"""
"""Script that prints rank, pid and node of each broker; the environment of the broker itself names its node."""


def start_and_size(request):
    from _instance import flux, instance

    with instance(request):
        size = int(flux("getattr", "size"))
        rows = [line.split() for line in flux("exec", "-r", "all", "sh", "-c", REPORT).splitlines()]
        each = flux("run", f"-N{size}", f"-n{size}", "sh", "-c", "echo $FLUX_TASK_RANK of $FLUX_JOB_SIZE")
        version = flux("version").split()[1]
    ordered = sorted((int(rank), int(pid), node) for rank, pid, node in rows)  # brokers answer in any order
    brokers = [{"rank": rank, "pid": pid, "node": node} for rank, pid, node in ordered]
    return {"version": version, "size": size, "brokers": brokers, "tasks": sorted(each.splitlines())}


if __name__ == "__main__":
    main(start_and_size, __doc__)
