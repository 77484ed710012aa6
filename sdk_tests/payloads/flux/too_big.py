"""Flux: a job that requests more than the instance has is refused; a job that requests all of it runs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def too_big(request):
    from _instance import flux, instance

    with instance(request):
        nodes, cores = map(int, flux("resource", "list", "-n", "-s", "all", "-o", "{nnodes} {ncores}").split())
        answer = {"nodes": nodes, "cores": cores}
        requests = {"all": (nodes, cores), "a node more": (nodes + 1, nodes + 1), "a core more": (nodes, cores + 1)}
        for name, (nodes, tasks) in requests.items():
            marker = "ran " + name
            done = flux("run", f"-N{nodes}", f"-n{tasks}", "touch", marker, check=False)
            last = (done.stderr.strip().splitlines() or [""])[-1]
            answer[name] = {"exit_code": done.returncode, "message": last, "ran": Path(marker).exists()}
    return answer


if __name__ == "__main__":
    main(too_big, __doc__)
